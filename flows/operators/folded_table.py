"""FoldedTable: state that is added to, as a small log-structured table of frames.

New rows are appended to an open part; when it passes a limit, or snapshots have carried it often enough, it is folded
(grouped and merged by the owner's function) and written as an immutable segment, and segments of similar size are
merged in the background. A snapshot is the list of segments and the bytes of the open part, so it costs what changed
and not what exists. It does not wait for the disk: of a segment that is not durable yet it names the durable ones that
were merged into it, and holds the other rows.

**State.** Every segment is held in memory as well as on disk. `prune` evicts; the owner says what and when.
**Bound.** The open part holds at most `open_rows` rows; there are O(log rows) segments.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import polars as pl

from schemas.frames import stack

_WAITING_PARTS = 4
_MOST_CARRIED_BYTES = 256 * 1024
"""What snapshots may carry of an open part, all of them together, before it becomes a segment."""
_MOST_PIECES = 16
"""Many small ones cost more to read and to write than one."""


class SegmentStore(Protocol):
    """Durable, immutable frames by name, written in the background, one after the other in the order of the calls."""

    def write(self, frame: pl.DataFrame) -> tuple[str, Future[None]]:
        """Write a frame under a new name; it is durable once the future is done."""
        ...

    def read(self, name: str) -> pl.DataFrame: ...  # noqa: D102
    def keep_only(self, names: list[str]) -> None: ...  # noqa: D102
    def remove_strangers(self, names: list[str]) -> None: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldSpec:
    """What a table holds and how its rows merge.

    Attributes:
        schema: Column names and types.
        fold: Merges rows of equal identity; must be idempotent, and equal however rows are grouped beforehand. Runs in
            another thread too.
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
    """A table's snapshot: durable segments by name, oldest first, and the other rows as Arrow streams."""

    segments: tuple[str, ...]
    open_part: tuple[bytes, ...]


@dataclass(slots=True)
class _Piece:
    """Rows that are in no durable segment, and their bytes once a snapshot has needed them."""

    frame: pl.DataFrame
    encoded: bytes | None = None

    def encode(self) -> bytes:
        if self.encoded is None:
            self.encoded = _to_bytes(self.frame)
        return self.encoded


@dataclass(frozen=True, slots=True)
class _Origins:
    """What rows can be had from until their own segment is durable: durable segments, then pieces that are in none."""

    names: tuple[str, ...] = ()
    pieces: tuple[_Piece, ...] = ()

    def then(self, newer: _Origins) -> _Origins:
        # pieces of the older part are older than any segment of the newer one: the disk is written in order, so had
        # such a segment become durable, the older part would be
        return _Origins(self.names + newer.names, self.pieces + newer.pieces)

    @property
    def rows(self) -> int:
        return sum(piece.frame.height for piece in self.pieces)


@dataclass(frozen=True, slots=True, eq=False)
class _Segment:
    frame: pl.DataFrame
    name: str
    durable: Future[None]
    origins: _Origins | None
    """None: its rows can be had from nowhere else, and a snapshot waits."""

    def settled(self) -> _Origins:
        """What a successor can have these rows from; waits if the disk has to be waited for."""
        if self.origins is None or self.durable.done():
            self.durable.result()
            return _Origins((self.name,))
        return self.origins


