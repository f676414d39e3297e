"""Stripe webhook events to `billing_event`: a row for each movement of money, or of what is owed.

Stripe tells of one payment by many events. Read are those that are told once for each movement:

    invoice.finalized                  an invoice, its `total`, due at `due_date`
    invoice.voided                     the same, negative: it is owed no more
    charge.succeeded                   a payment, if it is captured at once; else
    charge.captured                    a payment, of what was captured
    charge.refunded                    a payment, negative: what `amount_refunded` has grown by
    charge.refund.updated              a payment, if the refund failed or was cancelled after all
    charge.dispute.funds_withdrawn     a payment, negative
    charge.dispute.funds_reinstated    a payment

The other events of charges and invoices that we know, and those of payment intents, refunds (the charge tells of them),
customers and their payment methods carry no row; nor do events of the test mode, whose money is none. All others are
refused, for they may move money. An invoice that is paid without a charge (outside of Stripe, or from a balance) gives
no payment; one that is written off stays owed.

Identity: `event_id` is made of object and movement, so an event that is sent twice, or by two endpoints, is one.

Customer: `customer` of the object, as an id or as the object itself. The contract wants the id by which the CRM knows
the customer. Where that is not Stripe's, the format `stripe_metadata` reads it from `customer_id` in the object's
`metadata`, in every record: the two kinds of ids must not be mixed. Disputes and refunds have neither: whoever receives
the webhook can look the charge up, and add its `customer` or `metadata`; else they are refused.

Kind: a charge is a top-up where its `metadata` says `kind: top_up`; the word is ours, for Stripe does not tell.

Amounts: integers in the currency's minor units as ISO 4217 has them; Stripe counts a few currencies otherwise.
Time: the event's `created`, seconds.

Not read: `billing_details`, failure codes, receipts. The signature is not checked here: whoever receives the webhook
must have done so.

Source:
    Stripe API reference: "The Event object", "Types of events", "Charges", "Invoices", "Refunds", "Disputes"; Stripe,
    "Supported currencies" (minor units, special cases).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from schemas.errors import RecordError
from schemas.formats.adapter import Record, Row
from schemas.formats.fields import Fields
from schemas.formats.times import instant_from_seconds

_KINDS: Mapping[str, str] = MappingProxyType({"payment": "payment", "top_up": "top_up"})
_WITHOUT_MONEY = ("payment_intent.", "refund.", "customer.", "payment_method.")
_STANDSTILLS = frozenset(
    {
        *(f"charge.{what}" for what in ("expired", "failed", "pending", "updated")),
        *(f"charge.dispute.{what}" for what in ("created", "updated", "closed")),
        *(f"invoice.{what}" for what in ("created", "deleted", "marked_uncollectible", "overdue", "overpaid", "paid")),
        *(f"invoice.{what}" for what in ("sent", "upcoming", "updated", "will_be_due", "finalization_failed")),
        *(f"invoice.payment_{what}" for what in ("action_required", "attempt_required", "failed", "succeeded")),
    }
)
"""Events of charges and invoices that move nothing, or nothing that another event does not tell of."""
_UNDONE = frozenset({"failed", "canceled"})
_ISO_UNITS: Mapping[str, tuple[int, int]] = MappingProxyType({"ISK": (1, 100), "UGX": (1, 100), "MGA": (100, 1)})
"""How Stripe's unit of a currency becomes that of ISO 4217: times, divided by."""

CustomerOf = Callable[[Fields], str | None]


def _own_customer(moved: Fields) -> str | None:
    if isinstance(moved.values.get("customer"), dict):
        return moved.required_inner("customer").text("id")
    return moved.text("customer")


def _customer_in_metadata(moved: Fields) -> str | None:
    metadata = moved.inner("metadata")
    return metadata.text("customer_id") if metadata is not None else None


class Stripe:
    """The adapter where the CRM knows customers by Stripe's ids."""

    stream = "billing_event"
    name = "stripe"

    def adapt(self, record: Record) -> list[Row]:
        """Turn one event into a row, if it moves money or what is owed."""
        return _rows(record, _own_customer, "customer")


