CREATE TABLE "signing_nonces" (
	"key_id" text NOT NULL,
	"nonce" text NOT NULL,
	"expires_at" timestamp with time zone NOT NULL,
	CONSTRAINT "signing_nonces_key_id_nonce_pk" PRIMARY KEY("key_id","nonce")
);
--> statement-breakpoint
ALTER TABLE "app_keys" ADD COLUMN "kind" text DEFAULT 'bearer' NOT NULL;--> statement-breakpoint
CREATE INDEX "signing_nonces_expired" ON "signing_nonces" USING btree ("expires_at");