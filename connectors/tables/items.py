"""What a flow sends to the tables sink, and what it says about each table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from schemas.errors import TerminalError

_TABLE_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
REVISIONS_SUFFIX = "_revisions"


@dataclass(frozen=True, slots=True)
class TableSpec:
    """One table.

    Attributes:
        name: Lower case letters, digits and underscores; must not end in `_revisions`.
        schema: Type of each column, in order. Every file holds exactly these.
        sort_by: The rows of a file are ordered by these columns, which lets readers skip row groups.
        latest_by: Key columns. When given, the view `<name>` shows the latest row per key and `<name>_revisions` all.
        order_by: The column that tells which row of a key is the latest; unique within a key.
    """

    name: str
    schema: Mapping[str, pl.DataType | type[pl.DataType]]
    sort_by: tuple[str, ...] = ()
    latest_by: tuple[str, ...] | None = None
    order_by: str | None = None

    def __post_init__(self) -> None:
        if not _TABLE_NAME.fullmatch(self.name) or self.name.endswith(REVISIONS_SUFFIX):
            raise TerminalError(
                f"expected a table name of lower case letters, digits and underscores that does not end in "
                f"{REVISIONS_SUFFIX!r}, came {self.name!r}; rename the table"
            )
        if (self.latest_by is None) != (self.order_by is None):
            raise TerminalError(f"table {self.name}: latest_by and order_by go together; give both or neither")
        for column in (*self.sort_by, *(self.latest_by or ()), *filter(None, [self.order_by])):
            if column not in self.schema:
                raise TerminalError(f"table {self.name}: sorted or keyed by {column!r}, which its schema does not have")


@dataclass(frozen=True, slots=True)
class TableRows:
    """Rows to append to a table.

    Attributes:
        table: Name of the table.
        rows: Exactly the columns of its `TableSpec`, in any order; a column of type Null is taken as all null.
    """

    table: str
    rows: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Tick:
    """An epoch has begun, so the one before is durable: what it wrote may be shown.

    Make one per epoch from an item that a source gave in that epoch. A source is not polled for an epoch before the
    one before it is durable everywhere; that is the proof. `on_notify` and `on_eof` give no such proof, since
    Bytewax calls them as soon as the epoch has begun.
    """


def conform(spec: TableSpec, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with the columns of the spec, in its order.

    Raises:
        TerminalError: A column is missing, unknown, or of another type.
    """
    for column in rows.columns:
        if column not in spec.schema:
            raise TerminalError(f"table {spec.name}: column {column!r} is not in its schema; drop it or add it there")
    for column, dtype in spec.schema.items():
        if column not in rows.columns:
            raise TerminalError(f"table {spec.name}: expected column {column!r} of type {dtype}, came none")
        came = rows.schema[column]
        if came != dtype and came != pl.Null:
            raise TerminalError(f"table {spec.name}: expected column {column!r} of type {dtype}, came {came}")
    return rows.select(pl.col(column).cast(dtype) for column, dtype in spec.schema.items())
