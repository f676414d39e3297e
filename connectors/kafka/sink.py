"""TransactionalSink: publishes each record exactly once, without waiting for a checkpoint."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from connectors.kafka.config import KafkaConfig
from connectors.kafka.output import OutputBatch, published_ids
from connectors.kafka.recall import Recall, own_partitions, transactional_id
from connectors.kafka.writer import Writer, take_over
from connectors.metrics import process_metrics
from schemas.errors import TerminalError

OnCommit = Callable[[OutputBatch, int], None]
"""Called after each commit with a batch and the time in milliseconds since the epoch, perhaps from another thread."""

_RECALL_WAIT_MS = 5
_RECORDS_PER_COMMIT = 10_000


@dataclass(frozen=True, slots=True)
class Published:
    """What a writer has published, as its successor needs to know it.

    Attributes:
        next_offsets: Where the next record lands at the earliest, by `topic/partition`.
        expected: Ids of records before there that the replay of a lost epoch has not made again yet. It cuts its input
            otherwise than the lost epoch did, so some of them may come in a later epoch than others.
    """

    next_offsets: dict[str, int] = field(default_factory=dict)
    expected: frozenset[str] = frozenset()


class TransactionalSink(FixedPartitionedSink[OutputBatch, Published]):
    """Publishes `(str(writer), OutputBatch)` items; each `write_batch` is one short transaction, committed at once.

    With `recalled` the writers commit side by side, many records in several transactions, and the close of the epoch
    waits for them.

    Delivery: exactly once for readers of committed records, provided that ids are pure functions of the inputs. After a
        failure the writer first fences its predecessor, then reads what that one had published after the snapshot,
        and skips those ids in the replay. With `recalled` a `PublishedSource` does this, and the flow's own state sees
        to it that nothing is said twice.
    Ordering: as given, within a partition.
    Parallelism: `writers` parts, a persisted format; writer `w` owns partition `p` of every topic where
        `p % writers == w`.
    Resume state: `Published`; nothing in it with `recalled`.
    Retries: librdkafka's own within the transaction; if it gives up, the transaction is aborted and the flow stops
        with a `TransientError`.

    Args:
        config: How to reach Kafka.
        flow: The flow's name, part of the transactional id.
        sink: The sink's name within the flow, part of the transactional id.
        topics: The topics it publishes in. They must exist.
        writers: The number of writers.
        recalled: A `PublishedSource` of the same flow, sink, topics and writers reads back what was published.
        on_commit: Told of every batch that has become visible, to measure.

    Raises:
        TerminalError: Another process has taken over, a topic does not exist, or a record is too large for its topic.
        TransientError: Kafka does not answer.
    """

    def __init__(
        self,
        config: KafkaConfig,
        *,
        flow: str,
        sink: str,
        topics: Sequence[str],
        writers: int,
        recalled: bool = False,
        on_commit: OnCommit | None = None,
    ) -> None:
        self._config = config
        self._flow, self._sink = flow, sink
        self._topics = tuple(topics)
        self._writers = writers
        self._recalled = recalled
        self._on_commit = on_commit

    def list_parts(self) -> list[str]:
        """One part per writer."""
        return [str(writer) for writer in range(self._writers)]

    def part_fn(self, item_key: str) -> int:
        """The position of a writer among the parts as Bytewax orders them: as strings."""
        return sorted(self.list_parts()).index(item_key)

    def build_part(
        self,
        step_id: str,  # noqa: ARG002
        for_part: str,
        resume_state: Published | None,
    ) -> _TransactionalPartition | _RecalledPartition:
        """Make one writer; without `recalled` it reads back at once, which may take as long as it has published."""
        writer = int(for_part)
        identity = transactional_id(self._flow, self._sink, writer)
        owned = _Owned(self._topics, writer, self._writers)
        commits = _Commits(self._sink, self._on_commit)
        if self._recalled:
            return _RecalledPartition(lambda: take_over(self._config, identity), owned, commits)
        published = Writer(self._config, identity)
        origins = own_partitions(self._config, self._topics, writer, self._writers)
        before = resume_state or Published()
        recall = Recall(self._config, origins, before.next_offsets)
        expected = set(before.expected)
        while not recall.finished:
            expected |= published_ids(recall.read(_RECALL_WAIT_MS))
        return _TransactionalPartition(published, owned, commits, recall.next_offsets, expected)


class _Owned:
    """Refuses what belongs to another writer: nobody would find it after a failure."""

    def __init__(self, topics: tuple[str, ...], writer: int, writers: int) -> None:
        self._topics, self._writer, self._writers = frozenset(topics), writer, writers

    def check(self, batches: list[OutputBatch]) -> None:
        for batch in batches:
            if batch.topic not in self._topics:
                raise TerminalError(
                    f"writer {self._writer} got a batch for {batch.topic}, which the sink was not given"
                )
            if len(batch) and bool((batch.partitions % self._writers != self._writer).any()):
                raise TerminalError(
                    f"writer {self._writer} of {self._writers} got records for partitions of {batch.topic} that belong "
                    "to another writer: give each record to writer partition % writers"
                )


class _Commits:
    """Publishes, measures transactions, and tells who wants to know of commits."""

    def __init__(self, sink: str, on_commit: OnCommit | None) -> None:
        metrics = process_metrics()
        self._count, self._seconds = metrics.transactions.labels(sink), metrics.transaction_seconds.labels(sink)
        self._on_commit = on_commit

    def publish(self, writer: Writer, batches: list[OutputBatch]) -> None:
        batches = [batch for batch in batches if len(batch)]
        if not batches:
            return
        began = time.perf_counter()
        writer.publish(batches)
        self._seconds.observe(time.perf_counter() - began)
        self._count.inc()
        if self._on_commit is not None:
            committed_ms = time.time_ns() // 1_000_000
            for batch in batches:
                self._on_commit(batch, committed_ms)


class _TransactionalPartition(StatefulSinkPartition[OutputBatch, Published]):
    """Skips the ids that the lost epoch had published already."""

    def __init__(
        self, writer: Writer, owned: _Owned, commits: _Commits, ends: dict[str, int], expected: set[str]
    ) -> None:
        self._writer, self._owned, self._commits = writer, owned, commits
        self._expected = expected
        self._positions = ends  # where the next record lands at the earliest
        self._next_offsets = dict(ends)

    def write_batch(self, values: list[OutputBatch]) -> None:
        self._owned.check(values)
        batches = [self._unpublished(batch) for batch in values]
        self._commits.publish(self._writer, batches)
        self._count(batches)

    def snapshot(self) -> Published:
        return Published(dict(self._next_offsets), frozenset(self._expected))

    def _count(self, batches: list[OutputBatch]) -> None:
        """Follow the offsets by counting: nobody else writes here, and if somebody did, they would be lower bounds."""
        counts: Counter[str] = Counter()
        for batch in batches:
            partitions, numbers = np.unique(batch.partitions, return_counts=True)
            counts.update({f"{batch.topic}/{part}": int(n) for part, n in zip(partitions, numbers, strict=True)})
        for part, count in counts.items():
            self._next_offsets[part] = self._positions.get(part, 0) + count
            # the commit's marker takes an offset, but it may not be there yet: no reader could begin behind it
            self._positions[part] = self._next_offsets[part] + 1

    def _unpublished(self, batch: OutputBatch) -> OutputBatch:
        if not self._expected:
            return batch
        rows = [row for row, identity in enumerate(batch.ids) if identity not in self._expected]
        # a replay makes each of them once: what has been met need not be remembered
        self._expected.difference_update(batch.ids)
        return batch.take(rows)


class _RecalledPartition(StatefulSinkPartition[OutputBatch, Published]):
    """Takes the writer at the first write: by then the `PublishedSource` has fenced and read back.

    Each writer commits in a thread of its own, so that they do not wait for each other; the epoch waits for all of
    them. The offsets are in that source's snapshot; this one has nothing to remember.
    """

    def __init__(self, take: Callable[[], Writer], owned: _Owned, commits: _Commits) -> None:
        self._take, self._owned, self._commits = take, owned, commits
        self._writer: Writer | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writer")
        self._under_way: deque[Future[None]] = deque()

    def write_batch(self, values: list[OutputBatch]) -> None:
        self._owned.check(values)
        if self._writer is None:
            self._writer = self._take()
        while self._under_way and self._under_way[0].done():
            self._under_way.popleft().result()
        for part in _parts(values):
            self._under_way.append(self._thread.submit(self._commits.publish, self._writer, part))

    def snapshot(self) -> Published:
        while self._under_way:
            self._under_way.popleft().result()
        return Published()

    def close(self) -> None:
        self._thread.shutdown()


def _parts(batches: list[OutputBatch]) -> Iterator[list[OutputBatch]]:
    """Cut a long list of batches, so that the first can be read while the last are written."""
    part: list[OutputBatch] = []
    for batch in batches:
        part.append(batch)
        if sum(map(len, part)) >= _RECORDS_PER_COMMIT:
            yield part
            part = []
    if part:
        yield part
