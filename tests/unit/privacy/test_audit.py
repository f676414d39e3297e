"""The audit log: what it says, that any change of it shows, and that no crash harms it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from privacy import AuditDamageError, AuditError, AuditLog, Keyring
from privacy.audit_chain import NOTHING

EVIDENCE = "keep the directory as evidence, move it away to begin a new log, and find out what happened"


@pytest.fixture
def log(keyring: Keyring, tmp_path: Path) -> AuditLog:
    return AuditLog(tmp_path / "audit", keyring)


def fill(log: AuditLog, entries: int) -> None:
    log.append([{"event": "reveal", "outcome": "revealed", "token": f"email.k1.{at}"} for at in range(entries)])


def lines_of(log: AuditLog) -> list[bytes]:
    return log.path.read_bytes().splitlines(keepends=True)


def damage(log: AuditLog, anchor: str | None = None) -> str:
    """What is found."""
    with pytest.raises(AuditDamageError) as raised:
        log.verify(anchor)
    message = str(raised.value)
    assert message.startswith(f"the audit log {log.path} ")
    return message


def test_entry_says_what_it_was_given_and_names_the_one_before_when_it_is_written(log: AuditLog) -> None:
    log.append([{"event": "reveal", "user": "ada", "bytes": 3}])
    log.append([{"event": "reveal", "user": "bela"}])
    first, second = (json.loads(line) for line in lines_of(log))
    assert list(first) == ["n", "at", "event", "user", "bytes", "previous", "mac"]
    assert (first["n"], first["event"], first["user"], first["bytes"]) == (1, "reveal", "ada", 3)
    assert first["previous"] == "0" * 64
    assert (second["n"], second["user"], second["previous"]) == (2, "bela", first["mac"])
    age = datetime.now(UTC) - datetime.fromisoformat(second["at"])
    assert 0 <= age.total_seconds() < 60


def test_files_are_private_when_they_are_made(log: AuditLog) -> None:
    fill(log, 1)
    assert log.path.parent.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in log.path.parent.iterdir()) == ["head.json", "reveals.jsonl"]
    assert {path.stat().st_mode & 0o777 for path in log.path.parent.iterdir()} == {0o600}


def test_log_is_whole_when_nobody_touched_it(log: AuditLog) -> None:
    assert log.verify() == NOTHING
    assert not log.path.parent.exists()
    fill(log, 3)
    fill(log, 2)
    head = log.verify()
    assert (head.entries, head.bytes) == (5, log.path.stat().st_size)
    assert head.last == json.loads(lines_of(log)[-1])["mac"]
    assert head.anchor == f"5:{head.last}"


def test_log_goes_on_when_keys_rotate(log: AuditLog, keyring: Keyring) -> None:
    fill(log, 1)
    later = AuditLog(log.path.parent, keyring.rotate())
    fill(later, 1)
    assert later.verify().entries == log.verify().entries == 2


def test_line_is_named_when_any_byte_of_it_is_flipped(log: AuditLog) -> None:
    fill(log, 4)
    written = log.path.read_bytes()
    for at in range(len(written)):
        for bit in (0x01, 0x20):
            log.path.write_bytes(written[:at] + bytes([written[at] ^ bit]) + written[at + 1 :])
            line = written[:at].count(b"\n") + 1
            assert f" is damaged: line {line} " in damage(log), (at, bit)
    log.path.write_bytes(written)
    assert log.verify().entries == 4


def test_head_is_named_when_any_byte_of_it_is_flipped(log: AuditLog) -> None:
    fill(log, 2)
    written = log.head_path.read_bytes()
    for at in range(len(written)):
        log.head_path.write_bytes(written[:at] + bytes([written[at] ^ 0x01]) + written[at + 1 :])
        assert " is damaged: its head head.json " in damage(log), at


MOVED = "entries were removed, repeated or moved"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda rows: rows[1:], f"line 1 holds entry 2: {MOVED}"),
        (lambda rows: rows[:1] + rows[2:], f"line 2 holds entry 3: {MOVED}"),
        (lambda rows: [rows[0], rows[2], rows[1], rows[3]], f"line 2 holds entry 3: {MOVED}"),
        (lambda rows: [rows[0], rows[0], *rows[1:]], f"line 2 holds entry 1: {MOVED}"),
        (lambda rows: rows[:3], "it ends after line 3, and its head counts 4 entries: its end was cut off"),
        (lambda rows: [], "it ends after line 0, and its head counts 4 entries: its end was cut off"),
        (lambda rows: [*rows[:3], rows[3][:-1]], "line 4 is not whole: its end is missing"),
        (lambda rows: [*rows[:2], b"{}\n", *rows[2:]], "line 3 is nothing that Signalbox wrote: it was changed"),
        (lambda rows: [rows[0], rows[1].replace(b"email", b"imsi"), *rows[2:]], None),
    ],
    ids=[
        "first gone",
        "one gone",
        "two swapped",
        "one twice",
        "last gone",
        "all gone",
        "half gone",
        "added",
        "changed",
    ],
)
def test_line_is_named_when_entries_are_not_as_written(
    log: AuditLog, change: Callable[[list[bytes]], list[bytes]], found: str | None
) -> None:
    fill(log, 4)
    log.path.write_bytes(b"".join(change(lines_of(log))))
    found = found or "line 2 does not fit its MAC: it was changed, or written with another keyring"
    assert damage(log) == f"the audit log {log.path} is damaged: {found}; {EVIDENCE}"


def test_every_end_that_is_cut_off_is_found_when_the_head_stayed(log: AuditLog) -> None:
    fill(log, 3)
    written = log.path.read_bytes()
    for size in range(len(written)):
        log.path.write_bytes(written[:size])
        damage(log)


def test_entry_of_another_log_is_found_when_it_has_the_right_number(
    log: AuditLog, keyring: Keyring, tmp_path: Path
) -> None:
    other = AuditLog(tmp_path / "other", keyring)
    fill(log, 3)
    fill(other, 3)
    mine, theirs = lines_of(log), lines_of(other)
    log.path.write_bytes(b"".join([mine[0], theirs[1], mine[2]]))
    assert "line 2 does not follow the entry before it: it was taken from elsewhere" in damage(log)


def test_log_is_refused_when_another_keyring_wrote_it(log: AuditLog, tmp_path: Path) -> None:
    fill(log, 1)
    stranger = AuditLog(log.path.parent, Keyring.create(tmp_path / "other.json"))
    assert "its head head.json does not fit its MAC: it was changed, or written with another keyring" in damage(
        stranger
    )
    with pytest.raises(AuditDamageError):
        fill(stranger, 1)
    assert log.verify().entries == 1


def test_damage_is_found_when_one_of_the_files_is_gone(log: AuditLog) -> None:
    fill(log, 2)
    entries, head = log.path.read_bytes(), log.head_path.read_bytes()
    log.head_path.unlink()
    assert " is damaged: its head head.json is missing; " in damage(log)
    with pytest.raises(AuditDamageError, match=r"its head head\.json is missing"):
        fill(log, 1)
    assert log.path.read_bytes() == entries
    log.head_path.write_bytes(head)
    log.path.unlink()
    assert " is damaged: it is missing, and its head is there; " in damage(log)
    with pytest.raises(AuditDamageError, match=rf"it has 0 bytes, and its head counts {len(entries)}: its end was cut"):
        fill(log, 1)


def test_nothing_is_added_when_the_end_was_cut_off(log: AuditLog) -> None:
    fill(log, 3)
    log.path.write_bytes(b"".join(lines_of(log)[:2]))
    before = log.path.read_bytes()
    with pytest.raises(AuditDamageError, match="its end was cut off"):
        fill(log, 1)
    assert log.path.read_bytes() == before


def test_anchor_shows_it_when_both_files_were_put_back(log: AuditLog) -> None:
    fill(log, 2)
    early = log.verify()
    old = (log.path.read_bytes(), log.head_path.read_bytes())
    fill(log, 3)
    late = log.verify()
    assert log.verify(early.anchor) == log.verify(late.anchor) == late
    log.path.write_bytes(old[0])
    log.head_path.write_bytes(old[1])
    assert log.verify(early.anchor) == log.verify() == early  # nothing in the files tells
    found = "it ends after line 2, and the anchor names entry 5: it was put back to before that"
    assert f" is damaged: {found}; " in damage(log, late.anchor)
    fill(log, 3)
    assert log.verify().entries == 5
    assert " is damaged: line 5 is not the entry that the anchor names; " in damage(log, late.anchor)


@pytest.mark.parametrize("anchor", ["", "5", "0:" + "0" * 64, "5:" + "A" * 64, "5:" + "a" * 63, "x:" + "a" * 64])
def test_anchor_is_refused_when_it_is_none(log: AuditLog, anchor: str) -> None:
    fill(log, 1)
    with pytest.raises(AuditError, match=r"^this is no anchor: expected NUMBER:MAC as an earlier verification printed"):
        log.verify(anchor)


def test_older_head_is_told_when_entries_lie_beyond_it(log: AuditLog) -> None:
    fill(log, 2)
    old = log.head_path.read_bytes()
    fill(log, 1)
    log.head_path.write_bytes(old)
    assert damage(log) == (
        f"the audit log {log.path} goes on at line 3, and its head counts 2 entries: either a process died while it "
        "wrote, then the next reveal settles it, or an older head was put back"
    )


def test_whole_entries_are_counted_and_the_rest_is_cut_when_an_append_was_interrupted(log: AuditLog) -> None:
    fill(log, 2)
    old = log.head_path.read_bytes()
    fill(log, 2)
    whole = log.path.read_bytes()
    log.head_path.write_bytes(old)
    log.path.write_bytes(whole + b'{"n":5,"at":"2026-')
    fill(log, 1)
    entries = [json.loads(line) for line in lines_of(log)]
    assert log.verify().entries == len(entries) == 6
    assert log.path.read_bytes().startswith(whole)
    assert {name: entries[4][name] for name in ("n", "event", "bytes")} == {"n": 5, "event": "cut", "bytes": 18}
    assert (entries[5]["n"], entries[5]["token"]) == (6, "email.k1.0")


APPEND = """
import resource, sys
from pathlib import Path
from privacy import AuditError, AuditLog, Keyring
keyring, directory, entries, most_bytes = sys.argv[1:]
log = AuditLog(Path(directory), Keyring.load(keyring))
if int(most_bytes):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(most_bytes), int(most_bytes)))
try:
    for at in range(int(entries)):
        log.append([{"event": "reveal", "token": f"email.k1.{at}", "filler": "x" * 100}])
