"""A transactional producer through librdkafka's C interface: a compiled loop over the records of a batch.

A Python call for each record is what `produce()` costs, and it holds the interpreter's lock; here it is let go.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence

import numpy as np
from confluent_kafka import KafkaError

from connectors.kafka import kernels, librdkafka
from connectors.kafka.config import KafkaConfig
from connectors.kafka.errors import error_for
from connectors.kafka.output import OutputBatch
from schemas.blocks import PackedCells

_ROOM_MS = 50
_NO_TIMESTAMPS = np.zeros(0, np.int64)
_RECORD_PARTS = 6  # topic, partition, flags, key, value, timestamp


class BlockProducer:
    """See `writer.TransactionalClient`. The handle lives until it is forgotten."""

    def __init__(self, config: KafkaConfig, transactional_id: str) -> None:
        kernels.warm_up()
        self._place = f"writer {transactional_id}"
        self._handle = librdkafka.producer_handle({**config.producer(), "transactional.id": transactional_id})
        self._topics: dict[str, int] = {}
        weakref.finalize(self, librdkafka.destroy_all, self._handle, self._topics)

    def init(self, seconds: float) -> None:
        """Take the id."""
        # a client that asks for its coordinator before it knows a broker asks again after half a second only
        if not librdkafka.know_the_cluster(self._handle, int(seconds * 1000)):
            self._check(KafkaError._TIMED_OUT)
        self._check(librdkafka.init_transactions(self._handle, int(seconds * 1000)))

    def begin(self) -> None:
        """Begin a transaction."""
        librdkafka.poll(self._handle, 0)  # serves what librdkafka does on the caller's thread, such as its log
        self._check(librdkafka.begin_transaction(self._handle))

    def produce(self, batch: OutputBatch) -> None:
        """Queue all records."""
        if batch.topic not in self._topics:
            self._topics[batch.topic] = int(librdkafka.topic_new(self._handle, batch.topic.encode(), None))
        keys, values = _Cells(batch.keys), _Cells(batch.values)
        headers = _Headers(batch)
        parts = np.zeros((_RECORD_PARTS + headers.most) * librdkafka.PART_WORDS, np.int64)
        outcome = np.zeros(2, np.int64)
        partitions = batch.partitions.astype(np.int64)
        timestamps = _NO_TIMESTAMPS if batch.timestamps_ms is None else batch.timestamps_ms
        while outcome[0] < len(batch):
            topic = self._topics[batch.topic]
            columns = (partitions, keys.places, values.places, headers.places, headers.ends, timestamps)
            kernels.produce(self._handle, topic, *columns, parts, outcome)
            if outcome[1] == KafkaError._QUEUE_FULL:
                librdkafka.poll(self._handle, _ROOM_MS)
            else:
                self._check(int(outcome[1]))

    def commit(self, seconds: float) -> None:
        """Send what is queued and commit."""
        self._check(librdkafka.commit_transaction(self._handle, int(seconds * 1000)))

    def abort(self, seconds: float) -> None:
        """Give the transaction up."""
        self._check(librdkafka.abort_transaction(self._handle, int(seconds * 1000)))

    def _check(self, code: int) -> None:
        if code:
            raise error_for(self._place, code, librdkafka.error_name(code))


class _Cells:
    """Cells in one buffer.

    Attributes:
        places: Address and size of each, address 0 for null. (n, 2).
    """

    def __init__(self, cells: Sequence[bytes | None]) -> None:
        packed = PackedCells.of(cells)
        # an empty cell needs an address too
        self._buffer = packed.data if len(packed.data) else np.zeros(1, np.uint8)
        self.places = np.column_stack([packed.ends[:-1] + self._buffer.ctypes.data, np.diff(packed.ends)])
        self.places[packed.null] = 0


class _Headers:
    """The headers of all records, the id first.

    Attributes:
        places: Addresses of name and value, and the value's size. (m, 3).
        ends: Where the headers of each record begin and the last one's end. n + 1.
        most: Of one record.
    """

    def __init__(self, batch: OutputBatch) -> None:
        columns: dict[str, Sequence[bytes | None]] = {
            batch.id_header: [each.encode() for each in batch.ids],
            **batch.columns,
        }
        count = len(columns)
        names = [name.encode() + b"\0" for name in columns]
        self._values = [_Cells(cells) for cells in columns.values()]
        further: list[tuple[int, str, bytes | None]] = []
        if batch.headers is not None:
            further = [(row, *header) for row, headers in enumerate(batch.headers) for header in headers]
            names += [name.encode() + b"\0" for _, name, _ in further]
            self._values.append(_Cells([value for _, _, value in further]))
        self._names = _Cells(names)
        rows = np.concatenate([np.tile(np.arange(len(batch)), count), np.array([row for row, _, _ in further], int)])
        which = np.concatenate([np.repeat(np.arange(count), len(batch)), count + np.arange(len(further))])
        order = np.argsort(rows, kind="stable")
        addresses, values = self._names.places[which, 0], np.concatenate([each.places for each in self._values])
        self.places = np.column_stack([addresses, values])[order]
        self.ends = np.searchsorted(rows[order], np.arange(len(batch) + 1))
        self.most = int(np.diff(self.ends).max(initial=0))
