ALTER TABLE "samples" ADD COLUMN "weights" jsonb;--> statement-breakpoint
ALTER TABLE "samples" ADD COLUMN "response" text;--> statement-breakpoint
ALTER TABLE "samples" ALTER COLUMN "gold" DROP NOT NULL;--> statement-breakpoint
ALTER TABLE "samples" ALTER COLUMN "picked" DROP NOT NULL;