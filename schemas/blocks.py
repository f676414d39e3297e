"""RecordBlock: many Kafka records as a few buffers, exactly as they were received."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import overload

import numpy as np
from numpy.typing import NDArray

Headers = list[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class RecordBlock:
    """Records of one topic partition, in offset order.

    Values and keys lie back to back in one buffer each; record `i` is `values[value_ends[i]:value_ends[i + 1]]`.

    Attributes:
        topic: The topic.
        partition: The partition.
        values: All values, bytes as received (with Confluent prefix, if any). uint8.
        value_ends: n + 1 positions, the first is 0. int64.
        value_null: True where the value is null (a tombstone). bool, n.
        keys: All keys. uint8.
        key_ends: n + 1 positions. int64.
        key_null: True where the key is null. bool, n.
        offsets: Kafka offsets, ascending. int64, n.
        timestamps_ms: Kafka timestamps, milliseconds since the epoch, -1 where there is none. int64, n.
        headers: The headers of those records that have any, by position in the block.
        next_offset: Where to read on after this block.
        caught_up: Nothing more was to be read when this block was made.
        finished: This partition ends here for this run (`--until-caught-up`): no block follows.
    """

    topic: str
    partition: int
    values: NDArray[np.uint8]
    value_ends: NDArray[np.int64]
    value_null: NDArray[np.bool_]
    keys: NDArray[np.uint8]
    key_ends: NDArray[np.int64]
    key_null: NDArray[np.bool_]
    offsets: NDArray[np.int64]
    timestamps_ms: NDArray[np.int64]
    headers: dict[int, Headers] = field(default_factory=dict)
    next_offset: int = 0
    caught_up: bool = False
    finished: bool = False

    def __len__(self) -> int:
        return len(self.offsets)

    def value(self, row: int) -> bytes | None:
        """The value of the record at position `row`, None for a tombstone."""
        if self.value_null[row]:
            return None
        return self.values[self.value_ends[row] : self.value_ends[row + 1]].tobytes()

    def key(self, row: int) -> bytes | None:
        """The key of the record at position `row`."""
        if self.key_null[row]:
            return None
        return self.keys[self.key_ends[row] : self.key_ends[row + 1]].tobytes()

    @classmethod
    def from_records(
        cls,
        topic: str,
        partition: int,
        records: Sequence[tuple[bytes | None, bytes | None]],
        *,
        first_offset: int = 0,
        offsets: Sequence[int] | None = None,
        timestamps_ms: Sequence[int] | int = -1,
        headers: dict[int, Headers] | None = None,
        caught_up: bool = False,
        finished: bool = False,
    ) -> RecordBlock:
        """Build a block from (key, value) pairs.

        Offsets count up from `first_offset` unless they are given.
        """
        n = len(records)
        at = np.asarray(offsets if offsets is not None else range(first_offset, first_offset + n), np.int64)
        stamps = np.broadcast_to(np.asarray(timestamps_ms, np.int64), (n,)).copy()
        keys, key_ends, key_null = pack([key for key, _ in records])
        values, value_ends, value_null = pack([value for _, value in records])
        return cls(
            topic,
            partition,
            values,
            value_ends,
            value_null,
            keys,
            key_ends,
            key_null,
            at,
            stamps,
            headers or {},
            int(at[-1]) + 1 if n else first_offset,
            caught_up,
            finished,
        )


@dataclass(frozen=True, slots=True, eq=False)
class PackedCells(Sequence[bytes | None]):
    """Cells back to back in one buffer, which costs no Python object a cell.

    Attributes:
        data: All cells. uint8.
        ends: Where each begins and the last one ends; n + 1 positions. int64.
        null: Which are null. bool, n.
    """

    data: NDArray[np.uint8]
    ends: NDArray[np.int64]
    null: NDArray[np.bool_]

    @classmethod
    def of(cls, cells: Sequence[bytes | None]) -> PackedCells:
        """Pack cells that are not packed yet."""
        if isinstance(cells, PackedCells):
            return cells
        return cells.packed if isinstance(cells, LazyCells) else cls(*pack(cells))

    def __len__(self) -> int:
        return len(self.null)

    @overload
    def __getitem__(self, place: int) -> bytes | None: ...
    @overload
    def __getitem__(self, place: slice) -> list[bytes | None]: ...
    def __getitem__(self, place: int | slice) -> bytes | list[bytes | None] | None:
        if isinstance(place, slice):
            return [self[row] for row in range(*place.indices(len(self)))]
        row = range(len(self))[place]
        return None if self.null[row] else self.data[self.ends[row] : self.ends[row + 1]].tobytes()


class LazyCells(Sequence[bytes | None]):
    """Cells that are made when somebody first looks at one, in whatever thread that is.

    Args:
        length: How many there will be.
        make: Makes them; what it raises, looking raises.
    """

    def __init__(self, length: int, make: Callable[[], PackedCells]) -> None:
        self._length, self._make = length, make

    @cached_property
    def packed(self) -> PackedCells:
        """The cells."""
        return self._make()

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, place: int) -> bytes | None: ...
    @overload
    def __getitem__(self, place: slice) -> list[bytes | None]: ...
    def __getitem__(self, place: int | slice) -> bytes | list[bytes | None] | None:
        return self.packed[place]


def pack(cells: Sequence[bytes | None]) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.bool_]]:
    """Cells back to back in one buffer, where each begins and the last one ends (n + 1), and which are null."""
    ends = np.zeros(len(cells) + 1, np.int64)
    np.cumsum([len(cell or b"") for cell in cells], out=ends[1:])
    null = np.fromiter((cell is None for cell in cells), np.bool_, len(cells))
    return np.frombuffer(b"".join(cell or b"" for cell in cells), np.uint8), ends, null
