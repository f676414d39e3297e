"""The `--config` file: TOML, one table per flow, its keys the fields of the flow's configuration."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from schemas.errors import TerminalError

C = TypeVar("C")


def load_flow_table(path: Path | None, flow: str) -> dict[str, Any]:
    """A flow's table of the file; empty if there is no file, or no such table in it.

    Raises:
        TerminalError: The file cannot be read as TOML.
    """
    if path is None:
        return {}
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TerminalError(f"{path} cannot be read as TOML: {error}; correct the file or its path") from error
    table = tables.get(flow, {})
    if not isinstance(table, dict):
        raise TerminalError(f"{path}: expected a table [{flow}], got {type(table).__name__}")
    return table


def flow_config(kind: type[C], values: Mapping[str, Any], flow: str) -> C:
    """Build a flow's configuration from its table.

    A key that holds a table (such as delays by stream) changes the entries it names and leaves the others.

    Args:
        kind: The flow's configuration, a dataclass with a default for every field.
        values: What the file says.
        flow: The flow's name, for messages.

    Raises:
        TerminalError: One line per key that is unknown or has a wrong value.
    """
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    mistakes = [
        f"[{flow}] does not know {key}: expected one of {', '.join(known)}" for key in values if key not in known
    ]
    if mistakes:
        raise TerminalError("\n".join(mistakes))
    defaults = kind()
    merged = {
        key: {**getattr(defaults, key), **value} if isinstance(value, dict) else value for key, value in values.items()
    }
    try:
        return TypeAdapter(kind).validate_python(merged)
    except ValidationError as error:
        lines = [
            f"[{flow}] {'.'.join(map(str, mistake['loc']))}: {mistake['msg'].removeprefix('Value error, ')}"
            for mistake in error.errors(include_input=False, include_url=False)
        ]
        raise TerminalError("\n".join(lines)) from None
