"""OutputBatch: records for one topic, and the identity each of them carries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from schemas.blocks import RecordBlock

ID_HEADER = "signalbox.id"
"""The header with a record's id: a pure function of the inputs, so a replay makes the same one."""


@dataclass(frozen=True, slots=True)
class OutputBatch:
    """Records to publish in one topic, in order.

    Attributes:
        topic: The topic.
        partitions: The partition of each record; all belong to the writer the batch is given to. int32, n.
        keys: n keys.
        values: n values.
        ids: n ids, each a pure function of the inputs; becomes the header `signalbox.id`.
        headers: Further headers of each record, or None.
        columns: Further headers that every record has: n values by name.
        triggered_ms: When what caused each record came into Kafka, milliseconds since the epoch, or None. It is not
            published; `on_commit` can measure with it. int64, n.
        id_header: The header that holds the id, where it is not `signalbox.id`.
        timestamps_ms: The Kafka timestamp of each record, milliseconds since the epoch, 0 for the time of sending; None
            is that for all of them. int64, n.

    Raises:
        ValueError: The columns differ in length.
    """

    topic: str
    partitions: NDArray[np.int32]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    ids: list[str]
    headers: Sequence[Sequence[tuple[str, bytes | None]]] | None = None
    triggered_ms: NDArray[np.int64] | None = None
    columns: Mapping[str, Sequence[bytes]] = field(default_factory=dict)
    id_header: str = ID_HEADER
    timestamps_ms: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        lengths = {len(self.partitions), len(self.keys), len(self.values), len(self.ids)}
        optional = (self.headers, self.triggered_ms, self.timestamps_ms, *self.columns.values())
        lengths |= {len(column) for column in optional if column is not None}
        if len(lengths) != 1:
            raise ValueError(f"expected columns of one length, got lengths {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.ids)

    def record_headers(self) -> Iterator[list[tuple[str, str | bytes | None]]]:
        """The headers of each record, its id first."""
        further = repeat(()) if self.headers is None else self.headers
        columns = zip(*self.columns.values(), strict=True) if self.columns else repeat(())
        # zip is told not to be strict, for repeat has no end
        for identity, cells, own in zip(self.ids, columns, further, strict=False):
            yield [(self.id_header, identity), *zip(self.columns, cells, strict=True), *own]

    def take(self, rows: list[int]) -> OutputBatch:
        """The records at these positions."""
        return replace(
            self,
            partitions=self.partitions[rows],
            keys=[self.keys[row] for row in rows],
            values=[self.values[row] for row in rows],
            ids=[self.ids[row] for row in rows],
            headers=None if self.headers is None else [self.headers[row] for row in rows],
            triggered_ms=None if self.triggered_ms is None else self.triggered_ms[rows],
            timestamps_ms=None if self.timestamps_ms is None else self.timestamps_ms[rows],
            columns={name: [cells[row] for row in rows] for name, cells in self.columns.items()},
        )


def published_ids(blocks: Iterable[RecordBlock]) -> set[str]:
    """The ids of the records in some blocks; records that carry none are not ours and are left out."""
    return {
        content.decode()
        for block in blocks
        for headers in block.headers.values()
        for name, content in headers
        if name == ID_HEADER and content is not None
    }
