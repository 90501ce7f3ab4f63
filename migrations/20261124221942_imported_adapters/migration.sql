ALTER TABLE "adapters" ADD COLUMN "account_id" uuid;--> statement-breakpoint
ALTER TABLE "adapters" ADD COLUMN "import_key" text;--> statement-breakpoint
ALTER TABLE "adapters" ADD COLUMN "import_hash" text;--> statement-breakpoint
ALTER TABLE "adapters" ADD COLUMN "rslora" boolean;--> statement-breakpoint
ALTER TABLE "artifacts" ADD COLUMN "adapter_id" uuid;--> statement-breakpoint
ALTER TABLE "adapters" ALTER COLUMN "run_id" DROP NOT NULL;--> statement-breakpoint
ALTER TABLE "artifacts" ALTER COLUMN "run_id" DROP NOT NULL;--> statement-breakpoint
ALTER TABLE "adapters" ADD CONSTRAINT "adapters_import" UNIQUE("account_id","import_key");--> statement-breakpoint
CREATE INDEX "artifacts_adapter" ON "artifacts" ("adapter_id");--> statement-breakpoint
ALTER TABLE "adapters" ADD CONSTRAINT "adapters_account_id_accounts_id_fkey" FOREIGN KEY ("account_id") REFERENCES "accounts"("id");--> statement-breakpoint
ALTER TABLE "artifacts" ADD CONSTRAINT "artifacts_adapter_id_adapters_id_fkey" FOREIGN KEY ("adapter_id") REFERENCES "adapters"("id");--> statement-breakpoint
ALTER TABLE "adapters" ADD CONSTRAINT "adapters_made" CHECK ((run_id is null) = (import_key is not null));--> statement-breakpoint
ALTER TABLE "artifacts" ADD CONSTRAINT "artifacts_owner" CHECK ((run_id is null) <> (adapter_id is null));