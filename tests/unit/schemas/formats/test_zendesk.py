from __future__ import annotations

from functools import partial
from itertools import permutations
from typing import Any

import pytest

from tests.unit.schemas.formats import reading
from tests.unit.schemas.formats.reading import at, interaction

rows = partial(reading.rows, "care_interaction", "zendesk")
row = partial(reading.row, "care_interaction", "zendesk")
rejection = partial(reading.rejection, "care_interaction", "zendesk")
nothing = partial(reading.nothing, "care_interaction", "zendesk")

STAFF = {"id": "900", "is_staff": True, "name": "An Agent"}
CUSTOMER = {"id": "1001", "is_staff": False, "name": "A Person"}


def ticket(**changes: Any) -> dict[str, Any]:
    """A ticket as every event carries it; a change to None takes the field away."""
    fields = {
        "id": "35436",
        "actor_id": "900",
        "assignee_id": "900",
        "created_at": "2026-04-28T12:00:00Z",
        "updated_at": "2026-04-28T12:00:00Z",
        "custom_status": "555",
        "description": "No signal since this morning.",
        "external_id": "c-42",
        "group_id": "3",
        "is_public": True,
        "organization_id": "",
        "priority": "HIGH",
        "requester_id": "1001",
        "status": "OPEN",
        "subject": "No signal",
        "submitter_id": "1001",
        "tags": ["mobile", "A Person"],
        "type": "INCIDENT",
        "via": {"channel": "web_service"},
    } | changes
    return {name: value for name, value in fields.items() if value is not None}


def event(kind: str, change: Any = None, detail: Any = None, **changes: Any) -> dict[str, Any]:
    """A call of the webhook; a change to None takes the field away."""
    fields = {
        "type": f"zen:event-type:{kind}",
        "account_id": 22129848,
        "id": f"e-{kind}",
        "time": "2026-04-28T12:00:00.672717030Z",
        "zendesk_event_version": "2022-11-06",
        "subject": "zen:ticket:35436",
        "detail": ticket() if detail is None else detail,
        "event": {} if change is None else change,
    } | changes
    return {name: value for name, value in fields.items() if value is not None}


def comment(author: dict[str, Any] | None, **changes: Any) -> dict[str, Any]:
    body = {"id": "77", "body": "It works again.", "is_public": True, "author": author} | changes
    return {"comment": {name: value for name, value in body.items() if value is not None}}


OPEN = interaction(
    interaction_id="zendesk:22129848:35436",
    customer_id="c-42",
    channel="web_service",
    category="incident",
    state="open",
    event_time=at("2026-04-28T12:00:00.672717Z"),
)
CREATED = OPEN | {"text": "No signal\nNo signal since this morning."}
TOLD = OPEN | {"text": "It works again."}


def test_ticket_reads_when_it_is_created() -> None:
    assert row(event("ticket.created")) == CREATED


def test_ticket_reads_when_only_required_fields_are_there() -> None:
    least = {
        "type": "zen:event-type:ticket.created",
        "account_id": 22129848,
        "time": "2026-04-28T12:00:00.672717Z",
        "detail": {"id": "35436", "external_id": "c-42"},
    }
    assert row(least) == OPEN | {"channel": "ticket", "category": None, "state": None}


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ({"subject": None}, "No signal since this morning."),
        ({"description": ""}, "No signal"),
        ({"subject": "", "description": None}, None),
    ],
)
def test_text_is_what_was_written_when_subject_or_description_is_missing(
    written: dict[str, Any], text: str | None
) -> None:
    assert row(event("ticket.created", detail=ticket(**written))) == OPEN | {"text": text}


@pytest.mark.parametrize(
    ("change", "detail", "state"),
    [
        ({"current": "SOLVED", "previous": "OPEN"}, ticket(status="SOLVED"), "solved"),
        ({"current": "SOLVED", "previous": "OPEN"}, ticket(status="OPEN"), "solved"),
        ({"current": "pending"}, ticket(status=None), "pending"),
        ({"previous": "NEW"}, ticket(), "open"),
        ({}, ticket(), "open"),
    ],
    ids=["both", "change first", "change alone", "ticket", "ticket alone"],
)
def test_state_is_what_it_changed_to_when_the_status_changes(
    change: dict[str, Any], detail: dict[str, Any], state: str
) -> None:
    assert row(event("ticket.status_changed", change, detail)) == OPEN | {"state": state}


