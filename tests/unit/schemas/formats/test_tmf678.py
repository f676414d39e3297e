from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.unit.schemas.formats import reading
from tests.unit.schemas.formats.reading import at, bill

rows = partial(reading.rows, "billing_event", "tmf678")
row = partial(reading.row, "billing_event", "tmf678")
rejection = partial(reading.rejection, "billing_event", "tmf678")
nothing = partial(reading.nothing, "billing_event", "tmf678")

BILL: dict[str, Any] = {
    "id": "CB-1",
    "href": "https://bills.example.org/CB-1",
    "billNo": "780123456",
    "billDate": "2026-04-28T12:00:00Z",
    "paymentDueDate": "2026-05-12T00:00:00+02:00",
    "category": "normal",
    "runType": "onCycle",
    "state": "sent",
    "amountDue": {"unit": "EUR", "value": 25.5},
    "taxIncludedAmount": {"unit": "EUR", "value": 20.0},
    "remainingAmount": {"unit": "EUR", "value": 5.5},
    "billingAccount": {"id": "BA-1", "name": "Ánna Kovács"},
    "relatedParty": [{"id": "OP-1", "role": "issuer"}, {"id": "C-1", "role": "Customer", "name": "Ánna Kovács"}],
    "billDocument": [{"url": "https://bills.example.org/CB-1.pdf"}],
}
PAYMENT: dict[str, Any] = {
    "appliedAmount": {"unit": "EUR", "value": 20},
    "payment": {"id": "PAY-1", "amount": {"unit": "EUR", "value": 99}, "paymentDate": "2026-05-02T09:00:00Z"},
}
ROW = bill(
    event_id="tmf678:CB-1",
    customer_id="C-1",
    kind="invoice",
    amount_minor=2550,
    currency="EUR",
    due_date=at("2026-05-11T22:00:00Z"),
    event_time=at("2026-04-28T12:00:00Z"),
)
PAID = bill(
    event_id="tmf678:CB-1:PAY-1",
    customer_id="C-1",
    kind="payment",
    amount_minor=2000,
    currency="EUR",
    event_time=at("2026-05-02T09:00:00Z"),
)


def event(kind: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"eventId": "e-1", "eventType": kind, "eventTime": "2026-05-03T00:00:00Z", "event": {"customerBill": value}}


def test_bill_reads_when_it_comes_alone() -> None:
    assert row(BILL) == ROW


def test_bill_reads_when_only_required_fields_are_there() -> None:
    least = {name: BILL[name] for name in ("id", "billDate", "amountDue", "relatedParty")}
    assert row(least) == ROW | {"due_date": None}


@pytest.mark.parametrize(
    "kind", ["CustomerBillCreateEvent", "CustomerBillStateChangeEvent", "customerBillAttributeValueChangeEvent"]
)
def test_bill_reads_when_an_event_carries_it(kind: str) -> None:
    assert row(event(kind, BILL)) == ROW
    assert row(event(kind, BILL) | {"event": BILL}) == ROW


@pytest.mark.parametrize("state", ["sent", "partiallyPaid", "partiallySettled", "settled"])
def test_bill_is_one_event_when_it_passes_through_its_states(state: str) -> None:
    later = {"state": state, "lastUpdate": "2026-06-01T00:00:00Z", "remainingAmount": {"unit": "EUR", "value": 0}}
    assert row(event("CustomerBillStateChangeEvent", BILL | later)) == ROW


@pytest.mark.parametrize("state", ["new", "onHold", "validated"])
def test_bill_carries_no_row_when_it_is_not_sent_yet(state: str) -> None:
    assert nothing(event("CustomerBillCreateEvent", BILL | {"state": state}))


def test_bill_carries_no_row_when_it_is_deleted() -> None:
    assert nothing(event("CustomerBillDeleteEvent", {"id": "CB-1"}))


@pytest.mark.parametrize("category", ["duplicate", "trial customer"])
def test_bill_carries_no_row_when_nobody_owes_it(category: str) -> None:
    assert nothing(BILL | {"category": category})


def test_bill_is_negative_when_it_is_a_credit_note() -> None:
    assert row(BILL | {"category": "Credit Note"}) == ROW | {"amount_minor": -2550}


@pytest.mark.parametrize(("field", "word"), [("state", "generated"), ("category", "festive")])
def test_bill_is_kept_and_counted_when_a_word_of_it_is_unknown(field: str, word: str) -> None:
    decoded = reading.decode("billing_event", "tmf678", BILL | {field: word})
    assert decoded.rows.drop("_row").to_dicts() == [ROW]
    assert decoded.unknown == {field: 1}


