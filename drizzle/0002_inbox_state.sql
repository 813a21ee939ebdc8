ALTER TABLE "inboxes" ADD COLUMN "facets" jsonb DEFAULT '{}'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "items" ADD COLUMN "changed_at" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "items" ADD COLUMN "snoozed_until" timestamp with time zone;--> statement-breakpoint
CREATE INDEX "items_snoozed" ON "items" USING btree ("snoozed_until") WHERE snoozed_until is not null and deleted_at is null;--> statement-breakpoint
CREATE FUNCTION "plus_facets" ("facets" jsonb, "more" jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
	SELECT coalesce(jsonb_object_agg("key", "number") FILTER (WHERE "number" <> 0), '{}')
	FROM (
		SELECT "key", sum("value"::int) AS "number"
		FROM (SELECT * FROM jsonb_each_text($1) UNION ALL SELECT * FROM jsonb_each_text($2)) AS "both"
		GROUP BY "key"
	) AS "summed"
$$;--> statement-breakpoint
UPDATE "inboxes" SET "facets" = "counted"."facets"
FROM (
	SELECT "user_code", jsonb_object_agg("key", "number") AS "facets"
	FROM (
		SELECT "user_code", "key", count(*) AS "number"
		FROM "items" CROSS JOIN LATERAL (VALUES
			('u/' || "msg_type" || '/' || "app_id", "read_at" IS NULL),
			('s/' || "msg_type" || '/' || "app_id", "seen_at" IS NULL)
		) AS "facet" ("key", "counts")
		WHERE "counts" AND "archived_at" IS NULL AND "deleted_at" IS NULL
		GROUP BY "user_code", "key"
	) AS "numbers"
	GROUP BY "user_code"
) AS "counted"
WHERE "counted"."user_code" = "inboxes"."user_code";
