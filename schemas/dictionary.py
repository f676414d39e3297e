"""The data dictionary: every contract as a table for people. `python -m schemas.dictionary` writes it to stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from schemas.contracts import TABLE_CONTRACTS, Contract, contract, contract_names, split_nullable

_HEAD = """# Data dictionary

Written by `make dictionary` from the contracts in `schemas/*.avsc`; do not edit it here.

Each contract is an Avro record and, with the same names, a JSON object and a table's columns. Times are UTC in
microseconds. *pii* is the class of personal data; such a column is tokenized, or dropped, before a row is kept
anywhere. A record that breaks its contract is a dead letter, and its neighbours go on.
"""
_COLUMNS = ("field", "type", "pii", "meaning")


def dictionary() -> str:
    """All contracts in Markdown, sorted by name."""
    return "\n".join([_HEAD, *(_section(contract(name)) for name in contract_names())])


def _section(described: Contract) -> str:
    tables = [table for table, name in TABLE_CONTRACTS.items() if name == described.name]
    also = f" Also the table `{tables[0]}`." if tables else ""
    lines = [f"## `{described.name}`", "", f"{described.avro['doc']}{also}", ""]
    lines += [_line(_COLUMNS), _line(["---"] * len(_COLUMNS))]
    lines += [_line(_cells(field)) for field in described.avro["fields"]]
    return "\n".join([*lines, ""])


def _cells(field: dict[str, Any]) -> tuple[str, ...]:
    return f"`{field['name']}`", _type(field), field.get("pii", ""), field["doc"] + _limits(field)


def _type(field: dict[str, Any]) -> str:
    nullable, item = split_nullable(field["type"])
    named = item
    if isinstance(item, dict):
        named = f"array of {item['items']}" if item["type"] == "array" else item["logicalType"]
    return f"{named} or null" if nullable else str(named)


def _limits(field: dict[str, Any]) -> str:
    """What the meaning does not say: limits, and the default where it is not null."""
    said: list[str] = []
    if any(value not in field["doc"] for value in field.get("allowed", ())):
        said.append(f"One of {', '.join(field['allowed'])}.")
    if field.get("not_empty"):
        said.append("Not empty.")
    if "minimum" in field:
        said.append(f"At least {field['minimum']}.")
    if field.get("default") is not None:
        said.append(f"Default {_shown(field['default'])}.")
    return "".join(f" {sentence}" for sentence in said)


def _shown(default: Any) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    return "none" if default == [] else str(default)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.stdout.write(dictionary())
