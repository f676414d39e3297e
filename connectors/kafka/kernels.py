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


def warm_up() -> None:
    """Load (or, the first time on a machine, compile) the kernels, so that no message waits for it."""
    none: Any = np.zeros(0, np.int64)
    gather(none, 0, np.zeros((0, _WORDS), np.int64), np.zeros((0, 2), np.int64), 0)
    copy(none, np.zeros(1, np.int64), np.zeros(0, np.uint8))
    destroy(none, 0)
