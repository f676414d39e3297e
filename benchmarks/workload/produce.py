"""Sends a workload to Kafka: as fast as possible, at a rate, or in step with the wall clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from confluent_kafka import KafkaError, Message, Producer

from benchmarks.workload.manifest import Manifest
from benchmarks.workload.records import GeneratedRecord
from benchmarks.workload.run import Chunk, Run
from benchmarks.workload.workload import Workload
from schemas.errors import TransientError

_LIVE_LEAD = timedelta(milliseconds=100)
_SLICE = 500
_FLUSH_SECONDS = 60.0
_FULL_SECONDS = 0.02
_CLOSE_ENOUGH_SECONDS = 0.001


def produce(
    workload: Workload,
    brokers: str,
    *,
    rate: float | None = None,
    realtime: bool = False,
    progress: Callable[[int], None] | None = None,
    before_live: Callable[[], None] | None = None,
    stop: threading.Event | None = None,
    extra: Mapping[str, str] | None = None,
) -> Manifest:
    """Send every record of a workload, in order, with its own timestamp; the topics must exist.

    Args:
        workload: What to send.
        brokers: Bootstrap servers.
        rate: At most so many records per second; None for as fast as possible.
        realtime: Send the live part in step with the wall clock: it begins when the history has been sent, and each
            record leaves at its arrival time. Without, the live part follows the history at once.
        progress: Called with the number of records sent so far, every few hundred records.
        before_live: Called once, in realtime, when Kafka has confirmed the history; the live part begins after it.
        stop: Set it to end early; what was sent is flushed.
        extra: More librdkafka settings, such as security.

    Returns:
        What was generated, complete unless `stop` was set.

    Raises:
        TransientError: Kafka did not take everything.
    """
    run = workload.run()
    sender = _Sender(brokers, extra or {}, rate, progress, stop or threading.Event())
    with ThreadPoolExecutor(1, "workload") as ahead:
        for chunk in _one_ahead(run, ahead):
            sender.send(chunk, in_step=realtime and chunk.live)
            if sender.stopped:
                break
            if chunk.ends_history and realtime:
                sender.flush()
                if before_live is not None:
                    before_live()
                run.anchor_live(datetime.now(UTC) + _LIVE_LEAD)
    sender.flush()
    return run.manifest


def _one_ahead(run: Run, ahead: ThreadPoolExecutor) -> Iterator[Chunk]:
    """Make the next chunk while this one is sent, but none of the live part before the history has been sent."""
    chunks = run.chunks()
    chunk = next(chunks, None)
    while chunk is not None:
        if chunk.ends_history:
            yield chunk
            chunk = next(chunks, None)
            continue
        coming = ahead.submit(next, chunks, None)
        yield chunk
        chunk = coming.result()


class _Sender:
    def __init__(
        self,
        brokers: str,
        extra: Mapping[str, str],
        rate: float | None,
        progress: Callable[[int], None] | None,
        stop: threading.Event,
    ) -> None:
        self._producer = Producer(
            {
                "bootstrap.servers": brokers,
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 5,
                "compression.type": "lz4",
                "message.max.bytes": 10_000_000,
                "queue.buffering.max.messages": 500_000,
                "delivery.report.only.error": True,
                **extra,
            }
        )
        self._rate, self._progress, self._stop = rate, progress, stop
        self._sent = 0
        self._began = time.monotonic()
        self._failed: str | None = None

    @property
    def stopped(self) -> bool:
        """Whether the caller wants no more, or Kafka takes no more."""
        return self._stop.is_set() or self._failed is not None

    def send(self, chunk: Chunk, *, in_step: bool) -> None:
        """Hand the records to the client; in step with the wall clock, each at its timestamp."""
        for record in chunk:
            if in_step:
                self._wait_until(record.timestamp_ms / 1000.0)
            self._hand_over(record)
            self._sent += 1
            if self._sent % _SLICE == 0:
                self._between_slices()
            if self.stopped:
                return
        self._between_slices()

    def flush(self) -> None:
        """Wait until Kafka has confirmed all of it."""
        left = self._producer.flush(_FULL_SECONDS if self._failed else _FLUSH_SECONDS)
        if left or self._failed:
            what = self._failed or f"{left} records unconfirmed after {_FLUSH_SECONDS:.0f} s"
            raise TransientError(f"expected Kafka to take every record, came: {what}; check the brokers and topics.")

    def _hand_over(self, record: GeneratedRecord) -> None:
        while True:
            try:
                self._producer.produce(
                    record.topic,
                    record.value,
                    record.key,
                    record.partition,
                    timestamp=record.timestamp_ms,
                    headers=list(record.headers) or None,
                    on_delivery=self._on_failure,
                )
            except BufferError:
                self._producer.poll(_FULL_SECONDS)
            else:
                return

    def _on_failure(self, error: KafkaError | None, message: Message) -> None:
        if error is not None and self._failed is None:
            self._failed = f"{error.name()} for topic {message.topic()}"

    def _between_slices(self) -> None:
        self._producer.poll(0)
        if self._progress is not None:
            self._progress(self._sent)
        if self._rate:
            early = self._sent / self._rate - (time.monotonic() - self._began)
            if early > 0:
                self._stop.wait(early)

    def _wait_until(self, at: float) -> None:
        early = at - time.time()
        if early > _CLOSE_ENOUGH_SECONDS:
            self._producer.poll(0)
            self._stop.wait(early)
