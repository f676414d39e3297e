"""Row dictionaries to a frame, with strict types: what a parser has made of one record at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from types import NoneType
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from schemas.codec.limits import split_by_limits
from schemas.codec.times import microseconds, parse_time
from schemas.codec.types import Rejected
from schemas.contracts import TIMESTAMP, Contract
from schemas.errors import RecordError

_INT64 = range(-(2**63), 2**63)
_MISSING = object()


def rows_to_frame(
    contract: Contract, rows: Sequence[Mapping[str, object]], positions: Sequence[int]
) -> tuple[pl.DataFrame, list[Rejected]]:
    """Build the contract's frame from rows, and reject the records whose rows do not keep to it.

    Nothing is coerced: "12" is no number, 1.0 no integer, 0 no boolean. A time is an `int` (microseconds since the
    epoch, UTC), an aware `datetime`, or a text that `parse_time` reads. A column that a row does not name takes the
    contract's default. Columns that the contract does not know are ignored.

    Args:
        contract: The contract.
        rows: One mapping of column to value per row.
        positions: For each row, the position of its record in the block, ascending; the rows of one record share it.

    Returns:
        The frame (the contract's columns and `_row`), and the rejected records in order: `wrong_type`,
        `missing_field`, `invalid_utf8` or `out_of_range`. One bad row rejects its whole record.
    """
    bad: dict[int, Rejected] = {}
    columns: dict[str, list[Any]] = {}
    for name, dtype in contract.polars.items():
        default = contract.defaults.get(name, _MISSING)
        cells = columns[name] = [row.get(name, default) for row in rows]
        kind, nullable = _kind(dtype), name not in contract.required
        if _are_plain(cells, kind, nullable=nullable):
            continue
        check = _CHECKS[kind]
        for i, cell in enumerate(cells):
            if cell is None and nullable:
                continue
            try:
                cells[i] = check(cell)
            except RecordError as error:
                cells[i] = None
                position = positions[i]
                bad.setdefault(position, Rejected(position, error.reason, f"column {name}: {error}"))
    frame = _frame(contract, columns, positions)
    if bad:
        frame = frame.filter(~pl.col("_row").is_in(list(bad)))
    frame, beyond = split_by_limits(contract, frame)
    return frame, sorted([*bad.values(), *beyond], key=lambda rejected: rejected.row)


def empty_frame(contract: Contract) -> pl.DataFrame:
    """The contract's frame without a row, `_row` included."""
    return pl.DataFrame(schema={**contract.polars, "_row": pl.UInt32})


def _frame(contract: Contract, columns: Mapping[str, list[Any]], positions: Sequence[int]) -> pl.DataFrame:
    series = [_series(name, dtype, columns[name]) for name, dtype in contract.polars.items()]
    return pl.DataFrame([*series, pl.Series("_row", positions, pl.UInt32)])


def _series(name: str, dtype: pl.DataType, cells: list[Any]) -> pl.Series:
    if dtype == TIMESTAMP:
        return pl.Series(name, cells, pl.Int64, strict=True).cast(TIMESTAMP)
    if dtype != pl.List:
        return pl.Series(name, cells, dtype, strict=True)
    # Polars takes a hundred times as long for lists of lists
    ends = np.cumsum([0, *(len(cell) if cell else 0 for cell in cells)], dtype=np.int64)
    texts = pl.Series(list(chain.from_iterable(filter(None, cells))), dtype=pl.String, strict=True).to_arrow()
    null = np.fromiter((cell is None for cell in cells), np.bool_, len(cells))
    return pl.Series(name, pa.LargeListArray.from_arrays(ends, texts.cast(pa.large_string()), mask=pa.array(null)))


def _are_plain(cells: list[Any], kind: str, *, nullable: bool) -> bool:
    """Whether all cells are right as they are. A glance, which is enough for nearly every column."""
    types = set(map(type, cells))
    if nullable:
        types.discard(NoneType)
    if not types <= {_PLAIN[kind]}:
        return False
    match kind:
        case "String":
            return _are_unicode(cells)
        case "List":
            items = list(chain.from_iterable(filter(None, cells)))
            return set(map(type, items)) <= {str} and _are_unicode(items)
        case "Int64" | "time":
            numbers = list(filter(None, cells))
            return not numbers or (min(numbers) in _INT64 and max(numbers) in _INT64)
    return True


def _are_unicode(texts: Iterable[str | None]) -> bool:
    joined = "".join(filter(None, texts))
    try:
        return joined.isascii() or bool(joined.encode())
    except UnicodeEncodeError:
        return False


def _kind(dtype: pl.DataType) -> str:
    return "time" if dtype == TIMESTAMP else str(dtype.base_type())


def _text(cell: object) -> str:
    if type(cell) is not str:
        raise _unexpected("string", cell)
    if not cell.isascii():
        try:
            cell.encode()
        except UnicodeEncodeError as error:
            raise RecordError("invalid_utf8", "expected Unicode text, came a lone surrogate") from error
    return cell


def _integer(cell: object) -> int:
    if type(cell) is not int:
        raise _unexpected("long", cell)
    if cell not in _INT64:
        raise RecordError("out_of_range", "expected a number of 64 bits, came a larger one")
    return cell


def _boolean(cell: object) -> bool:
    if type(cell) is not bool:
        raise _unexpected("boolean", cell)
    return cell


def _texts(cell: object) -> list[str]:
    if type(cell) is not list:
        raise _unexpected("array of string", cell)
    for item in cell:
        if type(item) is not str:
            raise RecordError("wrong_type", f"expected array of string, came an item of type {_name(item)}")
        _text(item)
    return cell


def _time(cell: object) -> int:
    if type(cell) is str:
        return parse_time(cell)
    if type(cell) is int:
        return _integer(cell)
    if isinstance(cell, datetime):
        return microseconds(cell)
    raise _unexpected("a time (ISO 8601 text with offset, or microseconds as integer)", cell)


_PLAIN: Mapping[str, type] = {"String": str, "Int64": int, "Boolean": bool, "List": list, "time": int}
_CHECKS: Mapping[str, Callable[[object], Any]] = {
    "String": _text,
    "Int64": _integer,
    "Boolean": _boolean,
    "List": _texts,
    "time": _time,
}


def _unexpected(expected: str, cell: object) -> RecordError:
    if cell is _MISSING:
        return RecordError("missing_field", f"expected {expected}, came nothing")
    return RecordError("wrong_type", f"expected {expected}, came {_name(cell)}")


def _name(cell: object) -> str:
    return "null" if cell is None else type(cell).__name__
