"""What the rows of accepted records look like: columns that say nothing, and values that look misread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from flows.lint.personal import PERSONAL
from flows.lint.report import PLACES_TOLD, Finding
from schemas.contracts import TIMESTAMP, Contract

_SECOND = 1_000_000
_MINUTE, _YEAR = 60 * _SECOND, 365 * 86_400 * _SECOND
_ROWS_TO_COMPARE = 20  # fewer may well be equal
_EQUAL_BY_NATURE = frozenset({"source_system"})  # all records of a file or topic come from one
_NOTHING = object()

Place = Callable[[int], str]
"""Names where the record at an offset is."""


@dataclass(slots=True)
class _Column:
    rows: int = 0
    filled: int = 0
    first: Any = _NOTHING
    is_constant: bool = True


@dataclass(slots=True)
class _Tally:
    count: int = 0
    places: list[str] = field(default_factory=list)


class Readings:
    """Watches rows.

    Args:
        contract: What they follow.
    """

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._columns = {name: _Column() for name in contract.polars}
        self._suspicions: dict[tuple[str, str], _Tally] = {}

    def watch(self, rows: pl.DataFrame, place: Place) -> None:
        """Look at the rows of one block.

        Args:
            rows: The contract's columns, `_offset` and `_timestamp` (Kafka's, milliseconds, -1 for none).
            place: Names where the record at an offset is.
        """
        if not rows.height:
            return
        for name, dtype in self._contract.polars.items():
            column = rows[name]
            self._count(name, column)
            if dtype == TIMESTAMP:
                self._look_at_times(rows, column, place)
            elif name not in self._contract.pii and dtype in (pl.String, pl.List(pl.String)):
                self._look_for_people(rows, column, place)

    def never_filled(self) -> list[Finding]:
        """The columns that are null or empty in every row, or always what the contract fills in."""
        found = []
        for name, column in self._columns.items():
            default = self._contract.defaults.get(name)
            if column.rows and not column.filled:
                found.append(Finding(name, "always null" if self._is_nullable(name) else "always empty", column.rows))
            elif column.rows and column.is_constant and default is not None and column.first == default:
                found.append(Finding(name, f"always the default, {str(default).lower()}", column.rows))
        return found

    def suspicious(self) -> list[Finding]:
        """What looks wrong, by column."""
        found = [
            Finding(name, what, tally.count, tuple(tally.places)) for (name, what), tally in self._suspicions.items()
        ]
        empty = {each.name for each in self.never_filled()}
        found += [
            Finding(name, "the same in all rows: is it the field that was meant?", column.rows)
            for name, column in self._columns.items()
            if column.is_constant and column.rows >= _ROWS_TO_COMPARE and name not in empty | _EQUAL_BY_NATURE
        ]
        order = list(self._columns)
        return sorted(found, key=lambda each: order.index(each.name))

    def _is_nullable(self, name: str) -> bool:
        return name not in self._contract.required

    def _count(self, name: str, column: pl.Series) -> None:
        known = self._columns[name]
        values = column.to_list()
        if known.first is _NOTHING:
            known.first = values[0]
        known.rows += len(values)
        known.filled += sum(value is not None and value != [] for value in values)
        known.is_constant = known.is_constant and all(value == known.first for value in values)

    def _look_at_times(self, rows: pl.DataFrame, column: pl.Series, place: Place) -> None:
        times = pl.col(column.name).to_physical()
        received = pl.when(pl.col("_timestamp") >= 0).then(pl.col("_timestamp") * 1000)
        early = times < _YEAR
        what = "in 1970: are these seconds or milliseconds? As numbers, microseconds are expected"
        self._suspect(rows, column.name, early, what, place)
        if column.name == "event_time":
            what = "over a minute after Kafka received the record: check clock and time zone"
            self._suspect(rows, column.name, times > received + _MINUTE, what, place)
            what = "over a year before Kafka received the record: such an event counts as late"
            self._suspect(rows, column.name, ~early & (times < received - _YEAR), what, place)

    def _look_for_people(self, rows: pl.DataFrame, column: pl.Series, place: Place) -> None:
        text = pl.col(column.name)
        if column.dtype == pl.List(pl.String):
            text = text.list.join("\n")
        what = "looks like an email address or a telephone number, and this column is kept as it comes: leave it out"
        self._suspect(rows, column.name, text.str.contains(PERSONAL), what, place)

    def _suspect(self, rows: pl.DataFrame, name: str, which: pl.Expr, what: str, place: Place) -> None:
        offsets = rows.filter(which)["_offset"].to_list()
        if not offsets:
            return
        tally = self._suspicions.setdefault((name, what), _Tally())
        tally.count += len(offsets)
        for offset in dict.fromkeys(offsets):
            where = place(offset)
            if len(tally.places) < PLACES_TOLD and where not in tally.places:
                tally.places.append(where)
