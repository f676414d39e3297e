"""A dataflow that fills two tables and a counter, run as a process of its own so that it can be killed.

`python -m tests.contract.tables_flow DATA_DIR EPOCHS KILL_POINT`: a kill point is `none`, or `when:what:nth` with when
`before` or `after` the nth rename to a path that ends in (or whose name contains) what.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

import bytewax.operators as op
import polars as pl
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import cluster_main

from connectors.metrics import CounterRows, MetricsSink
from connectors.tables import TableRows, TableSpec, TablesSink, Tick, claim_generation

ROWS_PER_EPOCH = 3
TABLES = {
    "numbers": TableSpec("numbers", {"n": pl.Int64, "epoch": pl.Int64}, sort_by=("n",)),
    "epochs": TableSpec("epochs", {"key": pl.String, "epoch": pl.Int64}, latest_by=("key",), order_by="epoch"),
}


class EpochSource(FixedPartitionedSource[int, int]):
    """Gives the numbers 0 to `epochs - 1`, each in an epoch of its own."""

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs

    def list_parts(self) -> list[str]:
        return ["0"]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> _EpochPartition:
        return _EpochPartition(self._epochs, resume_state or 0)


class _EpochPartition(StatefulSourcePartition[int, int]):
    def __init__(self, epochs: int, at: int) -> None:
        self._epochs = epochs
        self._at = at

    def next_batch(self) -> list[int]:
        if self._at == self._epochs:
            raise StopIteration
        self._at += 1
        return [self._at - 1]

    def snapshot(self) -> int:
        return self._at


def rows_of(epoch: int) -> list[TableRows]:
    first = epoch * ROWS_PER_EPOCH
    numbers = pl.DataFrame({"n": range(first, first + ROWS_PER_EPOCH), "epoch": [epoch] * ROWS_PER_EPOCH})
    return [
        TableRows("numbers", numbers),
        TableRows("epochs", pl.DataFrame({"key": [f"k{epoch % 2}"], "epoch": [epoch]})),
    ]


def run(data_dir: Path, epochs: int) -> None:
    tables = TablesSink(
        data_dir, TABLES, generation=claim_generation(data_dir), buffer_rows=2, views_interval_seconds=0.0
    )
    metrics = MetricsSink(data_dir / "metrics")
    flow = Dataflow("fill_tables")
    epoch = op.input("read_epochs", flow, EpochSource(epochs))  # Stream[int]
    op.output("write_tables", op.flat_map("make_rows", epoch, lambda e: [("0", Tick()), *_keyed(rows_of(e))]), tables)
    counted = op.flat_map("count_rows", epoch, lambda _: [("0", Tick()), ("0", CounterRows("epochs_seen"))])
    op.output("write_metrics", counted, metrics)
    recovery = data_dir / "recovery"
    if not recovery.exists():
        recovery.mkdir(parents=True)
        init_db_dir(recovery, 1)
    cluster_main(flow, [], 0, epoch_interval=timedelta(0), recovery_config=RecoveryConfig(str(recovery), timedelta(0)))
    tables.finalize()
    metrics.finalize()


def _keyed(rows: list[TableRows]) -> list[tuple[str, TableRows]]:
    return [("0", some) for some in rows]


def kill_at(point: str) -> None:
    when, what, nth = point.split(":")
    seen = 0
    replace = os.replace

    def replace_or_die(source: str | Path, target: str | Path) -> None:
        nonlocal seen
        hit = what in Path(target).name
        seen += hit
        if hit and seen == int(nth) and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)
        if hit and seen == int(nth) and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = replace_or_die


if __name__ == "__main__":
    if sys.argv[3] != "none":
        kill_at(sys.argv[3])
    run(Path(sys.argv[1]), int(sys.argv[2]))
