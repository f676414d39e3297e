"""A folded table equals a plain list, whenever its parts are folded, pruned, written and read back.

The disk works when the test lets it, or when somebody waits for it.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors import segments
from connectors.segments import SegmentFiles
from flows.operators.folded_table import FoldedTable, FoldSpec
from schemas.errors import TerminalError

SCHEMA: dict[str, pl.DataType] = {"key": pl.Int64(), "low": pl.Int64(), "high": pl.Int64()}
NEWEST, PREVIOUS = -1, -2
Row = tuple[int, int, int]
Action = tuple[str, list[Row] | int]


def extremes(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.group_by("key").agg(pl.col("low").min(), pl.col("high").max())


def as_they_are(rows: pl.DataFrame) -> pl.DataFrame:
    return rows


def naive_extremes(rows: list[Row]) -> list[Row]:
    by_key = {key: [row for row in rows if row[0] == key] for key in sorted({key for key, _, _ in rows})}
    return [(key, min(low for _, low, _ in own), max(high for *_, high in own)) for key, own in by_key.items()]


ROWS = st.lists(st.tuples(st.integers(0, 5), st.integers(-9, 9), st.integers(-9, 9)), max_size=6)
_APPEND = st.tuples(st.just("append"), ROWS)
_PRUNE = st.tuples(st.just("prune"), st.integers(0, 5))
_DISK = st.tuples(st.just("disk"), st.integers(1, 4))
_SNAPSHOT = st.just(("snapshot", 0))
_RESUME = st.tuples(st.just("resume"), st.sampled_from([NEWEST, PREVIOUS]))
# the size is drawn first, for lists are short otherwise, and a file that is given up takes some steps
ACTIONS: st.SearchStrategy[list[Action]] = st.integers(0, 16).flatmap(
    lambda size: st.lists(
        st.one_of(_APPEND, _APPEND, _PRUNE, _DISK, _SNAPSHOT, _SNAPSHOT, _SNAPSHOT, _RESUME),
        min_size=size,
        max_size=size,
    )
)
AT_LAST: list[Action] = [("snapshot", 0), ("resume", NEWEST)]
SIZES = {"open_rows": st.sampled_from([1, 3, 8]), "growth": st.integers(1, 4)}


class Disk:
    """Stands in for the writing thread: does things in their order, but only when told or waited for."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Future[Any]:
        done = Awaited(self)
        self.waiting.append((done, lambda: function(*arguments, **options)))
        return done

    def work(self, count: int) -> None:
        for done, function in self.waiting[:count]:
            done.set_result(function())
        del self.waiting[:count]


class Awaited(Future[Any]):
    def __init__(self, disk: Disk) -> None:
        super().__init__()
        self.disk = disk

    def result(self, timeout: float | None = None) -> Any:
        while not self.done():
            self.disk.work(1)
        return super().result(timeout)


@contextmanager
def a_disk() -> Iterator[Disk]:
    disk = Disk()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "_writer", lambda: disk)
        yield disk


class Played:
    """A table beside the list of its rows, and the newest two snapshots of both."""

    def __init__(self, spec: FoldSpec, directory: Path, disk: Disk) -> None:
        self.spec, self.directory, self.disk = spec, directory / "table", disk
        self.table = FoldedTable(spec, SegmentFiles(self.directory))
        self.rows: list[Row] = []
        self.snapshots = [(self.table.snapshot(), self.rows)]

    def play(self, action: Action) -> None:
        match action:
            case "append", list(rows):
                self.table.append(pl.DataFrame(rows, schema=SCHEMA, orient="row"))
                self.rows = self.rows + rows
            case "prune", int(key):
                self.table.prune(pl.col("key") != key)
                self.rows = [row for row in self.rows if row[0] != key]
            case "disk", int(count):
                self.disk.work(count)
            case "snapshot", _:
                self.snapshot()
            case "resume", int(which):
                self.resume(which)

    def snapshot(self) -> None:
        before, now = self.snapshots[NEWEST][0], self.table.snapshot()
        assert self.files() >= {*before.segments, *now.segments}, "a crash may lead back to both"
        self.snapshots = [self.snapshots[NEWEST], (now, self.rows)]

    def resume(self, which: int) -> None:
        state, self.rows = self.snapshots[max(which, -len(self.snapshots))]
        self.disk.waiting.clear()
        (self.directory / "0123456789abcdef.arrow").write_bytes(b"of a run that crashed")
        (self.directory / ".fedcba9876543210.arrow").write_bytes(b"half")
        self.table = FoldedTable(self.spec, SegmentFiles(self.directory), pickle.loads(pickle.dumps(state)))
        assert self.files() == set(state.segments), "what the snapshot does not name is a leftover"
        self.snapshots = [(state, self.rows)]

    def come_to_rest(self) -> None:
        for _ in range(3):
            self.disk.work(len(self.disk.waiting))
            self.snapshot()
        self.disk.work(len(self.disk.waiting))
        assert self.files() == set(self.snapshots[NEWEST][0].segments), "no crash leads back to anything else"

    def files(self) -> set[str]:
        return {path.name for path in self.directory.iterdir()}


@settings(max_examples=40, deadline=None)
@given(actions=ACTIONS, **SIZES)
def test_table_equals_a_list_when_rows_of_a_key_merge(
    tmp_path_factory: pytest.TempPathFactory, actions: list[Action], open_rows: int, growth: int
) -> None:
    spec = FoldSpec(schema=SCHEMA, fold=extremes, open_rows=open_rows, growth=growth)
    with a_disk() as disk:
        played = Played(spec, tmp_path_factory.mktemp("extremes"), disk)
        for action in [*actions, *AT_LAST]:
            played.play(action)
            assert played.table.folded().sort("key").rows() == naive_extremes(played.rows)
        played.come_to_rest()
    for key in range(6):
        own = [row for row in played.rows if row[0] == key]
        assert naive_extremes(played.table.scan(pl.col("key") == key).rows()) == naive_extremes(own)
        assert played.table.folded(pl.col("key") == key).rows() == naive_extremes(own)


@settings(max_examples=40, deadline=None)
@given(actions=ACTIONS, **SIZES)
def test_table_equals_a_list_in_its_order_when_rows_do_not_merge(
    tmp_path_factory: pytest.TempPathFactory, actions: list[Action], open_rows: int, growth: int
) -> None:
    spec = FoldSpec(schema=SCHEMA, fold=as_they_are, open_rows=open_rows, growth=growth)
    with a_disk() as disk:
        played = Played(spec, tmp_path_factory.mktemp("as_they_are"), disk)
        for action in [*actions, *AT_LAST]:
            played.play(action)
            assert played.table.folded().rows() == played.rows
            assert played.table.rows == len(played.rows)
        played.come_to_rest()
    assert played.table.scan(pl.col("low") > 0).rows() == [row for row in played.rows if row[1] > 0]


def test_resume_is_refused_when_a_segment_is_missing(tmp_path: Path) -> None:
    spec = FoldSpec(schema=SCHEMA, fold=extremes, open_rows=1)
    table = FoldedTable(spec, SegmentFiles(tmp_path))
    table.append(pl.DataFrame([(1, 2, 3)], schema=SCHEMA, orient="row"))
    while not (state := table.snapshot()).segments:
        pass  # the disk has not written it yet
    [name] = state.segments
    (tmp_path / name).unlink()
    with pytest.raises(TerminalError) as raised:
        FoldedTable(spec, SegmentFiles(tmp_path), state)
    assert str(raised.value) == (
        f"state segment {tmp_path / name} is missing: expected the state directory that belongs to the recovery store; "
        "restore both together, or start from an empty data directory"
    )
