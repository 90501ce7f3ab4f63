ALTER TABLE "evaluations" ADD COLUMN "drawn" jsonb;--> statement-breakpoint
ALTER TABLE "evaluations" ADD COLUMN "decision" jsonb;--> statement-breakpoint
ALTER TABLE "evaluations" ADD COLUMN "stopped_early" boolean DEFAULT false NOT NULL;