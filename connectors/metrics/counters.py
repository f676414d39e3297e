"""Exact counters: totals that are part of the recovery state, so a crash neither loses nor repeats a count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import orjson
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from connectors.metrics.catalog import check_counter
from connectors.tables.durable import write_atomically
from connectors.tables.items import Tick
from schemas.errors import TerminalError

FORMAT = 1
FILE_NAME = "counters.json"

Series = tuple[str, tuple[tuple[str, str], ...]]
"""A counter's name and its labels, sorted."""


@dataclass(frozen=True, slots=True)
class CounterRows:
    """An amount to add to a counter.

    Attributes:
        name: Name of the counter, without prefix and `_total`: see `catalog.COUNTERS`.
        labels: Its labels.
        amount: What to add, at least 0.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    amount: int = 1

    @property
    def series(self) -> Series:
        """What the amount is added to."""
        return self.name, tuple(sorted(self.labels.items()))


class CountersState(TypedDict):
    """What the recovery store holds."""

    format: int
    totals: dict[Series, int]


class MetricsSink(FixedPartitionedSink[CounterRows | Tick, CountersState]):
    """Adds up counters; items are `("0", CounterRows | Tick)`.

    **Delivery**: exactly once. The totals are part of the recovery state; what is shown (`counters.json`) is the
    totals of an epoch that is durable, so it never goes back, also across crashes.

    **Ordering**: none is needed.

    **Parallelism**: one partition, "0".

    **Resume state**: the totals.

    **Retries**: none; an error stops the worker.

    Args:
        directory: Where `counters.json` goes; made when missing.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._built: list[_MetricsPartition] = []

    def list_parts(self) -> list[str]:
        """The one partition."""
        return ["0"]

    def build_part(self, step_id: str, for_part: str, resume_state: CountersState | None) -> _MetricsPartition:
        """Take up the totals of the recovery state, and show them.

        Raises:
            TerminalError: Another version wrote the state.
        """
        del step_id, for_part
        if resume_state is not None and resume_state["format"] != FORMAT:
            raise TerminalError(
                f"expected recovery state of counters in format {FORMAT}, came {resume_state['format']}; run the "
                "version that wrote it"
            )
        part = _MetricsPartition(self._directory, resume_state["totals"] if resume_state else {})
        self._built.append(part)
        return part

    def finalize(self) -> None:
        """Show the last totals, after the dataflow has ended well; call it in each process that ran it."""
        for part in self._built:
            part.show()
        self._built.clear()


class _MetricsPartition(StatefulSinkPartition[CounterRows | Tick, CountersState]):
    def __init__(self, directory: Path, totals: Mapping[Series, int]) -> None:
        self._path = directory / FILE_NAME
        directory.mkdir(parents=True, exist_ok=True)
        self._totals = Counter(totals)
        self._saved = dict(totals)
        self._shown: dict[Series, int] | None = None
        self.show()

    def write_batch(self, values: list[CounterRows | Tick]) -> None:
        if any(isinstance(value, Tick) for value in values):
            self.show()
        for value in values:
            if isinstance(value, CounterRows):
                self._add(value)

    def snapshot(self) -> CountersState:
        self._saved = dict(self._totals)
        return CountersState(format=FORMAT, totals=self._saved)

    def show(self) -> None:
        """Write the totals of the last snapshot; only call it when that is durable."""
        if self._shown == self._saved:
            return
        rows = [{"name": name, "labels": dict(labels), "total": total} for (name, labels), total in self._saved.items()]
        # Nothing is lost with this file: each start writes it again from the recovery state. So no fsync.
        write_atomically(self._path, orjson.dumps({"format": FORMAT, "counters": rows}), durable=False)
        self._shown = self._saved

    def _add(self, rows: CounterRows) -> None:
        if rows.series not in self._totals:
            check_counter(rows.name, rows.labels)
        if rows.amount < 0:
            raise TerminalError(f"counter {rows.name}: expected an amount of at least 0, came a negative one")
        self._totals[rows.series] += rows.amount


def read_counters(directory: Path) -> dict[Series, int]:
    """The totals of the last durable epoch; none before the first."""
    try:
        fields = orjson.loads((directory / FILE_NAME).read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):  # not there yet, or torn by a loss of power
        return {}
    return {CounterRows(row["name"], row["labels"]).series: row["total"] for row in fields["counters"]}
