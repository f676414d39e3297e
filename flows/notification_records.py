"""Notifications as Kafka records: where each goes, and how they are read back after a crash."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from connectors.kafka import OutputBatch
from flows.batch import Origin
from flows.operators.messages import Notifications, Recalled
from flows.operators.shard import split_rows
from schemas.blocks import LazyCells, RecordBlock
from schemas.codec import Decoder, Encoder
from schemas.contracts import contract

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
        values = encoder.encode(rows.select(columns)) if rows.height <= _FEW_ROWS else None
        partition = (pl.col("customer") % partitions).cast(pl.Int32)
        placed = _with_customer(rows).with_columns(partition.alias("partition"), (partition % writers).alias("writer"))
        groups = placed.with_row_index("row").partition_by("channel", "writer", as_dict=True, maintain_order=True)
        return [
            (
                str(writer),
                OutputBatch(
                    topic=f"notifications.{channel}",
                    partitions=part["partition"].to_numpy(),
                    keys=[key.encode() for key in part["customer_key"]],
                    values=_later(encoder, part) if values is None else [values[row] for row in part["row"]],
                    ids=part["notification_id"].to_list(),
                    columns={SEQUENCE_HEADER: [b"%d" % number for number in part["sequence"]]},
                    triggered_ms=part["ingested_ms"].to_numpy(),
                ),
            )
            for (channel, writer), part in groups.items()
        ]

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
    return _with_customer(rows.drop("_row").with_columns(pl.Series("sequence", numbers, pl.Int64)))


def _sequence(block: RecordBlock, row: int) -> int:
    found = dict(block.headers.get(row, ())).get(SEQUENCE_HEADER)
    # a record without number is not from this flow: it lies before everything
    return -1 if found is None else int(found)


def _with_customer(rows: pl.DataFrame) -> pl.DataFrame:
    number = pl.col("customer_key").str.slice(0, 16).str.to_integer(base=16, dtype=pl.UInt64)
    return rows.with_columns(number.alias("customer"))
