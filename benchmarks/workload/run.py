"""One pass over a workload: everything that is sent, merged in the order in which it reaches Kafka."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, repeat

import numpy as np
from numpy.typing import NDArray

from benchmarks.workload.clock import LOAD_BEGINS_US, SECOND, Clock
from benchmarks.workload.manifest import Manifest
from benchmarks.workload.poison_source import PoisonSource
from benchmarks.workload.records import Draft, GeneratedRecord, Headers, partition_of
from benchmarks.workload.sources import DraftSource
from benchmarks.workload.spec import WorkloadSpec
from benchmarks.workload.usage import UsageColumns, UsageRows, UsageSource
from benchmarks.workload.wire import TOPICS, Wire

_USAGE_TOPIC = TOPICS["usage_event"]
_CHUNK_ROWS = 50_000
_CUSTOMERS_PER_SPAN = 10_000
_NO_HEADERS: Headers = ()


@dataclass(frozen=True, slots=True)
class UsageRecords:
    """Usage records in the order of arrival, in columns: a tuple for each is made only when it leaves."""

    arrival_us: NDArray[np.int64]
    partitions: list[int]
    keys: list[bytes]
    values: list[bytes]
    timestamps_ms: list[int]

    def __iter__(self) -> Iterator[GeneratedRecord]:
        columns = zip(
            repeat(_USAGE_TOPIC), self.partitions, self.keys, self.values, repeat(_NO_HEADERS), self.timestamps_ms
        )
        return map(GeneratedRecord._make, columns)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Records that follow each other; iterating gives them in the order of arrival.

    Attributes:
        drafts: All records that are not usage, and the spoilt ones that pretend to be; ordered by arrival.
        others: The same, ready to be produced.
        usage: The usage records.
        live: These are of the live part.
        ends_history: The live part, if there is one, begins after this chunk.
    """

    drafts: list[Draft]
    others: list[GeneratedRecord]
    usage: UsageRecords
    live: bool
    ends_history: bool

    def __len__(self) -> int:
        return len(self.others) + len(self.usage.values)

    def __iter__(self) -> Iterator[GeneratedRecord]:
        arrivals = np.array([draft.arrival_us for draft in self.drafts], np.int64)
        usage = iter(self.usage)
        done = 0
        for place, other in zip(np.searchsorted(self.usage.arrival_us, arrivals).tolist(), self.others, strict=True):
            yield from islice(usage, place - done)
            yield other
            done = place
        yield from usage


