"""Which fields of the input no column comes from, found by trying.

An adapter does not say what it reads, and may read a field only where another one is missing. So a field is replaced
in a copy of a record, once by a text and once by an object that no format knows. When rows and reason are the same as
before, no column came from it there. Where an object is used, its own fields are tried; where it is not, it is told as
a whole.

A field is tried in the first records that have it, in the first of each kind (with the same fields, whose rows have the
same columns and words), and then ever more seldom. It counts as ignored when no trial has changed anything: one that is
read in rare records alone may be taken for one that is not.

Only records that were accepted are tried. The fields of canonical Avro records are compared with the contract by name:
there nothing else can be read. Those of a vendor's events in Avro are not looked at.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import polars as pl

from flows.lint.personal import field_name
from flows.lint.report import PLACES_TOLD, Finding
from schemas.blocks import RecordBlock
from schemas.codec import CanonicalDecoder, Decoder, Registry, parse_json
from schemas.codec.confluent import MAGIC_BYTE, PREFIX_BYTES
from schemas.contracts import Contract
from schemas.errors import RecordError

_ODD: tuple[object, ...] = ("\u2426lint", {"\u2426lint": "\u2426lint"})
_FIRST_TRIALS = 20
_TRIALS_OF_A_KIND = 3
_MOST_KINDS = 200
_MOST_FIELDS = 2000
_MOST_ITEMS = 3  # of an array: the others are alike
_NO_ZONE = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?", re.ASCII)

_Path = tuple[str | int, ...]
_Outcome = tuple[list[tuple[Any, ...]], str | None]


@dataclass(slots=True)
class _Field:
    records: int = 0
    is_used: bool = False
    trials: Counter[int] = field(default_factory=Counter)
    without_zone: int = 0
    places: list[str] = field(default_factory=list)
    zone_places: list[str] = field(default_factory=list)

    def is_due(self, kind: int) -> bool:
        """Whether the record that was counted last, of this kind, is one to try it in."""
        if self.trials[kind] < _TRIALS_OF_A_KIND and len(self.trials) <= _MOST_KINDS:
            return True
        return self.records <= _FIRST_TRIALS or self.records & (self.records - 1) == 0


class FieldUse:
    """Watches the fields of accepted records.

    Args:
        decoder: What will read them.
        registry: Knows the schemas of Avro records.
    """

    def __init__(self, decoder: Decoder, registry: Registry | None) -> None:
        self._decoder = decoder
        self._registry = registry
        self._fields: dict[str, _Field] = {}
        avro = decoder.contract.avro["fields"]
        self._known = {name for column in avro for name in (column["name"], *column.get("aliases", ()))}

    def watch(self, block: RecordBlock, kinds: Mapping[int, int], place: Callable[[int], str]) -> None:
        """Look at some records of a block.

        Args:
            block: The block.
            kinds: Positions of records that were accepted and gave rows, and `kinds_of` those rows.
            place: Names where the record at an offset is.
        """
        for row, kind in kinds.items():
            value = block.value(row)
            where = place(int(block.offsets[row]))
            if value and value[0] == MAGIC_BYTE and self._registry is not None:
                if isinstance(self._decoder, CanonicalDecoder):
                    self._watch_avro(value, where)
                continue
            try:
                parsed = parse_json(value or b"")
            except RecordError:
                continue  # a format that is no JSON: its fields have no names to look for
            shape = frozenset(_names(parsed))
            self._watch_json(block, row, parsed, hash((kind, shape)), where)

    def ignored(self) -> list[Finding]:
        """The fields that no column comes from, in the order they came."""
        return [
            Finding(path, "", each.records, tuple(each.places))
            for path, each in self._fields.items()
            if not each.is_used
        ]

    def without_zone(self) -> list[Finding]:
        """Used fields with times that name no zone or offset."""
        what = "a time without zone or offset: send one with Z or an offset, lest it is read as another moment"
        return [
            Finding(path, what, each.without_zone, tuple(each.zone_places))
            for path, each in self._fields.items()
            if each.is_used and each.without_zone
        ]

    def _watch_avro(self, value: bytes, where: str) -> None:
        assert self._registry is not None
        schema = self._registry.schema(int.from_bytes(value[1:PREFIX_BYTES], "big")) or {}
        for written in schema.get("fields", ()):
            known = self._count(field_name(written["name"]), where)
            if known is not None:
                known.is_used = written["name"] in self._known

    def _watch_json(self, block: RecordBlock, row: int, parsed: object, kind: int, where: str) -> None:
        counted: set[str] = set()
        level = list(_children((), parsed))
        while level:
            due = []
            for path in level:
                name = _name(path)
                if name not in counted:
                    counted.add(name)
                    known = self._count(name, where)
                    if known is not None:
                        self._look_for_zone(known, _at(parsed, path), where)
                known = self._fields.get(name)
                if known is not None and not known.is_used and known.is_due(kind):
                    known.trials[kind] += 1
                    due.append(path)
            for path in self._used(block, row, parsed, due):
                self._fields[_name(path)].is_used = True
            used = [path for path in level if (known := self._fields.get(_name(path))) is not None and known.is_used]
            level = [inner for path in used for inner in _children(path, _at(parsed, path))]

    def _count(self, name: str, where: str) -> _Field | None:
        if name not in self._fields and len(self._fields) >= _MOST_FIELDS:
            return None
        known = self._fields.setdefault(name, _Field())
        known.records += 1
        if len(known.places) < PLACES_TOLD:
            known.places.append(where)
        return known

    def _look_for_zone(self, known: _Field, value: object, where: str) -> None:
        if isinstance(value, str) and _NO_ZONE.fullmatch(value):
            known.without_zone += 1
            if len(known.zone_places) < PLACES_TOLD:
                known.zone_places.append(where)

    def _used(self, block: RecordBlock, row: int, parsed: object, paths: Sequence[_Path]) -> list[_Path]:
        """Those of the paths that change the outcome when they hold something else."""
        if not paths:
            return []
        changed = [_replaced(parsed, path, odd) for path in paths for odd in _ODD]
        before, *after = self._outcomes(block, row, [parsed, *changed])
        different = [outcome != before for outcome in after]
        return [path for i, path in enumerate(paths) if any(different[i * len(_ODD) : (i + 1) * len(_ODD)])]

    def _outcomes(self, block: RecordBlock, row: int, values: Sequence[object]) -> list[_Outcome]:
        """What becomes of the record at `row` with each of these values."""
        key, headers = block.key(row), block.headers.get(row)
        copies = RecordBlock.from_records(
            block.topic,
            block.partition,
            [(key, orjson.dumps(value)) for value in values],
            timestamps_ms=int(block.timestamps_ms[row]),
            headers=None if headers is None else dict.fromkeys(range(len(values)), headers),
        )
        decoded = self._decoder.decode(copies)
        rows: list[list[tuple[Any, ...]]] = [[] for _ in values]
        for *cells, position in decoded.rows.iter_rows():
            rows[position].append(tuple(cells))
        reasons = {each.row: each.reason for each in decoded.rejected}
        return [(found, reasons.get(position)) for position, found in enumerate(rows)]


def kinds_of(rows: pl.DataFrame, contract: Contract) -> dict[int, int]:
    """What kind of row each record gives first, by offset: which columns it fills, and with which words of closed sets.

    Args:
        rows: The contract's columns and `_offset`.
        contract: What they follow.
    """
    words = [name for name, limits in contract.limits.items() if limits.allowed is not None]
    lists = [name for name, dtype in contract.polars.items() if dtype == pl.List(pl.String)]
    kinds = rows.select(
        *(pl.col(name).is_null().alias(f"{name} null") for name in contract.polars),
        *(pl.col(name).list.len().eq(0).alias(f"{name} empty") for name in lists),
        *words,
    ).hash_rows()
    found: dict[int, int] = {}
    for offset, kind in zip(rows["_offset"].to_list(), kinds.to_list(), strict=True):
        found.setdefault(offset, kind)
    return found


def _names(value: object) -> Iterator[str]:
    """The names of all fields, however deep."""
    if isinstance(value, dict):
        yield from value
        for inner in value.values():
            yield from _names(inner)
    elif isinstance(value, list):
        for item in value[:_MOST_ITEMS]:
            yield from _names(item)


def _children(path: _Path, value: object) -> Iterator[_Path]:
    """The paths of the fields of an object, or of the objects in an array."""
    if isinstance(value, dict):
        yield from ((*path, name) for name in value)
    elif isinstance(value, list):
        for i, item in enumerate(value[:_MOST_ITEMS]):
            yield from _children((*path, i), item)


def _name(path: _Path) -> str:
    """A path for people: `events[].aps`."""
    return "".join("[]" if isinstance(part, int) else f".{field_name(part)}" for part in path).removeprefix(".")


def _at(value: Any, path: _Path) -> object:
    for part in path:
        value = value[part]
    return value


def _replaced(value: Any, path: _Path, by: object) -> Any:
    """A copy with another value at one path; all else is shared."""
    if not path:
        return by
    changed = value.copy()
    changed[path[0]] = _replaced(value[path[0]], path[1:], by)
    return changed
