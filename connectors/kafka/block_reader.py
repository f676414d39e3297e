"""Reads partitions in blocks through librdkafka's C interface.

A Python object per message is what `consume()` costs; here a block costs a few calls, whatever its size.
"""

from __future__ import annotations

import threading
import weakref

import numpy as np
from numpy.typing import NDArray

from connectors.kafka import kernels, librdkafka
from connectors.kafka.config import KafkaConfig
from connectors.kafka.errors import PARTITION_EOF, error_for
from schemas.blocks import Headers, RecordBlock

_LOOKS_PER_POLL = 64
_ERROR, _PAYLOAD, _SIZE, _KEY, _KEY_SIZE, _OFFSET = 0, 3, 4, 5, 6, 7  # words of rd_kafka_message_t


class BlockClient:
    """A consumer handle whose readers share its connections and its fetches.

    The handle lives until it and all its readers are closed or forgotten.

    Args:
        config: How to reach Kafka.

    Raises:
        TerminalError: librdkafka refuses a setting.
    """

    def __init__(self, config: KafkaConfig) -> None:
        kernels.warm_up()
        self._handle = librdkafka.consumer_handle(config.consumer())
        self._topics: dict[str, int] = {}
        self._lock = threading.Lock()
        weakref.finalize(self, librdkafka.destroy_all, self._handle, self._topics)

    def reader(self, topic: str, partition: int, offset: int, block_rows: int) -> BlockReader:
        """Start to read `topic[partition]` at `offset` (or `BEGINNING`).

        Raises:
            TransientError: librdkafka cannot start.
        """
        with self._lock:
            if topic not in self._topics:
                self._topics[topic] = int(librdkafka.topic_new(self._handle, topic.encode(), None))
        return BlockReader(self, self._handle, self._topics[topic], topic, partition, offset, block_rows)


class BlockReader:
    """Reads one partition through a queue of its own. Made by `BlockClient.reader`."""

    def __init__(
        self, client: BlockClient, handle: int, topic_handle: int, topic: str, partition: int, offset: int, rows: int
    ) -> None:
        self._client = client  # keeps the handle alive
        self._handle = handle
        self._topic, self._topic_name, self._partition = topic, topic.encode(), partition
        self._next_offset = offset
        self._caught_up = False
        self._looks = 0
        self._messages = np.zeros(rows, np.int64)
        self._structs = np.zeros((rows, librdkafka.MESSAGE_WORDS), np.int64)
        self._details = np.zeros((rows, 2), np.int64)
        self._slot = np.zeros(1, np.int64)
        self._queue = int(librdkafka.queue_new(handle))
        started = librdkafka.consume_start_queue(topic_handle, partition, offset, self._queue) == 0
        # the finalizer must hold the client, or the handle could be destroyed under the queue
        self._stop = weakref.finalize(self, _stop, client, topic_handle, partition, self._queue, started)
        if not started:
            librdkafka.raise_last_error(self._place())

    def read(self, timeout_ms: int = 0) -> RecordBlock:
        """See `Reader.read`."""
        librdkafka.poll(self._handle, 0)  # serves what librdkafka does on the caller's thread, such as token refresh
        # under steady load no fetch comes back empty, so the end is never reported: compare with the last fetch
        known_end = self.end()
        count = librdkafka.consume_batch_queue(self._queue, timeout_ms, self._messages.ctypes.data, len(self._messages))
        if count < 0:
            librdkafka.raise_last_error(self._place())
        if count == 0:
            return self._block(self._structs[:0], self._details[:0])
        try:
            kernels.gather(self._messages, count, self._structs, self._details, self._slot.ctypes.data)
            structs, details = self._without_events(self._structs[:count], self._details[:count])
            if len(structs):
                self._next_offset = max(self._next_offset, int(structs[-1, _OFFSET]) + 1)
                # a full block may have left some behind, whatever a broker takes for its end
                reached = count < len(self._messages) and 0 <= known_end <= self._next_offset
                self._caught_up = self._caught_up or reached
            return self._block(structs, details)
        finally:
            kernels.destroy(self._messages, count)

    def waiting(self) -> bool:
        """See `Reader.waiting`."""
        self._looks += 1
        if self._looks % _LOOKS_PER_POLL == 0:
            librdkafka.poll(self._handle, 0)  # as in `read`, which a quiet partition may not come to for long
        return int(librdkafka.queue_length(self._queue)) > 0

    def end(self) -> int:
        """See `Reader.end`."""
        return librdkafka.high_watermark(self._handle, self._topic_name, self._partition)

    def close(self) -> None:
        """See `Reader.close`."""
        self._stop()

    def _without_events(
        self, structs: NDArray[np.int64], details: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Take out what is no record: the end of the partition, and errors, which raise."""
        codes = structs[:, _ERROR].astype(np.int32)  # the struct's other four bytes are padding
        self._caught_up = False
        if not codes.any():
            return structs, details
        for at in np.flatnonzero(codes):
            code = int(codes[at])
            if code != PARTITION_EOF:
                raise error_for(self._place(), code, librdkafka.error_name(code))
            # the end lies behind transaction markers, which take offsets and are no records
            self._next_offset = max(self._next_offset, int(structs[at, _OFFSET]))
        self._caught_up = bool(codes[-1])
        return structs[codes == 0], details[codes == 0]

    def _block(self, structs: NDArray[np.int64], details: NDArray[np.int64]) -> RecordBlock:
        offsets = structs[:, _OFFSET].copy()
        values, value_ends = _cells(structs[:, _PAYLOAD], structs[:, _SIZE])
        keys, key_ends = _cells(structs[:, _KEY], structs[:, _KEY_SIZE])
        return RecordBlock(
            self._topic,
            self._partition,
            values,
            value_ends,
            structs[:, _PAYLOAD] == 0,
            keys,
            key_ends,
            structs[:, _KEY] == 0,
            offsets,
            details[:, 0].copy(),
            _headers(details[:, 1]),
            self._next_offset,
            self._caught_up,
        )

    def _place(self) -> str:
        return f"{self._topic}[{self._partition}]@{self._next_offset}"


def _cells(addresses: NDArray[np.int64], sizes: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    ends = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=ends[1:])
    cells = np.empty(ends[-1], np.uint8)
    kernels.copy(np.ascontiguousarray(addresses), ends, cells)
    return cells, ends


def _headers(pointers: NDArray[np.int64]) -> dict[int, Headers]:
    having = np.flatnonzero(pointers)
    return dict(zip(having.tolist(), librdkafka.headers(pointers[having].tolist()), strict=True))


def _stop(client: BlockClient, topic_handle: int, partition: int, queue: int, started: bool) -> None:
    if started:
        librdkafka.consume_stop(topic_handle, partition)
    librdkafka.queue_destroy(queue)
    del client  # only now may the handle go