except AuditError as error:
    print(error)
"""


def appending(log: AuditLog, keyring: Keyring, entries: int, most_bytes: int = 0) -> subprocess.Popen[str]:
    arguments = [str(keyring.path), str(log.path.parent), str(entries), str(most_bytes)]
    return subprocess.Popen([sys.executable, "-c", APPEND, *arguments], stdout=subprocess.PIPE, text=True)


def test_every_entry_is_there_once_when_processes_append_at_once(log: AuditLog, keyring: Keyring) -> None:
    processes = [appending(log, keyring, 30) for _ in range(4)]
    assert [process.communicate() for process in processes] == [("", None)] * 4
    assert log.verify().entries == 120
    tokens = [json.loads(line)["token"] for line in lines_of(log)]
    assert sorted(tokens) == sorted(f"email.k1.{at}" for at in range(30) for _ in range(4))


def test_log_goes_on_when_the_disk_was_full(log: AuditLog, keyring: Keyring) -> None:
    said, _ = appending(log, keyring, 10, most_bytes=1000).communicate()
    assert said == (
        f"the audit log {log.path} cannot be written (File too large), and nothing is revealed without it: "
        "expected a directory of ours on a disk with room\n"
    )
    counted = json.loads(log.head_path.read_bytes())["entries"]
    torn = log.path.stat().st_size - json.loads(log.head_path.read_bytes())["bytes"]
    assert counted == 2
    assert torn > 0
    fill(log, 1)
    entries = [json.loads(line) for line in lines_of(log)]
    assert [each["event"] for each in entries] == ["reveal", "reveal", "cut", "reveal"]
    assert entries[2]["bytes"] == torn
    assert log.verify().entries == 4


def test_log_goes_on_when_its_first_entry_was_not_finished(log: AuditLog, keyring: Keyring) -> None:
    said, _ = appending(log, keyring, 1, most_bytes=250).communicate()
    assert "cannot be written (File too large)" in said
    assert log.path.stat().st_size == 250
    fill(log, 1)
    assert [json.loads(line)["event"] for line in lines_of(log)] == ["cut", "reveal"]
    assert log.verify().entries == 2


def test_log_stays_whole_when_processes_are_killed(log: AuditLog, keyring: Keyring) -> None:
    for _ in range(3):
        before = log.path.stat().st_size if log.path.exists() else 0
        process = appending(log, keyring, 1_000_000)
        while not log.path.exists() or log.path.stat().st_size < before + 2000:
            assert process.poll() is None
        process.kill()
        process.communicate()
        fill(log, 1)
        log.verify()


def test_message_is_one_line_when_the_directory_is_a_file(log: AuditLog) -> None:
    log.path.parent.write_text("")
    with pytest.raises(AuditError) as raised:
        fill(log, 1)
    assert str(raised.value) == (
        f"the audit log {log.path} cannot be written (Not a directory), and nothing is revealed without it: "
        "expected a directory of ours on a disk with room"
    )
