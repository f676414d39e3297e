from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.unit.schemas.formats import reading
from tests.unit.schemas.formats.reading import at, bill

row = partial(reading.row, "billing_event", "stripe")
rejection = partial(reading.rejection, "billing_event", "stripe")
nothing = partial(reading.nothing, "billing_event", "stripe")

CREATED = 1_777_377_600  # 2026-04-28T12:00:00Z
CHARGE: dict[str, Any] = {
    "id": "ch_1",
    "object": "charge",
    "amount": 2500,
    "amount_captured": 2500,
    "amount_refunded": 0,
    "currency": "eur",
    "customer": "cus_1",
    "paid": True,
    "captured": True,
    "disputed": False,
    "failure_code": None,
    "outcome": {"type": "authorized", "reason": None},
    "billing_details": {"email": "anna@example.org", "name": "Ánna Kovács", "phone": None, "address": None},
    "payment_intent": "pi_1",
    "invoice": "in_1",
    "created": CREATED - 5,
    "metadata": {"customer_id": "C-1"},
}
INVOICE: dict[str, Any] = {
    "id": "in_1",
    "object": "invoice",
    "amount_due": 1900,
    "total": 2500,
    "currency": "eur",
    "customer": "cus_1",
    "customer_email": "anna@example.org",
    "due_date": CREATED + 14 * 86_400,
    "status": "open",
    "created": CREATED - 3600,
    "metadata": {"customer_id": "C-1"},
}
DISPUTE: dict[str, Any] = {
    "id": "dp_1",
    "object": "dispute",
    "charge": "ch_1",
    "amount": 2500,
    "currency": "eur",
    "reason": "fraudulent",
    "status": "needs_response",
    "evidence_details": {"due_by": CREATED + 86_400, "has_evidence": False, "past_due": False},
}
REFUND: dict[str, Any] = {
    "id": "re_1",
    "object": "refund",
    "amount": 900,
    "charge": "ch_1",
    "currency": "eur",
    "status": "failed",
}
ROW = bill(
    event_id="stripe:ch_1:paid",
    customer_id="cus_1",
    kind="payment",
    amount_minor=2500,
    currency="EUR",
    event_time=at("2026-04-28T12:00:00Z"),
)


def event(kind: str, moved: dict[str, Any], /, before: dict[str, Any] | None = None, **rest: Any) -> dict[str, Any]:
    """An event as a webhook gets it; what the object had before where `before` says so."""
    data = {"object": moved} | ({} if before is None else {"previous_attributes": before})
    return {
        "id": "evt_1",
        "object": "event",
        "api_version": "2024-06-20",
        "created": CREATED,
        "type": kind,
        "livemode": True,
        "pending_webhooks": 1,
        "request": {"id": "req_1", "idempotency_key": None},
        "data": data,
    } | rest


def test_payment_reads_when_a_charge_succeeds() -> None:
    assert row(event("charge.succeeded", CHARGE)) == ROW


def test_payment_reads_when_only_required_fields_are_there() -> None:
    least = {name: CHARGE[name] for name in ("id", "amount", "currency", "customer")}
    assert row({"type": "charge.succeeded", "created": CREATED, "data": {"object": least}}) == ROW


def test_payment_is_counted_once_when_a_charge_is_captured_later() -> None:
    authorized = CHARGE | {"captured": False, "amount_captured": 0}
    assert nothing(event("charge.succeeded", authorized))
    assert row(event("charge.captured", CHARGE | {"amount_captured": 2000})) == ROW | {"amount_minor": 2000}


def test_customer_reads_when_the_object_holds_the_whole_customer() -> None:
    charge = CHARGE | {"customer": {"id": "cus_1", "object": "customer", "email": "anna@example.org"}}
    assert row(event("charge.succeeded", charge)) == ROW


def test_customer_is_the_crms_when_the_format_says_so() -> None:
    read = reading.row("billing_event", "stripe_metadata", event("charge.succeeded", CHARGE))
    assert read == ROW | {"customer_id": "C-1"}
    for metadata in ({}, None):
        without = event("charge.succeeded", CHARGE | {"metadata": metadata})
        assert reading.rejection("billing_event", "stripe_metadata", without) == (
            "missing_field",
            "data.object.metadata.customer_id: expected the customer's id, came nothing; "
            "add it, in disputes the charge's",
        )


def test_charge_is_a_top_up_when_its_metadata_says_so() -> None:
    charge = CHARGE | {"metadata": {"kind": "Top_Up"}}
    assert row(event("charge.succeeded", charge)) == ROW | {"kind": "top_up"}
    refunded = event("charge.refunded", charge | {"amount_refunded": 2500}, before={"amount_refunded": 0})
    assert row(refunded)["kind"] == "top_up"


def test_charge_is_a_payment_and_counted_when_its_kind_is_unknown() -> None:
    decoded = reading.decode(
        "billing_event", "stripe", event("charge.succeeded", CHARGE | {"metadata": {"kind": "tip"}})
    )
    assert decoded.rows["kind"].to_list() == ["payment"]
    assert decoded.unknown == {"kind": 1}


def test_each_refund_is_a_correction_when_a_charge_is_refunded_in_parts() -> None:
    sums = [(0, 400), (400, 900), (900, 2500)]
    events = [
        event("charge.refunded", CHARGE | {"amount_refunded": after}, before={"amount_refunded": before})
        for before, after in sums
    ]
    assert [row(each) for each in events] == [
        ROW | {"event_id": f"stripe:ch_1:refunded:{after}", "amount_minor": before - after} for before, after in sums
    ]


def test_refund_is_taken_back_when_it_fails() -> None:
    failed = event("charge.refund.updated", REFUND | {"customer": "cus_1"})
    assert row(failed) == ROW | {"event_id": "stripe:re_1:undone", "amount_minor": 900}
    assert nothing(event("charge.refund.updated", REFUND | {"status": "succeeded"}))


