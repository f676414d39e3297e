"""Salesforce's change events in columns; see `salesforce_cdc`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from schemas.codec.kernel import Longs
from schemas.codec.nested import INTEGER, JSON, NOTHING, TEXT, Shape
from schemas.codec.times import MAXIMUM_MICROSECONDS
from schemas.errors import RecordError
from schemas.formats.columns import LISTS, TEXTUAL, Bools, Columns, Form, ManyFields, ManyRows, named
from schemas.formats.customer_columns import INSTANTS, WORD_LISTS, many_instants, names_of
from schemas.formats.customers import COLUMNS, cell
from schemas.formats.fields import Fields
from schemas.formats.remembered import remembered
from schemas.formats.salesforce_bitmaps import is_bitmap
from schemas.formats.salesforce_fields import (
    COLUMN_OF_FIELD,
    COMPOUNDS,
    ENTITIES,
    LAST_COMMIT,
    OPS,
    SEQUENCES,
    columns_of,
)


def _many_rows(payloads: ManyFields) -> ManyRows:
    """The rows of many events that name one record each."""
    header = payloads.inner("ChangeEventHeader")
    header.check(header.required("entityName"), _check_entity)
    op = header.number_meaning(header.required("changeType"), _place_of_operation, otherwise=-1)
    updated, deleted = op == _UPDATE, op == _DELETE
    asked = np.where(updated, header.number_meaning("changedFields", _bits_of_changed, otherwise=_ALL), _ALL)
    asked = np.where(deleted, 0, asked)
    differing = np.where(updated, header.number_meaning("diffFields", _bits_of_names, otherwise=0), 0)
    nulled = np.where(updated, header.number_meaning("nulledFields", _bits_of_names, otherwise=0), 0)
    columns: Columns = {}
    changed = nulled
    for bit, column in enumerate(COLUMNS):
        notes, there = _notes_of(payloads, column)
        there &= _has(asked, bit)
        changed |= there.astype(np.int64) << bit
        columns[column] = _many_cells(payloads, column, notes, there & ~_has(differing, bit), updated)
    account = pc.if_else(pa.array(_has(changed, 0)), columns["account_type"], pa.scalar("prepaid", TEXTUAL))
    return ManyRows(
        payloads,
        {
            **columns,
            "customer_id": _many_customers(header),
            "op": named(_OP_NAMES, op),
            "source_system": "salesforce",
            "account_type": pc.if_else(pa.array(deleted), pa.scalar(None, TEXTUAL), account),
            "changed_fields": names_of(np.where(updated, changed, 0)),
            "version": _many_versions(header),
            "event_time": _many_times(header),
        },
        carried=~updated | (changed != 0),
    )


def _has(bits: Longs, bit: int) -> Bools:
    return ((bits >> bit) & 1).astype(np.bool_)


def _notes_of(payloads: ManyFields, column: str) -> tuple[Longs, Bools]:
    """Where the values lie that feed a column, and where there is one; no record has two."""
    found, there = np.zeros(len(payloads), np.int64), np.zeros(len(payloads), np.bool_)
    for field in (field for field, fed in COLUMN_OF_FIELD.items() if fed == column):
        given = payloads.is_there(field)
        if column == _COMPOUND:
            given = payloads.inner(field).any_text(*COMPOUNDS[column].parts)
        payloads.leave(there & given)
        there |= given
        found = np.where(given, payloads.notes(field), found)
    return found, there


def _many_cells(payloads: ManyFields, column: str, notes: Longs, kept: Bools, updated: Bools) -> Any:
    """The cells of a column, where they are kept; null elsewhere."""
    if column == _COMPOUND:
        found = [
            _many_compounds(payloads.inner(field), column) for field, fed in COLUMN_OF_FIELD.items() if fed == column
        ]
        cells = pc.coalesce(*found)
        payloads.leave(kept & ~updated & cells.is_null().to_numpy(zero_copy_only=False))
        return pc.if_else(pa.array(kept), cells, pa.scalar(None, TEXTUAL))
    # what is not kept must be right, too
    if column in _MEANINGS:
        payloads.check(notes, _MEANINGS[column])
        dtype = LISTS if column in WORD_LISTS else TEXTUAL
        return payloads.meaning(np.where(kept, notes, 0), _MEANINGS[column], dtype)
    if column in INSTANTS:
        return many_instants(payloads, notes, column, lambda millis: millis * 1000).where(kept)
    return payloads.text(np.where(kept, notes, 0))


def _many_compounds(compounds: ManyFields, column: str) -> pa.Array:
    """Compounds that have all their essential parts, as one line."""
    compound = COMPOUNDS[column]
    least = [part for part in compound.parts if part in compound.essential]
    whole, least_of_it = (compounds.joined(*parts, separator=compound.glue) for parts in (compound.parts, least))
    return pc.coalesce(whole, least_of_it)


def _many_customers(header: ManyFields) -> pa.Array:
    """The one record's id of each event."""
    ids = header.objects("recordIds")
    customers = header.text(ids.only(np.ones(len(ids), np.bool_), ids.itself()))
    header.leave(pc.ends_with(customers, "*").fill_null(True).to_numpy(zero_copy_only=False))
    return customers


