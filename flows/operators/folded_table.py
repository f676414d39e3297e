"""FoldedTable: state that is added to, as a small log-structured table of frames.

New rows are appended to an open part; when it passes a limit it is folded (grouped and merged by the owner's
function) and written as an immutable segment, and segments of similar size are merged. A snapshot is the list of
segments and the bytes of the open part, so it costs what changed and not what exists.

**State.** Every segment is held in memory as well as on disk. `prune` evicts; the owner says what and when.
**Bound.** The open part holds at most `open_rows` rows; there are O(log rows) segments.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

import polars as pl

FORMAT = 1


class SegmentStore(Protocol):
    """Durable, immutable frames by name. They are written in the background: durable once the future is done."""

    def write(self, frame: pl.DataFrame) -> Future[str]: ...  # noqa: D102
    def read(self, name: str) -> pl.DataFrame: ...  # noqa: D102
    def keep_only(self, names: list[str]) -> None: ...  # noqa: D102
    def remove_strangers(self, names: list[str]) -> None: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldSpec:
    """What a table holds and how its rows merge.

    Attributes:
        schema: Column names and types.
        fold: Merges rows of equal identity; must be idempotent, and equal however rows are grouped beforehand.
        open_rows: When the open part is folded into a segment.
        growth: A segment is merged with the next older one unless that one is this many times as large.
    """

    schema: dict[str, pl.DataType]
    fold: Callable[[pl.DataFrame], pl.DataFrame]
    open_rows: int = 4096
    growth: int = 4

    def __post_init__(self) -> None:
        if self.open_rows < 1 or self.growth < 1:
            raise ValueError("expected open_rows and growth of at least 1")


@dataclass(frozen=True, slots=True)
class TableState:
    """A table's snapshot: durable segments by name, oldest first, and the open part as an Arrow stream."""

    format: int
    segments: tuple[str, ...]
    open_part: bytes


@dataclass(slots=True)
class _Segment:
    frame: pl.DataFrame
    name: Future[str]


class FoldedTable:
    """Rows under `spec`, durable through `store`; `resume` is an earlier `snapshot()`."""

    def __init__(self, spec: FoldSpec, store: SegmentStore, resume: TableState | None = None) -> None:
        self._spec, self._store = spec, store
        self._segments: list[_Segment] = []
        self._open: list[pl.DataFrame] = []
        self._open_rows = 0
        self._open_bytes: bytes | None = None
        store.remove_strangers(list(resume.segments) if resume else [])
        if resume is not None:
            self._load(resume)

    def append(self, frame: pl.DataFrame) -> None:
        """Add rows; columns must be those of the schema, in its order."""
        if not frame.height:
            return
        self._open.append(frame)
        self._open_rows += frame.height
        self._open_bytes = None
        if self._open_rows >= self._spec.open_rows:
            folded = self._spec.fold(pl.concat(self._open))
            self._open, self._open_rows = [], 0
            self._push(folded)

    def parts(self) -> list[pl.DataFrame]:
        """Every part that has rows, oldest first, as it is held: identities may occur in several parts."""
        if len(self._open) > 1:
            # a call for each frame costs more than the rows of a small one do
            self._open = [pl.concat(self._open)]
        return [segment.frame for segment in self._segments] + self._open

    def scan(self, predicate: pl.Expr) -> pl.DataFrame:
        """The rows that satisfy `predicate`, not folded."""
        found = [part.filter(predicate) for part in self.parts()]
        return pl.concat([part for part in found if part.height] or [pl.DataFrame(schema=self._spec.schema)])

    def folded(self, predicate: pl.Expr | None = None) -> pl.DataFrame:
        """All rows, or those that satisfy `predicate`, merged. The predicate must not split an identity."""
        return self._spec.fold(self.scan(pl.lit(value=True) if predicate is None else predicate))

    @property
    def rows(self) -> int:
        """Rows held, before merging across parts."""
        return self._open_rows + sum(segment.frame.height for segment in self._segments)

    @property
    def nbytes(self) -> int:
        """Bytes of memory the frames take."""
        return sum(int(part.estimated_size()) for part in self.parts())

    def prune(self, keep: pl.Expr) -> None:
        """Drop the rows that do not satisfy `keep`; segments that lose rows are written anew."""
        segments, self._segments = self._segments, []
        for segment in segments:
            left = segment.frame.filter(keep)
            if left.height == segment.frame.height:
                self._segments.append(segment)
            elif left.height:
                self._segments.append(_Segment(left, self._store.write(left)))
        self._open = [left for part in self._open if (left := part.filter(keep)).height]
        self._open_rows = sum(part.height for part in self._open)
        self._open_bytes = None

    def snapshot(self) -> TableState:
        """Wait until every segment is durable, and say what makes up the table."""
        if self._open_bytes is None:
            self._open_bytes = _to_bytes(pl.concat(self._open)) if self._open_rows else b""
        names = tuple(segment.name.result() for segment in self._segments)
        self._store.keep_only(list(names))
        return TableState(FORMAT, names, self._open_bytes)

    def _push(self, frame: pl.DataFrame) -> None:
        while self._segments and self._segments[-1].frame.height < self._spec.growth * frame.height:
            frame = self._spec.fold(pl.concat([self._segments.pop().frame, frame]))
        self._segments.append(_Segment(frame, self._store.write(frame)))

    def _load(self, state: TableState) -> None:
        for name in state.segments:
            done: Future[str] = Future()
            done.set_result(name)
            self._segments.append(_Segment(self._store.read(name), done))
        if state.open_part:
            self._open = [pl.read_ipc_stream(io.BytesIO(state.open_part))]
            self._open_rows = self._open[0].height
            self._open_bytes = state.open_part


def _to_bytes(frame: pl.DataFrame) -> bytes:
    out = io.BytesIO()
    frame.write_ipc_stream(out)
    return out.getvalue()
