"""What an examination of records has found, as data and as a table for people. It holds places, never a value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

PLACES_TOLD = 3
"""How many places a finding names."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Records that are rejected for one cause.

    Attributes:
        reason: A member of `schemas.codec.REASONS`.
        message: Of the first of them; those of the others differ at most in positions.
        count: How many records.
        places: Where the first of them are.
    """

    reason: str
    message: str
    count: int
    places: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a field of the input, or about a column.

    Attributes:
        name: The field's path (`event.alarm.place[].id`) or the column.
        what: What was found.
        count: In how many records (fields) or rows (columns).
        places: Where the first of them are.
    """

    name: str
    what: str
    count: int
    places: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What becomes of some records.

    Attributes:
        source: The file, or the topic.
        stream: The contract that the rows follow.
        format: The format that was read.
        records: How many were read: accepted, empty and rejected together.
        accepted: How many give rows, and are not rejected in part.
        empty: How many are understood and carry none.
        rejected: How many would be dead letters.
        rows: How many rows came of all of them.
        rejections: Why, the most frequent cause first.
        ignored: Fields that no column comes from.
        never_filled: Columns that say nothing in any row.
        suspicious: What was accepted and looks wrong.
    """

    source: str
    stream: str
    format: str
    records: int
    accepted: int
    empty: int
    rejected: int
    rows: int
    rejections: Sequence[Rejection]
    ignored: Sequence[Finding]
    never_filled: Sequence[Finding]
    suspicious: Sequence[Finding]

    def as_dict(self) -> dict[str, Any]:
        """All of it, for machines."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """All of it, for people."""
        yield f"{self.source}, read as {self.stream} in format {self.format}"
        yield (
            f"{self.records:,} records: {self.accepted:,} accepted, {self.empty:,} empty, {self.rejected:,} rejected; "
            f"{self.rows:,} rows"
        )
        yield from _section(
            "rejected", [(each.count, each.reason, each.message, each.places) for each in self.rejections]
        )
        yield from _section("ignored: no column comes from these fields", _cells(self.ignored))
        yield from _section("never filled", _cells(self.never_filled))
        yield from _section("suspicious", _cells(self.suspicious))


def _cells(findings: Sequence[Finding]) -> list[tuple[int, str, str, tuple[str, ...]]]:
    return [(each.count, each.name, each.what, each.places) for each in findings]


def _section(title: str, rows: Sequence[tuple[int, str, str, tuple[str, ...]]]) -> Iterator[str]:
    if not rows:
        return
    yield ""
    yield title
    width = max(len(name) for _, name, _, _ in rows)
    for count, name, what, places in rows:
        where = f"({', '.join(places)}{', …' if count > len(places) else ''})" if places else ""
        yield f"{count:>8,}  {name:<{width}}  {' '.join(filter(None, (what, where)))}".rstrip()
