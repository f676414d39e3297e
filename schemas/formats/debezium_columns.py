"""Debezium's change events in columns; see `debezium`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from schemas.codec import parse_json
from schemas.codec.kernel import Longs
from schemas.codec.nested import FLAG, INTEGER, JSON, MISSING, TEXT, AnyCase, Shape
from schemas.codec.nested_cells import Numbers
from schemas.codec.times import MAXIMUM_MICROSECONDS
from schemas.errors import RecordError
from schemas.formats.columns import LISTS, TEXTUAL, Bools, Columns, Form, ManyFields, ManyRows
from schemas.formats.customer_columns import INSTANTS, WORD_LISTS, many_instants, names_of
from schemas.formats.customers import COLUMNS, cell
from schemas.formats.debezium_cells import (
    ID,
    OPS,
    PREFIXES,
    SNAPSHOT_LEAD,
    UNAVAILABLE,
    customer_of_key,
    is_untouched,
    micros_of,
    whole_numeric,
)
from schemas.formats.remembered import remembered
from schemas.formats.times import MICROSECONDS_PER_DAY


def _many_envelopes(events: ManyFields) -> ManyRows:
    """The rows of many creates, updates and deletes."""
    op, row = events.meaning(events.required("op"), _OPS_OF_ROWS.get), events.inner("after")
    deleted, brought = pc.is_in(op, _DELETES).to_numpy(zero_copy_only=False), events.is_there("after")
    events.leave(op.is_null().to_numpy(zero_copy_only=False) | (deleted == brought) | ~events.is_there("source"))
    columns = _many_cells(row, op)
    return ManyRows(
        events,
        {
            **columns,
            "customer_id": _with_keys(events, columns["customer_id"], deleted),
            "account_type": pc.if_else(pa.array(deleted), pa.scalar(None, TEXTUAL), columns["account_type"]),
            "op": op,
            **_many_orders(events.inner("source"), ("",), events.equals("op", "r")),
        },
    )


def _with_keys(events: ManyFields, customers: pa.Array, deleted: Bools) -> pa.Array:
    """The customers' ids, those of the deleted from the keys; those whose key is Avro are left."""
    found: list[str | None] = []
    refused = np.zeros(len(events), np.bool_)
    for row in np.flatnonzero(deleted).tolist():
        try:
            found.append(customer_of_key(events.key(row), "key", parse_json))
        except RecordError:
            found.append(None)
            refused[row] = True
    events.leave(refused)
    return pc.replace_with_mask(customers, pa.array(deleted), pa.array(found, TEXTUAL))


def _many_marked(rows: ManyFields) -> ManyRows:
    """The rows of many that say that they were not deleted."""
    rows.leave(~rows.is_there("__deleted"))
    return ManyRows(rows, _many_flattened(rows) | _many_orders(rows, PREFIXES, rows.equals("__op", "r")))


def _many_unmarked(rows: ManyFields) -> ManyRows:
    """The rows of many whose order is that of the topic."""
    return ManyRows(rows, _many_flattened(rows) | {"version": 0, "event_time": rows.kafka_time()})


def _many_flattened(rows: ManyFields) -> Columns:
    rows.leave(rows.flag("__deleted", default=False))
    op = rows.meaning("__op", lambda op: OPS.get(op, "update"), otherwise="update")
    return {**_many_cells(rows, op), "op": op}


def _many_orders(fields: ManyFields, prefixes: tuple[str, ...], of_snapshots: Bools) -> Columns:
    """The changes' places in the source's log, and their times."""

    def first(*names: str) -> Numbers:
        return fields.integer(fields.notes(*(prefix + name for name in names for prefix in prefixes)))

    millis = first("ts_ms")
    fields.leave((millis.values < 0) | (millis.values > MAXIMUM_MICROSECONDS // 1000))
    micros = first("ts_us").or_else(Numbers(millis.values * 1000, millis.null, millis.unfit))
    times = np.where(of_snapshots, np.maximum(micros.values - SNAPSHOT_LEAD, 0), micros.values)
    return {
        "version": first("lsn", "commit_scn", "scn").filled(0),
        "event_time": Numbers(times, micros.null, micros.unfit),
    }


def _many_cells(row: ManyFields, op: pa.Array) -> Columns:
    """The cells of many rows that bring their customer's id; creates with placeholders are left."""
    untouched: Longs = np.zeros(len(row), np.int64)  # a bit for each column
    columns: Columns = {}
    for bit, column in enumerate(COLUMNS):
        if column in _TEXTS:
            notes = row.notes(column)
            same = row.equals(notes, UNAVAILABLE)
            untouched |= same.astype(np.int64) << bit
            columns[column] = row.text(np.where(same, 0, notes))
        elif column in INSTANTS:
            columns[column] = many_instants(row, row.notes(column), column, _many_micros)
        else:
            columns[column] = row.meaning(column, _MEANINGS[column], LISTS if column in WORD_LISTS else TEXTUAL)
    row.leave((untouched > 0) & pc.is_in(op, _CREATES).to_numpy(zero_copy_only=False))
    return {
        **columns,
        "customer_id": row.text(ID),
        "source_system": "amdocs",
        "account_type": pc.coalesce(columns["account_type"], pa.scalar("postpaid", TEXTUAL)),
        "changed_fields": names_of(np.where(untouched > 0, _ALL & ~untouched, 0)),
    }


def _many_micros(numbers: Longs) -> Longs:
    """As `micros_of`; where that has more than 64 bits, another number that is no time."""
    are_days = (numbers >= -(2**31)) & (numbers < 2**31)
    days = np.clip(numbers, -_MOST_DAYS, _MOST_DAYS) * MICROSECONDS_PER_DAY
    return np.where(are_days, days, np.where(np.abs(numbers) < 10**13, numbers * 1000, numbers))


def _meaning_of(column: str) -> Callable[[str], Any]:
    """What the JSON of a cell means."""

    def means(written: str) -> object:
        value = orjson.loads(written)
        if is_untouched(value):
            raise RecordError("wrong_type", f"{column}: expected a value, came none")
        return cell(column, whole_numeric(value, column), column, micros_of)

    return remembered(means)


_TEXTS = ("name", "email", "msisdn", "address", "site_id", "segment", "plan", "language")
_ALL = (1 << len(COLUMNS)) - 1
_MEANINGS = {column: _meaning_of(column) for column in COLUMNS if column not in _TEXTS}
_MOST_DAYS = 10**8  # beyond the year 9999, and few enough for 64 bits in microseconds
_OPS_OF_ROWS: Mapping[str, str] = MappingProxyType({**OPS, "d": "delete"})
_DELETES, _CREATES = pa.array(["delete"], TEXTUAL), pa.array(["create"], TEXTUAL)
_ORDER = ("ts_us", "ts_ms", "lsn", "commit_scn", "scn")
_CELLS: Mapping[str, Shape] = MappingProxyType(
    {AnyCase(column): TEXT if column in (*_TEXTS, *INSTANTS, ID) else JSON for column in (ID, *COLUMNS)}
)
_MARKS: Mapping[str, Shape] = MappingProxyType({"__deleted": FLAG, "__op": TEXT})
ENVELOPE = Form.of(
    {"op": TEXT, "after": _CELLS, "source": dict.fromkeys(_ORDER, INTEGER)},
    _many_envelopes,
)
MARKED = Form.of(
    {
        **_CELLS,
        **_MARKS,
        **{prefix + name: INTEGER for name in _ORDER for prefix in PREFIXES},
        "op": MISSING,
    },
    _many_marked,
)
FLATTENED = Form.of({**_CELLS, **_MARKS}, _many_unmarked)
