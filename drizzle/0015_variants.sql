CREATE TABLE "variants" (
	"message_id" uuid NOT NULL,
	"channel_id" text NOT NULL,
	"variant" text NOT NULL,
	"content" jsonb NOT NULL,
	CONSTRAINT "variants_message_id_channel_id_variant_pk" PRIMARY KEY("message_id","channel_id","variant")
);
--> statement-breakpoint
ALTER TABLE "broadcasts" ADD COLUMN "choices" jsonb;--> statement-breakpoint
ALTER TABLE "contents" ADD COLUMN "locales" jsonb;--> statement-breakpoint
ALTER TABLE "contents" ADD COLUMN "is_personal" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "deliveries" ADD COLUMN "variant" text;--> statement-breakpoint
ALTER TABLE "items" ADD COLUMN "variant" text;--> statement-breakpoint
ALTER TABLE "messages" ADD COLUMN "template_values" jsonb;
--> statement-breakpoint
CREATE FUNCTION "variant_for" ("choices" jsonb, "locale" text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
	SELECT $1 ->> "tag"
	FROM (
		SELECT array_to_string("parts"[1:"length"], '-') AS "tag", "length"
		FROM string_to_array($2, '-') AS "parts", generate_series(1, cardinality("parts")) AS "length"
	) AS "shorter"
	WHERE $1 ? "tag"
	ORDER BY "length" DESC
	LIMIT 1
$$;
