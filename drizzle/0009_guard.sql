CREATE TABLE "app_budgets" (
	"app_id" text NOT NULL,
	"day" date NOT NULL,
	"segments" bigint NOT NULL,
	CONSTRAINT "app_budgets_app_id_day_pk" PRIMARY KEY("app_id","day")
);
--> statement-breakpoint
CREATE TABLE "used_confirmations" (
	"id" text PRIMARY KEY NOT NULL,
	"used_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
ALTER TABLE "apps" ADD COLUMN "guard" jsonb;--> statement-breakpoint
CREATE INDEX "used_confirmations_age" ON "used_confirmations" USING btree ("used_at");--> statement-breakpoint
-- Ends the statement that calls it, and so undoes it: a guarded push that may not go out leaves nothing behind.
CREATE FUNCTION "posthouse_stop"("why" text) RETURNS boolean LANGUAGE plpgsql AS $$
begin
  raise exception using errcode = 'PH001', message = why;
end
$$;
