"""Salesforce Change Data Capture (prepaid customers) to `crm_change`: a row per record id.

The value is the event's payload (`ChangeEventHeader` and the record's fields). As JSON it comes alone or as the
Streaming API wraps it (`{"schema", "payload", "event"}`, with or without `data` around it); as Confluent Avro it is the
Pub/Sub API's event under its own schema. Events of Account and Contact are customers; the customer's id is the record
id. `COLUMN_OF_FIELD` names the fields that are read, custom ones (`__c`) by our own convention; no two of one object
feed the same column, for in a partial update nobody could tell which one counts.

Operations: CREATE and UNDELETE (which brings the whole record again) are *create* with the whole row; UPDATE is
*update* with `changed_fields`; DELETE is *delete* without values.

Changed is what UPDATE brings a value for (of `changedFields`, where that is a list of names) and what `nulledFields`
names; an update that touches none of our columns carries no row. A null alone says nothing: the Pub/Sub API sends one
for every unchanged field. It also packs the three lists into bitmaps (`salesforce_bitmaps`), which only the event's
Avro schema resolves: in JSON a packed `changedFields` is not needed, but an event that packs `nulledFields` or
`diffFields` is refused.

A compound (an address, a person's name) comes with its changed parts only. When the rest is missing, the column is
counted as changed and left null: a wrong address is worse than none. A field of `diffFields` carries a difference in
place of the value; it is treated in the same way.

Order: `version` is `commitNumber` with `sequenceNumber` in its last four decimal digits (9999 from there on).
Time: `commitTimestamp`.

GAP events say that something changed and not what: fetch the record and send it again. The event is refused (`gap`),
and each record it names gets a row *stale*, also for a gap of a deletion, which may have been undone since. Overflow
events and wildcard ids do not say which records changed, so they are refused without a row.

Source:
    Salesforce, Change Data Capture Developer Guide: "ChangeEventHeader Fields", "Get Compound Fields in Change
    Events", "Gap Events", "Overflow Events", "Differences Between Change Events Received with Streaming API vs. Pub/Sub
    API".
"""

from __future__ import annotations

from collections.abc import Mapping

from schemas.errors import RecordError
from schemas.formats.adapter import PartlyReadError, Record, Row, rows_of_parts
from schemas.formats.columns import Form
from schemas.formats.customers import COLUMNS, cell
from schemas.formats.fields import Fields, listed
from schemas.formats.salesforce_bitmaps import is_bitmap, unpacked
from schemas.formats.salesforce_columns import FORMS
from schemas.formats.salesforce_fields import (
    COLUMN_OF_FIELD,
    COMPOUNDS,
    ENTITIES,
    LAST_COMMIT,
    OPS,
    SEQUENCES,
    columns_of,
)
from schemas.formats.times import instant_from_millis


class SalesforceCdc:
    """The adapter."""

    stream = "crm_change"
    name = "salesforce_cdc"
    headers_read = frozenset[str]()

    @property
    def forms(self) -> tuple[Form, ...]:
        """Events of one record, alone and as the Streaming API wraps them."""
        return FORMS

    def adapt(self, record: Record) -> list[Row]:
        """Turn one change event into a row for each record that it changed alike."""
        payload = _payload(record.fields())
        header = payload.required_inner("ChangeEventHeader")
        if record.avro is not None:
            header = unpacked(header, payload, record.avro.schema)
        op = _operation(header)
        ids = _record_ids(header)
        row: Row = {
            "op": op,
            "source_system": "salesforce",
            "version": _version(header),
            "event_time": instant_from_millis(header.required_integer("commitTimestamp"), header.at("commitTimestamp")),
        }
        if op == "create":
            row |= {"account_type": "prepaid"} | _given(payload, partial=False)
        elif op == "update":
            changed = _update(header, payload)
            if not changed:
                return []
            row |= {"account_type": "prepaid"} | changed
        named = [record_id for record_id in ids if not record_id.endswith("*")]
        rows = rows_of_parts(named, lambda customer: [{"customer_id": customer, **row}])
        if op == "stale":
            raise _gap(_missing(header), rows)
        if len(named) < len(ids):
            raise _gap(f"{header.at('recordIds')}: expected ids, came a wildcard; fetch the records again", rows)
        return rows


