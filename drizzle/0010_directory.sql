CREATE TABLE "directory_named" (
	"run_id" text NOT NULL,
	"kind" text NOT NULL,
	"code" text NOT NULL,
	CONSTRAINT "directory_named_run_id_kind_code_pk" PRIMARY KEY("run_id","kind","code")
);
--> statement-breakpoint
CREATE TABLE "directory_runs" (
	"id" text PRIMARY KEY NOT NULL,
	"state" text NOT NULL,
	"is_full" boolean NOT NULL,
	"covers" jsonb NOT NULL,
	"batches" integer DEFAULT 0 NOT NULL,
	"created" integer DEFAULT 0 NOT NULL,
	"changed" integer DEFAULT 0 NOT NULL,
	"unchanged" integer DEFAULT 0 NOT NULL,
	"refused" integer DEFAULT 0 NOT NULL,
	"disabled" integer DEFAULT 0 NOT NULL,
	"problems" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"expected" integer,
	"failure" text,
	"started_at" timestamp with time zone DEFAULT now() NOT NULL,
	"touched_at" timestamp with time zone DEFAULT now() NOT NULL,
	"finished_at" timestamp with time zone
);
--> statement-breakpoint
ALTER TABLE "departments" ADD COLUMN "enabled" boolean DEFAULT true NOT NULL;--> statement-breakpoint
ALTER TABLE "departments" ADD COLUMN "external_id" text;--> statement-breakpoint
ALTER TABLE "departments" ADD COLUMN "changed_at" timestamp with time zone DEFAULT now() NOT NULL;--> statement-breakpoint
ALTER TABLE "departments" ADD COLUMN "vanished_at" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "posts" ADD COLUMN "enabled" boolean DEFAULT true NOT NULL;--> statement-breakpoint
ALTER TABLE "posts" ADD COLUMN "external_id" text;--> statement-breakpoint
ALTER TABLE "posts" ADD COLUMN "changed_at" timestamp with time zone DEFAULT now() NOT NULL;--> statement-breakpoint
ALTER TABLE "posts" ADD COLUMN "vanished_at" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "roles" ADD COLUMN "enabled" boolean DEFAULT true NOT NULL;--> statement-breakpoint
ALTER TABLE "roles" ADD COLUMN "external_id" text;--> statement-breakpoint
ALTER TABLE "roles" ADD COLUMN "changed_at" timestamp with time zone DEFAULT now() NOT NULL;--> statement-breakpoint
ALTER TABLE "roles" ADD COLUMN "vanished_at" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "external_id" text;--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "changed_at" timestamp with time zone DEFAULT now() NOT NULL;--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "vanished_at" timestamp with time zone;--> statement-breakpoint
CREATE UNIQUE INDEX "directory_runs_open" ON "directory_runs" USING btree ("is_full") WHERE is_full and state in ('open', 'finishing');--> statement-breakpoint
CREATE INDEX "directory_runs_started" ON "directory_runs" USING btree ("started_at" DESC NULLS FIRST,"id");--> statement-breakpoint
CREATE UNIQUE INDEX "departments_external" ON "departments" USING btree ("external_id") WHERE external_id is not null;--> statement-breakpoint
CREATE UNIQUE INDEX "posts_external" ON "posts" USING btree ("external_id") WHERE external_id is not null;--> statement-breakpoint
CREATE UNIQUE INDEX "roles_external" ON "roles" USING btree ("external_id") WHERE external_id is not null;--> statement-breakpoint
CREATE UNIQUE INDEX "users_external" ON "users" USING btree ("external_id") WHERE external_id is not null;