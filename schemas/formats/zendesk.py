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
from types import MappingProxyType

from schemas.errors import RecordError
from schemas.formats.adapter import Record, Row
from schemas.formats.fields import Fields

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

    def adapt(self, record: Record) -> list[Row]:
        """Turn one ticket event into one row."""
        return _rows(record, "external_id", "zendesk_requester")


class ZendeskRequester:
    """The adapter where the CRM knows customers by Zendesk's `requester_id`."""

    stream = "care_interaction"
    name = "zendesk_requester"

    def adapt(self, record: Record) -> list[Row]:
        """Turn one ticket event into one row."""
        return _rows(record, "requester_id", "zendesk")


def _rows(record: Record, customer: str, other_format: str) -> list[Row]:
    event = record.fields()
    kind = event.required_text("type")
    if not kind.startswith(_EVENTS):
        raise RecordError(
            "unknown_type",
            f"type: expected one that begins with {_EVENTS}, came another; subscribe the webhook to events",
        )
    if not kind.startswith(_OF_TICKETS):
        return []
    kind = kind.removeprefix(_OF_TICKETS)
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
    channel = _lower(via.text("channel")) if via is not None else None
    return _CHANNELS.get(channel, channel) if channel is not None else "ticket"


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