def _payload(value: Fields) -> Fields:
    value = value.inner("data") or value
    return value.inner("payload") or value


def _operation(header: Fields) -> str:
    change = header.required_text("changeType")
    if change == "GAP_OVERFLOW":
        raise _gap(_missing(header), [])
    if change not in OPS and not change.startswith("GAP_"):
        raise RecordError("unknown_type", f"{header.at('changeType')}: expected {listed((*OPS, 'GAP_'))}, came another")
    if header.required_text("entityName") not in ENTITIES:
        raise RecordError("unknown_type", f"{header.at('entityName')}: expected {listed(ENTITIES)}, came another")
    return OPS.get(change, "stale")


def _record_ids(header: Fields) -> list[str]:
    ids = list(dict.fromkeys(header.texts("recordIds")))
    if not ids:
        raise RecordError("missing_field", f"{header.at('recordIds')}: expected ids of records, came none")
    return ids


def _missing(header: Fields) -> str:
    return f"{header.at('changeType')}: expected a change with its fields, came a gap; fetch the record again"


def _gap(message: str, rows: list[Row]) -> RecordError:
    """What is missing is refused, whatever else is known of the event."""
    return PartlyReadError("gap", message, rows) if rows else RecordError("gap", message)


def _version(header: Fields) -> int:
    commit, sequence = header.required_integer("commitNumber"), header.integer("sequenceNumber") or 0
    if not 0 <= commit <= LAST_COMMIT:
        raise RecordError("out_of_range", f"{header.at('commitNumber')}: expected 0 to {LAST_COMMIT}, came another")
    return commit * SEQUENCES + min(max(sequence, 0), SEQUENCES - 1)


def _update(header: Fields, payload: Fields) -> Row:
    """The changed columns and their names; empty where none of ours has changed."""
    nulled, different = _names(header, "nulledFields"), _names(header, "diffFields")
    given = _given(payload, partial=True)
    named = header.texts("changedFields")
    if named and not any(map(is_bitmap, named)):
        given = {column: given[column] for column in columns_of(named) if column in given}
    given |= dict.fromkeys(columns_of(different) & given.keys())
    given |= dict.fromkeys(columns_of(nulled) - given.keys())
    return {**given, "changed_fields": [column for column in COLUMNS if column in given]} if given else {}


def _names(header: Fields, name: str) -> list[str]:
    names = header.texts(name)
    if any(map(is_bitmap, names)):
        raise RecordError(
            "unknown_type", f"{header.at(name)}: expected names, came a bitmap; unpack it with the event's schema"
        )
    return names


def _given(payload: Fields, *, partial: bool) -> Row:
    """The columns that the event brings a value for."""
    row: Row = {}
    for field, column in COLUMN_OF_FIELD.items():
        value = payload.values.get(field)
        place = payload.at(field)
        if value is None:
            continue
        if isinstance(value, dict) and column in COMPOUNDS:
            parts = _parts(Fields(value, place), column)
            if not parts:
                continue
            value = _joined(parts, column, partial=partial)
        row[column] = cell(column, value, place, lambda millis: millis * 1000)
    return row


def _parts(compound: Fields, column: str) -> dict[str, str]:
    """The parts of a compound that have a value, in the order they are written."""
    read = {part: compound.text(part) for part in COMPOUNDS[column].parts}
    return {part: value for part, value in read.items() if value is not None}


def _joined(parts: Mapping[str, str], column: str, *, partial: bool) -> str | None:
    """A compound as one line; None where an update does not bring the whole of it."""
    compound = COMPOUNDS[column]
    if partial and not parts.keys() >= compound.essential:
        return None
    return compound.glue.join(parts.values())
