"""decode: record blocks into batches of canonical rows; what cannot be read comes out beside them.

Stateless. A row whose event time lies more than `max_future` after its record's Kafka timestamp is not believed: one
clock gone mad would make every honest row late. The Kafka timestamp is part of the input, so a replay decides alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import bytewax.operators as op
import numpy as np
import polars as pl
from bytewax.dataflow import Stream, operator
from numpy.typing import NDArray

from flows.batch import Batch, Origin
from flows.operators.messages import Counted
from flows.operators.watermark import NEVER
from schemas.blocks import RecordBlock
from schemas.codec import Decoded, Decoder, Rejected
from schemas.codec.times import MAXIMUM_MICROSECONDS
from schemas.frames import integers, take, without

__all__ = ["DecodeSpec", "DecodeStreams", "Refused", "decode", "decode_block"]

Longs = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Refused:
    """Records of one block that could not be read."""

    block: RecordBlock
    rejected: list[Rejected]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeSpec:
    """How blocks are decoded.

    Attributes:
        decoders: By topic.
        max_future: How far a row's time may run ahead of Kafka's, microseconds.
        timed: Entered around the work on each block, to measure it.
    """

    decoders: Mapping[str, Decoder]
    max_future: int
    timed: Callable[[], AbstractContextManager[None]] = nullcontext

    def __post_init__(self) -> None:
        if self.max_future < 0:
            raise ValueError("expected max_future of at least 0 microseconds")


@dataclass(frozen=True)
class DecodeStreams:
    """What decode gives out."""

    rows: Stream[Batch]
    refused: Stream[Refused]
    counted: Stream[Counted]


def decode_block(block: RecordBlock, spec: DecodeSpec) -> tuple[Batch, Refused | None, list[Counted]]:
    """Decode one block.

    Returns:
        The batch (perhaps without rows: it still carries progress), the refused records if any, and counts. A record
        of many events that is refused in part goes to the refused ones once, and its other rows go on; but one row
        whose time is not believed takes all rows of its record with it.
    """
    decoder = spec.decoders[block.topic]
    decoded = decoder.decode(block) if len(block) else Decoded(_no_rows(decoder))
    rows, rejected = decoded.rows, list(decoded.rejected)
    record, times = rows["_row"].to_numpy(), integers(rows["event_time"])
    mad = np.unique(record[_ahead_of_kafka(times, block.timestamps_ms[record], spec.max_future)])
    if len(mad):
        message = "event_time: expected at most the record's Kafka timestamp and max_future, got a later time"
        known = {each.row for each in rejected}
        rejected += [Rejected(row, "future_event_time", message) for row in mad.tolist() if row not in known]
        rejected.sort(key=lambda each: each.row)
        rows = take(rows, ~np.isin(record, mad))
        record, times = rows["_row"].to_numpy(), integers(rows["event_time"])
    seen = np.maximum.accumulate(times)
    progress = {
        "_timestamp": block.timestamps_ms[record],
        "_offset": block.offsets[record],
        "_seen": np.concatenate(([NEVER], seen[:-1])) if len(seen) else seen,
    }
    batch = Batch(
        Origin(block.topic, block.partition),
        decoder.contract.name,
        without(rows, ["_row"]).hstack([pl.Series(name, column) for name, column in progress.items()]),
        int(seen[-1]) if len(seen) else None,
        block.caught_up,
        block.finished,
    )
    refused = Refused(block, rejected) if rejected else None
    extra_rows = rows.height + decoded.empty + len(rejected) - len(block)
    return batch, refused, _counts(block.topic, len(block), decoded, extra_rows, rejected)


@operator
def decode(step_id: str, up: Stream[RecordBlock], spec: DecodeSpec) -> DecodeStreams:
    """Decode every block.

    Args:
        step_id: Unique name of the step.
        up: Blocks of the topics that the spec has decoders for.
        spec: How.
    """
    done = op.flat_map("decode_block", up, lambda block: _parts(block, spec))
    return DecodeStreams(
        op.filter_map("rows", done, lambda part: part if isinstance(part, Batch) else None),
        op.filter_map("refused", done, lambda part: part if isinstance(part, Refused) else None),
        op.filter_map("counted", done, lambda part: part if isinstance(part, Counted) else None),
    )


def _parts(block: RecordBlock, spec: DecodeSpec) -> list[Batch | Refused | Counted]:
    with spec.timed():
        batch, refused, counts = decode_block(block, spec)
    return [batch, *([refused] if refused else []), *counts]


def _no_rows(decoder: Decoder) -> pl.DataFrame:
    return pl.DataFrame(schema={**decoder.contract.polars, "_row": pl.UInt32})


def _ahead_of_kafka(times: Longs, stamps_ms: Longs, max_future: int) -> NDArray[np.bool_]:
    # a producer may set any timestamp: those after the last time that a row can have are as good as that, and fit
    stamps = np.minimum(stamps_ms, MAXIMUM_MICROSECONDS // 1000 + 1) * 1000
    ahead: NDArray[np.bool_] = (stamps_ms >= 0) & (times - stamps > max_future)
    return ahead


def _counts(topic: str, records: int, decoded: Decoded, extra_rows: int, rejected: list[Rejected]) -> list[Counted]:
    """Nothing vanishes: records and extra rows are together what is used, late, duplicate or rejected."""
    label = ("topic", topic)
    counted = [Counted("records_consumed", (label,), records)] if records else []
    if decoded.empty:
        counted.append(Counted("records", (label, ("outcome", "used")), decoded.empty))
    if extra_rows > 0:
        counted.append(Counted("extra_rows", (label,), extra_rows))
    for reason, amount in sorted(Counter(each.reason for each in rejected).items()):
        counted.append(Counted("records_rejected", (label, ("reason", reason)), amount))
    for field, amount in sorted(decoded.unknown.items()):
        counted.append(Counted("unknown_values", (label, ("field", field)), amount))
    return counted
