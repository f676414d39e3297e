"""Frames of few rows, column by column.

An expression of Polars, and whatever works on several columns at once, is handed to Polars' own threads, and the way
there and back takes 100 to 200 microseconds however few the rows. A method of a Series runs where it is called, in two.
What is done to every block of a stream is therefore done by these.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray


def take(frame: pl.DataFrame, mask: NDArray[np.bool_]) -> pl.DataFrame:
    """The rows where `mask` is true."""
    wanted = pl.Series(mask)
    return pl.DataFrame([column.filter(wanted) for column in frame.get_columns()])


def pick(frame: pl.DataFrame, names: Iterable[str]) -> pl.DataFrame:
    """Some columns, in this order."""
    return pl.DataFrame([frame.get_column(name) for name in names])


def without(frame: pl.DataFrame, names: Iterable[str]) -> pl.DataFrame:
    """All columns but some; what is not there need not go."""
    gone = frozenset(names)
    return pl.DataFrame([column for column in frame.get_columns() if column.name not in gone])


def stack(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """All rows of one or more frames with the same columns."""
    first, *others = frames
    for frame in others:
        first = first.vstack(frame)
    return first


def constant(name: str, value: object, dtype: pl.DataType, rows: int) -> pl.Series:
    """A column that says the same in every row."""
    return pl.Series(name, [value], dtype).new_from_index(0, rows)


def nulls(column: pl.Series) -> NDArray[np.bool_]:
    """Where a column is null."""
    if not column.null_count():
        return np.zeros(len(column), np.bool_)
    where: NDArray[np.bool_] = column.to_arrow().is_null().to_numpy(zero_copy_only=False)
    return where


def integers(column: pl.Series, null: int = 0) -> NDArray[np.int64]:
    """A column of times (microseconds) or whole numbers; `null` stands for null."""
    whole = column.cast(pl.Int64)
    if not whole.null_count():
        return whole.to_numpy()
    filled: NDArray[np.int64] = whole.to_arrow().fill_null(null).to_numpy(zero_copy_only=False)
    return filled
