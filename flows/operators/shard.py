"""shard: splits batches by customer; every shard hears of every batch, for each carries its origin's progress.

Stateless. The shard of a customer is the first 64 bits of the customer key modulo the number of shards, a persisted
format. Empty slices are sent too: a shard without rows in a batch must still hear how far the batch's origin has
come.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import bytewax.operators as op
import numpy as np
import polars as pl
from bytewax.dataflow import Stream, operator
from bytewax.operators import KeyedStream

from flows.batch import Batch

__all__ = ["shard", "split_rows"]


def split_rows(rows: pl.DataFrame, shards: int) -> list[pl.DataFrame]:
    """Split rows by `customer` into one frame per shard, order kept."""
    if shards == 1:
        return [rows]
    number = rows["customer"].to_numpy() % np.uint64(shards)
    # sorted as a whole and cut: the parts share its memory
    in_order = rows[np.argsort(number.astype(np.uint16), kind="stable")]
    ends = np.cumsum(np.bincount(number.astype(np.int64), minlength=shards))
    return [in_order.slice(first, end - first) for first, end in pairwise([0, *ends.tolist()])]


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
