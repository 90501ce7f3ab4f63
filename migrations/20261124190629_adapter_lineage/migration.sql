ALTER TABLE "adapters" ADD COLUMN "step" integer;--> statement-breakpoint
ALTER TABLE "adapters" ADD COLUMN "parent_id" uuid;--> statement-breakpoint
ALTER TABLE "adapters" ADD CONSTRAINT "adapters_parent_id_adapters_id_fkey" FOREIGN KEY ("parent_id") REFERENCES "adapters"("id");