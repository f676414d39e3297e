"""Tickets as Zendesk's webhooks tell of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.vendor_records.moments import iso

_KINDS = ("created", "comment_added", "status_changed", "agent_assignment_changed")
_COMPLAINTS = (
    "No signal since this morning. I have taken the card out and put it back, and it still finds no network.",
    "The line drops in every call, always after some minutes. It began last week.",
    "Data is slow in the evening; pages do not load at all.",
)


def zendesk(number: int, random: np.random.Generator) -> dict[str, Any]:
    """An event of a ticket: made, commented by the customer, moved on, or given to somebody else."""
    customer, ticket, agent, words = random.integers(0, (100_000, 10**6, 50, len(_COMPLAINTS))).tolist()
    kind, requester = _KINDS[number % len(_KINDS)], str(360_000_000_000 + customer)
    changes: dict[str, Any] = {
        "created": {},
        "comment_added": {
            "comment": {
                "id": str(number),
                "body": _COMPLAINTS[words],
                "is_public": True,
                "author": {"id": requester, "is_staff": False, "name": f"Customer {customer}"},
            }
        },
        "status_changed": {"current": "OPEN", "previous": "NEW"},
        "agent_assignment_changed": {"current": str(900 + agent), "previous": ""},
    }
    return {
        "type": f"zen:event-type:ticket.{kind}",
        "account_id": 22_129_848,
        "id": f"{number:08x}-0000-4000-8000-{ticket:012x}",
        "time": iso(number),
        "zendesk_event_version": "2022-11-06",
        "subject": f"zen:ticket:{ticket}",
        "detail": {
            "id": str(ticket),
            "actor_id": requester,
            "assignee_id": str(900 + agent),
            "brand_id": "360002783572",
            "created_at": iso(number - 3600),
            "updated_at": iso(number),
            "custom_status": "1900000",
            "description": _COMPLAINTS[words],
            "external_id": f"C{customer:08d}",
            "form_id": "360003625872",
            "group_id": "360004077471",
            "is_public": True,
            "organization_id": "",
            "priority": "HIGH",
            "requester_id": requester,
            "status": "OPEN",
            "subject": "Trouble with the network",
            "submitter_id": requester,
            "tags": ["mobile", "network"],
            "type": "INCIDENT",
            "via": {"channel": "web_service"},
        },
        "event": changes[kind],
    }
