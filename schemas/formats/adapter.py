"""What an adapter is: one vendor format, one record in, canonical rows out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, TypeVar

from schemas.codec import AvroEvent, parse_json
from schemas.errors import RecordError
from schemas.formats.fields import Fields

MAX_ROWS_BYTES = 8 * 1_048_576
_ROW_BYTES = 512  # what a row takes beside its texts, about

Part = TypeVar("Part")
Row = dict[str, object]
"""A canonical row: contract columns by name. Times are integers (microseconds since the epoch, UTC), a column that
is left out takes the contract's default."""


@dataclass(frozen=True)
class Record:
    """One Kafka record as an adapter sees it.

    Nearly every format is JSON and reads `value`, or `fields`; one that is not parses `raw` itself.

    Attributes:
        raw: The value, bytes as received; None for a tombstone.
        key: The key, bytes as received.
        headers: The headers, in order.
        timestamp_ms: The record's Kafka timestamp, milliseconds since the epoch, -1 where there is none.
        unknown: By field, how often it held a word that the format does not know and that the adapter read as the
            most cautious one it does (`Fields.word`). The names of fields stand in the adapter: a name that came with
            the record would be a metric label without bounds.
        avro: What an Avro value holds, for formats that come in Avro too; None for any other value.
        parse: Parses a key, for formats that look into it.
    """

    raw: bytes | None
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()
    timestamp_ms: int = -1
    unknown: Counter[str] = field(default_factory=Counter)
    avro: AvroEvent | None = None
    parse: Callable[[bytes], object] = parse_json

    @cached_property
    def value(self) -> object:
        """The value: that of `avro`, else parsed as JSON when it is first asked for; None for a tombstone and `null`.

        Raises:
            RecordError: It is no JSON that we read, see `parse_json`.
        """
        if self.avro is not None:
            return self.avro.value
        return None if self.raw is None else parse_json(self.raw)

    def fields(self) -> Fields:
        """The fields of the value.

        Raises:
            RecordError: It is a tombstone, no JSON, or no object.
        """
        if self.value is None:
            raise RecordError("null_value", "value: expected an object, came null")
        return Fields.of(self.value, unknown=self.unknown)

    def header(self, name: str) -> bytes | None:
        """The last header of that name, None where there is none. Case does not matter, as in HTTP."""
        wanted = name.lower()
        return next((value for key, value in reversed(self.headers) if key.lower() == wanted), None)


class Adapter(Protocol):
    """One vendor format. Pure: the rows depend on the record alone, so a replay gives the same rows.

    One that checks signatures is made with the secret.
    """

    @property
    def stream(self) -> str:
        """The contract its rows follow."""
        ...

    @property
    def name(self) -> str:
        """The format's name in `topics.toml`."""
        ...

    def adapt(self, record: Record) -> list[Row]:
        """Turn one record into rows; none where it is understood and carries none (a tombstone, a heartbeat).

        Raises:
            RecordError: The record cannot be read; `PartlyReadError` where a part of it can.
        """
        ...


class PartlyReadError(RecordError):
    """A part of a record cannot be read, such as some events of one that carries many: the rows of the rest go on.

    The record is a dead letter too, so nothing of it is lost; to send it again does no harm, for the rows that went
    on are the same rows then.

    Args:
        reason: Why the first unreadable part cannot be read.
        message: What is wrong with it.
        rows: The rows of the rest.
    """

    def __init__(self, reason: str, message: str, rows: list[Row]) -> None:
        super().__init__(reason, message)
        self.rows = rows


def rows_of_parts(parts: Iterable[Part], read: Callable[[Part], Iterable[Row]]) -> list[Row]:
    """The rows of a record that carries many events, or speaks of many customers.

    Bounded, for what the parts have in common is written into each row: a record of a mebibyte with a long name and
    very many parts would come to as many gibibytes.

    Args:
        parts: The events.
        read: The rows of one.

    Raises:
        RecordError: No part can be read; `PartlyReadError` where others can; `too_large` where all rows together
            would take more than `MAX_ROWS_BYTES`.
    """
    rows: list[Row] = []
    first: tuple[str, str] | None = None  # not the error: with its traceback it would hold this frame, and the rows
    size = 0
    for part in parts:
        whole = len(rows)
        try:
            for row in read(part):
                rows.append(row)
                size += _ROW_BYTES + sum(_length(cell) for cell in row.values())
                if size > MAX_ROWS_BYTES:
                    break
        except RecordError as error:
            del rows[whole:]
            first = first or (error.reason, str(error))
        if size > MAX_ROWS_BYTES:
            raise RecordError("too_large", f"value: expected rows of at most {MAX_ROWS_BYTES} bytes, came more")
    if first and rows:
        raise PartlyReadError(*first, rows)
    if first:
        raise RecordError(*first)
    return rows


def _length(cell: object) -> int:
    if isinstance(cell, str):
        return len(cell)
    return sum(map(_length, cell)) if isinstance(cell, list) else 0