@pytest.mark.parametrize(
    ("author", "actor", "told"),
    [
        (CUSTOMER, "900", True),
        (STAFF, "1001", False),
        (CUSTOMER | {"is_staff": "false"}, "900", True),
        ({"id": "1001"}, "900", True),
        ({"id": 1001}, "900", True),
        ({"id": "900"}, "1001", False),
        (None, "1001", True),
        (None, "900", False),
        (None, None, False),
        ({"id": "2002", "is_staff": False}, "900", True),
    ],
    ids=[
        "customer", "staff", "customer by a string", "requester", "requester by a number", "not the requester",
        "no author, requester acts", "no author, another acts", "nobody", "somebody in copy",
    ],
)  # fmt: skip
def test_comment_is_the_text_when_the_customer_wrote_it(
    author: dict[str, Any] | None, actor: str | None, told: bool
) -> None:
    read = row(event("ticket.comment_added", comment(author), ticket(actor_id=actor)))
    assert read == (TOLD if told else OPEN)


def test_text_is_null_when_nobody_is_named_at_all() -> None:
    detail = ticket(actor_id=None, requester_id=None)
    assert row(event("ticket.comment_added", comment(None), detail)) == OPEN


def test_text_is_null_when_the_comment_is_empty() -> None:
    assert row(event("ticket.comment_added", comment(CUSTOMER, body=""))) == OPEN


@pytest.mark.parametrize(
    ("kind", "change", "detail", "changed"),
    [
        ("priority_changed", {"current": "URGENT", "previous": "HIGH"}, ticket(priority="URGENT"), {}),
        ("type_changed", {"current": "PROBLEM"}, ticket(type="PROBLEM"), {"category": "problem"}),
        ("custom_status_changed", {"current": "556", "previous": "555"}, ticket(status="HOLD"), {"state": "hold"}),
        ("agent_assignment_changed", {"current": "901"}, ticket(assignee_id="901"), {}),
        ("subject_changed", {"current": "A Person calls", "previous": "No signal"}, ticket(), {}),
        ("description_changed", {"current": "A Person calls"}, ticket(), {}),
        ("tags_changed", {"tags_added": ["vip"], "tags_removed": []}, ticket(), {}),
        ("comment_made_private", comment(CUSTOMER), ticket(), {}),
        ("requester_changed", {"current": "1002"}, ticket(external_id="c-43"), {"customer_id": "c-43"}),
        ("merged", {"target_ticket_id": "7"}, ticket(status="CLOSED"), {"state": "closed"}),
        ("marked_as_spam", {}, ticket(status="DELETED"), {"state": "deleted"}),
        ("soft_deleted", {}, ticket(status="DELETED"), {"state": "deleted"}),
        ("undeleted", {}, ticket(), {}),
        ("permanently_deleted", {}, ticket(status="SCRUBBED", description="SCRUBBED"), {"state": "scrubbed"}),
        ("invented_tomorrow", "anything", ticket(status="PENDING"), {"state": "pending"}),
    ],
)  # fmt: skip
def test_event_gives_the_ticket_as_it_was_when_it_is_of_any_other_type(
    kind: str, change: Any, detail: dict[str, Any], changed: dict[str, Any]
) -> None:
    assert row(event(f"ticket.{kind}", change, detail)) == OPEN | changed


@pytest.mark.parametrize(
    ("came", "read"),
    [
        ("mail", "email"), ("email", "email"), ("web", "web"), ("web_form", "web_form"), ("chat", "chat"),
        ("voice", "call"), ("Voicemail", "call"), ("phone_call_inbound", "call"), ("phone_call_outbound", "call"),
        ("whatsapp", "whatsapp"), ("", "ticket"), (None, "ticket"),
    ],
)  # fmt: skip
def test_channel_is_the_contracts_word_when_there_is_one(came: str | None, read: str) -> None:
    assert row(event("ticket.created", detail=ticket(via={"channel": came}))) == CREATED | {"channel": read}


def test_ids_are_equal_when_they_are_integers() -> None:
    numbers = event("ticket.created", detail=ticket(id=35436, external_id=42, requester_id=1001))
    assert row(numbers) == CREATED | {"customer_id": "42"}
    assert row(event("ticket.created", account_id="22129848")) == CREATED


def test_interactions_differ_when_tickets_or_accounts_differ() -> None:
    read = rows(
        event("ticket.created"), event("ticket.created", account_id=7), event("ticket.created", detail=ticket(id="7"))
    )
    assert [one["interaction_id"] for one in read] == [
        "zendesk:22129848:35436",
        "zendesk:7:35436",
        "zendesk:22129848:7",
    ]


