from __future__ import annotations

import pytest

from schemas.blocks import LazyCells, PackedCells

CELLS = [b"a", None, b"", b"bcd"]


def test_cells_are_the_same_when_they_were_packed() -> None:
    packed = PackedCells.of(CELLS)

    assert list(packed) == CELLS
    assert (packed[-1], packed[1:3], packed[::-1]) == (b"bcd", [None, b""], CELLS[::-1])
    assert PackedCells.of(packed) is packed
    with pytest.raises(IndexError):
        packed[4]


def test_lazy_cells_are_made_once_when_somebody_looks() -> None:
    made: list[int] = []

    def make() -> PackedCells:
        made.append(1)
        return PackedCells.of(CELLS)

    lazy = LazyCells(4, make)

    assert (len(lazy), made) == (4, [])
    assert (list(lazy), lazy[1:], lazy[3], PackedCells.of(lazy) is lazy.packed) == (CELLS, CELLS[1:], b"bcd", True)
    assert made == [1]
