"""forget_lost_epochs, on recovery stores that Bytewax has written."""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.inputs import AbortExecution
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, TestingSource, run_main

from flows.lost_epochs import forget_lost_epochs


@pytest.fixture
def store(tmp_path: Path) -> Path:
    init_db_dir(tmp_path, 2)
    return tmp_path


def count(store: Path, items: Sequence[object], read_before: int) -> list[tuple[str, int]]:
    """Count keys, in this run and those before it."""
    counted: list[tuple[str, int]] = []
    flow = Dataflow("counting")
    read = op.input("read", flow, TestingSource(["other"] * read_before + list(items)))
    keyed = op.key_on("key", read, str)
    totals = op.stateful_map("count", keyed, lambda total, _: ((total or 0) + 1, (total or 0) + 1))
    op.output("write", totals, TestingSink(counted))
    with suppress(AbortExecution):
        run_main(flow, epoch_interval=timedelta(0), recovery_config=RecoveryConfig(str(store), timedelta(0)))
    return counted


def lose_an_epoch(store: Path, key: str, total: int) -> None:
    """Write what a run leaves behind when it is killed while others had not closed the epoch yet."""
    parts = [sqlite3.connect(path) for path in sorted(store.glob("*.sqlite3"))]
    fronts = [row for part in parts for row in part.execute("SELECT ex_num, worker_frontier FROM fronts")]
    _, resume_epoch = max(fronts)
    for part in parts:
        with closing(part), part:
            part.execute(
                "INSERT INTO snaps (step_id, state_key, snap_epoch, ser_change) "
                "SELECT step_id, state_key, ?, ? FROM snaps WHERE state_key = ? LIMIT 1",
                (resume_epoch, pickle.dumps(total), key),
            )


@pytest.mark.parametrize(("forget", "expected"), [(True, 3), (False, 100)], ids=["forgotten", "left to Bytewax"])
def test_state_of_a_lost_epoch_does_not_come_back_when_the_next_run_does_not_touch_its_key(store, forget, expected):
    assert count(store, ["a", "a", TestingSource.ABORT()], 0) == [("a", 1), ("a", 2)]
    lose_an_epoch(store, "a", total=99)
    if forget:
        assert forget_lost_epochs(store) > 0
    assert count(store, ["b", "b", "b", TestingSource.ABORT()], 2) == [("b", 1), ("b", 2), ("b", 3)]
    if forget:
        forget_lost_epochs(store)
    assert ("a", expected) in count(store, ["a"], 5)


def test_nothing_is_forgotten_when_a_store_is_new(store):
    assert forget_lost_epochs(store) == 0