@dataclass(slots=True, kw_only=True)
class Run:
    """One pass; `chunks` may be read once.

    Attributes:
        spec: What was asked for.
        clock: Event time; `clock.anchor_live` may be called when the chunk with `ends_history` has been taken.
        manifest: Complete when `chunks` is exhausted.
        sources: Everything but usage.
    """

    spec: WorkloadSpec
    clock: Clock
    manifest: Manifest
    sources: list[DraftSource]
    usage: UsageSource
    rows: UsageRows
    poison: PoisonSource
    wire: Wire

    def anchor_live(self, at: datetime) -> None:
        """Let the live part begin at `at`."""
        self.clock.anchor_live(at)

    def chunks(self) -> Iterator[Chunk]:
        """Everything, in the order of arrival."""
        merge = _Merge(self)
        begun = LOAD_BEGINS_US
        for start_us, end_us in self._spans():
            if start_us >= 0:
                merge.usage.append(self.usage.step(start_us, end_us))
            closes = end_us in (0, self.clock.history_us, self.clock.end_us)
            if closes or start_us < 0 or start_us >= self.clock.history_us or merge.waiting() >= _CHUNK_ROWS:
                yield merge.take(begun, end_us)
                begun = end_us

    def _spans(self) -> Iterator[tuple[int, int]]:
        loads = max(self.spec.customers // _CUSTOMERS_PER_SPAN, 1)
        yield from _spans(LOAD_BEGINS_US, 0, -LOAD_BEGINS_US // loads + 1)
        per_second = self.spec.usage_per_customer_per_hour * self.spec.customers / 3600
        calm = min(max(60 * SECOND, self.clock.history_us // 240), 3600 * SECOND)
        busy = int(2 * _CHUNK_ROWS / max(per_second, 1e-9) * SECOND)
        yield from _spans(0, self.clock.history_us, max(min(calm, busy), SECOND))
        yield from _spans(self.clock.history_us, self.clock.end_us, SECOND // 4)


class _Merge:
    """Holds back what has not arrived yet."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._drafts: list[Draft] = []
        self.usage: list[UsageColumns] = []
        ids = run.rows.ids.to_list()
        self._keys = [identity.encode() for identity in ids]
        count = run.spec.partition_count(_USAGE_TOPIC)
        self._partitions = np.array([partition_of(key, count) for key in self._keys], np.int32)

    def waiting(self) -> int:
        """Usage records held."""
        return sum(map(len, self.usage))

    def take(self, start_us: int, end_us: int) -> Chunk:
        """Everything that arrives before `end_us`; at the end of a part of the run, everything."""
        run = self._run
        ends_history, ends = end_us == run.clock.history_us, end_us == run.clock.end_us
        fresh = [draft for source in run.sources for draft in source.between(start_us, end_us)]
        usage, self.usage = self.usage, []
        good = Counter(draft.topic for draft in fresh)
        good[_USAGE_TOPIC] += sum(map(len, usage))
        drafts = self._drafts + fresh + run.poison.between(start_us, end_us, good)
        drafts.sort(key=lambda draft: draft.arrival_us)
        if ends_history and not ends:
            # What is still on its way arrives now: the live part has another clock.
            drafts = [draft._replace(arrival_us=min(draft.arrival_us, end_us - 1)) for draft in drafts]
        cutoff = np.iinfo(np.int64).max if ends_history or ends else end_us
        self._drafts = [draft for draft in drafts if draft.arrival_us >= cutoff]
        drafts = drafts[: len(drafts) - len(self._drafts)]
        columns = self._usage_until(usage, cutoff, clamp=end_us - 1 if ends_history and not ends else None)
        run.manifest.count(drafts)
        others = [self._record(draft) for draft in drafts]
        return Chunk(drafts, others, self._records(columns), start_us >= run.clock.history_us, ends_history)

    def _record(self, draft: Draft) -> GeneratedRecord:
        partition = partition_of(draft.key, self._run.spec.partition_count(draft.topic))
        at_ms = self._run.clock.at(draft.arrival_us) // 1000
        return GeneratedRecord(draft.topic, partition, draft.key, draft.value, draft.headers, at_ms)

    def _usage_until(self, usage: list[UsageColumns], cutoff: int, clamp: int | None) -> UsageColumns | None:
        if not usage:
            return None
        rows = UsageColumns.concat(usage)
        rows = rows.take(np.argsort(rows.arrival_us, kind="stable"))
        if clamp is not None:
            np.minimum(rows.arrival_us, clamp, out=rows.arrival_us)
        split = int(np.searchsorted(rows.arrival_us, cutoff))
        self.usage = [rows.take(np.arange(split, len(rows)))]
        return rows.take(np.arange(split))

    def _records(self, usage: UsageColumns | None) -> UsageRecords:
        if usage is None or not len(usage):
            return UsageRecords(np.empty(0, np.int64), [], [], [], [])
        run, manifest = self._run, self._run.manifest
        who = run.rows.id_positions(usage)
        manifest.records[_USAGE_TOPIC] += len(usage)
        manifest.kinds[_USAGE_TOPIC]["usage"] += len(usage)
        manifest.late[_USAGE_TOPIC] += int(np.count_nonzero(usage.late))
        manifest.duplicates[_USAGE_TOPIC] += int(np.count_nonzero(usage.copy))
        return UsageRecords(
            usage.arrival_us,
            self._partitions[who].tolist(),
            [self._keys[position] for position in who.tolist()],
            run.wire.frame("usage_event", run.rows.frame(usage, run.clock)),
            (run.clock.column(usage.arrival_us) // 1000).tolist(),
        )


def _spans(start_us: int, end_us: int, step_us: int) -> Iterator[tuple[int, int]]:
    for begin in range(start_us, end_us, step_us):
        yield begin, min(begin + step_us, end_us)
