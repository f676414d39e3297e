"""shard: slices partition the rows in their order, and every shard hears how far each origin has come."""

from __future__ import annotations

from collections import defaultdict

import polars as pl
from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.batch import Batch, Origin
from flows.operators.shard import shard, split_rows

SCHEMA: dict[str, pl.DataType] = {"customer": pl.UInt64(), "_offset": pl.Int64()}
CUSTOMERS = st.lists(st.integers(0, 20) | st.integers(0, 2**64 - 1), max_size=20)
SHARDS = st.sampled_from([1, 2, 3, 16, 64])


def frame(customers: list[int]) -> pl.DataFrame:
    return pl.DataFrame({"customer": customers, "_offset": range(len(customers))}, schema=SCHEMA)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    return Batch(
        Origin("usage.events", draw(st.integers(0, 2))),
        "usage_event",
        frame(draw(CUSTOMERS)),
        draw(st.none() | st.integers(0, 9)),
        draw(st.booleans()),
        draw(st.booleans()),
    )


@settings(max_examples=60, deadline=None)
@given(customers=CUSTOMERS, shards=SHARDS)
def test_slices_are_the_rows_of_each_shard_in_their_order_when_split(customers: list[int], shards: int) -> None:
    slices = split_rows(frame(customers), shards)
    assert [part.rows() for part in slices] == [
        [(customer, offset) for offset, customer in enumerate(customers) if customer % shards == number]
        for number in range(shards)
    ]
    assert all(part.schema == SCHEMA for part in slices)


@settings(max_examples=15, deadline=None)
@given(sent=st.lists(batches(), max_size=4), shards=st.sampled_from([1, 2, 5]))
def test_every_shard_hears_the_progress_of_every_batch_when_it_has_no_rows(sent: list[Batch], shards: int) -> None:
    out: list[tuple[str, Batch]] = []
    flow = Dataflow("shard_alone")
    op.output(
        "write_slices", shard("shard_rows", op.input("read", flow, TestingSource(sent)), shards), TestingSink(out)
    )
    run_main(flow)

    heard: dict[str, list[Batch]] = defaultdict(list)
    for key, part in out:
        heard[key].append(part)
    assert set(heard) == ({str(number) for number in range(shards)} if sent else set())
    for number, parts in heard.items():
        for part, batch in zip(parts, sent, strict=True):
            told = (part.origin, part.stream, part.max_event_time, part.caught_up, part.finished)
            assert told == (batch.origin, batch.stream, batch.max_event_time, batch.caught_up, batch.finished)
            assert part.rows.equals(batch.rows.filter(pl.col("customer") % shards == int(number)))
