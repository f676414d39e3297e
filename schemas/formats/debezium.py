"""Debezium change events of the customer table (Amdocs, postpaid) to `crm_change`.

The columns of the table are those of the contract, in any case. Two formats:

`debezium` reads the envelope (`before`, `after`, `source`, `op`), wrapped in `{"schema", "payload"}` or not, and rows
that the unwrap transform has flattened in its mode `rewrite`, which marks deletes with `__deleted`. A tombstone
carries nothing here: the delete came before it.

`debezium_flattened` reads the flattened rows of the transform's other modes, in which a delete is a bare tombstone. The
two cannot be told apart by the record, so a flattened row without `__deleted` is refused by `debezium`, lest deletes
vanish. As a tombstone has no log position and no commit time, no row of this format uses them: `version` is 0 and
`event_time` the record's Kafka timestamp, so that the order of the topic holds.

Operations: `c` and `r` (snapshot) are *create*, `u` is *update*, both with the whole row: of columns that the table
lacks it says null. `d` is *delete*. Logical messages (`m`), heartbeats and transaction records carry no row.

A truncate (`t`) is a *gap*, and nobody is deleted on its account. A table of customers is emptied to be filled again:
whoever an outage touches meanwhile should hear of it, and the rows that come again replace what was known. Customers
who do not come again are named by no record; an operator, whom the dead letter tells, deletes them.

A delete is read from the key alone: with the usual replica identity `before` has invented values. A changed key is a
delete of the old customer (header `__debezium.newkey`) and a create with `previous_customer_id` (header
`__debezium.oldkey`).

A TOAST value that was not touched comes as a placeholder; then `changed_fields` names the other columns. A customer
with a new id has no older value that it could stand for: the row goes on without it, and the record is a *gap*.

Both formats come as JSON or, where a schema registry is configured, as Confluent Avro.

A `numeric` of variable scale tells its scale. Of any other the scale stands in the record's schema alone: in JSON
without `{"schema", "payload"}` its base64 cannot be told from text. Times as numbers: what 32 bits hold are days, up
to 13 digits milliseconds, more are microseconds.

Order: `version` is the source's `lsn`, else `commit_scn`, else `scn`. Time: the source's commit time, `ts_us` or
`ts_ms`, else the Kafka timestamp of the record. In flattened rows these are looked for with the prefixes `__source_`
and `__`. A snapshot's rows are dated ten seconds earlier: they tell when the transaction began that reads the table,
and show it as it was a moment before; a change that was made between the two must win.

Source:
    Debezium 3.x, "Debezium connector for PostgreSQL" and "New Record State Extraction"; seen from a Debezium 3.7 on
    PostgreSQL 15.
"""

from __future__ import annotations

from schemas.codec import parse_json
from schemas.errors import RecordError
from schemas.formats.adapter import PartlyReadError, Record, Row
from schemas.formats.columns import Form
from schemas.formats.customers import COLUMNS, cell
from schemas.formats.debezium_cells import (
    ID,
    OPS,
    PREFIXES,
    SNAPSHOT_LEAD,
    customer_of_key,
    is_untouched,
    micros_of,
    unwrapped,
    whole_numeric,
)
from schemas.formats.debezium_columns import ENVELOPE, FLATTENED, MARKED
from schemas.formats.fields import Fields, text
from schemas.formats.times import instant_from_millis

_OLD_KEY = "__debezium.oldkey"
_HEARTBEAT = frozenset(("ts_ms", "ts_us", "ts_ns"))
_TRANSACTION = frozenset(("status", "id", "ts_ms"))


class Debezium:
    """The adapter for envelopes, and for flattened rows that mark deletes with `__deleted`."""

    stream = "crm_change"
    name = "debezium"
    headers_read = frozenset({_OLD_KEY})

    @property
    def forms(self) -> tuple[Form, ...]:
        """Creates, updates and deletes in envelopes, and rows that mark deletes."""
        return ENVELOPE, MARKED

    def adapt(self, record: Record) -> list[Row]:
        """Turn one change event into one row; none for tombstones and records that speak of no row."""
        value = unwrapped(record.value)
        if value is None:
            return []
        event = Fields.of(value)
        names = event.values.keys()
        if {"op", "source"} <= names:
            return _from_envelope(event, record)
        if "__deleted" in names:
            return _from_flattened(event, record)
        if names <= _HEARTBEAT or (names >= _TRANSACTION and event.text("status") in ("BEGIN", "END")):
            return []
        raise RecordError(
            "unknown_type",
            "value: expected op and source, or a flattened row with __deleted, came neither; "
            "for flattened rows whose deletes are tombstones the topic's format is debezium_flattened",
        )