def test_invoice_reads_when_it_is_finalized() -> None:
    assert row(event("invoice.finalized", INVOICE)) == ROW | {
        "event_id": "stripe:in_1:issued",
        "kind": "invoice",
        "due_date": at("2026-05-12T12:00:00Z"),
    }


def test_invoice_has_no_due_date_when_it_is_charged_automatically() -> None:
    assert row(event("invoice.finalized", INVOICE | {"due_date": None}))["due_date"] is None


def test_invoice_is_corrected_when_it_is_voided() -> None:
    expected = ROW | {"event_id": "stripe:in_1:voided", "kind": "invoice", "amount_minor": -2500}
    assert row(event("invoice.voided", INVOICE)) == expected


@pytest.mark.parametrize(("what", "sign"), [("withdrawn", -1), ("reinstated", 1)])
def test_disputed_money_moves_when_the_customer_was_added(what: str, sign: int) -> None:
    disputed = event(f"charge.dispute.funds_{what}", DISPUTE | {"customer": "cus_1"})
    assert row(disputed) == ROW | {"event_id": f"stripe:dp_1:{what}", "amount_minor": sign * 2500}


@pytest.mark.parametrize(
    ("kind", "moved"), [("charge.dispute.funds_withdrawn", DISPUTE), ("charge.refund.updated", REFUND)]
)
def test_event_is_rejected_when_it_names_no_customer(kind: str, moved: dict[str, Any]) -> None:
    assert rejection(event(kind, moved)) == (
        "missing_field",
        "data.object.customer: expected the customer's id, came nothing; add it, in disputes the charge's",
    )


@pytest.mark.parametrize(
    "kind",
    [
        "charge.failed",
        "charge.updated",
        "charge.dispute.created",
        "charge.dispute.closed",
        "invoice.created",
        "invoice.paid",
        "invoice.payment_succeeded",
        "invoice.marked_uncollectible",
        "payment_intent.succeeded",
        "refund.created",
        "customer.subscription.updated",
        "payment_method.attached",
    ],
)
def test_event_carries_no_row_when_another_tells_of_the_money_or_none_moves(kind: str) -> None:
    assert nothing(event(kind, {"id": "x"}))


def test_event_carries_no_row_when_it_is_of_the_test_mode() -> None:
    assert nothing(event("charge.succeeded", CHARGE, livemode=False))


def test_rows_are_equal_when_an_event_is_sent_again_or_by_two_endpoints() -> None:
    assert row(event("charge.succeeded", CHARGE, id="evt_2", pending_webhooks=0)) == ROW


def test_nothing_else_is_read_when_an_event_is_full_of_personal_data() -> None:
    assert set(ROW.values()).isdisjoint({"anna@example.org", "Ánna Kovács"})
    changed = CHARGE | {"billing_details": {"email": "other@example.org"}, "receipt_email": "x@example.org"}
    assert row(event("charge.succeeded", changed)) == ROW


@pytest.mark.parametrize(
    ("currency", "amount", "minor"), [("jpy", 500, 500), ("kwd", 1230, 1230), ("isk", 50_000, 500), ("mga", 7, 700)]
)
def test_amount_is_in_iso_units_when_stripe_counts_otherwise(currency: str, amount: int, minor: int) -> None:
    charge = CHARGE | {"currency": currency, "amount_captured": amount}
    assert row(event("charge.succeeded", charge)) == ROW | {"currency": currency.upper(), "amount_minor": minor}


@pytest.mark.parametrize(
    ("value", "reason", "message"),
    [
        (None, "null_value", "value: expected an object, came null"),
        ({"id": "evt_1"}, "missing_field", "type: expected a string, came nothing"),
        (
            event("credit_note.created", {"id": "cn_1"}),
            "unknown_type",
            "type: expected one of a charge or an invoice that we know, came another; see the formats' page",
        ),
        (
            event("charge.teleported", CHARGE),
            "unknown_type",
            "type: expected one of a charge or an invoice that we know, came another; see the formats' page",
        ),
        (event("charge.succeeded", CHARGE, data=None), "missing_field", "data: expected an object, came nothing"),
        (
            event("charge.succeeded", CHARGE, created=None),
            "missing_field",
            "created: expected an integer, came nothing",
        ),
        (
            event("charge.succeeded", CHARGE, created=CREATED * 1000),
            "out_of_range",
            "created: expected epoch seconds of years 1970 to 9999, came others",
        ),
        (
            event("charge.succeeded", CHARGE | {"amount_captured": 25.5}),
            "wrong_type",
            "data.object.amount_captured: expected an integer, came a fraction",
        ),
        (
            event("charge.succeeded", CHARGE | {"currency": None}),
            "missing_field",
            "data.object.currency: expected a string, came nothing",
        ),
        (
            event("charge.succeeded", CHARGE | {"id": None}),
            "missing_field",
            "data.object.id: expected a string, came nothing",
        ),
        (
            event("charge.refunded", CHARGE | {"amount_refunded": 400}),
            "missing_field",
            "data.previous_attributes: expected an object, came nothing",
        ),
        (
            event("invoice.finalized", INVOICE | {"total": None}),
            "missing_field",
            "data.object.total: expected an integer, came nothing",
        ),
        (
            event("charge.succeeded", CHARGE | {"currency": "isk", "amount_captured": 50_050}),
            "out_of_range",
            "data.object.amount: expected hundreds in this currency, came a part of one",
        ),
    ],
)
def test_event_is_rejected_when_it_cannot_be_read(value: object, reason: str, message: str) -> None:
    assert rejection(value) == (reason, message)
