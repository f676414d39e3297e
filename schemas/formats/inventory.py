"""What the inventory formats of TM Forum share: the events, where a thing is placed, and whether it is gone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from schemas.errors import RecordError
from schemas.formats.adapter import Record
from schemas.formats.fields import Fields

# What an event says of its entity; the name is matched without "Event" or "Notification" at its end.
_CREATE, _CHANGE, _DELETE = "create", "change", "delete"
_ACTIONS: Mapping[str, str] = MappingProxyType(
    {
        "create": _CREATE,
        "creation": _CREATE,
        "attributevaluechange": _CHANGE,
        "statechange": _CHANGE,
        "operatingstatuschange": _CHANGE,
        "change": _CHANGE,
        "update": _CHANGE,
        "delete": _DELETE,
        "remove": _DELETE,
    }
)

# No state of v4 says that a resource is gone for good; these are the words seen for it. A service has `terminated`.
_GONE = frozenset({"terminated", "retired", "removed", "deleted", "decommissioned", "dismantled", "ceased"})

# What says of a place whether it is a site or a region.
_KINDS = ("role", "@referredType", "@type")
_SITES = frozenset({"site", "geographicsite", "cellsite", "radiosite", "networksite", "installationsite"})
_SITE_CHARACTERISTICS = frozenset({"site", "siteid"})
_REGIONS = frozenset({"region", "geographicregion", "networkregion"})
_REGION_CHARACTERISTICS = frozenset({"region", "regionname"})

_SEPARATORS = re.compile(r"[^a-z0-9]")


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource or service of an inventory, as a record tells of it.

    Attributes:
        entity: Its fields.
        is_change: An event of change brought it: fields that are missing may be as they were.
        is_deleted: An event of deletion brought it.
        event_time: When it was told, microseconds since the epoch.
    """

    entity: Fields
    is_change: bool
    is_deleted: bool
    event_time: int

    @classmethod
    def of(cls, record: Record, *names: str) -> Entry:
        """Read a record that holds the entity alone, or in an event's envelope.

        Args:
            record: The record.
            names: The entity's name and those of its subclasses, as in the events: `resource`, `physicalResource`.

        Raises:
            RecordError: It is the event of something else, or nothing says when it happened.
        """
        value = record.fields()
        if value.values.get("event") is None and value.text("eventType") is None:
            return cls(value, is_change=False, is_deleted=False, event_time=_event_time(value, record))
        action = _action(value, names)
        event = value.required_inner("event")
        inner = (event.inner(name) for name in names)
        entity = next((fields for fields in inner if fields is not None), event)
        return cls(entity, action == _CHANGE, action == _DELETE, _event_time(value, record))

    def is_gone(self, states: tuple[str, ...], end: str) -> bool:
        """Whether it has left the inventory.

        Args:
            states: The fields that say its state.
            end: The field that says until when it exists.

        Raises:
            RecordError: One of them has another type.
        """
        told = (self.entity.text(name) for name in states)
        if self.is_deleted or any(is_gone_word(word) for word in told if word):
            return True
        until = self.entity.instant(end)
        return until is not None and until <= self.event_time


def is_gone_word(state: str) -> bool:
    """Whether a state says that a thing has left the inventory."""
    return plain(state) in _GONE


def is_change_event(event_type: str, names: tuple[str, ...]) -> bool:
    """Whether an event changes an entity of these names, where others make one.

    Raises:
        RecordError: It does neither.
    """
    action = _action_of(event_type, names)
    if action == _DELETE:
        raise RecordError("unknown_type", f"eventType: expected a {names[0]} that is there, came a deletion")
    return action == _CHANGE


def plain(word: str) -> str:
    """A word of a vocabulary in lower case, letters and digits alone: `is-contained_in` is `isContainedIn`."""
    return _SEPARATORS.sub("", word.lower())


def words_of(entity: Fields, *names: str) -> list[str]:
    """The words that some fields hold, as they came."""
    return [word for name in names if (word := entity.text(name)) is not None]


def site_and_region(entity: Fields, characteristics: str) -> tuple[str | None, str | None]:
    """Where it is placed: the first site and the first region among its places, else among its characteristics.

    A place is a site or a region by its `role`, `@referredType` or `@type`. A site is known by its id, a region by its
    name. Addresses are not read: they may be a customer's.

    Args:
        entity: The resource or service.
        characteristics: The field that holds its characteristics.

    Raises:
        RecordError: One of them has another type.
    """
    site = region = None
    for related in entity.objects("place"):
        place = related.inner("place") or related  # v5 has the place one level deeper
        kinds = {plain(word) for fields in (related, place) for word in words_of(fields, *_KINDS)}
        if kinds & _SITES:
            site = site or place.text("id") or place.text("name")
        if kinds & _REGIONS:
            region = region or place.text("name") or place.text("id")
    for characteristic in entity.objects(characteristics):
        name = plain(characteristic.text("name") or "")
        if name in _SITE_CHARACTERISTICS:
            site = site or characteristic.text("value")
        if name in _REGION_CHARACTERISTICS:
            region = region or characteristic.text("value")
    return site, region


def the_only(ids: set[str], place: str) -> str | None:
    """The one id of a set; None where it is empty.

    Raises:
        RecordError: There are several: the contract has room for one parent, and which one counts would be a guess.
    """
    if len(ids) > 1:
        raise RecordError("out_of_range", f"{place}: expected one resource above it, came several")
    return next(iter(ids), None)


def _action(envelope: Fields, names: tuple[str, ...]) -> str:
    return _action_of(envelope.text("eventType") or envelope.text("@type") or "", names)


def _action_of(event_type: str, names: tuple[str, ...]) -> str:
    kind = event_type.lower().removesuffix("event").removesuffix("notification")
    for name in names:
        action = _ACTIONS.get(kind.removeprefix(name.lower()))
        if action is not None and kind.startswith(name.lower()):
            return action
    raise RecordError("unknown_type", f"eventType: expected an event of a {names[0]}, came another")


def _event_time(envelope: Fields, record: Record) -> int:
    """`eventTime`, else the Kafka timestamp: an inventory's entry does not say when it last changed."""
    moment = envelope.instant("eventTime")
    if moment is not None:
        return moment
    if record.timestamp_ms < 0:
        raise RecordError("missing_field", "eventTime: expected a time, came nothing")
    return record.timestamp_ms * 1000
