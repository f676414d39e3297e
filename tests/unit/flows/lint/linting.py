"""Examines records as `signalbox lint --file` does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from flows.lint import Finding, Report, examine, from_file


def lint_lines(folder: Path, stream: str, form: str, *records: Any) -> Report:
    """The report on a file with one record in each line: bytes as they are, anything else as JSON."""
    path = folder / "records.jsonl"
    path.write_bytes(b"".join(_bytes(record) + b"\n" for record in records))
    return examine(from_file(path, 100_000), stream, form)


def keyed(key: Any, value: Any, **more: Any) -> dict[str, Any]:
    """A line that is a whole record."""
    return {"key": key, "value": value, **more}


def names(findings: list[Finding]) -> set[str]:
    return {each.name for each in findings}


def about(findings: list[Finding], name: str) -> Finding:
    """The one finding about a field or column."""
    [only] = [each for each in findings if each.name == name]
    return only


def _bytes(record: Any) -> bytes:
    return record if isinstance(record, bytes) else orjson.dumps(record)
