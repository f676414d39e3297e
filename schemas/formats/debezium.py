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

import base64
from collections.abc import Callable, Mapping
from types import MappingProxyType

from schemas.codec import parse_json
from schemas.errors import RecordError
from schemas.formats.adapter import PartlyReadError, Record, Row
from schemas.formats.customers import COLUMNS, cell
from schemas.formats.fields import Fields, text, wrong_type
from schemas.formats.times import MICROSECONDS_PER_DAY, instant_from_millis

_UNAVAILABLE = "__debezium_unavailable_value"
_OPS: Mapping[str, str] = MappingProxyType({"c": "create", "r": "create", "u": "update"})
_HEARTBEAT = frozenset(("ts_ms", "ts_us", "ts_ns"))
_TRANSACTION = frozenset(("status", "id", "ts_ms"))
_ID = "customer_id"
_DECIMAL = "org.apache.kafka.connect.data.Decimal"
_OF_AVRO = frozenset(("unknown_schema", "incompatible_schema", "malformed_avro"))
_LONGEST_NUMERIC = 64  # characters of base64; an id has far fewer
_SNAPSHOT_LEAD = 10_000_000
"""Microseconds that a snapshot's rows are dated earlier; changes 0.06 s older than the time they tell were seen."""


class Debezium:
    """The adapter for envelopes, and for flattened rows that mark deletes with `__deleted`."""

    stream = "crm_change"
    name = "debezium"

    def adapt(self, record: Record) -> list[Row]:
        """Turn one change event into one row; none for tombstones and records that speak of no row."""
        value = _unwrapped(record.value)
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

    def adapt(self, record: Record) -> list[Row]:
        """Turn one row, or one tombstone, into one row."""
        value = _unwrapped(record.value)
        order: Row = {"version": 0, "event_time": _kafka_time(record)}
        if value is None:
            return [_delete(record) | order]
        event = Fields.of(value)
        deleted = event.flag("__deleted", default=False)
        return _without_gaps((_delete(record) if deleted else _whole_row(event, event.text("__op"), record)) | order)


def _unwrapped(value: object) -> object:
    """What the JSON converter wraps in `{"schema", "payload"}`, decimals with their scale."""
    if not isinstance(value, dict) or value.keys() != {"schema", "payload"}:
        return value
    return _with_scales(value["payload"], value["schema"])


def _with_scales(value: object, schema: object) -> object:
    """Decimals in the form that tells its scale, which is otherwise told by their schema alone."""
    if not isinstance(schema, dict):
        return value
    if isinstance(value, str) and schema.get("name") == _DECIMAL:
        parameters = schema.get("parameters")
        return {"scale": parameters.get("scale") if isinstance(parameters, dict) else None, "value": value}
    fields = schema.get("fields")
    if isinstance(value, dict) and isinstance(fields, list):
        named = [(field.get("field"), field) for field in fields if isinstance(field, dict)]
        schemas = {name: field for name, field in named if isinstance(name, str)}
        return {name: _with_scales(cell, schemas.get(name)) for name, cell in value.items()}
    return value


def _from_envelope(event: Fields, record: Record) -> list[Row]:
    op = event.required_text("op")
    if op == "m":
        return []
    if op == "t":
        message = "op: expected a change of one row, came a truncate; delete the customers that do not come again"
        raise RecordError("gap", message)
    if op not in _OPS and op != "d":
        raise RecordError("unknown_type", "op: expected c, u, d, r, t or m, came another")
    source = event.required_inner("source")
    row = _delete(record) if op == "d" else _whole_row(event.required_inner("after"), op, record)
    return _without_gaps(row | _order(source, ("",), record, op))