def _many_versions(header: ManyFields) -> Longs:
    commits = header.integer(header.required("commitNumber"), 0, LAST_COMMIT).values
    sequences = np.clip(header.integer("sequenceNumber").filled(0), 0, SEQUENCES - 1)
    return np.where(commits > LAST_COMMIT, 0, commits) * SEQUENCES + sequences


def _many_times(header: ManyFields) -> Longs:
    return header.integer(header.required("commitTimestamp"), 0, MAXIMUM_MICROSECONDS // 1000).values * 1000


def _place_of_operation(change: str) -> int:
    if change not in OPS:
        raise RecordError("unknown_type", "changeType: expected a change with its fields, came another")
    return _OP_NAMES.index(OPS[change])


def _check_entity(entity: str) -> None:
    if entity not in ENTITIES:
        raise RecordError("unknown_type", "entityName: expected a customer, came another")


def _bits(columns: Iterable[str]) -> int:
    return sum(1 << COLUMNS.index(column) for column in columns)


def _texts_of_json(written: str) -> list[str]:
    return Fields.of({"fields": orjson.loads(written)}).texts("fields")


def _bits_of_changed(written: str) -> int:
    changed = _texts_of_json(written)
    return _bits(columns_of(changed)) if changed and not any(map(is_bitmap, changed)) else _ALL


def _bits_of_names(written: str) -> int:
    names = _texts_of_json(written)
    if any(map(is_bitmap, names)):
        raise RecordError("unknown_type", "header: expected names, came a bitmap")
    return _bits(columns_of(names))


def _meaning_of(column: str) -> Callable[[str], Any]:
    """What the JSON of a cell means."""
    return remembered(lambda written: cell(column, orjson.loads(written), column, lambda millis: millis * 1000))


_OP_NAMES = ("create", "update", "delete")
_UPDATE, _DELETE = 1, 2
_ALL = (1 << len(COLUMNS)) - 1
_COMPOUND = "address"  # names of persons are left, where they come as compounds
_MEANINGS = {column: _meaning_of(column) for column in ("account_type", "status", "birth_date", *WORD_LISTS)}


def _shape_of(column: str) -> Shape:
    if column == _COMPOUND:
        return dict.fromkeys(COMPOUNDS[column].parts, TEXT)
    return JSON if column in _MEANINGS else TEXT


_HEADER: Mapping[str, Shape] = MappingProxyType(
    {
        **dict.fromkeys(("entityName", "changeType"), TEXT),
        **dict.fromkeys(("sequenceNumber", "commitTimestamp", "commitNumber"), INTEGER),
        **dict.fromkeys(("changedFields", "nulledFields", "diffFields"), JSON),
        "recordIds": [TEXT],
    }
)
_PAYLOAD: Mapping[str, Shape] = MappingProxyType(
    {"ChangeEventHeader": _HEADER, **{field: _shape_of(column) for field, column in COLUMN_OF_FIELD.items()}}
)
FORMS = (
    Form.of({**_PAYLOAD, "data": NOTHING, "payload": NOTHING}, _many_rows),
    Form.of({"data": {"payload": _PAYLOAD}}, lambda events: _many_rows(events.inner("data").inner("payload"))),
    Form.of({"data": NOTHING, "payload": _PAYLOAD}, lambda events: _many_rows(events.inner("payload"))),
)
