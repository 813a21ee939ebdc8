CREATE TABLE "token_revocations" (
	"user_code" text NOT NULL,
	"jti" text NOT NULL,
	"revoked_at" timestamp with time zone DEFAULT now() NOT NULL,
	"generation" bigint DEFAULT 0 NOT NULL,
	"expires_at" timestamp with time zone,
	CONSTRAINT "token_revocations_user_code_jti_pk" PRIMARY KEY("user_code","jti")
);
--> statement-breakpoint
CREATE INDEX "token_revocations_expired" ON "token_revocations" USING btree ("expires_at") WHERE expires_at is not null;