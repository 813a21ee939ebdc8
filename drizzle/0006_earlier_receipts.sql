CREATE TABLE "earlier_receipts" (
	"receipt" text NOT NULL,
	"delivery_id" uuid NOT NULL,
	CONSTRAINT "earlier_receipts_receipt_delivery_id_pk" PRIMARY KEY("receipt","delivery_id")
);
