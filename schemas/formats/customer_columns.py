"""What the CRM formats share where they are read in columns; see `customers`."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np
import pyarrow as pa

from schemas.codec.kernel import Longs
from schemas.codec.nested_cells import Numbers, has_text, is_integer, length_of
from schemas.codec.times import MAXIMUM_MICROSECONDS, MINIMUM_MICROSECONDS
from schemas.formats.columns import LISTS, ManyFields
from schemas.formats.customers import COLUMNS, cell

INSTANTS = ("contract_start", "contract_end")
WORD_LISTS = ("services", "channels", "consent")
_NO_TIME = -1


def names_of(columns: Longs) -> pa.Array:
    """The names of columns, for `changed_fields`; null where there is none.

    Args:
        columns: A bit for each of `COLUMNS`.
    """
    distinct, places = np.unique(columns, return_inverse=True)
    names = [[column for bit, column in enumerate(COLUMNS) if bits >> bit & 1] or None for bits in distinct.tolist()]
    return pa.array(names, LISTS).take(pa.array(places))


def many_instants(fields: ManyFields, notes: Longs, column: str, micros: Callable[[Longs], Longs]) -> Numbers:
    """The cells of `contract_start` or `contract_end` in many rows, as `cell` reads one.

    Args:
        fields: What the rows come of.
        notes: Where the cells lie.
        column: Which of the two.
        micros: What this CRM means by times that are numbers.
    """
    for infinite in ("infinity", "-infinity"):
        notes = np.where(fields.equals(notes, infinite), 0, notes)
    are_dates, are_numbers = length_of(notes) == 10, is_integer(notes)
    dates = fields.number_meaning(
        np.where(are_dates & ~are_numbers, notes, 0), partial(_remembered_date, column), otherwise=_NO_TIME
    )
    times = fields.instant(np.where(are_dates | are_numbers, 0, notes))
    numbers = micros(fields.integer(np.where(are_numbers, notes, 0)).values)
    found = np.where(are_numbers, numbers, np.where(are_dates, dates, times.values))
    null = ~has_text(notes) | (found < MINIMUM_MICROSECONDS) | (found > MAXIMUM_MICROSECONDS)
    return Numbers(found, null, times.unfit)


@lru_cache(maxsize=65_536)
def _remembered_date(column: str, text: str) -> int | None:
    found = cell(column, text, column, int)
    return found if isinstance(found, int) else None
