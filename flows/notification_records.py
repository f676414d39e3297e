"""Notifications as Kafka records: where each goes, and how they are read back after a crash."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from connectors.kafka import OutputBatch
from flows.batch import Origin
from flows.operators.messages import Notifications, Recalled
from flows.operators.shard import split_rows
from schemas.blocks import LazyCells, RecordBlock
from schemas.codec import Decoder, Encoder
from schemas.contracts import contract
from schemas.frames import pick, take, without

SEQUENCE_HEADER = "signalbox.sequence"
"""Numbers the notifications of a shard, so that after a crash it tells those it knows from those it has lost."""
NETWORK_KEY = "network"
"""The key of what concerns the network as a whole; shards are keyed by their number."""
_PART_ROWS = 10_000
_FEW_ROWS = 1000


def address_notifications(
    encoder: Encoder, partitions: int, writers: int
) -> Callable[[Notifications], list[tuple[str, OutputBatch]]]:
    """Encode notifications, each for its channel's topic and its customer's partition.

    Args:
        encoder: Of the `notification` contract.
        partitions: Of every notification topic. A customer has the same one in all of them.
        writers: How many share the partitions.

    Returns:
        A function that makes (writer, batch) pairs, the order of a customer's notifications kept.
    """
    columns = list(contract("notification").polars)

    def address(notifications: Notifications) -> list[tuple[str, OutputBatch]]:
        # a part at a time: what is worked on stays in memory that is there already
        parts = notifications.rows.iter_slices(_PART_ROWS)
        return [addressed for part in parts for addressed in address_part(part)]

    def address_part(rows: pl.DataFrame) -> list[tuple[str, OutputBatch]]:
        # many are encoded by the threads that write them, a few at once: then one call is cheaper than several
        values = encoder.encode(pick(rows, columns)) if rows.height <= _FEW_ROWS else None
        partition = (_customers(rows["customer_key"]) % np.uint64(partitions)).astype(np.int32)
        channels = rows["channel"].to_list()
        topics = sorted(set(channels))
        group = np.array([topics.index(channel) for channel in channels], np.int64) * writers + partition % writers
        return [
            (str(number % writers), _batch(rows, group == number, topics[number // writers], partition, values))
            for number in np.unique(group).tolist()
        ]

    def _batch(
        rows: pl.DataFrame,
        which: NDArray[np.bool_],
        channel: str,
        partition: NDArray[np.int32],
        values: list[bytes] | None,
    ) -> OutputBatch:
        part = take(rows, which)
        return OutputBatch(
            topic=f"notifications.{channel}",
            partitions=partition[which],
            keys=[key.encode() for key in part["customer_key"].to_list()],
            values=_later(encoder, part) if values is None else [values[row] for row in np.flatnonzero(which)],
            ids=part["notification_id"].to_list(),
            columns={SEQUENCE_HEADER: [b"%d" % number for number in part["sequence"].to_list()]},
            triggered_ms=part["ingested_ms"].to_numpy(),
        )

    return address


def _later(encoder: Encoder, rows: pl.DataFrame) -> LazyCells:
    return LazyCells(rows.height, lambda: encoder.encode_packed(rows))


def recall_notifications(decoder: Decoder, shards: int) -> Callable[[RecordBlock], list[tuple[str, Recalled]]]:
    """Read back what was published: for the network's step, and for the shards of the customers.

    Returns:
        A function that makes (key, message) pairs. A block without records is for everybody.
    """
    nothing = _recalled_rows(decoder, RecordBlock.from_records("", 0, []))

    def recall(block: RecordBlock) -> list[tuple[str, Recalled]]:
        origin = Origin("published", block.partition)
        if not len(block):
            done = Recalled(origin, nothing, block.caught_up)
            return [(NETWORK_KEY, done), *((str(number), done) for number in range(shards))]
        rows = _recalled_rows(decoder, block)
        slices = enumerate(split_rows(rows, shards))
        by_shard = [(str(number), Recalled(origin, part, complete=False)) for number, part in slices if part.height]
        return [(NETWORK_KEY, Recalled(origin, rows, complete=False)), *by_shard]

    return recall


def _recalled_rows(decoder: Decoder, block: RecordBlock) -> pl.DataFrame:
    rows = decoder.decode(block).rows
    numbers = [_sequence(block, row) for row in rows["_row"]]
    added = [pl.Series("sequence", numbers, pl.Int64), pl.Series("customer", _customers(rows["customer_key"]))]
    return without(rows, ("_row",)).hstack(added)


def _sequence(block: RecordBlock, row: int) -> int:
    found = dict(block.headers.get(row, ())).get(SEQUENCE_HEADER)
    # a record without number is not from this flow: it lies before everything
    return -1 if found is None else int(found)


def _customers(keys: pl.Series) -> NDArray[np.uint64]:
    """The numbers of customers: the first half of their keys, which are 32 hex characters."""
    numbers: NDArray[np.uint64] = np.frombuffer(bytes.fromhex("".join(keys.to_list())), ">u8")[::2].astype(np.uint64)
    return numbers
