"""The C interface of the librdkafka that the confluent-kafka wheel carries.

Only what reading and writing in blocks needs. Signatures and the layouts of `rd_kafka_message_t` and `rd_kafka_vu_t`
are public (rdkafka.h) and stable within librdkafka 1.x and 2.x.

Importing raises OSError where the library is not to be found, as in a source build of confluent-kafka.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import confluent_kafka

from connectors.kafka.errors import error_for
from connectors.kafka.logs import log
from schemas.blocks import Headers
from schemas.errors import TerminalError

MESSAGE_WORDS = 9
"""rd_kafka_message_t in 8-byte words: err, topic, partition, payload, len, key, key_len, offset, private."""
PART_WORDS = 9
"""rd_kafka_vu_t, one part of what is produced, in 8-byte words: its kind, and up to 64 bytes that depend on it."""
TOPIC_PART, PARTITION_PART, VALUE_PART, KEY_PART, FLAGS_PART, TIMESTAMP_PART, HEADER_PART = 2, 3, 4, 5, 7, 8, 9
"""Kinds of part (rd_kafka_vtype_t)."""
COPY_FLAG = 2
"""librdkafka keeps a copy of what it is given (RD_KAFKA_MSG_F_COPY)."""

_ERROR_SIZE = 512
_PRODUCER_TYPE, _CONSUMER_TYPE = 0, 1
_POINTER = ctypes.c_void_p


def _find() -> Path:
    site = Path(confluent_kafka.__file__).parents[1]
    found = sorted(site.glob("confluent_kafka.libs/librdkafka*.so*")) + sorted(
        site.glob("confluent_kafka/.dylibs/librdkafka*.dylib")
    )
    if not found or ctypes.sizeof(_POINTER) != 8:
        raise OSError(f"expected confluent-kafka's own librdkafka beside {site}, found {len(found)} libraries")
    return found[0]


PATH = _find()
_LIBRARY = ctypes.CDLL(str(PATH))


def _bind(name: str, result: type | None, *arguments: type) -> ctypes._NamedFuncPointer:
    function = _LIBRARY[name]
    function.restype, function.argtypes = result, arguments
    return function


_conf_new = _bind("rd_kafka_conf_new", _POINTER)
_conf_set = _bind(
    "rd_kafka_conf_set", ctypes.c_int, _POINTER, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t
)
_conf_destroy = _bind("rd_kafka_conf_destroy", None, _POINTER)
_LOG_CALLBACK = ctypes.CFUNCTYPE(None, _POINTER, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p)
_conf_set_log_cb = _bind("rd_kafka_conf_set_log_cb", None, _POINTER, _LOG_CALLBACK)
_set_log_queue = _bind("rd_kafka_set_log_queue", ctypes.c_int, _POINTER, _POINTER)
_new = _bind("rd_kafka_new", _POINTER, ctypes.c_int, _POINTER, ctypes.c_char_p, ctypes.c_size_t)
_last_error = _bind("rd_kafka_last_error", ctypes.c_int)
_err2name = _bind("rd_kafka_err2name", ctypes.c_char_p, ctypes.c_int)
_header_get_all = _bind(
    "rd_kafka_header_get_all",
    ctypes.c_int,
    _POINTER,
    ctypes.c_size_t,
    ctypes.POINTER(ctypes.c_char_p),
    ctypes.POINTER(_POINTER),
    ctypes.POINTER(ctypes.c_size_t),
)
_error_code = _bind("rd_kafka_error_code", ctypes.c_int, _POINTER)
_error_destroy = _bind("rd_kafka_error_destroy", None, _POINTER)
_init_transactions = _bind("rd_kafka_init_transactions", _POINTER, _POINTER, ctypes.c_int)
_begin_transaction = _bind("rd_kafka_begin_transaction", _POINTER, _POINTER)
_commit_transaction = _bind("rd_kafka_commit_transaction", _POINTER, _POINTER, ctypes.c_int)
_abort_transaction = _bind("rd_kafka_abort_transaction", _POINTER, _POINTER, ctypes.c_int)
_clusterid = _bind("rd_kafka_clusterid", _POINTER, _POINTER, ctypes.c_int)
_mem_free = _bind("rd_kafka_mem_free", None, _POINTER, _POINTER)
_watermarks = _bind(
    "rd_kafka_get_watermark_offsets",
    ctypes.c_int,
    _POINTER,
    ctypes.c_char_p,
    ctypes.c_int32,
    ctypes.POINTER(ctypes.c_int64),
    ctypes.POINTER(ctypes.c_int64),
)

poll = _bind("rd_kafka_poll", ctypes.c_int, _POINTER, ctypes.c_int)
destroy = _bind("rd_kafka_destroy", None, _POINTER)
queue_new = _bind("rd_kafka_queue_new", _POINTER, _POINTER)
queue_length = _bind("rd_kafka_queue_length", ctypes.c_size_t, _POINTER)
queue_destroy = _bind("rd_kafka_queue_destroy", None, _POINTER)
topic_new = _bind("rd_kafka_topic_new", _POINTER, _POINTER, ctypes.c_char_p, _POINTER)
topic_destroy = _bind("rd_kafka_topic_destroy", None, _POINTER)
consume_start_queue = _bind(
    "rd_kafka_consume_start_queue", ctypes.c_int, _POINTER, ctypes.c_int32, ctypes.c_int64, _POINTER
)
consume_stop = _bind("rd_kafka_consume_stop", ctypes.c_int, _POINTER, ctypes.c_int32)
consume_batch_queue = _bind(
    "rd_kafka_consume_batch_queue", ctypes.c_ssize_t, _POINTER, ctypes.c_int, _POINTER, ctypes.c_size_t
)


@_LOG_CALLBACK  # type: ignore[untyped-decorator]
def _log(_: int, level: int, facility: bytes, message: bytes) -> None:
    log(level, facility.decode(errors="replace"), message.decode(errors="replace"))


def consumer_handle(settings: Mapping[str, str]) -> int:
    """Make a consumer handle; `destroy` it in the end.

    Raises:
        TerminalError: librdkafka knows no such setting, or refuses its value; the value is not shown.
    """
    return _handle(_CONSUMER_TYPE, settings)


def producer_handle(settings: Mapping[str, str]) -> int:
    """Make a producer handle; as `consumer_handle`."""
    return _handle(_PRODUCER_TYPE, settings)


def destroy_all(handle: int, topics: Mapping[str, int]) -> None:
    """Destroy a handle, and its topics before it."""
    for topic in topics.values():
        topic_destroy(topic)
    destroy(handle)


def know_the_cluster(handle: int, milliseconds: int) -> bool:
    """Wait until the handle knows a broker; returns False when the time is over."""
    name = _clusterid(handle, milliseconds)
    if name:
        _mem_free(handle, name)
    return bool(name)


def init_transactions(handle: int, milliseconds: int) -> int:
    """Take the transactional id; returns librdkafka's error code, 0 for none."""
    return _code_of(_init_transactions(handle, milliseconds))


