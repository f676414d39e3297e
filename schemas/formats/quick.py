"""The quick path of vendor formats: whatever a form reads of a block, and which records it has read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from schemas.blocks import RecordBlock
from schemas.codec import Rejected, empty_frame
from schemas.codec.limits import split_by_limits
from schemas.codec.nested import scan
from schemas.codec.nested_cells import Numbers
from schemas.contracts import Contract
from schemas.formats.columns import Form, ManyFields, ManyRows
from schemas.frames import constant, nulls

Bools = NDArray[np.bool_]


class Read(NamedTuple):
    """What a form has read.

    Attributes:
        rows: The contract's columns and `_row`, in the order of the block.
        rejected: The records whose rows break a limit of the contract.
        taken: The records that it has read, by position in the block.
        empty: How many of these were understood and carry no row.
    """

    rows: pl.DataFrame
    rejected: list[Rejected]
    taken: Bools
    empty: int


def read_form(contract: Contract, form: Form, block: RecordBlock, wanted: NDArray[np.int64]) -> Read:
    """Read the records of one form.

    Args:
        contract: What the rows become.
        form: The form.
        block: The block.
        wanted: The records to be read, by position, ascending.
    """
    values = block.values.view()
    values.flags.writeable = False  # numba compiles for writable arrays apart; one kind is enough
    notes = scan(form.tree, values, block.value_ends[wanted], block.value_ends[wanted + 1])
    taken = np.zeros(len(block), np.bool_)
    if not notes.plain.any():
        return Read(empty_frame(contract), [], taken, 0)
    wanted = wanted[notes.plain]
    left = np.zeros(len(wanted), np.bool_)
    found = form.rows(ManyFields(notes, form.tree.root, np.arange(len(wanted)), left, block, wanted))
    columns = {name: _column(contract, name, found) for name in contract.polars}
    carried = np.ones(len(found.fields), np.bool_) if found.carried is None else found.carried
    for name in contract.required:
        found.fields.leave(nulls(columns[name]) & carried)
    taken[wanted[~left]] = True
    keep = carried & ~left[found.fields.records]
    series = [*columns.values(), pl.Series("_row", wanted[found.fields.records].astype(np.uint32))]
    if not keep.all():
        mask = pl.Series(keep)
        series = [column.filter(mask) for column in series]
    rows = pl.DataFrame(series)
    of_rows = found.fields.records[keep]
    empty = int(taken.sum()) - int(np.count_nonzero(np.diff(of_rows, prepend=-1)))
    rows, rejected = split_by_limits(contract, rows)
    return Read(rows, rejected, taken, empty)


def _column(contract: Contract, name: str, found: ManyRows) -> pl.Series:
    dtype = contract.polars[name]
    given = found.columns.get(name, contract.defaults.get(name))
    if isinstance(given, Numbers):
        given = pa.array(given.values, mask=given.null) if given.null.any() else given.values
    if not isinstance(given, pa.Array | np.ndarray):
        return constant(name, given, dtype, len(found.fields))
    series = pl.Series(name, given)
    return series.cast(dtype) if series.dtype != dtype else series
