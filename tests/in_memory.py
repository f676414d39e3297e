"""Sources and sinks in memory, to run a whole dataflow inside a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition

from schemas.blocks import RecordBlock


class _BlockPartition(StatefulSourcePartition[RecordBlock, int]):
    def __init__(self, blocks: Sequence[RecordBlock | None], at: int) -> None:
        self._blocks, self._at = blocks, at

    def next_batch(self) -> list[RecordBlock]:
        if self._at == len(self._blocks):
            raise StopIteration
        block = self._blocks[self._at]
        self._at += 1
        return [] if block is None else [block]

    def snapshot(self) -> int:
        return self._at


class BlockSource(FixedPartitionedSource[RecordBlock, int]):
    """Prepared blocks, by partition; None stands for a poll that finds nothing."""

    def __init__(self, parts: Mapping[str, Sequence[RecordBlock | None]]) -> None:
        self._parts = parts

    def list_parts(self) -> list[str]:
        return list(self._parts)

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> _BlockPartition:
        return _BlockPartition(self._parts[for_part], resume_state or 0)


class _Collector(StatelessSinkPartition[Any]):
    def __init__(self, items: list[Any]) -> None:
        self._items = items

    def write_batch(self, items: list[Any]) -> None:
        self._items.extend(items)


class Collected(DynamicSink[Any]):
    """Keeps every item it is given."""

    def __init__(self) -> None:
        self.items: list[Any] = []

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Collector:
        return _Collector(self.items)
