ALTER TABLE "template_versions" ADD COLUMN "name" text;--> statement-breakpoint
ALTER TABLE "template_versions" ADD COLUMN "msg_type" text;--> statement-breakpoint
ALTER TABLE "template_versions" ADD COLUMN "locales" jsonb DEFAULT '{}'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "template_versions" ADD COLUMN "variables" jsonb;--> statement-breakpoint
ALTER TABLE "template_versions" ADD COLUMN "restored_from" integer;--> statement-breakpoint
ALTER TABLE "templates" ADD COLUMN "draft" jsonb;--> statement-breakpoint
ALTER TABLE "templates" ADD COLUMN "revision" integer DEFAULT 1 NOT NULL;