ALTER TABLE "comparison_tasks" ADD COLUMN "clean_n" integer;--> statement-breakpoint
ALTER TABLE "comparison_tasks" ADD COLUMN "clean_baseline" double precision;--> statement-breakpoint
ALTER TABLE "comparison_tasks" ADD COLUMN "clean_candidate" double precision;--> statement-breakpoint
ALTER TABLE "comparison_tasks" ADD COLUMN "clean_difference" double precision;--> statement-breakpoint
ALTER TABLE "comparison_tasks" ADD COLUMN "clean_low" double precision;--> statement-breakpoint
ALTER TABLE "comparison_tasks" ADD COLUMN "clean_high" double precision;--> statement-breakpoint
ALTER TABLE "comparison_tasks" ADD COLUMN "clean_p_value" double precision;--> statement-breakpoint
ALTER TABLE "evaluations" ADD COLUMN "contaminated" integer;--> statement-breakpoint
ALTER TABLE "samples" ADD COLUMN "contamination" double precision;--> statement-breakpoint
ALTER TABLE "samples" ADD COLUMN "contaminated_by" jsonb;--> statement-breakpoint
ALTER TABLE "scores" ADD COLUMN "clean_n" integer;--> statement-breakpoint
ALTER TABLE "scores" ADD COLUMN "clean_value" double precision;--> statement-breakpoint
ALTER TABLE "scores" ADD COLUMN "clean_standard_error" double precision;