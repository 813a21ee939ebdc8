CREATE TABLE "gates" (
	"channel_id" text PRIMARY KEY NOT NULL,
	"tokens" double precision NOT NULL,
	"refilled_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "receipts" (
	"id" uuid PRIMARY KEY NOT NULL,
	"channel_id" text NOT NULL,
	"receipt" text NOT NULL,
	"address" text,
	"state" text NOT NULL,
	"why" text,
	"at" timestamp with time zone,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
DROP INDEX "deliveries_leased";--> statement-breakpoint
DROP INDEX "deliveries_due";--> statement-breakpoint
DROP INDEX "messages_due";--> statement-breakpoint
ALTER TABLE "broadcasts" ADD COLUMN "recalled_at" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "deliveries" ADD COLUMN "app_id" text;--> statement-breakpoint
ALTER TABLE "deliveries" ADD COLUMN "expires_at" timestamp with time zone;--> statement-breakpoint
UPDATE "deliveries" SET "app_id" = "messages"."app_id", "expires_at" = "deliveries"."created_at" + interval '1 day',
	"state" = CASE WHEN "deliveries"."state" = 'sending' THEN 'queued' ELSE "deliveries"."state" END
FROM "messages" WHERE "messages"."id" = "deliveries"."message_id";--> statement-breakpoint
ALTER TABLE "deliveries" ALTER COLUMN "app_id" SET NOT NULL;--> statement-breakpoint
ALTER TABLE "deliveries" ALTER COLUMN "expires_at" SET NOT NULL;--> statement-breakpoint
ALTER TABLE "deliveries" SET (fillfactor = 50);--> statement-breakpoint
ALTER TABLE "deliveries" ADD COLUMN "losses" smallint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "deliveries" ADD COLUMN "maybe_sent" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "deliveries" ADD COLUMN "recall_requested" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "deliveries" ADD COLUMN "history" jsonb DEFAULT '[]'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "messages" ADD COLUMN "failures" smallint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "messages" ADD COLUMN "recalled_at" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "messages" ADD COLUMN "recalled_by" text;--> statement-breakpoint
ALTER TABLE "messages" ADD COLUMN "recall_reason" text;--> statement-breakpoint
CREATE INDEX "receipts_age" ON "receipts" USING btree ("created_at");--> statement-breakpoint
CREATE INDEX "deliveries_receipt" ON "deliveries" USING btree ("receipt") WHERE receipt is not null;--> statement-breakpoint
CREATE INDEX "deliveries_ended" ON "deliveries" USING btree ("state","settled_at" DESC NULLS FIRST,"id" DESC NULLS FIRST) WHERE state in ('dead', 'failed', 'expired', 'undelivered');--> statement-breakpoint
CREATE INDEX "deliveries_due" ON "deliveries" USING btree ("channel_id","priority","app_id","due_at") WHERE state = 'queued';--> statement-breakpoint
CREATE INDEX "deliveries_suspect" ON "deliveries" USING btree ("channel_id","due_at") WHERE state = 'queued' and losses >= 2;--> statement-breakpoint
CREATE INDEX "messages_due" ON "messages" USING btree ("due_at") WHERE state in ('scheduled', 'fanning_out', 'recalling');