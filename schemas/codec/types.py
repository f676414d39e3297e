"""What a decoder gives back, and the closed set of reasons for which a record is rejected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import polars as pl

from schemas.blocks import RecordBlock
from schemas.contracts import Contract

REASONS: frozenset[str] = frozenset(
    {
        "malformed_avro",  # the bytes do not follow the writer's schema
        "trailing_bytes",  # bytes are left over behind the record
        "unknown_schema",  # the registry does not know the schema id
        "incompatible_schema",  # the writer's schema cannot be read as the contract
        "malformed_json",
        "malformed_syslog",
        "invalid_utf8",
        "nested_too_deep",
        "too_large",
        "null_value",  # a tombstone on a stream that has none
        "missing_key",
        "wrong_type",
        "missing_field",
        "out_of_range",  # right type, impossible value
        "unknown_type",  # an event of a kind the format does not know
        "gap",  # it tells of changes that it does not hold
        "bad_signature",  # a webhook's body is not signed with the topic's secret
        "future_event_time",
        "internal",  # our own fault: the record is kept, the message names the exception's type
    }
)


@dataclass(frozen=True, slots=True)
class Rejected:
    """One record that cannot be read.

    Attributes:
        row: Its position in the block.
        reason: A member of `REASONS`.
        message: Names the column, the type expected and the type that came; never a value.
    """

    row: int
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """What became of a block: every record is in `rows` (one or more), in `rejected` or counted in `empty`.

    Attributes:
        rows: The contract's columns and `_row` (UInt32), the record's position in the block; ordered by `_row`.
        rejected: The records that cannot be read, ordered by row.
        empty: How many records were understood and carry no row (tombstones, heartbeats).
        unknown: By field, how often a word was read that the format does not know and took for another; also in records
            that were refused for something else. The fields are those that the format reads, so they are few.
    """

    rows: pl.DataFrame
    rejected: list[Rejected] = field(default_factory=list)
    empty: int = 0
    unknown: Mapping[str, int] = field(default_factory=dict)


class Decoder(Protocol):
    """Turns a block of one topic's records into rows of one contract. It never raises on account of a record."""

    contract: Contract

    def decode(self, block: RecordBlock) -> Decoded:
        """Decode all records of a block."""
        ...
