"""TablesSink: rows of a flow into feature tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from connectors.tables.durable import disk_errors_as_transient
from connectors.tables.fence import Fence
from connectors.tables.items import TableRows, TableSpec, Tick
from connectors.tables.layout import DEFAULT_FLOW, Place, check_flow_name
from connectors.tables.writer import BUFFER_ROWS, TableWriter
from schemas.errors import TerminalError

STATE_FORMAT = 1


class SinkState(TypedDict):
    """What the recovery store holds of one writer."""

    format: int
    sequence: int


class TablesSink(FixedPartitionedSink[TableRows | Tick, SinkState]):
    """Appends rows to tables of Parquet files; items are `(str(writer), TableRows | Tick)`.

    **Delivery**: exactly once, and what readers saw stays. Rows are files at the close of their epoch; when the first
    `Tick` of a later epoch comes they become visible, in another thread. After a crash what the recovery state knows
    is made visible, and whatever came later is deleted. The tables of one writer change together.

    **Ordering**: none between rows; `TableSpec.order_by` tells which row of a key is the latest.

    **Parallelism**: one partition per writer, "0" to `writers - 1`. The number is a persisted format.

    **Resume state**: the sequence number of the last commit. With recovery off, everything stays invisible until
    `finalize`.

    **Retries**: none; an error (`TransientError` when the disk refuses) stops the worker, and the epoch is written anew
    after the restart.

    Args:
        data_dir: The data directory. Its file system must be local: locks and renames are relied on.
        tables: The tables by name.
        flow: Name of the flow; flows with different names share a data directory without knowing of each other.
        writers: Number of partitions.
        generation: What `claim_generation` gave at the start; None takes the present one.
        buffer_rows: Rows held in memory before they are written to a file.
        views_interval_seconds: Least time between two refreshes of `features.duckdb`.

    Raises:
        TerminalError: A name does not fit its spec, or there are no writers.
    """

    def __init__(
        self,
        data_dir: Path,
        tables: Mapping[str, TableSpec],
        *,
        flow: str = DEFAULT_FLOW,
        writers: int = 1,
        generation: int | None = None,
        buffer_rows: int = BUFFER_ROWS,
        views_interval_seconds: float = 5.0,
    ) -> None:
        for name, spec in tables.items():
            if name != spec.name:
                raise TerminalError(f"expected the spec of table {name!r}, came that of {spec.name!r}")
        if writers < 1:
            raise TerminalError(f"expected at least 1 writer, came {writers}")
        self._data_dir = data_dir
        self._tables = dict(tables)
        self._flow = check_flow_name(flow)
        self._parts = sorted(str(writer) for writer in range(writers))
        self._generation = generation
        self._buffer_rows = buffer_rows
        self._views_interval_seconds = views_interval_seconds
        self._built: list[TableWriter] = []

    def list_parts(self) -> list[str]:
        """The writers, in the order in which `part_fn` counts them."""
        return self._parts

    def part_fn(self, item_key: str) -> int:
        """The position of the writer that the key names."""
        return self._parts.index(item_key)

    def build_part(self, step_id: str, for_part: str, resume_state: SinkState | None) -> _TablesPartition:
        """Build a writer, which makes visible what `resume_state` knows.

        Raises:
            TerminalError: Files and recovery state do not belong together, or another process has taken over.
            TransientError: The disk refuses.
        """
        del step_id
        with disk_errors_as_transient(self._data_dir):
            writer = TableWriter(
                Place(self._data_dir, self._flow, int(for_part)),
                self._tables,
                Fence(self._data_dir, self._flow, self._generation),
                _sequence(resume_state),
                buffer_rows=self._buffer_rows,
                views_interval_seconds=self._views_interval_seconds,
            )
        self._built.append(writer)
        return _TablesPartition(writer, self._data_dir)

    def finalize(self) -> None:
        """Show everything, after the dataflow has ended well; call it in each process that ran it."""
        with disk_errors_as_transient(self._data_dir):
            for writer in self._built:
                writer.finalize()
        self._built.clear()


class _TablesPartition(StatefulSinkPartition[TableRows | Tick, SinkState]):
    def __init__(self, writer: TableWriter, data_dir: Path) -> None:
        self._writer = writer
        self._data_dir = data_dir

    def write_batch(self, values: list[TableRows | Tick]) -> None:
        with disk_errors_as_transient(self._data_dir):
            if any(isinstance(value, Tick) for value in values):
                self._writer.publish()
            for value in values:
                if isinstance(value, TableRows):
                    self._writer.append(value.table, value.rows)
            self._writer.write_early()

    def snapshot(self) -> SinkState:
        with disk_errors_as_transient(self._data_dir):
            return SinkState(format=STATE_FORMAT, sequence=self._writer.stage())

    def close(self) -> None:
        self._writer.close()


def _sequence(state: SinkState | None) -> int | None:
    if state is None:
        return None
    if state["format"] != STATE_FORMAT:
        raise TerminalError(
            f"expected recovery state of tables in format {STATE_FORMAT}, came {state['format']}; run the version that "
            "wrote it"
        )
    return state["sequence"]
