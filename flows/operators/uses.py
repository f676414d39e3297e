"""Uses: who used which cell when, as columns; and what is asked of sorted columns of fingerprints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from schemas.compiled import kernel
from schemas.frames import integers

Fingerprints = NDArray[np.uint64]
NO_CELL = 0
"""Stands for the cell of a usage event that names none."""


_FEW = 4096
_PART = np.uint64(0xFFFF)


@dataclass(frozen=True, slots=True)
class Uses:
    """Some usage events.

    Attributes:
        customer: Customer numbers. uint64, n.
        cell: Fingerprints of the cells, `NO_CELL` for none. uint64, n.
        event: Fingerprints of the events' ids. uint64, n.
        time: Event times, microseconds. int64, n.
    """

    customer: Fingerprints
    cell: Fingerprints
    event: Fingerprints
    time: NDArray[np.int64]

    @classmethod
    def of(cls, rows: pl.DataFrame) -> Uses:
        """Those of tokenized `usage_event` rows."""
        cell = rows["cell"]
        if cell.null_count():
            cell = cell.fill_null(NO_CELL)
        customer, event = rows["customer"].to_numpy(), rows["event"].to_numpy()
        return cls(customer, cell.to_numpy(), event, integers(rows["event_time"]))

    @classmethod
    def together(cls, parts: list[Uses]) -> Uses:
        """All of one or more, in this order."""
        return cls(
            np.concatenate([part.customer for part in parts]),
            np.concatenate([part.cell for part in parts]),
            np.concatenate([part.event for part in parts]),
            np.concatenate([part.time for part in parts]),
        )

    def take(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Uses:
        """Some of these."""
        return Uses(self.customer[which], self.cell[which], self.event[which], self.time[which])

    def __len__(self) -> int:
        return len(self.time)


def ranges(begins: NDArray[np.intp], ends: NDArray[np.intp]) -> NDArray[np.intp]:
    """All positions from each beginning to its end."""
    lengths = ends - begins
    positions: NDArray[np.intp] = np.arange(lengths.sum()) + np.repeat(begins - np.cumsum(lengths) + lengths, lengths)
    return positions


def among(values: Fingerprints, known: Fingerprints) -> NDArray[np.bool_]:
    """Which values are in `known`, which is sorted."""
    if len(values) <= _FEW:
        return _found(values, known)
    # fingerprints are uniform: most values that are not known can be told by a part of their bits
    marks = np.zeros(int(_PART) + 1, np.bool_)
    marks[known & _PART] = True
    found = np.zeros(len(values), np.bool_)
    _scan(_read_only(values), _read_only(known), marks, found)
    return found


def warm_up() -> None:
    """Compile the kernel, or load it from numba's cache."""
    among(np.zeros(_FEW + 1, np.uint64), np.zeros(1, np.uint64))


@kernel
def _scan(values: Fingerprints, known: Fingerprints, marks: NDArray[np.bool_], found: NDArray[np.bool_]) -> None:
    for i in range(len(values)):
        value = values[i]
        if marks[value & np.uint64(0xFFFF)]:
            low, high = 0, len(known)
            while low < high:
                middle = (low + high) // 2
                if known[middle] < value:
                    low = middle + 1
                else:
                    high = middle
            found[i] = low < len(known) and known[low] == value


def _read_only(column: Fingerprints) -> Fingerprints:
    # numba compiles for writable arrays apart; one kind is enough
    view = column.view()
    view.flags.writeable = False
    return view


def _found(values: Fingerprints, known: Fingerprints) -> NDArray[np.bool_]:
    if not len(known):
        return np.zeros(len(values), np.bool_)
    at = np.minimum(np.searchsorted(known, values), len(known) - 1)
    found: NDArray[np.bool_] = known[at] == values
    return found