def begin_transaction(handle: int) -> int:
    """Begin a transaction; returns the error code."""
    return _code_of(_begin_transaction(handle))


def commit_transaction(handle: int, milliseconds: int) -> int:
    """Send what is queued and commit it; returns the error code."""
    return _code_of(_commit_transaction(handle, milliseconds))


def abort_transaction(handle: int, milliseconds: int) -> int:
    """Give the transaction up; returns the error code."""
    return _code_of(_abort_transaction(handle, milliseconds))


def _code_of(error: int | None) -> int:
    if not error:
        return 0
    code = int(_error_code(error))
    _error_destroy(error)
    return code


def _handle(kind: int, settings: Mapping[str, str]) -> int:
    error = ctypes.create_string_buffer(_ERROR_SIZE)
    conf = _conf_new()
    for key, value in settings.items():
        if _conf_set(conf, key.encode(), value.encode(), error, _ERROR_SIZE) != 0:
            _conf_destroy(conf)
            raise TerminalError(f"librdkafka refuses the setting {key!r}: check SIGNALBOX_KAFKA_… variables")
    # messages wait in the main queue until `poll`, so that no thread of librdkafka ever runs Python
    _conf_set(conf, b"log.queue", b"true", error, _ERROR_SIZE)
    _conf_set_log_cb(conf, _log)
    handle = _new(kind, conf, error, _ERROR_SIZE)
    if not handle:
        _conf_destroy(conf)
        raise TerminalError("librdkafka refuses these settings together: check SIGNALBOX_KAFKA_… variables")
    _set_log_queue(handle, None)
    return int(handle)


def raise_last_error(place: str) -> None:
    """Raise for the call on this thread that has just failed."""
    code = int(_last_error())
    raise error_for(place, code, error_name(code))


def error_name(code: int) -> str:
    """The name librdkafka gives an error code."""
    return str(_err2name(code).decode())


def high_watermark(handle: int, topic: bytes, partition: int) -> int:
    """The end of the partition as the last fetch saw it, -1 if it is not known yet. No request is made."""
    low, high = ctypes.c_int64(-1), ctypes.c_int64(-1)
    if _watermarks(handle, topic, partition, ctypes.byref(low), ctypes.byref(high)) != 0:
        return -1
    return high.value


def headers(pointers: Iterable[int]) -> Iterator[Headers]:
    """The headers of each of some messages, in order, from their `rd_kafka_headers_t`."""
    name, value, size = ctypes.c_char_p(), _POINTER(), ctypes.c_size_t()
    into = ctypes.byref(name), ctypes.byref(value), ctypes.byref(size)
    for pointer in pointers:
        found: Headers = []
        while _header_get_all(pointer, len(found), *into) == 0:
            assert name.value is not None
            content = ctypes.string_at(value.value, size.value) if value.value is not None else None
            found.append((name.value.decode(errors="replace"), content))
        yield found
