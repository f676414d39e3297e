"""The format that saved state depends on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flows.data_directory import DataDirectory
from flows.persisted_format import PersistedFormat, adopt_format, stored_format
from schemas.errors import TerminalError

FLOW = "fault-notifications"
WANTED = PersistedFormat(
    steps=1, shards=16, writers=4, recovery_partitions=2, output_partitions=8, inputs={"usage.events": 4}
)


@pytest.fixture
def directory(tmp_path) -> DataDirectory:
    made = DataDirectory(tmp_path / "data")
    made.prepare(FLOW)
    return made


def test_the_first_start_writes_the_format_and_the_recovery_store(directory):
    adopt_format(directory, FLOW, WANTED)
    assert stored_format(directory, FLOW) == WANTED
    assert len(list(directory.recovery(FLOW).glob("*.sqlite3"))) == 2


def test_directories_are_private(directory):
    adopt_format(directory, FLOW, WANTED)
    made = [directory.root, *(path for path in directory.root.rglob("*") if path.is_dir())]
    assert {oct(path.stat().st_mode & 0o777) for path in made} == {"0o700"}


def test_a_later_start_is_accepted_when_nothing_changed(directory):
    adopt_format(directory, FLOW, WANTED)
    store = sorted(path.stat().st_ino for path in directory.recovery(FLOW).iterdir())
    adopt_format(directory, FLOW, WANTED)
    assert sorted(path.stat().st_ino for path in directory.recovery(FLOW).iterdir()) == store


def test_topics_and_partitions_may_be_added(directory):
    adopt_format(directory, FLOW, WANTED)
    grown = replace(WANTED, inputs={"usage.events": 6, "crm.changes": 2})
    adopt_format(directory, FLOW, grown)
    assert stored_format(directory, FLOW) == grown


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"shards": 8},
            "expected shards 16 as in the saved state, got 8: set it back, or start on an empty data directory",
        ),
        (
            {"writers": 2},
            "expected writers 4 as in the saved state, got 2: set it back, or start on an empty data directory",
        ),
        (
            {"steps": 2},
            "expected steps 1 as in the saved state, got 2: start with the release that wrote it, or on an empty data "
            "directory",
        ),
        (
            {"output_partitions": 9},
            "expected output partitions 8 as in the saved state, got 9: output topics must keep their number of "
            "partitions; start on an empty data directory",
        ),
        (
            {"inputs": {"crm.changes": 4}},
            "expected topic usage.events as in the saved state, got no such topic: put it back into topics.toml or "
            "create it again, or start on an empty data directory",
        ),
        (
            {"inputs": {"usage.events": 3}},
            "expected at least 4 partitions of topic usage.events as in the saved state, got 3: start on an empty data "
            "directory",
        ),
    ],
)
def test_a_later_start_is_refused_when_the_format_changed(directory, change, message):
    adopt_format(directory, FLOW, WANTED)
    with pytest.raises(TerminalError) as raised:
        adopt_format(directory, FLOW, replace(WANTED, **change))
    assert str(raised.value) == message
    assert stored_format(directory, FLOW) == WANTED


def test_a_start_is_refused_when_the_format_is_gone_and_the_recovery_store_is_not(directory):
    adopt_format(directory, FLOW, WANTED)
    directory.format(FLOW).unlink()
    with pytest.raises(TerminalError, match="got no such file: restore the state directory, or remove both"):
        adopt_format(directory, FLOW, WANTED)


def test_the_recovery_store_is_made_when_a_crash_left_half_of_one(directory):
    half = directory.recovery(FLOW).with_name(f".{FLOW}.new")
    half.mkdir()
    (half / "part-0.sqlite3").write_bytes(b"half")
    adopt_format(directory, FLOW, WANTED)
    assert len(list(directory.recovery(FLOW).glob("*.sqlite3"))) == 2


def test_a_start_is_refused_when_the_format_cannot_be_read(directory):
    directory.format(FLOW).write_text("{")
    with pytest.raises(TerminalError, match=r"got JSONDecodeError: restore the file from a backup$"):
        adopt_format(directory, FLOW, WANTED)


def test_a_data_directory_is_refused_when_a_file_stands_in_its_place(tmp_path):
    (tmp_path / "data").write_text("")
    with pytest.raises(TerminalError, match=r"got Not a directory: set SIGNALBOX_DATA_DIR|got File exists: set"):
        DataDirectory(tmp_path / "data").prepare(FLOW)