class FoldedTable:
    """Rows under `spec`, durable through `store`; `resume` is an earlier `snapshot()`."""

    def __init__(self, spec: FoldSpec, store: SegmentStore, resume: TableState | None = None) -> None:
        self._spec, self._store = spec, store
        self._segments: list[_Segment] = []
        self._merging: tuple[list[_Segment], Future[pl.DataFrame]] | None = None
        self._open: list[_Piece] = []
        self._open_rows = 0
        self._open_frame: pl.DataFrame | None = None  # all of it, once somebody has asked
        self._carried_bytes = 0
        store.remove_strangers(list(resume.segments) if resume else [])
        if resume is not None:
            self._load(resume)

    def append(self, frame: pl.DataFrame) -> None:
        """Add rows; columns must be those of the schema, in its order."""
        if not frame.height:
            return
        self._open.append(_Piece(frame))
        self._open_rows += frame.height
        self._open_frame = None
        if self._open_rows >= self._spec.open_rows:
            self._close()

    def segments(self) -> list[pl.DataFrame]:
        """The rows that were folded, in as many parts as there are segments, oldest first."""
        return [segment.frame for segment in self._segments]

    def open_part(self) -> list[pl.DataFrame]:
        """The rows that were not folded, as one frame, if there are any."""
        if self._open_frame is None and self._open:
            # a call for each frame costs more than the rows of a small one do
            self._open_frame = stack([piece.frame for piece in self._open])
        return [] if self._open_frame is None else [self._open_frame]

    def parts(self) -> list[pl.DataFrame]:
        """Every part that has rows, oldest first, as it is held: identities may occur in several parts."""
        return self.segments() + self.open_part()

    def scan(self, predicate: pl.Expr) -> pl.DataFrame:
        """The rows that satisfy `predicate`, not folded."""
        found = [part.filter(predicate) for part in self.parts()]
        return stack([part for part in found if part.height] or [pl.DataFrame(schema=self._spec.schema)])

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

    def prune(self, keep: pl.Expr, *, may_return: bool = False) -> None:
        """Drop the rows that do not satisfy `keep`; segments that lose rows are written anew.

        With `may_return` a snapshot does not wait for that: until it is done, a successor may find the rows again.
        """
        self._finish_merge(wait=True)
        segments, self._segments = self._segments, []
        for segment in segments:
            left = segment.frame.filter(keep)
            if left.height == segment.frame.height:
                self._segments.append(segment)
            elif left.height:
                self._segments.append(self._written(left, segment.settled() if may_return else None))
        kept = [part.filter(keep) for part in self.open_part()]
        self._open, self._open_frame = [_Piece(part) for part in kept if part.height], None
        self._open_rows = sum(part.height for part in kept)

    def snapshot(self) -> TableState:
        """Say what makes up the table."""
        self._finish_merge()
        waiting = _Origins()
        # the newest first: what was handed to the disk before something durable is durable as well
        for segment in reversed(self._segments):
            waiting = segment.settled().then(waiting)
        self._store.keep_only([*waiting.names, *(segment.name for segment in self._segments)])
        if len(self._open) > _MOST_PIECES:
            self._open = [_Piece(part) for part in self.open_part()]
        encoded = tuple(piece.encode() for piece in (*waiting.pieces, *self._open))
        self._carried_bytes += sum(len(piece.encode()) for piece in self._open)
        if self._carried_bytes >= _MOST_CARRIED_BYTES:
            self._close()
        return TableState(waiting.names, encoded)

    def _close(self) -> None:
        """Make the open part a segment."""
        pieces, self._open, self._open_rows, self._open_frame = self._open, [], 0, None
        self._carried_bytes = 0
        frame = self._spec.fold(stack([piece.frame for piece in pieces]))
        origins = _Origins(pieces=tuple(pieces))
        held = origins.rows + sum(
            each.origins.rows for each in self._segments if each.origins and not each.durable.done()
        )
        # more rows than these are not held twice: then the next snapshot waits for the disk
        bounded = held <= _WAITING_PARTS * self._spec.open_rows
        self._segments.append(self._written(frame, origins if bounded else None))
        self._finish_merge()
        self._start_merge()

    def _start_merge(self) -> None:
        """Merge the newest segments in the background, as many as are of similar size; one merge at a time."""
        if self._merging is not None:
            return
        inputs: list[_Segment] = []
        rows = 0
        for segment in reversed(self._segments):
            if inputs and segment.frame.height >= self._spec.growth * rows:
                break
            inputs.insert(0, segment)
            rows += segment.frame.height
        if len(inputs) > 1:
            frames = [segment.frame for segment in inputs]
            self._merging = (inputs, _merger().submit(lambda: self._spec.fold(stack(frames))))

    def _finish_merge(self, *, wait: bool = False) -> None:
        """Put a merged segment in the place of its inputs, when it is there and they are durable."""
        if self._merging is None:
            return
        inputs, merged = self._merging
        if not wait and not (merged.done() and all(segment.durable.done() for segment in inputs)):
            return
        for segment in inputs:
            segment.durable.result()
        at = self._segments.index(inputs[0])
        # until it is durable itself, its inputs are named: newer segments may be durable before it
        names = _Origins(tuple(segment.name for segment in inputs))
        self._segments[at : at + len(inputs)] = [self._written(merged.result(), names)]
        self._merging = None

    def _written(self, frame: pl.DataFrame, origins: _Origins | None) -> _Segment:
        return _Segment(frame, *self._store.write(frame), origins)

    def _load(self, state: TableState) -> None:
        for name in state.segments:
            done: Future[None] = Future()
            done.set_result(None)
            self._segments.append(_Segment(self._store.read(name), name, done, None))
        self._open = [_Piece(pl.read_ipc_stream(io.BytesIO(encoded)), encoded) for encoded in state.open_part]
        self._open_rows = sum(piece.frame.height for piece in self._open)


@lru_cache(maxsize=1)
def _merger() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="merge")


def _to_bytes(frame: pl.DataFrame) -> bytes:
    out = io.BytesIO()
    frame.write_ipc_stream(out)
    return out.getvalue()
