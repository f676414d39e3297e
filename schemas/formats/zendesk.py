"""Zendesk webhook events of tickets to `care_interaction`: a row per event, the ticket as it was then.

Every ticket event carries the ticket in `detail`, so every one gives a row: its state, kind and channel at `time`. That
goes for types we do not know, too: what the row says stands in `detail`, whatever the type. A type outside of
`zen:event-type:ticket.` (users, organisations, articles) speaks of no ticket and carries no row.

Identity: `interaction_id` is `zendesk:account:ticket`. The interaction is the ticket, for `state` is the ticket's and
tells nothing without it. Zendesk promises no order and sends again what was not confirmed: the row with the latest
`event_time` of an interaction is its present state, in whatever order the rows came, and an event that is sent twice
gives equal rows. So the time is the event's alone; the Kafka timestamp, which depends on the order, never stands in.

Customer: the contract wants the id by which the CRM knows the customer, for the keys of all streams are made of it.
Nothing in an event says whether a site keeps it in the ticket's `external_id` or knows its customers by Zendesk's own
`requester_id`; the two must not be mixed, for a number of one kind may be another customer's of the other. The format
says it: `zendesk` reads `external_id`, `zendesk_requester` reads `requester_id`.

Text: what the customer wrote. `created` brings subject and description, `comment_added` the comment when its author is
no member of staff (where that is not said: when the author, else the actor, is the requester). Comments of agents, and
the subject and description that every later event repeats, are left out. Names of authors are not read, nor tags and
custom fields.

Category: the ticket's `type` (question, incident, problem, task). State: for `status_changed` what it changed to, else
`status`. Channel: `via.channel`, with the contract's word for calls and email; `ticket` where it is not said. Priority
has no column. All of them in lower case.

Source:
    Zendesk, "Webhook event types", "Ticket events" (event version 2022-11-06), "Via types reference".
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from schemas.codec.nested import ANY, FLAG, JSON, TEXT, TIME, Shape
from schemas.codec.nested_cells import has_text
from schemas.errors import RecordError
from schemas.formats.adapter import Record, Row
from schemas.formats.columns import TEXTUAL, Bools, Form, ManyFields, ManyRows, first_given
from schemas.formats.fields import Fields, text

_EVENTS = "zen:event-type:"
_OF_TICKETS = f"{_EVENTS}ticket."

_CHANNELS: Mapping[str, str] = MappingProxyType(
    {
        "mail": "email",
        "phone": "call",
        "voice": "call",
        "voicemail": "call",
        "phone_call_inbound": "call",
        "phone_call_outbound": "call",
    }
)


class Zendesk:
    """The adapter where tickets carry the CRM's customer id in `external_id`."""

    stream = "care_interaction"
    name = "zendesk"
    headers_read = frozenset[str]()

    @property
    def forms(self) -> tuple[Form, ...]:
        """Events of tickets."""
        return (_BY_EXTERNAL_ID,)

    def adapt(self, record: Record) -> list[Row]:
        """Turn one ticket event into one row."""
        return _rows(record, "external_id", "zendesk_requester")


class ZendeskRequester:
    """The adapter where the CRM knows customers by Zendesk's `requester_id`."""

    stream = "care_interaction"
    name = "zendesk_requester"
    headers_read = frozenset[str]()

    @property
    def forms(self) -> tuple[Form, ...]:
        """Events of tickets."""
        return (_BY_REQUESTER,)

    def adapt(self, record: Record) -> list[Row]:
        """Turn one ticket event into one row."""
        return _rows(record, "requester_id", "zendesk")


def _rows(record: Record, customer: str, other_format: str) -> list[Row]:
    event = record.fields()
    kind = _kind_of(event.required_text("type"))
    if kind is None:
        return []
    ticket = event.required_inner("detail")
    return [
        {
            "interaction_id": f"zendesk:{event.required_text('account_id')}:{ticket.required_text('id')}",
            "customer_id": _customer_id(ticket, customer, other_format),
            "channel": _channel(ticket),
            "category": _lower(ticket.text("type")),
            "text": _text(kind, event, ticket),
            "state": _state(kind, event, ticket),
            "event_time": _event_time(event),
        }
    ]


def _kind_of(event_type: str) -> str | None:
    """What became of the ticket; None where it is about none."""
    if not event_type.startswith(_EVENTS):
        raise RecordError(
            "unknown_type",
            f"type: expected one that begins with {_EVENTS}, came another; subscribe the webhook to events",
        )
    return event_type.removeprefix(_OF_TICKETS) if event_type.startswith(_OF_TICKETS) else None


