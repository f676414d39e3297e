"""shard: splits batches by customer; every shard hears of every batch, for each carries its origin's progress.

Stateless. The shard of a customer is the first 64 bits of the customer key modulo the number of shards, a persisted
format. Empty slices are sent too: a shard without rows in a batch must still hear how far the batch's origin has
come.
"""

from __future__ import annotations

from dataclasses import replace

import bytewax.operators as op
import polars as pl
from bytewax.dataflow import Stream, operator
from bytewax.operators import KeyedStream

from flows.batch import Batch

__all__ = ["shard", "split_rows"]


def split_rows(rows: pl.DataFrame, shards: int) -> list[pl.DataFrame]:
    """Split rows by `customer` into one frame per shard, order kept."""
    if shards == 1:
        return [rows]
    parts = rows.with_columns((pl.col("customer") % shards).alias("_shard")).partition_by(
        "_shard", as_dict=True, include_key=False, maintain_order=True
    )
    empty = rows.clear()
    return [parts.get((number,), empty) for number in range(shards)]


@operator
def shard(step_id: str, up: Stream[Batch], shards: int) -> KeyedStream[Batch]:
    """Key slices of each batch by shard number.

    Args:
        step_id: Unique name of the step.
        up: Tokenized batches with a `customer` column.
        shards: How many.
    """

    def split(batch: Batch) -> list[tuple[str, Batch]]:
        slices = split_rows(batch.rows, shards)
        return [(str(number), replace(batch, rows=rows)) for number, rows in enumerate(slices)]

    return op.flat_map("split_rows", up, split)
