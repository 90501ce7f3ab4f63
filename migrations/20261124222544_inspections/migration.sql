CREATE TABLE "inspections" (
	"run_id" uuid PRIMARY KEY,
	"preview" jsonb NOT NULL
);
--> statement-breakpoint
ALTER TABLE "inspections" ADD CONSTRAINT "inspections_run_id_runs_id_fkey" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE CASCADE;