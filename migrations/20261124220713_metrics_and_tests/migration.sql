ALTER TABLE "scores" RENAME COLUMN "mean" TO "value";--> statement-breakpoint
ALTER TABLE "comparison_tasks" ADD COLUMN "bootstrap_low" double precision;--> statement-breakpoint
ALTER TABLE "comparison_tasks" ADD COLUMN "bootstrap_high" double precision;--> statement-breakpoint
ALTER TABLE "comparison_tasks" ADD COLUMN "test" text DEFAULT 'MCNEMAR' NOT NULL;--> statement-breakpoint
ALTER TABLE "comparison_tasks" ADD COLUMN "adjusted_p" double precision;--> statement-breakpoint
ALTER TABLE "comparison_tasks" ADD COLUMN "detectable" double precision;