def test_rows_and_present_state_are_the_same_when_events_come_in_any_order_and_twice() -> None:
    events = [
        event("ticket.created", detail=ticket(status="NEW")),
        event("ticket.status_changed", {"current": "OPEN"}, time="2026-04-28T12:05:00Z"),
        event("ticket.comment_added", comment(CUSTOMER), time="2026-04-28T12:06:00.5Z"),
        event(
            "ticket.status_changed", {"current": "SOLVED"}, ticket(status="SOLVED"), time="2026-04-28T14:10:00+02:00"
        ),
    ]
    in_order = rows(*events)
    for shuffled in permutations([*events, events[1]]):
        read = [one for each, stamp in zip(shuffled, range(5), strict=True) for one in rows(each, timestamp_ms=stamp)]
        once = sorted({tuple(one.items()) for one in read}, key=lambda items: dict(items)["event_time"])
        assert [dict(items) for items in once] == in_order
        assert max(read, key=lambda one: one["event_time"])["state"] == "solved"


def test_customer_is_the_requester_when_the_format_says_so() -> None:
    read = partial(reading.row, "care_interaction", "zendesk_requester")
    assert read(event("ticket.created")) == CREATED | {"customer_id": "1001"}
    assert read(event("ticket.created", detail=ticket(external_id=None))) == CREATED | {"customer_id": "1001"}
    assert reading.nothing("care_interaction", "zendesk_requester", event("user.created"))


@pytest.mark.parametrize(
    ("form", "detail", "message"),
    [
        (
            "zendesk",
            ticket(external_id=None),
            "detail.external_id: expected the customer's id, came nothing; "
            "where the CRM's id is elsewhere, see the format zendesk_requester",
        ),
        (
            "zendesk",
            ticket(external_id=""),
            "detail.external_id: expected the customer's id, came nothing; "
            "where the CRM's id is elsewhere, see the format zendesk_requester",
        ),
        (
            "zendesk_requester",
            ticket(requester_id=None),
            "detail.requester_id: expected the customer's id, came nothing; "
            "where the CRM's id is elsewhere, see the format zendesk",
        ),
    ],
)
def test_ticket_is_rejected_when_it_does_not_say_whose_it_is(form: str, detail: dict[str, Any], message: str) -> None:
    rejected = reading.rejection("care_interaction", form, event("ticket.created", detail=detail))
    assert rejected == ("missing_field", message)


def test_personal_text_stays_in_its_column_when_an_event_is_full_of_it() -> None:
    detail = ticket(subject="A Person", description="A Person", assignee_id="A Person")
    read = row(event("ticket.comment_added", comment(CUSTOMER, body="I am A Person"), detail))
    assert {name: value for name, value in read.items() if "A Person" in str(value)} == {"text": "I am A Person"}


@pytest.mark.parametrize(
    "kind", ["user.created", "organization.name_changed", "article.published", "messaging_ticket.message_added"]
)
def test_event_carries_no_row_when_it_is_about_no_ticket(kind: str) -> None:
    assert nothing(event(kind, detail={"id": "6596848315901", "email": "person@example.com"}))


@pytest.mark.parametrize(
    ("value", "reason", "message"),
    [
        (None, "null_value", "value: expected an object, came null"),
        (event("ticket.created", type=None), "missing_field", "type: expected a string, came nothing"),
        (
            event("", type="ticket.created"),
            "unknown_type",
            "type: expected one that begins with zen:event-type:, came another; subscribe the webhook to events",
        ),
        (event("ticket.created", account_id=None), "missing_field", "account_id: expected a string, came nothing"),
        (event("ticket.created", time=None), "missing_field", "time: expected a time, came nothing"),
        (
            event("ticket.created", time="2026-04-28T12:00:00"),
            "wrong_type",
            "time: expected an ISO 8601 time with offset, came another text",
        ),
        (
            event("ticket.created") | {"detail": None},
            "missing_field",
            "detail: expected an object, came nothing",
        ),
        (
            event("ticket.created", detail=ticket(id=None)),
            "missing_field",
            "detail.id: expected a string, came nothing",
        ),
        (
            event("ticket.created", detail=ticket(description=["x"])),
            "wrong_type",
            "detail.description: expected a string, came an array",
        ),
        (
            event("ticket.created", detail=ticket(via="web")),
            "wrong_type",
            "detail.via: expected an object, came a string",
        ),
        (
            event("ticket.status_changed", {"current": {"status": "OPEN"}}),
            "wrong_type",
            "event.current: expected a string, came an object",
        ),
        (
            event("ticket.comment_added", {}),
            "missing_field",
            "event.comment: expected an object, came nothing",
        ),
    ],
)
def test_event_is_rejected_when_it_cannot_be_read(value: object, reason: str, message: str) -> None:
    assert rejection(value) == (reason, message)
