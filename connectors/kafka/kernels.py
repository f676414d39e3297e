"""Compiled loops over librdkafka's messages: no Python object per message.

Compiled once and cached on disk. Addresses are plain integers; the C functions are found by name when the cache is
loaded, so nothing of one process is baked into it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import binding
from numba import njit, types
from numpy.typing import NDArray

from connectors.kafka import librdkafka

binding.load_library_permanently(str(librdkafka.PATH))

_WORDS = librdkafka.MESSAGE_WORDS
_int64 = types.int64
_memcpy = types.ExternalFunction("memcpy", _int64(_int64, _int64, _int64))
_timestamp = types.ExternalFunction("rd_kafka_message_timestamp", _int64(_int64, _int64))
_message_headers = types.ExternalFunction("rd_kafka_message_headers", types.int32(_int64, _int64))
_destroy = types.ExternalFunction("rd_kafka_message_destroy", types.void(_int64))
_produceva = types.ExternalFunction("rd_kafka_produceva", _int64(_int64, _int64, _int64))
_error_code = types.ExternalFunction("rd_kafka_error_code", types.int32(_int64))
_error_destroy = types.ExternalFunction("rd_kafka_error_destroy", types.void(_int64))
_PART = librdkafka.PART_WORDS
_TOPIC, _PARTITION, _FLAGS = librdkafka.TOPIC_PART, librdkafka.PARTITION_PART, librdkafka.FLAGS_PART
_KEY, _VALUE, _HEADER, _COPY = librdkafka.KEY_PART, librdkafka.VALUE_PART, librdkafka.HEADER_PART, librdkafka.COPY_FLAG
_TIMESTAMP = librdkafka.TIMESTAMP_PART


@njit(cache=True)  # type: ignore[untyped-decorator]
def gather(
    messages: NDArray[np.int64], count: int, structs: NDArray[np.int64], details: NDArray[np.int64], slot: int
) -> None:
    """Copy the structs of messages side by side, with what only a function call tells.

    Args:
        messages: Addresses of `rd_kafka_message_t`.
        count: How many.
        structs: Where the structs go, shape (≥ count, 9).
        details: Where timestamps in milliseconds (column 0) and addresses of headers (column 1, 0 for none) go.
        slot: Address of eight bytes to use.
    """
    at = structs.ctypes.data
    for i in range(count):
        message = messages[i]
        _memcpy(at + i * _WORDS * 8, message, _WORDS * 8)
        details[i, 0] = _timestamp(message, 0)
        details[i, 1] = 0
        if _message_headers(message, slot) == 0:
            _memcpy(details.ctypes.data + (2 * i + 1) * 8, slot, 8)


@njit(cache=True)  # type: ignore[untyped-decorator]
def copy(addresses: NDArray[np.int64], ends: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
    """Copy cell `i` from `addresses[i]` to `out[ends[i]:ends[i + 1]]`."""
    at = out.ctypes.data
    for i in range(len(addresses)):
        size = ends[i + 1] - ends[i]
        if size:
            _memcpy(at + ends[i], addresses[i], size)


@njit(cache=True)  # type: ignore[untyped-decorator]
def destroy(messages: NDArray[np.int64], count: int) -> None:
    """Give messages back to librdkafka."""
    for i in range(count):
        _destroy(messages[i])


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def produce(
    handle: int,
    topic: int,
    partitions: NDArray[np.int64],
    keys: NDArray[np.int64],
    values: NDArray[np.int64],
    headers: NDArray[np.int64],
    header_ends: NDArray[np.int64],
    timestamps: NDArray[np.int64],
    parts: NDArray[np.int64],
    outcome: NDArray[np.int64],
) -> None:
    """Hand records to librdkafka, which copies them, from `outcome[0]` on.

    Args:
        handle: The producer.
        topic: Its `rd_kafka_topic_t`.
        partitions: The partition of each record.
        keys: Address and size of each key, address 0 for null. (n, 2).
        values: The same of each value.
        headers: Addresses of name and value, and the value's size, of every header. (m, 3).
        header_ends: Where the headers of each record begin and the last one's end. n + 1.
        timestamps: The timestamp of each record in milliseconds, 0 for the time of sending; or none at all.
        parts: Room for the parts of a record: 6 and its headers, in words of `PART_WORDS`.
        outcome: Becomes how many records were taken, and the error code of the one that was not, 0 for none.
    """
    outcome[1] = 0
    while outcome[0] < len(partitions):
        row = outcome[0]
        parts[0], parts[1] = _TOPIC, topic
        parts[_PART], parts[_PART + 1] = _PARTITION, partitions[row]
        parts[2 * _PART], parts[2 * _PART + 1] = _FLAGS, _COPY
        parts[3 * _PART], parts[3 * _PART + 1], parts[3 * _PART + 2] = _KEY, keys[row, 0], keys[row, 1]
        parts[4 * _PART], parts[4 * _PART + 1], parts[4 * _PART + 2] = _VALUE, values[row, 0], values[row, 1]
        count = 5
        if len(timestamps):
            parts[count * _PART], parts[count * _PART + 1] = _TIMESTAMP, timestamps[row]
            count += 1
        for header in range(header_ends[row], header_ends[row + 1]):
            at = count * _PART
            parts[at], parts[at + 1] = _HEADER, headers[header, 0]
            parts[at + 2], parts[at + 3] = headers[header, 1], headers[header, 2]
            count += 1
        error = _produceva(handle, parts.ctypes.data, count)
        if error != 0:
            outcome[1] = _error_code(error)
            _error_destroy(error)
            return
        outcome[0] += 1


def warm_up() -> None:
    """Load (or, the first time on a machine, compile) the kernels, so that no message waits for it."""
    none: Any = np.zeros(0, np.int64)
    pairs: Any = np.zeros((0, 2), np.int64)
    ends, outcome = np.zeros(1, np.int64), np.zeros(2, np.int64)
    produce(0, 0, none, pairs, pairs, np.zeros((0, 3), np.int64), ends, none, none, outcome)
    gather(none, 0, np.zeros((0, _WORDS), np.int64), np.zeros((0, 2), np.int64), 0)
    copy(none, np.zeros(1, np.int64), np.zeros(0, np.uint8))
    destroy(none, 0)
