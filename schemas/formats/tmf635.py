"""TMF635 usages (v4, and the names of v2), alone or in an event's envelope, to `usage_event`.

Identity: `event_id` is the usage's `id`. A usage is told again with every state it passes through; all of them are one
event, and the first that is usable counts; a rejection that follows does not take it back. Systems that number their
usages alike must not feed one flow.

Status: *rejected* is no usage and carries no row. Nor does *recycled*: it waits to be corrected, and comes again under
the same id. *received*, *guided*, *rated*, *rerated*, *billed*, or none, carry one. A deletion removes the document and
not what the customer did: no row either.

Customer: the `relatedParty` whose `role` is customer, else the characteristic `customerId`. Its id must be the CRM's.

Kind: the first of `usageType`, `type` and the name of `usageSpecification` whose words (`vocabulary.services`) say
voice, sms or data.

Characteristics: by name, whatever its case, blanks, `-` and `_`. Those below are read, all others never matter:

    customer_id       `customerId`
    msisdn            `msisdn`, `servedMSISDN`
    cell_id           `cellId`, `servingCellId`: as the topology names cells
    duration_seconds  `duration`, `durationSeconds`
    bytes_up          `bytesUp`, `uplinkVolume`, `uploadVolume`
    bytes_down        `bytesDown`, `downlinkVolume`, `downloadVolume`

Numbers are whole, as a number or a string, in seconds and bytes. Where a characteristic `unit` stands beside one, it
must say so: a megabyte of unknown size is refused, not guessed. `originatingNumber` is not read: in a call to the
customer it is another's.

Time: `usageDate`, in v2 `date`.

Charge: not read. An amount (`ratedProductUsage`) comes with a later state of a usage that has been counted.

Source:
    TM Forum TMF635 Usage Management API v4.0.0 (UsageStatusType, UsageCharacteristic, RelatedParty). It gives no names
    of characteristics; `duration` and `unit` are those of its reference implementation, the others are ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

import pyarrow.compute as pc

from schemas.codec.kernel import Longs
from schemas.codec.nested import ANY, NOTHING, TEXT, TIME, Shape
from schemas.codec.nested_cells import has_text
from schemas.errors import RecordError
from schemas.formats.adapter import Record, Row
from schemas.formats.columns import Form, ManyFields, ManyRows, first_given
from schemas.formats.fields import Fields, one_of
from schemas.formats.usage import count, e164
from schemas.formats.vocabulary import services

_USED, _NOT_USED = "used", "not used"
_STATUSES: Mapping[str, str] = MappingProxyType(
    {
        "received": _USED,
        "recieved": _USED,  # so written by a charging system that is in use
        "guided": _USED,
        "rated": _USED,
        "rerated": _USED,
        "billed": _USED,
        "recycled": _NOT_USED,
        "rejected": _NOT_USED,
    }
)

# What an event says of its usage; the name is matched without "Event" or "Notification" at its end.
_USAGE_EVENTS = frozenset({"usagecreate", "usageattributevaluechange", "usagestatechange"})
_OTHER_EVENT = re.compile(r"usagedelete|usagespecification(create|attributevaluechange|statechange|delete)")

_KINDS = ("voice", "sms", "data")
COLUMN_OF_CHARACTERISTIC: Mapping[str, str] = MappingProxyType(
    {
        "customerid": "customer_id",
        "msisdn": "msisdn",
        "servedmsisdn": "msisdn",
        "cellid": "cell_id",
        "servingcellid": "cell_id",
        "duration": "duration_seconds",
        "durationseconds": "duration_seconds",
        "bytesup": "bytes_up",
        "uplinkvolume": "bytes_up",
        "uploadvolume": "bytes_up",
        "bytesdown": "bytes_down",
        "downlinkvolume": "bytes_down",
        "downloadvolume": "bytes_down",
        "unit": "unit",
    }
)
_COUNTS = ("duration_seconds", "bytes_up", "bytes_down")
_UNITS: Mapping[str, str] = MappingProxyType(
    {word: word for word in ("s", "sec", "second", "seconds", "b", "byte", "bytes", "octet", "octets")}
)
_SEPARATORS = re.compile(r"[\s_-]")


class Tmf635:
    """The adapter."""

    stream = "usage_event"
    name = "tmf635"
    headers_read = frozenset[str]()

    @property
    def forms(self) -> tuple[Form, ...]:
        """A usage alone, and in an event in two ways."""
        return _FORMS

    def adapt(self, record: Record) -> list[Row]:
        """Turn one usage, or one event that carries it, into one row; none where it is not to be used."""
        usage = _usage(record.fields())
        if usage is None:
            return []
        status = usage.text("status")
        if status and one_of(status, _STATUSES, usage.at("status")) == _NOT_USED:
            return []
        given = _characteristics(usage)
        counts = {column: count(given[column], "value") or 0 for column in _COUNTS if column in given}
        if any(counts.values()) and (unit := _text(given, "unit")):
            one_of(unit, _UNITS, given["unit"].at("value"))
        return [
            {
                "event_id": usage.required_text("id"),
                "customer_id": _customer(usage, given),
                "msisdn": e164(_text(given, "msisdn")),
                "cell_id": _text(given, "cell_id"),
                "kind": _kind(usage),
                **counts,
                "event_time": _event_time(usage),
            }
        ]


def _usage(envelope: Fields) -> Fields | None:
    """The usage in an envelope (`event.usage` or `event`), or the value itself; None for events that bring none."""
    event = envelope.inner("event")
    if event is None:
        return envelope
    if not _brings_usage(envelope.text("eventType") or envelope.text("@type") or ""):
        return None
    return event.inner("usage") or event


def _brings_usage(event_type: str) -> bool:
    name = event_type.lower().removesuffix("event").removesuffix("notification")
    if name not in _USAGE_EVENTS and not _OTHER_EVENT.fullmatch(name):
        raise RecordError("unknown_type", "eventType: expected an event of a usage or its specification, came another")
    return name in _USAGE_EVENTS


def _characteristics(usage: Fields) -> dict[str, Fields]:
    """The characteristics that feed a column."""
    given: dict[str, Fields] = {}
    for each in usage.objects("usageCharacteristic"):
        name = each.values.get("name")
        column = _column_of(name) if isinstance(name, str) else None
        if column in given:
            raise RecordError("out_of_range", f"{each.at('name')}: expected one that is not there yet, came one again")
        if column:
            given[column] = each
    return given


def _column_of(name: str) -> str | None:
    return COLUMN_OF_CHARACTERISTIC.get(_SEPARATORS.sub("", name).lower())


def _text(given: Mapping[str, Fields], column: str) -> str | None:
    return given[column].text("value") if column in given else None


def _customer(usage: Fields, given: Mapping[str, Fields]) -> str:
    parties = usage.objects("relatedParty")
    customers = {party.required_text("id") for party in parties if (party.text("role") or "").lower() == "customer"}
    if len(customers) > 1:
        raise RecordError("out_of_range", f"{usage.at('relatedParty')}: expected one customer, came several")
    found = next(iter(customers), None) or _text(given, "customer_id")
    if found is None:
        raise RecordError("missing_field", f"{usage.at('relatedParty')}: expected one with role customer, came none")
    return found


def _kind(usage: Fields) -> str:
    specification = usage.inner("usageSpecification")
    names = (usage.text("usageType"), usage.text("type"), specification.text("name") if specification else None)
    for name in names:
        kind = _kind_of(name) if name else None
        if kind is not None:
            return kind
    raise RecordError("unknown_type", f"{usage.at('usageType')}: expected words for voice, sms or data, came others")


def _kind_of(name: str) -> str | None:
    found = services([name])
    return found[0] if len(found) == 1 and found[0] in _KINDS else None


def _event_time(usage: Fields) -> int:
    for name in ("usageDate", "date"):
        moment = usage.instant(name)
        if moment is not None:
            return moment
    raise RecordError("missing_field", f"{usage.at('usageDate')}: expected a time, came nothing")


def _many_rows(usages: ManyFields) -> ManyRows:
    """The rows of many usages."""
    characteristics = usages.objects("usageCharacteristic")
    numbers = characteristics.number_meaning("name", _number_of, otherwise=-1)
    given = {column: characteristics.only(numbers == number, "value") for column, number in _NUMBERS.items()}
    usages.check(given["unit"], lambda unit: one_of(unit, _UNITS, "unit"))
    names = (usages.notes("usageType"), usages.notes("type"), usages.inner("usageSpecification").notes("name"))
    return ManyRows(
        usages,
        {
            "event_id": usages.required_text("id"),
            "customer_id": usages.text(first_given(_many_customers(usages), given["customer_id"])),
            "msisdn": usages.e164(given["msisdn"]),
            "cell_id": usages.text(given["cell_id"]),
            "kind": pc.coalesce(*(usages.meaning(name, _kind_of) for name in names)),
            **{column: usages.count(given[column]).filled(0) for column in _COUNTS},
            "event_time": usages.instant("usageDate").or_else(usages.instant("date")),
        },
        carried=usages.flag_meaning("status", _is_used, otherwise=True),
    )


def _many_customers(usages: ManyFields) -> Longs:
    """Where the id lies of the one party that is the customer."""
    parties = usages.objects("relatedParty")
    customers = parties.flag_meaning("role", lambda role: role.lower() == "customer", otherwise=False)
    parties.leave(customers & ~has_text(parties.notes("id")))
    return parties.only(customers, "id")


def _many_of_events(envelopes: ManyFields, *, inner: bool) -> ManyRows:
    """The rows of events that bring a usage, as `usage` in `event` or as `event` itself."""
    event_type = first_given(envelopes.notes("eventType"), envelopes.notes("@type"))
    envelopes.leave(~envelopes.flag_meaning(event_type, _brings_usage, otherwise=False))
    event = envelopes.inner("event")
    envelopes.leave(~envelopes.is_there("event"))
    if inner:
        event.leave(~event.is_there("usage"))
    return _many_rows(event.inner("usage") if inner else event)


def _number_of(name: str) -> int | None:
    return _NUMBERS.get(_column_of(name) or "")


def _is_used(status: str) -> bool:
    return one_of(status, _STATUSES, "status") == _USED


_NUMBERS: Mapping[str, int] = MappingProxyType(
    {column: number for number, column in enumerate(dict.fromkeys(COLUMN_OF_CHARACTERISTIC.values()))}
)
_USAGE: Mapping[str, Shape] = MappingProxyType(
    {
        **dict.fromkeys(("id", "status", "usageType", "type"), TEXT),
        **dict.fromkeys(("usageDate", "date"), TIME),
        "usageSpecification": {"name": TEXT},
        "usageCharacteristic": [{"name": TEXT, "value": ANY}],
        "relatedParty": [{"id": TEXT, "role": TEXT}],
    }
)
_ENVELOPE: Mapping[str, Shape] = MappingProxyType({"eventType": TEXT, "@type": TEXT})
_FORMS = (
    Form.of({**_USAGE, "event": NOTHING}, _many_rows),
    Form.of({**_ENVELOPE, "event": {"usage": _USAGE}}, partial(_many_of_events, inner=True)),
    Form.of({**_ENVELOPE, "event": {**_USAGE, "usage": NOTHING}}, partial(_many_of_events, inner=False)),
)