def test_each_payment_gives_a_row_when_its_date_is_there() -> None:
    second = {"appliedAmount": {"unit": "EUR", "value": 5.5}, "payment": PAYMENT["payment"] | {"id": "PAY-2"}}
    expected = [ROW, PAID, PAID | {"event_id": "tmf678:CB-1:PAY-2", "amount_minor": 550}]
    assert rows(BILL | {"state": "settled", "appliedPayment": [PAYMENT, second]}) == expected


def test_payment_carries_no_row_when_nothing_says_when_it_was_made() -> None:
    undated = PAYMENT | {"payment": {"id": "PAY-1", "href": "https://pay.example.org/PAY-1"}}
    assert rows(BILL | {"appliedPayment": [undated, PAYMENT]}) == [ROW, PAID]


def test_bill_and_other_payments_go_on_when_one_payment_cannot_be_read() -> None:
    broken = PAYMENT | {"appliedAmount": {"unit": "EUR", "value": "much"}}
    decoded = reading.decode("billing_event", "tmf678", BILL | {"appliedPayment": [broken, PAYMENT]})
    assert decoded.rows.drop("_row").to_dicts() == [ROW, PAID]
    assert [(each.reason, each.message) for each in decoded.rejected] == [
        ("wrong_type", "appliedPayment[0].appliedAmount.value: expected a number, came a string")
    ]


@pytest.mark.parametrize(
    ("unit", "value", "minor"),
    [
        ("EUR", 19.99, 1999),
        ("eur", "19.90", 1990),
        ("EUR", 0.1, 10),
        ("EUR", -3, -300),
        ("JPY", 500, 500),
        ("HUF", 4990, 499_000),
        ("KWD", 1.234, 1234),
        ("CLF", 0.0001, 1),
    ],
)
def test_amount_is_in_minor_units_when_the_currency_has_any(unit: str, value: Any, minor: int) -> None:
    read = row(BILL | {"amountDue": {"unit": unit, "value": value}})
    assert read == ROW | {"amount_minor": minor, "currency": unit.upper()}


def test_nothing_else_is_read_when_a_bill_is_full_of_personal_data() -> None:
    contacts = [{"emailAddress": "anna@example.org", "name": "Ánna Kovács", "role": "buyerBillingContact"}]
    assert row(BILL | {"relatedContactInformation": contacts, "taxItem": [], "billNo": "1"}) == ROW


@pytest.mark.parametrize(
    ("value", "reason", "message"),
    [
        (None, "null_value", "value: expected an object, came null"),
        (
            event("CustomerBillOnDemandCreateEvent", BILL),
            "unknown_type",
            "eventType: expected an event of a customerBill, came another",
        ),
        (BILL | {"id": None}, "missing_field", "id: expected a string, came nothing"),
        (
            event(
                "CustomerBillStateChangeEvent", {"id": "CB-1", "state": "settled", "relatedParty": BILL["relatedParty"]}
            ),
            "missing_field",
            "event.customerBill.amountDue: expected an object, came nothing",
        ),
        (BILL | {"billDate": None}, "missing_field", "billDate: expected a time, came nothing; send the whole bill"),
        (
            BILL | {"billDate": "2026-04-28"},
            "wrong_type",
            "billDate: expected an ISO 8601 time with offset, came another text",
        ),
        (
            BILL | {"relatedParty": [{"id": "OP-1", "role": "issuer"}]},
            "missing_field",
            "relatedParty: expected one with role customer, came none",
        ),
        (
            BILL | {"relatedParty": [{"id": "C-1", "role": "customer"}, {"id": "C-2", "role": "customer"}]},
            "out_of_range",
            "relatedParty: expected one with role customer, came several",
        ),
        (
            BILL | {"amountDue": {"unit": "EUR", "value": 0.001}},
            "out_of_range",
            "amountDue.value: expected whole minor units, came a finer amount",
        ),
        (
            BILL | {"amountDue": {"unit": "EUR", "value": 1e300}},
            "out_of_range",
            "amountDue.value: expected an amount of money, came another number",
        ),
        (
            BILL | {"amountDue": {"unit": "EUR", "value": "NaN"}},
            "out_of_range",
            "amountDue.value: expected an amount of money, came another number",
        ),
        (
            BILL | {"amountDue": {"unit": "EUR", "value": 10**18}},
            "out_of_range",
            "column amount_minor: expected a number of 64 bits, came a larger one",
        ),
        (
            BILL | {"amountDue": {"unit": "EUR", "value": True}},
            "wrong_type",
            "amountDue.value: expected a number, came a boolean",
        ),
        (
            BILL | {"amountDue": {"unit": "EUR"}},
            "missing_field",
            "amountDue.value: expected a number, came nothing",
        ),
        (
            BILL | {"amountDue": {"unit": "points", "value": 1}},
            "out_of_range",
            "amountDue.unit: expected a currency of ISO 4217, came another text",
        ),
    ],
)
def test_bill_is_rejected_when_it_cannot_be_read(value: object, reason: str, message: str) -> None:
    assert rejection(value) == (reason, message)
