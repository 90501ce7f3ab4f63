CREATE TABLE "accounts" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	"name" text NOT NULL UNIQUE,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "adapters" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	"name" text NOT NULL,
	"run_id" uuid NOT NULL UNIQUE,
	"base_model_id" uuid NOT NULL,
	"sha256" text NOT NULL,
	"parameters" bigint NOT NULL,
	"r" integer NOT NULL,
	"alpha" double precision NOT NULL,
	"target_modules" jsonb NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "api_keys" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	"account_id" uuid NOT NULL,
	"name" text NOT NULL,
	"prefix" text NOT NULL UNIQUE,
	"secret_hash" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"last_used_at" timestamp with time zone,
	"revoked_at" timestamp with time zone
);
--> statement-breakpoint
CREATE TABLE "artifacts" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	"run_id" uuid NOT NULL,
	"attempt" integer NOT NULL,
	"kind" text NOT NULL,
	"name" text NOT NULL,
	"step" integer,
	"sha256" text NOT NULL,
	"bytes" bigint NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "base_models" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	"name" text NOT NULL,
	"path" text NOT NULL,
	"revision" text NOT NULL UNIQUE,
	"family" text NOT NULL,
	"parameters" bigint NOT NULL,
	"dtype" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "comparison_tasks" (
	"comparison_id" uuid,
	"task" text,
	"metric" text,
	"baseline_evaluation_id" uuid NOT NULL,
	"candidate_evaluation_id" uuid NOT NULL,
	"n" integer NOT NULL,
	"baseline" double precision NOT NULL,
	"candidate" double precision NOT NULL,
	"difference" double precision NOT NULL,
	"low" double precision NOT NULL,
	"high" double precision NOT NULL,
	"level" double precision NOT NULL,
	"p_value" double precision NOT NULL,
	"gained" integer NOT NULL,
	"lost" integer NOT NULL,
	CONSTRAINT "comparison_tasks_pkey" PRIMARY KEY("comparison_id","task","metric")
);
--> statement-breakpoint
CREATE TABLE "comparisons" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	"account_id" uuid NOT NULL,
	"run_id" uuid CONSTRAINT "comparisons_run" UNIQUE,
	"baseline_model_id" uuid NOT NULL,
	"baseline_adapter_id" uuid,
	"candidate_model_id" uuid NOT NULL,
	"candidate_adapter_id" uuid,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "datasets" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	"name" text NOT NULL,
	"path" text NOT NULL,
	"sha256" text NOT NULL UNIQUE,
	"bytes" bigint NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "evaluations" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	"run_id" uuid NOT NULL,
	"key" text NOT NULL,
	"base_model_id" uuid NOT NULL,
	"adapter_id" uuid,
	"task" text NOT NULL,
	"settings" jsonb NOT NULL,
	"settings_hash" text NOT NULL,
	"prompt_hash" text NOT NULL,
	"documents" integer NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"finished_at" timestamp with time zone,
	CONSTRAINT "evaluations_order" UNIQUE("run_id","key")
);
--> statement-breakpoint
CREATE TABLE "events" (
	"run_id" uuid,
	"cursor" bigint,
	"attempt" integer NOT NULL,
	"source" text NOT NULL,
	"source_seq" bigint NOT NULL,
	"type" text NOT NULL,
	"at" timestamp with time zone DEFAULT now() NOT NULL,
	"body" jsonb NOT NULL,
	CONSTRAINT "events_pkey" PRIMARY KEY("run_id","cursor"),
	CONSTRAINT "events_source" UNIQUE("run_id","attempt","source","source_seq")
);
--> statement-breakpoint
CREATE TABLE "metrics" (
	"run_id" uuid,
	"name" text,
	"step" integer,
	"value" double precision,
	CONSTRAINT "metrics_pkey" PRIMARY KEY("run_id","name","step")
);
--> statement-breakpoint
CREATE TABLE "runs" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	"account_id" uuid NOT NULL,
	"name" text NOT NULL,
	"kind" text NOT NULL,
	"status" text DEFAULT 'QUEUED' NOT NULL,
	"spec" jsonb NOT NULL,
	"base_model_id" uuid NOT NULL,
	"dataset_id" uuid,
	"adapter_id" uuid,
	"retry_of" uuid,
	"idempotency_key" text NOT NULL,
	"input_hash" text NOT NULL,
	"priority" integer DEFAULT 0 NOT NULL,
	"attempt" integer DEFAULT 0 NOT NULL,
	"max_attempts" integer DEFAULT 3 NOT NULL,
	"token_hash" text,
	"lease_until" timestamp with time zone,
	"cancel_requested_at" timestamp with time zone,
	"next_cursor" bigint DEFAULT 1 NOT NULL,
	"runtime_seq" bigint DEFAULT 0 NOT NULL,
	"failure" jsonb,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"started_at" timestamp with time zone,
	"finished_at" timestamp with time zone,
	CONSTRAINT "runs_idempotency" UNIQUE("account_id","idempotency_key"),
	CONSTRAINT "runs_status" CHECK (status in ('QUEUED', 'STARTING', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELED'))
);
--> statement-breakpoint
CREATE TABLE "samples" (
	"evaluation_id" uuid,
	"document" integer,
	"hash" text NOT NULL,
	"gold" integer NOT NULL,
	"picked" integer NOT NULL,
	"choices" jsonb NOT NULL,
	"scores" jsonb NOT NULL,
	"question" text NOT NULL,
	"answers" jsonb NOT NULL,
	CONSTRAINT "samples_pkey" PRIMARY KEY("evaluation_id","document")
);
--> statement-breakpoint
CREATE TABLE "scores" (
	"evaluation_id" uuid,
	"metric" text,
	"n" integer NOT NULL,
	"mean" double precision NOT NULL,
	"standard_error" double precision,
	CONSTRAINT "scores_pkey" PRIMARY KEY("evaluation_id","metric")
);
--> statement-breakpoint
CREATE INDEX "adapters_base_model" ON "adapters" ("base_model_id");--> statement-breakpoint
CREATE INDEX "artifacts_run" ON "artifacts" ("run_id","kind");--> statement-breakpoint
CREATE INDEX "comparisons_created" ON "comparisons" ("created_at" DESC NULLS LAST,"id" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "evaluations_subject" ON "evaluations" ("base_model_id","adapter_id","settings_hash");--> statement-breakpoint
CREATE INDEX "evaluations_settings" ON "evaluations" ("settings_hash");--> statement-breakpoint
CREATE INDEX "metrics_step" ON "metrics" ("run_id","step");--> statement-breakpoint
CREATE INDEX "runs_waiting" ON "runs" ("priority" DESC NULLS LAST,"created_at") WHERE status in ('QUEUED', 'STARTING', 'RUNNING');--> statement-breakpoint
CREATE INDEX "runs_created" ON "runs" ("created_at" DESC NULLS LAST,"id" DESC NULLS LAST);--> statement-breakpoint
ALTER TABLE "adapters" ADD CONSTRAINT "adapters_run_id_runs_id_fkey" FOREIGN KEY ("run_id") REFERENCES "runs"("id");--> statement-breakpoint
ALTER TABLE "adapters" ADD CONSTRAINT "adapters_base_model_id_base_models_id_fkey" FOREIGN KEY ("base_model_id") REFERENCES "base_models"("id");--> statement-breakpoint
ALTER TABLE "api_keys" ADD CONSTRAINT "api_keys_account_id_accounts_id_fkey" FOREIGN KEY ("account_id") REFERENCES "accounts"("id") ON DELETE CASCADE;--> statement-breakpoint
ALTER TABLE "artifacts" ADD CONSTRAINT "artifacts_run_id_runs_id_fkey" FOREIGN KEY ("run_id") REFERENCES "runs"("id");--> statement-breakpoint
ALTER TABLE "comparison_tasks" ADD CONSTRAINT "comparison_tasks_comparison_id_comparisons_id_fkey" FOREIGN KEY ("comparison_id") REFERENCES "comparisons"("id") ON DELETE CASCADE;--> statement-breakpoint
ALTER TABLE "comparison_tasks" ADD CONSTRAINT "comparison_tasks_baseline_evaluation_id_evaluations_id_fkey" FOREIGN KEY ("baseline_evaluation_id") REFERENCES "evaluations"("id");--> statement-breakpoint
ALTER TABLE "comparison_tasks" ADD CONSTRAINT "comparison_tasks_candidate_evaluation_id_evaluations_id_fkey" FOREIGN KEY ("candidate_evaluation_id") REFERENCES "evaluations"("id");--> statement-breakpoint
ALTER TABLE "comparisons" ADD CONSTRAINT "comparisons_account_id_accounts_id_fkey" FOREIGN KEY ("account_id") REFERENCES "accounts"("id");--> statement-breakpoint
ALTER TABLE "comparisons" ADD CONSTRAINT "comparisons_run_id_runs_id_fkey" FOREIGN KEY ("run_id") REFERENCES "runs"("id");--> statement-breakpoint
ALTER TABLE "comparisons" ADD CONSTRAINT "comparisons_baseline_model_id_base_models_id_fkey" FOREIGN KEY ("baseline_model_id") REFERENCES "base_models"("id");--> statement-breakpoint
ALTER TABLE "comparisons" ADD CONSTRAINT "comparisons_baseline_adapter_id_adapters_id_fkey" FOREIGN KEY ("baseline_adapter_id") REFERENCES "adapters"("id");--> statement-breakpoint
ALTER TABLE "comparisons" ADD CONSTRAINT "comparisons_candidate_model_id_base_models_id_fkey" FOREIGN KEY ("candidate_model_id") REFERENCES "base_models"("id");--> statement-breakpoint
ALTER TABLE "comparisons" ADD CONSTRAINT "comparisons_candidate_adapter_id_adapters_id_fkey" FOREIGN KEY ("candidate_adapter_id") REFERENCES "adapters"("id");--> statement-breakpoint
ALTER TABLE "evaluations" ADD CONSTRAINT "evaluations_run_id_runs_id_fkey" FOREIGN KEY ("run_id") REFERENCES "runs"("id");--> statement-breakpoint
ALTER TABLE "evaluations" ADD CONSTRAINT "evaluations_base_model_id_base_models_id_fkey" FOREIGN KEY ("base_model_id") REFERENCES "base_models"("id");--> statement-breakpoint
ALTER TABLE "evaluations" ADD CONSTRAINT "evaluations_adapter_id_adapters_id_fkey" FOREIGN KEY ("adapter_id") REFERENCES "adapters"("id");--> statement-breakpoint
ALTER TABLE "events" ADD CONSTRAINT "events_run_id_runs_id_fkey" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE CASCADE;--> statement-breakpoint
ALTER TABLE "metrics" ADD CONSTRAINT "metrics_run_id_runs_id_fkey" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE CASCADE;--> statement-breakpoint
ALTER TABLE "runs" ADD CONSTRAINT "runs_account_id_accounts_id_fkey" FOREIGN KEY ("account_id") REFERENCES "accounts"("id");--> statement-breakpoint
ALTER TABLE "runs" ADD CONSTRAINT "runs_base_model_id_base_models_id_fkey" FOREIGN KEY ("base_model_id") REFERENCES "base_models"("id");--> statement-breakpoint
ALTER TABLE "runs" ADD CONSTRAINT "runs_dataset_id_datasets_id_fkey" FOREIGN KEY ("dataset_id") REFERENCES "datasets"("id");--> statement-breakpoint
ALTER TABLE "runs" ADD CONSTRAINT "runs_adapter_id_adapters_id_fkey" FOREIGN KEY ("adapter_id") REFERENCES "adapters"("id");--> statement-breakpoint
ALTER TABLE "runs" ADD CONSTRAINT "runs_retry_of_runs_id_fkey" FOREIGN KEY ("retry_of") REFERENCES "runs"("id");--> statement-breakpoint
ALTER TABLE "samples" ADD CONSTRAINT "samples_evaluation_id_evaluations_id_fkey" FOREIGN KEY ("evaluation_id") REFERENCES "evaluations"("id") ON DELETE CASCADE;--> statement-breakpoint
ALTER TABLE "scores" ADD CONSTRAINT "scores_evaluation_id_evaluations_id_fkey" FOREIGN KEY ("evaluation_id") REFERENCES "evaluations"("id") ON DELETE CASCADE;