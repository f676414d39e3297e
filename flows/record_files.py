"""Kafka records as JSON lines: `<directory>/<topic>/<partition>.jsonl`, in the order of the log."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

import orjson

from schemas.blocks import Headers

_WHOLE = {"key", "value"}
_MORE = {"timestamp_ms", "headers"}
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


class Record(Protocol):
    """What is needed of a record."""

    @property
    def topic(self) -> str: ...  # noqa: D102
    @property
    def partition(self) -> int: ...  # noqa: D102
    @property
    def key(self) -> bytes | None: ...  # noqa: D102
    @property
    def value(self) -> bytes | None: ...  # noqa: D102
    @property
    def headers(self) -> Iterable[tuple[str, bytes]]: ...  # noqa: D102
    @property
    def timestamp_ms(self) -> int: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class LineRecord:
    """What a line says of a record; None where it says nothing.

    Attributes:
        value: The value; None for a tombstone too.
        key: The key.
        timestamp_ms: The Kafka timestamp.
        headers: The headers, in order.
    """

    value: bytes | None
    key: bytes | None = None
    timestamp_ms: int | None = None
    headers: Headers = field(default_factory=list)


def write_records(records: Iterable[Record], directory: Path) -> int:
    """Write records to files.

    A line is an object with `timestamp_ms`, `key`, `value` and, where there are any, `headers` (pairs). Bytes that are
    UTF-8 are a string, others an object `{"base64": …}`; null is null.

    Returns:
        How many were written.
    """
    count = 0
    with ExitStack() as stack:
        files: dict[tuple[str, int], IO[bytes]] = {}
        for record in records:
            place = record.topic, record.partition
            if place not in files:
                path = directory / record.topic / f"{record.partition}.jsonl"
                path.parent.mkdir(parents=True, exist_ok=True)
                files[place] = stack.enter_context(path.open("wb"))
            files[place].write(orjson.dumps(_line(record), option=orjson.OPT_APPEND_NEWLINE))
            count += 1
    return count


def read_line(line: bytes) -> LineRecord:
    """The record of a line as `write_records` writes it; any other line is the value of a record without a key.

    A key or value may also stand there as JSON of its own, not as a string.
    """
    line = line.rstrip(b"\r\n")
    if not (b'"key"' in line and b'"value"' in line):
        return LineRecord(line)
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return LineRecord(line)
    if not isinstance(found, dict) or not _WHOLE <= found.keys() <= _WHOLE | _MORE:
        return LineRecord(line)
    stamp, headers = found.get("timestamp_ms"), found.get("headers") or []
    if not (stamp is None or type(stamp) is int) or not _are_headers(headers):
        return LineRecord(line)
    pairs = [(name, _bytes(value)) for name, value in headers]
    return LineRecord(_bytes(found["value"]), _bytes(found["key"]), stamp, pairs)


def _are_headers(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in value
    )


def _bytes(cell: object) -> bytes | None:
    """What `_text` was given."""
    match cell:
        case None:
            return None
        case str():
            return cell.encode()
        case {"base64": str(text), **rest} if not rest and _BASE64.fullmatch(text):
            return base64.b64decode(text)
        case _:
            return orjson.dumps(cell)


def _line(record: Record) -> dict[str, object]:
    line: dict[str, object] = {
        "timestamp_ms": record.timestamp_ms,
        "key": _text(record.key),
        "value": _text(record.value),
    }
    headers = [(name, _text(value)) for name, value in record.headers]
    return {**line, "headers": headers} if headers else line


def _text(data: bytes | None) -> str | dict[str, str] | None:
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}