class DebeziumFlattened:
    """The adapter for flattened rows whose deletes are bare tombstones."""

    stream = "crm_change"
    name = "debezium_flattened"
    headers_read = frozenset({_OLD_KEY})

    @property
    def forms(self) -> tuple[Form, ...]:
        """Rows that were not deleted."""
        return (FLATTENED,)

    def adapt(self, record: Record) -> list[Row]:
        """Turn one row, or one tombstone, into one row."""
        value = unwrapped(record.value)
        order: Row = {"version": 0, "event_time": _kafka_time(record)}
        if value is None:
            return [_delete(record) | order]
        event = Fields.of(value)
        deleted = event.flag("__deleted", default=False)
        return _without_gaps((_delete(record) if deleted else _whole_row(event, event.text("__op"), record)) | order)


def _from_envelope(event: Fields, record: Record) -> list[Row]:
    op = event.required_text("op")
    if op == "m":
        return []
    if op == "t":
        message = "op: expected a change of one row, came a truncate; delete the customers that do not come again"
        raise RecordError("gap", message)
    if op not in OPS and op != "d":
        raise RecordError("unknown_type", "op: expected c, u, d, r, t or m, came another")
    source = event.required_inner("source")
    row = _delete(record) if op == "d" else _whole_row(event.required_inner("after"), op, record)
    return _without_gaps(row | _order(source, ("",), record, op))


def _from_flattened(event: Fields, record: Record) -> list[Row]:
    deleted = event.flag("__deleted", default=False)
    op = event.text("__op")
    row = _delete(record) if deleted else _whole_row(event, op, record)
    return _without_gaps(row | _order(event, PREFIXES, record, op))


def _without_gaps(row: Row) -> list[Row]:
    """The row of a record.

    Raises:
        PartlyReadError: It is of a customer who is new under this id, and some columns have not come.
    """
    is_new = row["op"] == "create" or row.get("previous_customer_id") is not None
    if not is_new or row.get("changed_fields") is None:
        return [row]
    message = (
        "after: expected every value of a customer with a new id, came placeholders of untouched ones; "
        "write those values again, and give the table REPLICA IDENTITY FULL"
    )
    raise PartlyReadError("gap", message, [row])


def _whole_row(row: Fields, op: str | None, record: Record) -> Row:
    """All columns of a create or an update, without its order."""
    cells = {name.lower(): value for name, value in row.values.items()}
    given: Row = {}
    for column in COLUMNS:
        value, place = cells.get(column), row.at(column)
        if not is_untouched(value):
            given[column] = cell(column, whole_numeric(value, place), place, micros_of)
    customer = text(whole_numeric(cells.get(ID), row.at(ID)), row.at(ID)) or _customer_of_record(record)
    old_key = record.header(_OLD_KEY)
    previous = customer_of_key(old_key, _OLD_KEY, parse_json) if old_key is not None else None
    return {
        **given,
        "customer_id": customer,
        "op": OPS.get(op or "", "update"),
        "source_system": "amdocs",
        "account_type": given.get("account_type") or "postpaid",
        "previous_customer_id": previous if previous != customer else None,
        "changed_fields": None if len(given) == len(COLUMNS) else [name for name in COLUMNS if name in given],
    }


def _delete(record: Record) -> Row:
    return {"customer_id": _customer_of_record(record), "op": "delete", "source_system": "amdocs"}


def _customer_of_record(record: Record) -> str:
    return customer_of_key(record.key, "key", record.parse)


def _order(fields: Fields, prefixes: tuple[str, ...], record: Record, op: str | None) -> Row:
    """The change's place in the source's log, and its time; see the module."""

    def first(*names: str) -> int | None:
        found = (fields.integer(prefix + name) for name in names for prefix in prefixes)
        return next((number for number in found if number is not None), None)

    micros, millis = first("ts_us"), first("ts_ms")
    if micros is None:
        place = fields.at(f"{prefixes[0]}ts_ms")
        micros = _kafka_time(record) if millis is None else instant_from_millis(millis, place)
    if op == "r":
        micros = max(micros - SNAPSHOT_LEAD, 0)
    return {"version": first("lsn", "commit_scn", "scn") or 0, "event_time": micros}


def _kafka_time(record: Record) -> int:
    """The time the record was written to Kafka.

    Raises:
        RecordError: It has none.
    """
    if record.timestamp_ms < 0:
        raise RecordError("missing_field", "timestamp: expected the record's Kafka timestamp, came none")
    return record.timestamp_ms * 1000
