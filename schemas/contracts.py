"""The contracts: what a row of each stream and table holds, read from the `.avsc` files beside this module.

A field may carry, beside what Avro knows, `"pii"` (the class of personal data it holds) and what its values must
keep to: `"allowed"` (a closed set), `"not_empty"` (identities) and `"minimum"`. Times must lie in the years 1970 to
9999. The codec rejects a record that breaks any of these.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import polars as pl

from schemas.errors import TerminalError

Avro = dict[str, Any]

TIMESTAMP = pl.Datetime("us", "UTC")
TABLE_CONTRACTS: Mapping[str, str] = MappingProxyType({"notifications": "notification"})
_PRIMITIVES: Mapping[str, pl.DataType] = MappingProxyType(
    {"string": pl.String(), "long": pl.Int64(), "boolean": pl.Boolean()}
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the values of one column must keep to, beyond their type.

    Attributes:
        allowed: The closed set of values, or None for any.
        not_empty: The empty string is refused.
        minimum: The least number allowed, or None.
    """

    allowed: tuple[str, ...] | None = None
    not_empty: bool = False
    minimum: int | None = None


@dataclass(frozen=True, slots=True)
class Contract:
    """What a row of one stream holds.

    Attributes:
        name: Name of the stream, and of the Avro record.
        avro: The Avro schema, as in the `.avsc` file.
        polars: Type of each column, in the order of the schema.
        pii: Class of personal data of those columns that hold any.
        required: The columns that are never null.
        defaults: What a column is filled with when a record does not name it. A required column without a default
            must be there.
        limits: What values must keep to, for those columns that have limits.
    """

    name: str
    avro: Avro
    polars: dict[str, pl.DataType]
    pii: dict[str, str]
    required: tuple[str, ...]
    defaults: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, Limits] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash(self.name)


@cache
def contract(name: str) -> Contract:
    """The contract of a stream or table.

    Args:
        name: A stream (`usage_event`), or a table (`incidents`; `notifications` has the contract `notification`).

    Raises:
        TerminalError: There is none by that name.
    """
    source = files("schemas").joinpath(f"{TABLE_CONTRACTS.get(name, name)}.avsc")
    if not source.is_file():
        known = ", ".join(contract_names())
        raise TerminalError(f"no contract is named {name!r}; there are {known}")
    return parse(json.loads(source.read_text(encoding="utf-8")))


def contract_names() -> list[str]:
    """The names of all contracts, sorted."""
    return sorted(path.name.removesuffix(".avsc") for path in files("schemas").iterdir() if path.name.endswith(".avsc"))


def parse(avro: Avro) -> Contract:
    """Build a contract from its Avro schema.

    Args:
        avro: A record of strings, longs, booleans, `timestamp-micros` and arrays of strings, each plain or
            `["null", T]`. Nothing else, so that every contract has a columnar form and a JSON form.

    Raises:
        TerminalError: A field has another type.
    """
    polars: dict[str, pl.DataType] = {}
    required: list[str] = []
    for column in avro["fields"]:
        nullable, item = split_nullable(column["type"])
        polars[column["name"]] = _dtype(avro["name"], column["name"], item)
        if not nullable:
            required.append(column["name"])
    return Contract(
        name=avro["name"],
        avro=avro,
        polars=polars,
        pii={column["name"]: column["pii"] for column in avro["fields"] if "pii" in column},
        required=tuple(required),
        defaults={column["name"]: column["default"] for column in avro["fields"] if "default" in column},
        limits={column["name"]: limits for column in avro["fields"] if (limits := _limits(column)) != Limits()},
    )


def split_nullable(avro_type: Any) -> tuple[bool, Any]:
    """Split `["null", T]` or `[T, "null"]` into (True, T); any other type is (False, type)."""
    if isinstance(avro_type, list) and len(avro_type) == 2 and "null" in avro_type:
        return True, next(branch for branch in avro_type if branch != "null")
    return False, avro_type


def _dtype(record: str, column: str, item: Any) -> pl.DataType:
    if isinstance(item, str) and item in _PRIMITIVES:
        return _PRIMITIVES[item]
    if item == {"type": "long", "logicalType": "timestamp-micros"}:
        return TIMESTAMP
    if item == {"type": "array", "items": "string"}:
        return pl.List(pl.String)
    raise TerminalError(
        f"{record}.{column}: expected string, long, boolean, timestamp-micros or array of string, nullable or not, "
        f"came {json.dumps(item)}; change the contract"
    )


def _limits(column: Mapping[str, Any]) -> Limits:
    allowed = column.get("allowed")
    return Limits(tuple(allowed) if allowed else None, column.get("not_empty", False), column.get("minimum"))
