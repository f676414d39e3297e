"""The bitmaps of a `ChangeEventHeader`, as Salesforce's Pub/Sub API packs lists of fields.

A list such as `["0x650004E0", "4-0x10", "7-0x06"]` holds at most one bitmap of the event's own fields, and one for each
compound field of which parts are meant, behind that field's position and a hyphen. The number's lowest bit is the first
field of the event's schema, which is the header itself; in a compound's bitmap it is the first of its parts. Only the
schema that the event was written with resolves them: with any other the same bits are other fields.

Source:
    Salesforce, Pub/Sub API Guide: "Event Deserialization Considerations". The order of the bits is that of its examples
    (github.com/forcedotcom/pub-sub-api, `EventParser.java` and `ChangeEventHeaderUtility.py`): the hexadecimal digits'
    bytes, or bits, are reversed before position 0 is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from schemas.codec import EventSchema
from schemas.errors import RecordError
from schemas.formats.fields import Fields

PACKED_LISTS = ("changedFields", "nulledFields", "diffFields")
_BITMAP = re.compile(r"(?:(\d{1,5})-)?0x([0-9A-Fa-f]*)")


def is_bitmap(item: str) -> bool:
    """Whether an item of one of the lists is a bitmap and no name of a field."""
    return _BITMAP.fullmatch(item) is not None


def unpacked(header: Fields, payload: Fields, schema: EventSchema) -> Fields:
    """The header with names in place of bitmaps; parts of compounds are `BillingAddress.Street`.

    Args:
        header: The header of an event.
        payload: The event's fields.
        schema: What the event was written with.

    Raises:
        RecordError: A bitmap does not fit the schema.
    """
    lists = {name: header.texts(name) for name in PACKED_LISTS}
    if not any(is_bitmap(item) for items in lists.values() for item in items):
        return header
    if schema.fields()[:1] != ["ChangeEventHeader"]:
        # whoever mirrored the event has wrapped it or moved its fields, and with them the positions
        raise _unfit(header.at("changedFields"), "bitmaps of a schema whose first field is the header, came another")
    names = {
        name: [field for item in items for field in _fields_of(item, schema, header.at(name))]
        for name, items in lists.items()
    }
    for field in names["nulledFields"]:
        if payload.values.get(field) is not None:
            raise _unfit(header.at("nulledFields"), "fields without a value, came one with a value")
    return Fields({**header.values, **names}, header.place, header.unknown)


def _fields_of(item: str, schema: EventSchema, place: str) -> Iterator[str]:
    match = _BITMAP.fullmatch(item)
    if match is None:
        yield item
        return
    parent, digits = match.groups()
    own = schema.fields()
    if parent is None:
        yield from _set_in(digits, own, place)
        return
    if int(parent) >= len(own):
        raise _unfit(place, f"positions of {len(own)} fields, came one beyond")
    for part in _set_in(digits, schema.fields(int(parent)), place):
        yield f"{own[int(parent)]}.{part}"


def _set_in(digits: str, fields: list[str], place: str) -> Iterator[str]:
    bits = int(digits or "0", 16)
    if bits.bit_length() > len(fields):
        raise _unfit(place, f"bits of {len(fields)} fields, came one beyond")
    return (field for position, field in enumerate(fields) if bits >> position & 1)


def _unfit(place: str, expected: str) -> RecordError:
    return RecordError("incompatible_schema", f"{place}: expected {expected}; send the event with its own schema")
