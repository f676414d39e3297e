"""PublishedSource: what our own writers had published, so that what was said stays said."""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from connectors.epoch_pace import EpochClock, EpochPace
from connectors.kafka.admin import Origin, admin_client, stable_ends
from connectors.kafka.config import KafkaConfig
from connectors.kafka.open_parts import OpenParts
from connectors.kafka.recall import Recall, own_partitions, transactional_id
from connectors.kafka.writer import Writer, hand_over
from connectors.metrics import process_metrics
from schemas.blocks import RecordBlock
from schemas.errors import SignalboxError

_RECALLING_SECONDS = 0.002
_TICKING_SECONDS = 0.01
_REFRESH_SECONDS = 0.5


class PublishedSource(FixedPartitionedSource[RecordBlock, dict[str, int]]):
    """Reads back what the writers of a `TransactionalSink` published after the snapshot.

    A part emits the records its writer had published, then one empty block of topic "" with `caught_up`: now this
    writer's past is known. From then on the first part emits one such empty block at the start of each epoch, a tick:
    what earlier epochs did is durable.

    Delivery: every record published before this run and after the snapshot, at least once; a record may be given again
        that the snapshot's state already holds, for offsets are lower bounds. It fences the writer's predecessor
        first, so that nothing can be published behind its back.
    Ordering: by offset within a partition.
    Parallelism: one part per writer. Bytewax spreads these parts over workers like those of the sink, so writer `w` is
        handed over to the sink within the process.
    Resume state: an offset of each of the writer's partitions up to which everything was decided by this flow in an
        epoch that has closed.
    Retries: librdkafka reconnects by itself; a minute of silence raises `TransientError`.

    Args:
        config: How to reach Kafka.
        flow: The flow's name, as the sink has it.
        sink: The sink's name, as the sink has it.
        topics: The sink's topics.
        writers: The sink's number of writers.
        epochs: When epochs end, the same for all sources of a process. None leaves that to Bytewax.
        inputs: The parts that this process reads its inputs with. When all have ended, and an epoch has passed, the
            parts of this source end. None ticks for ever.
        stop: Once set, every part ends at once.

    Raises:
        TerminalError: A topic does not exist, or this user may not use it.
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
        epochs: EpochClock | None = None,
        inputs: OpenParts | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self._config = config
        self._epochs = EpochClock() if epochs is None else epochs
        self._flow, self._sink = flow, sink
        self._topics = tuple(topics)
        self._writers = writers
        self._inputs = inputs
        self._stop = stop

    def list_parts(self) -> list[str]:
        """One part per writer."""
        return [str(writer) for writer in range(self._writers)]

    def build_part(
        self,
        step_id: str,  # noqa: ARG002
        for_part: str,
        resume_state: dict[str, int] | None,
    ) -> _PublishedPartition:
        """Fence the writer's predecessor and begin to read back."""
        writer = int(for_part)
        hand_over(self._config, Writer(self._config, transactional_id(self._flow, self._sink, writer)))
        origins = own_partitions(self._config, self._topics, writer, self._writers)
        return _PublishedPartition(
            writer,
            Recall(self._config, origins, resume_state or {}),
            _Ends(self._config, origins),
            _EpochClose() if writer == 0 else None,
            EpochPace(self._epochs),
            inputs=self._inputs,
            stop=self._stop,
        )


class _PublishedPartition(StatefulSourcePartition[RecordBlock, dict[str, int]]):
    def __init__(
        self,
        writer: int,
        recall: Recall,
        ends: _Ends,
        epoch_close: _EpochClose | None,
        pace: EpochPace,
        *,
        inputs: OpenParts | None,
        stop: threading.Event | None,
    ) -> None:
        self._tick = replace(RecordBlock.from_records("", writer, []), caught_up=True)
        self._recall = recall
        self._ends = ends
        self._epoch_close = epoch_close
        self._pace = pace
        self._inputs = inputs
        self._stop = stop
        self._recalled = False
        self._an_epoch_passed = False
        self._tick_due = False
        self._idle = False

    def next_batch(self) -> list[RecordBlock]:
        if self._epoch_close is not None:
            self._epoch_close.ended()
        if (self._stop is not None and self._stop.is_set()) or self._inputs_have_ended():
            raise StopIteration
        if self._recalled:
            blocks = [self._tick] if self._tick_due else []
        else:
            blocks = [replace(block, caught_up=False) for block in self._recall.read()]
            if self._recall.finished:
                self._recalled = True
                self._ends.watch(self._recall.next_offsets)
                blocks.append(self._tick)
        self._tick_due = False
        self._idle = not blocks
        return blocks

    def _inputs_have_ended(self) -> bool:
        # Bytewax builds parts as it comes to them, each before its source's first epoch. Every step of every process
        # has come through an epoch before we are asked for the next one: what is not open by then will never be.
        return self._inputs is not None and self._recalled and self._an_epoch_passed and not self._inputs.any

    def next_awake(self) -> datetime | None:
        pause = (_TICKING_SECONDS if self._recalled else _RECALLING_SECONDS) if self._idle else 0.0
        return datetime.fromtimestamp(self._pace.awake_at(pause), UTC)

    def snapshot(self) -> dict[str, int]:
        self._pace.epoch_ended()
        if self._epoch_close is not None:
            self._epoch_close.began()
        self._an_epoch_passed = True
        self._tick_due = self._epoch_close is not None
        return self._ends.latest() if self._recalled else dict(self._recall.next_offsets)

    def close(self) -> None:
        self._recall.close()
        self._ends.close()


class _EpochClose:
    """Measures how long the flow stands still at the close of an epoch.

    Bytewax asks a part for its snapshot, and then for nothing until the epoch is durable in every process. So one part
    of a run is enough. A close shorter than the pause between two looks shows as at most that pause.
    """

    def __init__(self) -> None:
        self._seconds = process_metrics().epoch_close_seconds
        self._began_at: float | None = None

    def began(self) -> None:
        self._began_at = time.perf_counter()

    def ended(self) -> None:
        if self._began_at is not None:
            self._seconds.observe(time.perf_counter() - self._began_at)
            self._began_at = None


class _Ends:
    """Asks for the partitions' ends now and then, in a thread: a worker must not wait for it.

    What is published by the time we ask was decided in this epoch or before, for an epoch begins only when the one
    before is durable everywhere. So an end seen before a snapshot is safe to resume from.
    """

    def __init__(self, config: KafkaConfig, origins: list[Origin]) -> None:
        self._config, self._origins = config, origins
        self._latest: dict[str, int] = {}
        self._closed = threading.Event()
        weakref.finalize(self, self._closed.set)

    def watch(self, first: dict[str, int]) -> None:
        """Begin with what is known."""
        self._latest |= first
        arguments = (admin_client(self._config), self._origins, self._latest, self._closed)
        threading.Thread(target=_refresh, args=arguments, name="published-ends", daemon=True).start()

    def latest(self) -> dict[str, int]:
        """The highest end seen of each partition, by `topic/partition`."""
        return dict(self._latest)

    def close(self) -> None:
        """End the thread."""
        self._closed.set()


def _refresh(admin: AdminClient, origins: list[Origin], latest: dict[str, int], closed: threading.Event) -> None:
    while not closed.wait(_REFRESH_SECONDS):
        # an end that is a little older is as good, so a broker that is away for a moment is no reason to fail
        with contextlib.suppress(KafkaException, SignalboxError):
            for (topic, partition), end in stable_ends(admin, origins).items():
                part = f"{topic}/{partition}"
                latest[part] = max(end, latest.get(part, 0))
