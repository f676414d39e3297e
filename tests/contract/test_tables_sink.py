"""TablesSink and MetricsSink in a real dataflow whose process is killed, read by others meanwhile."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from connectors.metrics import read_counters
from connectors.tables import claim_generation, read_table
from connectors.tables.layout import views_path
from tests.contract.tables_flow import ROWS_PER_EPOCH

KILL_POINTS = [
    "before:.parquet:7",
    "after:.parquet:7",
    "before:staged.3:1",
    "after:staged.3:1",
    "before:manifest-default.0.json:7",
    "after:manifest-default.0.json:7",
    "after:manifest-default.0.json:8",
    "before:features.duckdb:2",
    "after:features.duckdb:2",
    "after:counters.json:3",
]


def start(data_dir: Path, epochs: int, kill_point: str = "none") -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.contract.tables_flow", str(data_dir), str(epochs), kill_point]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


def finish(child: subprocess.Popen[bytes]) -> int:
    _, errors = child.communicate(timeout=120)
    assert child.returncode in (0, -9), errors.decode()
    return child.returncode


def numbers_in_views(data_dir: Path) -> list[int]:
    """The numbers that a DuckDB reader sees, after a look at whether it sees whole commits only."""
    if not views_path(data_dir).exists():
        return []
    with duckdb.connect(views_path(data_dir), read_only=True) as reader:
        numbers = [n for (n,) in reader.execute("SELECT n FROM numbers ORDER BY n").fetchall()]
        epochs = [n for (n,) in reader.execute("SELECT epoch FROM epochs_revisions ORDER BY epoch").fetchall()]
        latest = dict(reader.execute("SELECT key, epoch FROM epochs").fetchall())
    assert numbers == list(range(len(numbers))), "rows are missing or twice"
    assert len(numbers) == ROWS_PER_EPOCH * len(epochs), "half a commit is visible"
    assert latest == {f"k{epoch % 2}": epoch for epoch in epochs}
    return numbers


def numbers_in_manifest(data_dir: Path) -> list[int]:
    if not list((data_dir / "tables").glob("manifest-*.[0-9].json")):
        return []
    return sorted(read_table(data_dir, "numbers")["n"])


def epochs_counted(data_dir: Path) -> int:
    return read_counters(data_dir / "metrics").get(("epochs_seen", ()), 0)


@pytest.mark.parametrize("kill_point", KILL_POINTS)
def test_rows_come_exactly_once_and_stay_when_killed_at_point(tmp_path: Path, kill_point: str) -> None:
    assert finish(start(tmp_path, 8, kill_point)) == -9
    by_views, by_manifest, counted = numbers_in_views(tmp_path), numbers_in_manifest(tmp_path), epochs_counted(tmp_path)
    assert by_views == by_manifest[: len(by_views)]

    # Killed again as soon as the counters of the recovery state are shown: nothing new can hide a step back.
    assert finish(start(tmp_path, 8, "after:counters.json:1")) == -9
    assert numbers_in_views(tmp_path)[: len(by_views)] == by_views
    assert numbers_in_manifest(tmp_path)[: len(by_manifest)] == by_manifest
    assert epochs_counted(tmp_path) >= counted

    assert finish(start(tmp_path, 8)) == 0
    assert numbers_in_manifest(tmp_path) == numbers_in_views(tmp_path) == list(range(8 * ROWS_PER_EPOCH))
    assert epochs_counted(tmp_path) == 8


def test_nothing_vanishes_when_killed_at_random_under_a_reader(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    chance = random.Random(seed)
    epochs = 100
    seen = counted = kills = 0
    finished = False
    while not finished:
        child = start(tmp_path, epochs)
        deadline = time.monotonic() + (chance.uniform(0.5, 1.5) if kills < 3 else 60.0)
        while child.poll() is None and time.monotonic() < deadline:
            now = len(numbers_in_views(tmp_path))
            assert now >= seen
            total = epochs_counted(tmp_path)
            assert total >= counted
            seen, counted = now, total
        if child.poll() is None:
            child.kill()
            kills += 1
        finished = finish(child) == 0
    assert len(numbers_in_views(tmp_path)) == epochs * ROWS_PER_EPOCH
    assert epochs_counted(tmp_path) == epochs
    files = list((tmp_path / "tables" / "numbers").glob("*.parquet"))
    assert len({path.name for path in files}) == len(files)


def test_old_views_still_answer_when_many_commits_and_merges_followed(tmp_path: Path) -> None:
    assert finish(start(tmp_path, 50, "before:staged.40:1")) == -9
    with duckdb.connect(views_path(tmp_path), read_only=True) as held:
        before = held.execute("SELECT count(*) FROM numbers").fetchone()
        assert finish(start(tmp_path, 110)) == 0
        assert held.execute("SELECT count(*) FROM numbers").fetchone() == before
    assert len(numbers_in_views(tmp_path)) == 110 * ROWS_PER_EPOCH


def test_start_is_refused_when_recovery_state_is_gone(tmp_path: Path) -> None:
    assert finish(start(tmp_path, 3)) == 0
    for file in (tmp_path / "recovery").iterdir():
        file.unlink()
    (tmp_path / "recovery").rmdir()
    child = start(tmp_path, 3)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 1
    assert "tables hold commit 3, but the recovery state is gone" in errors.decode()
    assert len(numbers_in_views(tmp_path)) == 3 * ROWS_PER_EPOCH


def test_writer_is_stopped_when_another_process_takes_over(tmp_path: Path) -> None:
    child = start(tmp_path, 100_000)
    while not numbers_in_views(tmp_path):
        assert child.poll() is None
    assert claim_generation(tmp_path) == 2
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 1
    assert "another process has taken over this data directory" in errors.decode()
