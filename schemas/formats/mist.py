"""Juniper Mist webhook, topic `alarms`, to `network_fault`: a row per event and device.

Identity: `fault_id` is `mist:site:subject:device`. The id of the alarm is no use, for the clear is another alarm with
another id and another type (`device_down`/`device_reconnected`, `switch_down`/`switch_up`); what both have in common is
what the type speaks of (`device`), the site and the device. Nothing that differs between the webhook of the
organisation and that of the site enters a row, so the two copies of an event give equal rows.

Element: the device's MAC address as in `aps`, `switches` and `gateways`; an event that names no device is on the site.
It affects all services. Severities: critical; warn is *warning*; info, or none, or one we do not know (which is
counted), is *indeterminate*.

State, by group. *infrastructure* (or none): the type's ending says down or up; `update: true` makes it *updated*.
Restarts are over when they are told, so they carry no row. *marvis*: stateful, `details.state` is `open` or `validated`
(resolved). *security*: intruders and attacks, no outage, so no row.

Time: `timestamp`; for an update `last_seen`. Epoch seconds.

A record carries many events. Those that cannot be read make it a dead letter; the rows of the others go on.

Signature: where the topic has a secret, every record must be signed with it. The headers of the webhook that hold the
HMAC of its body (`X-Mist-Signature-v2`: SHA-256, `X-Mist-Signature`: SHA-1, in hexadecimal digits) have to be headers
of the Kafka record, and its value the body byte for byte. The newer one decides where both are there.

Source:
    Juniper Mist, "Webhook Topics" and "Webhooks and Alerts". That every pair ends in one of the words below is
    *unverified*: the full list is served by an installation (`/api/v1/const/alarm_defs`). Signatures: Mist API, the
    webhook's `secret`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.codec.nested import FLAG, INTEGER, TEXT, Shape
from schemas.codec.nested_cells import Numbers, has_text, is_integer
from schemas.codec.times import MAXIMUM_MICROSECONDS
from schemas.errors import RecordError
from schemas.formats.adapter import Record, Row, rows_of_parts
from schemas.formats.columns import TEXTUAL, Bools, Form, ManyFields, ManyRows, first_given, named
from schemas.formats.fields import Fields
from schemas.formats.signature import require_signature
from schemas.formats.times import instant_from_seconds

_DOWN = ("down", "disconnected", "offline", "unreachable")
_UP = ("up", "reconnected", "connected", "online", "reachable")
_OVER_WHEN_TOLD = ("restarted", "rebooted")

_SEVERITIES: Mapping[str, str] = MappingProxyType(
    {"critical": "critical", "warn": "warning", "warning": "warning", "info": "indeterminate"}
)

_DEVICES: Mapping[str, str] = MappingProxyType({"aps": "ap", "switches": "switch", "gateways": "gateway"})

# `details.state` of a marvis alarm: whether it is over
_RESOLVED: Mapping[str, bool] = MappingProxyType({"open": False, "validated": True})

# the first that is there decides
_HASH_OF_HEADER: Mapping[str, str] = MappingProxyType({"X-Mist-Signature-v2": "sha256", "X-Mist-Signature": "sha1"})


class Mist:
    """The adapter.

    Args:
        secret: Signs every record; None takes them unsigned.
    """

    stream = "network_fault"
    name = "mist"
    headers_read = frozenset[str]()

    def __init__(self, secret: bytes | None = None) -> None:
        self._secret = secret

    @property
    def forms(self) -> tuple[Form, ...]:
        """Calls whose events name one device at most; none where signatures are checked."""
        return () if self._secret is not None else (_CALLS,)

    def adapt(self, record: Record) -> list[Row]:
        """Turn one webhook call into a row per event and device."""
        if self._secret is not None:
            require_signature(record, self._secret, _HASH_OF_HEADER)
        call = record.fields()
        if call.required_text("topic") != "alarms":
            raise RecordError("unknown_type", "topic: expected alarms, came another; send other topics elsewhere")
        if call.values.get("events") is None:
            raise RecordError("missing_field", "events: expected an array, came nothing")
        return rows_of_parts(enumerate(call.array("events")), partial(_rows, unknown=call.unknown))


def _rows(part: tuple[int, object], unknown: Counter[str]) -> Iterator[Row]:
    place, value = part
    event = Fields.of(value, f"events[{place}]", unknown)
    read = _subject_and_state(event)
    if read is None:
        return
    subject, state = read
    site = event.required_text("site_id")
    severity = event.word("severity", _SEVERITIES, otherwise="indeterminate") or "indeterminate"
    moment = "last_seen" if state == "updated" and event.values.get("last_seen") is not None else "timestamp"
    if event.values.get(moment) is None:
        raise RecordError("missing_field", f"{event.at(moment)}: expected epoch seconds, came nothing")
    event_time = instant_from_seconds(event.values[moment], event.at(moment))
    for element, element_type in _elements(event, site):
        yield {
            "fault_id": f"mist:{site}:{subject}:{element}",
            "element_id": element,
            "element_type": element_type,
            "state": state,
            "severity": "cleared" if state == "cleared" else severity,
            "probable_cause": None if state == "cleared" else event.text("type"),
            "source_system": "mist",
            "event_time": event_time,
        }


def _subject_and_state(event: Fields) -> tuple[str, str] | None:
    """What the alarm's type speaks of, and what became of it; None for what is no outage."""
    kind = event.required_text("type").lower()
    group = (event.text("group") or "infrastructure").lower()
    if group == "security":
        return None
    changed = "updated" if event.flag("update", default=False) else "raised"
    if group == "marvis":
        details = event.inner("details")
        resolved = details is not None and details.word("state", _RESOLVED, otherwise=False)
        return kind, "cleared" if resolved else changed
    return _subject_and_state_of(kind, event.at("type"), changed)


