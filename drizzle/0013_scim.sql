ALTER TABLE "users" ADD COLUMN "provided_name" jsonb;--> statement-breakpoint
CREATE INDEX "users_folded" ON "users" USING btree (lower(code));--> statement-breakpoint
CREATE INDEX "users_folded_email" ON "users" USING btree (lower(email)) WHERE email is not null;