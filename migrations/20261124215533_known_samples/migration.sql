CREATE TABLE "evaluation_shards" (
	"evaluation_id" uuid,
	"index" integer,
	"run_id" uuid NOT NULL,
	"finished_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "evaluation_shards_pkey" PRIMARY KEY("evaluation_id","index")
);
--> statement-breakpoint
ALTER TABLE "evaluations" ADD COLUMN "answers_key" text;--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "lead_id" uuid;--> statement-breakpoint
ALTER TABLE "samples" ADD COLUMN "key" text;--> statement-breakpoint
CREATE INDEX "runs_lead" ON "runs" ("lead_id");--> statement-breakpoint
CREATE INDEX "samples_key" ON "samples" ("key");--> statement-breakpoint
ALTER TABLE "evaluation_shards" ADD CONSTRAINT "evaluation_shards_evaluation_id_evaluations_id_fkey" FOREIGN KEY ("evaluation_id") REFERENCES "evaluations"("id") ON DELETE CASCADE;--> statement-breakpoint
ALTER TABLE "evaluation_shards" ADD CONSTRAINT "evaluation_shards_run_id_runs_id_fkey" FOREIGN KEY ("run_id") REFERENCES "runs"("id");--> statement-breakpoint
ALTER TABLE "runs" ADD CONSTRAINT "runs_lead_id_runs_id_fkey" FOREIGN KEY ("lead_id") REFERENCES "runs"("id");