"""TMF678 customer bills (v4 and v5), alone or in an event's envelope, to `billing_event`: the bill, and its payments.

A bill is an *invoice* of `amountDue` once it is sent, partially paid or settled; `new`, `onHold` and `validated` ones
may still change and carry no row. It is told again with each state: all of them are one event, with equal rows, for
its time is `billDate`. A credit note (`category`) is negative. Duplicates, and bills of trial customers, are owed by
nobody. A deletion removes the document and not the debt: no row.

Payments: each of `appliedPayment`, its `appliedAmount`, at the payment's `paymentDate`. That date is not in TMF678 but
in MEF's Billing API, which follows it: without it nothing says when was paid, and no row comes.

Identity: `tmf678:bill`, and `tmf678:bill:payment`. Systems that number their bills alike must not feed one flow.

Customer: the `relatedParty` whose `role` is customer. Its id must be the CRM's; a billing account is not the customer.

Words of `state` and `category` that we do not know are counted; such a bill is taken for one that was sent and is owed.

Money is a `value` in a `unit`, the currency: it becomes minor units. Not read: items, taxes, documents, contacts.

Source:
    TM Forum TMF678 Customer Bill Management API v4.0.0 and v5.0.0 (CustomerBill, stateValue, Money, AppliedPayment);
    MEF 134, "Sonata and Cantata Billing API" (payment.paymentDate).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from schemas.errors import RecordError
from schemas.formats.adapter import Record, Row, rows_of_parts
from schemas.formats.fields import Fields
from schemas.formats.inventory import Entry
from schemas.formats.money import money

_ISSUED: Mapping[str, bool] = MappingProxyType(
    {
        "new": False,
        "onhold": False,
        "validated": False,
        "sent": True,
        "partiallypaid": True,
        "partiallysettled": True,  # so named in v5's text
        "settled": True,
    }
)
_SIGNS: Mapping[str, int] = MappingProxyType(
    {
        "normal": 1,
        "interim": 1,
        "last": 1,
        "credit note": -1,
        "creditnote": -1,
        "duplicate": 0,
        "trial customer": 0,
        "trial": 0,
    }
)
"""What a bill of a category adds to what the customer owes: times the amount."""


class Tmf678:
    """The adapter."""

    stream = "billing_event"
    name = "tmf678"

    def adapt(self, record: Record) -> list[Row]:
        """Turn one bill, or one event that carries it, into a row for it and one for each of its payments."""
        entry = Entry.of(record, "customerBill")
        bill = entry.entity
        sign = bill.word("category", _SIGNS, 1)
        if entry.is_deleted or bill.word("state", _ISSUED, True) is False or sign == 0:
            return []
        bill_id, customer = f"tmf678:{bill.required_text('id')}", _customer(bill)
        amount, currency = money(bill.required_inner("amountDue"))
        invoice: Row = {
            "event_id": bill_id,
            "customer_id": customer,
            "kind": "invoice",
            "amount_minor": amount * (1 if sign is None else sign),
            "currency": currency,
            "due_date": bill.instant("paymentDueDate"),
            "event_time": _required_instant(bill, "billDate"),
        }

        def paid(applied: Fields) -> Iterator[Row]:
            payment = applied.required_inner("payment")
            moment = payment.instant("paymentDate")
            if moment is not None:
                amount, currency = money(applied.required_inner("appliedAmount"))
                yield {
                    "event_id": f"{bill_id}:{payment.required_text('id')}",
                    "customer_id": customer,
                    "kind": "payment",
                    "amount_minor": amount,
                    "currency": currency,
                    "event_time": moment,
                }

        payments = bill.objects("appliedPayment")
        return rows_of_parts([None, *payments], lambda part: [invoice] if part is None else paid(part))


def _customer(bill: Fields) -> str:
    parties = bill.objects("relatedParty")
    customers = {party.required_text("id") for party in parties if (party.text("role") or "").lower() == "customer"}
    if len(customers) != 1:
        came = "several" if customers else "none"
        raise RecordError(
            "out_of_range" if customers else "missing_field",
            f"{bill.at('relatedParty')}: expected one with role customer, came {came}",
        )
    return customers.pop()


def _required_instant(bill: Fields, name: str) -> int:
    moment = bill.instant(name)
    if moment is None:
        raise RecordError("missing_field", f"{bill.at(name)}: expected a time, came nothing; send the whole bill")
    return moment