def _customer_id(ticket: Fields, customer: str, other_format: str) -> str:
    found = ticket.text(customer)
    if found is None:
        raise RecordError(
            "missing_field",
            f"{ticket.at(customer)}: expected the customer's id, came nothing; "
            f"where the CRM's id is elsewhere, see the format {other_format}",
        )
    return found


def _channel(ticket: Fields) -> str:
    via = ticket.inner("via")
    channel = via.text("channel") if via is not None else None
    return _channel_of(channel) if channel is not None else "ticket"


def _channel_of(channel: str) -> str:
    return _CHANNELS.get(channel.lower(), channel.lower())


def _state(kind: str, event: Fields, ticket: Fields) -> str | None:
    change = event.inner("event") if kind == "status_changed" else None
    current = change.text("current") if change is not None else None
    return _lower(current or ticket.text("status"))


def _text(kind: str, event: Fields, ticket: Fields) -> str | None:
    if kind == "created":
        parts = (ticket.text("subject"), ticket.text("description"))
        return "\n".join(part for part in parts if part is not None) or None
    if kind == "comment_added":
        comment = event.required_inner("event").required_inner("comment")
        return comment.text("body") if _is_customers(comment, ticket) else None
    return None


def _is_customers(comment: Fields, ticket: Fields) -> bool:
    author = comment.inner("author") or Fields({})
    author_id = author.text("id") or ticket.text("actor_id")
    is_requester = author_id is not None and author_id == ticket.text("requester_id")
    return not author.flag("is_staff", default=not is_requester)


def _event_time(event: Fields) -> int:
    moment = event.instant("time")
    if moment is None:
        raise RecordError("missing_field", "time: expected a time, came nothing")
    return moment


def _lower(word: str | None) -> str | None:
    return word.lower() if word is not None else None


def _many_rows(customer: str, events: ManyFields) -> ManyRows:
    """The rows of many events; comments of which it is said whether the staff wrote them."""
    ticket, change = events.inner("detail"), events.inner("event")
    kinds = events.meaning(events.required("type"), _kind_of)
    created, commented, moved = (
        pc.equal(kinds, kind).fill_null(False).to_numpy(zero_copy_only=False)
        for kind in ("created", "comment_added", "status_changed")
    )
    status = ticket.notes("status")
    current = change.plain_texts(np.where(moved, change.notes("current"), 0))
    return ManyRows(
        events,
        {
            "interaction_id": events.joined(
                events.required("account_id"), ticket.required("id"), prefix="zendesk:", separator=":"
            ),
            "customer_id": ticket.required_text(customer),
            "channel": pc.coalesce(ticket.inner("via").meaning("channel", _channel_of), pa.scalar("ticket", TEXTUAL)),
            "category": ticket.meaning("type", str.lower),
            "text": pc.coalesce(_many_openings(ticket, created), _many_comments(change, commented)),
            "state": ticket.meaning(first_given(current, status), str.lower),
            "event_time": events.instant("time"),
        },
        carried=kinds.is_valid().to_numpy(zero_copy_only=False),
    )


def _many_openings(ticket: ManyFields, created: Bools) -> pa.Array:
    """Subject and description of those that are created."""
    subject, description = (
        ticket.meaning(np.where(created, ticket.notes(name), 0), _text_of_json) for name in ("subject", "description")
    )
    both = pc.binary_join_element_wise(subject, description, pa.scalar("\n", TEXTUAL))
    return pc.coalesce(both, subject, description)


def _many_comments(change: ManyFields, commented: Bools) -> pa.Array:
    """What customers have written."""
    comment = change.inner("comment")
    author = comment.inner("author")
    change.leave(commented & ~has_text(author.notes("is_staff")))
    by_customer = commented & ~author.flag("is_staff", default=True)
    return comment.meaning(np.where(by_customer, comment.notes("body"), 0), _text_of_json)


def _text_of_json(written: str) -> str | None:
    return text(orjson.loads(written), "text")


def _form(customer: str) -> Form:
    shape: dict[str, Shape] = {
        "type": TEXT,
        "account_id": TEXT,
        "time": TIME,
        "detail": {
            **dict.fromkeys(("id", customer, "status", "type", "actor_id", "requester_id"), TEXT),
            **dict.fromkeys(("subject", "description"), JSON),
            "via": {"channel": TEXT},
        },
        "event": {"current": ANY, "comment": {"body": JSON, "author": {"id": TEXT, "is_staff": FLAG}}},
    }
    return Form.of(shape, partial(_many_rows, customer))


_BY_EXTERNAL_ID, _BY_REQUESTER = _form("external_id"), _form("requester_id")
