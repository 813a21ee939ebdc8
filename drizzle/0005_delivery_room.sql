-- A claimed and a settled version of each row find room in its own page: a settlement that has to look for another page takes longer.
ALTER TABLE "deliveries" SET (fillfactor = 33);--> statement-breakpoint
-- Both are unique: what is equal in them is only versions of one row, of which the old are cleared away anyway.
ALTER INDEX "deliveries_pkey" SET (deduplicate_items = off);--> statement-breakpoint
ALTER INDEX "deliveries_recipient" SET (deduplicate_items = off);
