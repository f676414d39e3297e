"""Values of the right type that cannot be true: what a contract's limits say, checked on whole columns."""

from __future__ import annotations

import polars as pl

from schemas.codec.times import MAXIMUM_MICROSECONDS, MINIMUM_MICROSECONDS
from schemas.codec.types import Rejected
from schemas.contracts import TIMESTAMP, Contract


def split_by_limits(contract: Contract, rows: pl.DataFrame) -> tuple[pl.DataFrame, list[Rejected]]:
    """Take out the records that break a limit of the contract.

    Args:
        contract: Says what each column must keep to. Times must lie in the years 1970 to 9999 in any case.
        rows: The contract's columns and `_row`.

    Returns:
        The rows of the records that keep to all of it, and one `Rejected` (`out_of_range`) for each of the others:
        a record with one bad row is rejected as a whole, so that a dead letter, replayed, repeats nothing.
    """
    # a block without a broken limit is the rule, and this is the cheap way to see it
    if not rows.height or not any(_breaks(contract, column) for column in rows.get_columns()):
        return rows, []
    first: dict[int, str] = {}
    for expression, message in _broken(contract):
        for row in rows.filter(expression)["_row"].to_list():
            first.setdefault(row, message)
    kept = rows.filter(~pl.col("_row").is_in(list(first)))
    return kept, [Rejected(row, "out_of_range", first[row]) for row in sorted(first)]


def _breaks(contract: Contract, column: pl.Series) -> bool:
    """Whether some value of a column breaks a limit."""
    limits = contract.limits.get(column.name)
    if column.dtype == TIMESTAMP:
        moments = column.cast(pl.Int64)
        # a column of nulls has no least one
        least, most = moments.min() or 0, moments.max() or 0
        return bool(least < MINIMUM_MICROSECONDS or most > MAXIMUM_MICROSECONDS)  # type: ignore[operator]
    if limits is None:
        return False
    if limits.minimum is not None and column.null_count() < len(column):
        return bool(column.min() < limits.minimum)  # type: ignore[operator]
    known = sum(int((column == text).sum()) for text in limits.allowed or ())
    unknown = limits.allowed is not None and known < len(column) - column.null_count()
    return unknown or (limits.not_empty and bool((column == "").any()))


def _broken(contract: Contract) -> list[tuple[pl.Expr, str]]:
    """An expression that is true where a limit is broken, and the message, in the order of the columns."""
    found: list[tuple[pl.Expr, str]] = []
    for name, dtype in contract.polars.items():
        column = pl.col(name)
        limits = contract.limits.get(name)
        if dtype == TIMESTAMP:
            moment = column.to_physical()
            outside = (moment < MINIMUM_MICROSECONDS) | (moment > MAXIMUM_MICROSECONDS)
            found.append((outside, f"column {name}: expected a time in the years 1970 to 9999, came one outside"))
        if limits and limits.allowed:
            known = ", ".join(limits.allowed)
            found.append((~column.is_in(limits.allowed), f"column {name}: expected one of {known}, came another text"))
        if limits and limits.not_empty:
            found.append((column == "", f"column {name}: expected a text that is not empty, came an empty one"))
        if limits and limits.minimum is not None:
            message = f"column {name}: expected at least {limits.minimum}, came less"
            found.append((column < limits.minimum, message))
    return found