class StripeMetadata:
    """The adapter where the CRM's customer id stands in the metadata of charges and invoices."""

    stream = "billing_event"
    name = "stripe_metadata"

    def adapt(self, record: Record) -> list[Row]:
        """Turn one event into a row, if it moves money or what is owed."""
        return _rows(record, _customer_in_metadata, "metadata.customer_id")


def _rows(record: Record, customer_of: CustomerOf, place: str) -> list[Row]:
    event = record.fields()
    kind = event.required_text("type")
    read = _MOVEMENTS.get(kind)
    if read is None and kind not in _STANDSTILLS and not kind.startswith(_WITHOUT_MONEY):
        raise RecordError(
            "unknown_type",
            "type: expected one of a charge or an invoice that we know, came another; see the formats' page",
        )
    if read is None or not event.flag("livemode", default=True):
        return []
    moved = event.required_inner("data").required_inner("object")
    movement = read(event, moved)
    if movement is None:
        return []
    customer = customer_of(moved)
    if customer is None:
        raise RecordError(
            "missing_field",
            f"{moved.at(place)}: expected the customer's id, came nothing; add it, in disputes the charge's",
        )
    currency = moved.required_text("currency").upper()
    suffix, what, amount, due = movement
    return [
        {
            "event_id": f"stripe:{moved.required_text('id')}:{suffix}",
            "customer_id": customer,
            "kind": what,
            "amount_minor": _in_iso_units(amount, currency, moved),
            "currency": currency,
            "due_date": due,
            "event_time": instant_from_seconds(event.required_integer("created"), "created"),
        }
    ]


Movement = tuple[str, str, int, int | None]
"""What it is called within its object, kind, amount in Stripe's units, due date in microseconds."""


def _in_iso_units(amount: int, currency: str, moved: Fields) -> int:
    times, by = _ISO_UNITS.get(currency, (1, 1))
    if amount * times % by:
        raise RecordError(
            "out_of_range", f"{moved.at('amount')}: expected hundreds in this currency, came a part of one"
        )
    return amount * times // by


def _issued(_: Fields, invoice: Fields) -> Movement:
    due = invoice.integer("due_date")
    moment = None if due is None else instant_from_seconds(due, invoice.at("due_date"))
    return "issued", "invoice", invoice.required_integer("total"), moment


def _voided(_: Fields, invoice: Fields) -> Movement:
    return "voided", "invoice", -invoice.required_integer("total"), None


def _paid(_: Fields, charge: Fields) -> Movement | None:
    if not charge.flag("captured", default=True):
        return None
    amount = charge.integer("amount_captured")
    return "paid", _kind(charge), charge.required_integer("amount") if amount is None else amount, None


def _kind(charge: Fields) -> str:
    metadata = charge.inner("metadata")
    return (metadata.word("kind", _KINDS, "payment") if metadata is not None else None) or "payment"


def _refunded(event: Fields, charge: Fields) -> Movement:
    """What was refunded this time: the charge has the sum of all refunds.

    The reference promises `previous_attributes` to updates only; a refund without them is refused, not guessed.
    """
    before = event.required_inner("data").required_inner("previous_attributes").required_integer("amount_refunded")
    refunded = charge.required_integer("amount_refunded")
    return f"refunded:{refunded}", _kind(charge), before - refunded, None


def _refund_changed(_: Fields, refund: Fields) -> Movement | None:
    if refund.text("status") not in _UNDONE:
        return None
    return "undone", "payment", refund.required_integer("amount"), None


def _withdrawn(_: Fields, dispute: Fields) -> Movement:
    return "withdrawn", "payment", -dispute.required_integer("amount"), None


def _reinstated(_: Fields, dispute: Fields) -> Movement:
    return "reinstated", "payment", dispute.required_integer("amount"), None


_MOVEMENTS: Mapping[str, Callable[[Fields, Fields], Movement | None]] = MappingProxyType(
    {
        "invoice.finalized": _issued,
        "invoice.voided": _voided,
        "charge.succeeded": _paid,
        "charge.captured": _paid,
        "charge.refunded": _refunded,
        "charge.refund.updated": _refund_changed,
        "charge.dispute.funds_withdrawn": _withdrawn,
        "charge.dispute.funds_reinstated": _reinstated,
    }
)