def _from_flattened(event: Fields, record: Record) -> list[Row]:
    deleted = event.flag("__deleted", default=False)
    op = event.text("__op")
    row = _delete(record) if deleted else _whole_row(event, op, record)
    return _without_gaps(row | _order(event, ("__source_", "__"), record, op))


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
        if not _untouched(value):
            given[column] = cell(column, _number(value, place), place, _micros)
    customer = text(_number(cells.get(_ID), row.at(_ID)), row.at(_ID)) or _customer_of_record(record)
    old_key = record.header("__debezium.oldkey")
    previous = _customer_of_key(old_key, "__debezium.oldkey", parse_json) if old_key is not None else None
    return {
        **given,
        "customer_id": customer,
        "op": _OPS.get(op or "", "update"),
        "source_system": "amdocs",
        "account_type": given.get("account_type") or "postpaid",
        "previous_customer_id": previous if previous != customer else None,
        "changed_fields": None if len(given) == len(COLUMNS) else [name for name in COLUMNS if name in given],
    }


def _delete(record: Record) -> Row:
    return {"customer_id": _customer_of_record(record), "op": "delete", "source_system": "amdocs"}


def _customer_of_record(record: Record) -> str:
    return _customer_of_key(record.key, "key", record.parse)


def _customer_of_key(key: bytes | None, place: str, parse: Callable[[bytes], object]) -> str:
    """The customer's id in a record's key: an object, wrapped or not, or the id alone.

    Raises:
        RecordError: There is no key, or none with a customer in it.
    """
    if not key:
        raise RecordError("missing_key", f"{place}: expected the customer's key, came none")
    try:
        value = _unwrapped(parse(key))
    except RecordError as error:
        if error.reason in _OF_AVRO:
            raise RecordError(error.reason, f"{place}: {error}") from error
        value = _bare_id(key, place)
    if isinstance(value, dict):
        cells = {name.lower(): cell for name, cell in value.items()}
        value = next(iter(cells.values())) if len(cells) == 1 else cells.get(_ID)
    customer = text(_number(value, place), place)
    if customer is None:
        raise RecordError("missing_key", f"{place}: expected {_ID}, came none")
    return customer


def _bare_id(key: bytes, place: str) -> str:
    """A key that is no JSON: the id alone, as the string converter writes it."""
    try:
        found = key.decode()
    except UnicodeDecodeError:
        found = ""
    if not found.isprintable() or not found or any(mark in found for mark in '{["'):
        raise RecordError("wrong_type", f"{place}: expected JSON or an id, came other bytes")
    return found


def _untouched(value: object) -> bool:
    return value in (_UNAVAILABLE, [_UNAVAILABLE])


def _number(value: object, place: str) -> object:
    """A `numeric` that tells its scale (`{"scale", "value"}`) as an integer; anything else as it came.

    Raises:
        RecordError: It has a fraction, which no column here has.
    """
    if not isinstance(value, dict) or value.keys() != {"scale", "value"}:
        return value
    numeric = Fields.of(value, place)
    scale, unscaled = numeric.integer("scale"), value["value"]
    if scale is None or not isinstance(unscaled, str) or len(unscaled) > _LONGEST_NUMERIC:
        raise wrong_type(place, "a numeric of integer scale and short base64 value", value)
    try:
        number = int.from_bytes(base64.b64decode(unscaled, validate=True), "big", signed=True)
    except ValueError:
        raise RecordError("wrong_type", f"{place}: expected base64, came another string") from None
    if not -18 <= scale <= 18 or number % 10 ** max(scale, 0):
        raise RecordError("wrong_type", f"{place}: expected a whole number, came a fraction or a larger one")
    return number * 10**-scale if scale <= 0 else number // 10**scale


def _micros(number: int) -> int:
    """Epoch days, milliseconds or microseconds, told apart by size; see the module."""
    if -(2**31) <= number < 2**31:
        return number * MICROSECONDS_PER_DAY
    return number * 1000 if abs(number) < 10**13 else number


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
        micros = max(micros - _SNAPSHOT_LEAD, 0)
    return {"version": first("lsn", "commit_scn", "scn") or 0, "event_time": micros}


def _kafka_time(record: Record) -> int:
    """The time the record was written to Kafka.

    Raises:
        RecordError: It has none.
    """
    if record.timestamp_ms < 0:
        raise RecordError("missing_field", "timestamp: expected the record's Kafka timestamp, came none")
    return record.timestamp_ms * 1000
