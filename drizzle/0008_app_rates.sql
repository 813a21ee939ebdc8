CREATE TABLE "app_rates" (
	"app_id" text PRIMARY KEY NOT NULL,
	"next_at" timestamp with time zone NOT NULL
);
--> statement-breakpoint
ALTER TABLE "app_keys" ADD COLUMN "slot" smallint;--> statement-breakpoint
ALTER TABLE "app_keys" ADD COLUMN "last_used_at" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "apps" ADD COLUMN "rate_limit" jsonb;--> statement-breakpoint
CREATE UNIQUE INDEX "app_keys_slot" ON "app_keys" USING btree ("app_id","slot") WHERE revoked_at is null;--> statement-breakpoint
-- Recalling has become a grant. Apps that are there could always do it.
UPDATE "apps" SET "grants" = "grants" || '["recall"]' WHERE NOT "grants" ? 'recall';
