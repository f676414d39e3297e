"""Kafka records as JSON lines: `<directory>/<topic>/<partition>.jsonl`, in the order of the log."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Protocol

import orjson


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
