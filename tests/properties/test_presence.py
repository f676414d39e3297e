"""Presence equals a search through every use, although it keeps only the first and the last of each bucket."""

from __future__ import annotations

import pickle
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.segments import SegmentFiles
from flows.operators.presence import Presence
from flows.operators.uses import NO_CELL, Uses

OPEN_ROWS = 4096


class Use(NamedTuple):
    customer: int
    cell: int | None
    time: int


# the size is drawn first, for lists are short otherwise, and a bucket that matters holds several uses
USES = st.integers(0, 20).flatmap(
    lambda size: st.lists(
        st.builds(Use, st.integers(1, 2), st.sampled_from([None, 7, 7, 2**64 - 1]), st.integers(0, 40)),
        min_size=size,
        max_size=size,
    )
)
CELLS = st.sampled_from([{7}, {7, 8}, {2**64 - 1}, {7, 2**64 - 1}, set()])


def as_columns(uses: list[Use]) -> Uses:
    columns = [[use.customer for use in uses], [use.cell or NO_CELL for use in uses], [0] * len(uses)]
    times = np.array([use.time for use in uses], np.int64)
    return Uses(*(np.array(column, np.uint64) for column in columns), times)


def naive_touched(uses: list[Use], window: int, cells: set[int], start: int, end: int) -> list[tuple[int, int]]:
    since: dict[int, int] = {}
    for use in uses:
        if use.cell in cells and start - window <= use.time < end:
            touched_at = max(use.time, start)
            since[use.customer] = min(touched_at, since.get(use.customer, touched_at))
    return sorted(since.items())


@settings(max_examples=50, deadline=None)
@given(
    batches=st.lists(st.tuples(USES, st.booleans()), min_size=1, max_size=2),
    window=st.sampled_from([1, 5, 10, 20]),
    cells=CELLS,
    length=st.integers(0, 30),
    before=st.integers(0, 15),
    resumed=st.booleans(),
)
def test_touched_equals_a_search_through_all_uses_when_they_are_folded_forgotten_or_resumed(
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[tuple[list[Use], bool]],
    window: int,
    cells: set[int],
    length: int,
    before: int,
    resumed: bool,
) -> None:
    directory = tmp_path_factory.mktemp("presence")
    presence = Presence(window, SegmentFiles(directory))
    for uses, folded in batches:
        # uses that are told again change nothing, and are enough to close the open part
        again = 1 + OPEN_ROWS // max(1, sum(use.cell is not None for use in uses)) if folded else 1
        presence.add(as_columns(uses * again))
    presence.forget(before)
    if resumed:
        presence = Presence(window, SegmentFiles(directory), pickle.loads(pickle.dumps(presence.table.snapshot())))

    every = [use for uses, _ in batches for use in uses]
    for start in range(before + window, 50, 3):  # nobody asks for what is forgotten
        touched = presence.touched(np.array(sorted(cells), np.uint64), start, start + length)
        expected = naive_touched(every, window, cells, start, start + length)
        assert list(zip(*(column.tolist() for column in touched), strict=True)) == expected
