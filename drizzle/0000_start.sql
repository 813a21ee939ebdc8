CREATE TABLE "app_keys" (
	"key_id" text PRIMARY KEY NOT NULL,
	"app_id" text NOT NULL,
	"secret_sha256" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"revoked_at" timestamp with time zone
);
--> statement-breakpoint
CREATE TABLE "apps" (
	"id" text PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"enabled" boolean DEFAULT true NOT NULL,
	"grants" jsonb NOT NULL,
	"compat" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"legacy_from" jsonb,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "broadcasts" (
	"seq" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "broadcasts_seq_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"message_id" uuid NOT NULL,
	"app_id" text NOT NULL,
	"msg_type" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "broadcasts_message_id_unique" UNIQUE("message_id")
);
--> statement-breakpoint
CREATE TABLE "contents" (
	"message_id" uuid NOT NULL,
	"channel_id" text NOT NULL,
	"kind" text NOT NULL,
	"content" jsonb NOT NULL,
	CONSTRAINT "contents_message_id_channel_id_pk" PRIMARY KEY("message_id","channel_id")
);
--> statement-breakpoint
CREATE TABLE "deliveries" (
	"id" uuid PRIMARY KEY NOT NULL,
	"message_id" uuid NOT NULL,
	"channel_id" text NOT NULL,
	"recipient" text NOT NULL,
	"user_code" text,
	"address" text,
	"state" text NOT NULL,
	"reason" text,
	"last_error" text,
	"priority" smallint NOT NULL,
	"due_at" timestamp with time zone NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"lease_until" timestamp with time zone,
	"lease" uuid,
	"receipt" text,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"settled_at" timestamp with time zone,
	CONSTRAINT "deliveries_recipient" UNIQUE("message_id","channel_id","recipient")
);
--> statement-breakpoint
CREATE TABLE "departments" (
	"code" text PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"parent_code" text
);
--> statement-breakpoint
CREATE TABLE "idempotency_keys" (
	"app_id" text NOT NULL,
	"key" text NOT NULL,
	"body_sha256" text NOT NULL,
	"message_id" uuid NOT NULL,
	"warnings" jsonb NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "idempotency_keys_app_id_key_pk" PRIMARY KEY("app_id","key")
);
--> statement-breakpoint
CREATE TABLE "inboxes" (
	"user_code" text PRIMARY KEY NOT NULL,
	"id" uuid DEFAULT gen_random_uuid() NOT NULL,
	"rev" bigint DEFAULT 0 NOT NULL,
	"unread" integer DEFAULT 0 NOT NULL,
	"unseen" integer DEFAULT 0 NOT NULL,
	"broadcast_cursor" bigint
);
--> statement-breakpoint
CREATE TABLE "items" (
	"user_code" text NOT NULL,
	"message_id" uuid NOT NULL,
	"rev" bigint NOT NULL,
	"created_rev" bigint NOT NULL,
	"change" text DEFAULT 'new' NOT NULL,
	"app_id" text NOT NULL,
	"msg_type" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"seen_at" timestamp with time zone,
	"read_at" timestamp with time zone,
	"archived_at" timestamp with time zone,
	"deleted_at" timestamp with time zone,
	CONSTRAINT "items_user_code_message_id_pk" PRIMARY KEY("user_code","message_id")
);
--> statement-breakpoint
CREATE TABLE "memberships" (
	"kind" text NOT NULL,
	"group_code" text NOT NULL,
	"user_code" text NOT NULL,
	CONSTRAINT "memberships_kind_group_code_user_code_pk" PRIMARY KEY("kind","group_code","user_code")
);
--> statement-breakpoint
CREATE TABLE "messages" (
	"id" uuid PRIMARY KEY NOT NULL,
	"app_id" text NOT NULL,
	"template_code" text,
	"template_version" integer,
	"receiver_type" text NOT NULL,
	"receiver" jsonb NOT NULL,
	"unresolved" jsonb NOT NULL,
	"business_id" text,
	"msg_type" text NOT NULL,
	"priority" smallint NOT NULL,
	"sender_code" text,
	"sender_name" text,
	"due_at" timestamp with time zone NOT NULL,
	"state" text NOT NULL,
	"cursor" text DEFAULT '' NOT NULL,
	"lease_until" timestamp with time zone,
	"recipients" integer DEFAULT 0 NOT NULL,
	"request_id" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "posts" (
	"code" text PRIMARY KEY NOT NULL,
	"name" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "roles" (
	"code" text PRIMARY KEY NOT NULL,
	"name" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "template_versions" (
	"template_code" text NOT NULL,
	"version" integer NOT NULL,
	"contents" jsonb NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "template_versions_template_code_version_pk" PRIMARY KEY("template_code","version")
);
--> statement-breakpoint
CREATE TABLE "templates" (
	"code" text PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"msg_type" text NOT NULL,
	"enabled" boolean DEFAULT true NOT NULL,
	"version" integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE "users" (
	"code" text PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"phone" text,
	"email" text,
	"enabled" boolean DEFAULT true NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
ALTER TABLE "app_keys" ADD CONSTRAINT "app_keys_app_id_apps_id_fk" FOREIGN KEY ("app_id") REFERENCES "public"."apps"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "contents" ADD CONSTRAINT "contents_message_id_messages_id_fk" FOREIGN KEY ("message_id") REFERENCES "public"."messages"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "memberships" ADD CONSTRAINT "memberships_user_code_users_code_fk" FOREIGN KEY ("user_code") REFERENCES "public"."users"("code") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "messages" ADD CONSTRAINT "messages_app_id_apps_id_fk" FOREIGN KEY ("app_id") REFERENCES "public"."apps"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "template_versions" ADD CONSTRAINT "template_versions_template_code_templates_code_fk" FOREIGN KEY ("template_code") REFERENCES "public"."templates"("code") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "app_keys_app" ON "app_keys" USING btree ("app_id");--> statement-breakpoint
CREATE INDEX "broadcasts_created" ON "broadcasts" USING btree ("created_at");--> statement-breakpoint
CREATE INDEX "deliveries_due" ON "deliveries" USING btree ("priority" DESC NULLS FIRST,"due_at") WHERE state = 'queued';--> statement-breakpoint
CREATE INDEX "deliveries_leased" ON "deliveries" USING btree ("lease_until") WHERE state = 'sending';--> statement-breakpoint
CREATE INDEX "idempotency_keys_age" ON "idempotency_keys" USING btree ("created_at");--> statement-breakpoint
CREATE INDEX "items_rev" ON "items" USING btree ("user_code","rev");--> statement-breakpoint
CREATE INDEX "items_page" ON "items" USING btree ("user_code","created_rev" DESC NULLS FIRST) WHERE deleted_at is null;--> statement-breakpoint
CREATE INDEX "items_message" ON "items" USING btree ("message_id");--> statement-breakpoint
CREATE INDEX "memberships_user" ON "memberships" USING btree ("user_code");--> statement-breakpoint
CREATE INDEX "messages_app" ON "messages" USING btree ("app_id","created_at" DESC NULLS FIRST,"id" DESC NULLS FIRST);--> statement-breakpoint
CREATE INDEX "messages_business" ON "messages" USING btree ("app_id","business_id") WHERE business_id is not null;--> statement-breakpoint
CREATE INDEX "messages_due" ON "messages" USING btree ("due_at") WHERE state in ('scheduled', 'fanning_out');--> statement-breakpoint
CREATE INDEX "users_phone" ON "users" USING btree ("phone");--> statement-breakpoint
CREATE INDEX "users_page" ON "users" USING btree (code collate "C") WHERE enabled;