def _subject_and_state_of(kind: str, place: str, changed: str) -> tuple[str, str] | None:
    """The same of an alarm of infrastructure, whose type says it; `changed` is the state of one that is down."""
    subject, _, ending = kind.rpartition("_")
    if subject and ending in _UP:
        return subject, "cleared"
    if subject and ending in _DOWN:
        return subject, changed
    if subject and ending in _OVER_WHEN_TOLD:
        return None
    known = ", ".join(f"_{word}" for word in (*_DOWN, *_UP, *_OVER_WHEN_TOLD))
    raise RecordError("unknown_type", f"{place}: expected a type that ends in {known}; came another")


def _elements(event: Fields, site: str) -> Iterator[tuple[str, str]]:
    """Id and type of every device the event names, each once; the site where it names none."""
    devices = {device: kind for name, kind in _DEVICES.items() for device in event.texts(name)}
    yield from devices.items() or [(site, "site")]


def _many_rows(calls: ManyFields) -> ManyRows:
    """The rows of many calls: of each event one, for it names one device or none."""
    calls.leave(~calls.equals("topic", "alarms") | ~calls.is_there("events"))
    events = calls.objects("events")
    events.check("group", _require_infrastructure)
    kinds = events.required("type")
    subject = events.meaning(kinds, lambda kind: _subject_and_place(kind)[0])
    place = events.number_meaning(kinds, lambda kind: _subject_and_place(kind)[1], otherwise=-1)
    place = np.where((place == _RAISED) & events.flag("update", default=False), _UPDATED, place)
    severity = events.meaning("severity", _known_severity, otherwise="indeterminate")
    device, device_type = _many_devices(events)
    site = events.required_text("site_id")
    element = pc.coalesce(device, site)
    over = pa.array(place == _CLEARED)
    fault = pc.binary_join_element_wise(pa.scalar("mist", TEXTUAL), site, subject, element, pa.scalar(":", TEXTUAL))
    return ManyRows(
        events,
        {
            "fault_id": fault,
            "element_id": element,
            "element_type": pc.coalesce(device_type, pa.scalar("site", TEXTUAL)),
            "state": named(_STATE_NAMES, place),
            "severity": pc.if_else(over, pa.scalar("cleared", TEXTUAL), severity),
            "probable_cause": pc.if_else(over, pa.scalar(None, TEXTUAL), events.text("type")),
            "source_system": "mist",
            "event_time": _many_times(events, place == _UPDATED),
        },
        carried=place >= 0,
    )


def _many_devices(events: ManyFields) -> tuple[pa.Array, pa.Array]:
    """The device that each event names, and of which kind it is; events that name several are left."""
    found, which = np.zeros(len(events), np.int64), np.full(len(events), -1, np.int64)
    for number, name in enumerate(_DEVICES):
        devices = events.objects(name)
        given = devices.only(has_text(devices.itself()), devices.itself())
        events.leave(has_text(found) & has_text(given))
        which[has_text(given)] = number
        found = first_given(found, given)
    return events.text(found), named(tuple(_DEVICES.values()), which)


def _many_times(events: ManyFields, updated: Bools) -> Numbers:
    """As in `_rows`: epoch seconds, whole ones."""
    moments = np.where(updated & events.is_there("last_seen"), events.notes("last_seen"), events.notes("timestamp"))
    events.leave(~is_integer(moments))
    seconds = events.integer(np.where(is_integer(moments), moments, 0), 0, MAXIMUM_MICROSECONDS // 1_000_000)
    return Numbers(seconds.values * 1_000_000, seconds.null, seconds.unfit)


def _require_infrastructure(group: str) -> None:
    if group.lower() != "infrastructure":
        raise RecordError("unknown_type", "group: expected infrastructure, came another")


def _known_severity(came: str) -> str:
    word = came.strip().lower()
    if word not in _SEVERITIES:
        raise RecordError("unknown_type", "severity: expected a known word, came another")
    return _SEVERITIES[word]


def _subject_and_place(came: str) -> tuple[str | None, int]:
    """What an alarm's type speaks of, and whether it says raised or cleared; -1 for what is no outage."""
    found = _subject_and_state_of(came.lower(), "type", "raised")
    return (None, -1) if found is None else (found[0], _STATE_NAMES.index(found[1]))


_STATE_NAMES = ("raised", "updated", "cleared")
_RAISED, _UPDATED, _CLEARED = range(3)
_EVENT: Mapping[str, Shape] = MappingProxyType(
    {
        **dict.fromkeys(("type", "group", "site_id", "severity"), TEXT),
        "update": FLAG,
        **dict.fromkeys(("timestamp", "last_seen"), INTEGER),
        **{name: [TEXT] for name in _DEVICES},
    }
)
_CALLS = Form.of({"topic": TEXT, "events": [_EVENT]}, _many_rows)
