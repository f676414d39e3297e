"""A keyring that changes under a process: what is taken up, when, and what is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import structlog

from privacy import Keyring, KeyringWatch, Tokenizer
from privacy.keyring_watch import LOOK_SECONDS

EMAIL = pl.Series(["ada@example.com"])


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def made(tmp_path: Path) -> Keyring:
    return Keyring.create(tmp_path / "keys" / "keyring.json")


@pytest.fixture
def watch(made: Keyring, clock: Clock) -> KeyringWatch:
    watch = KeyringWatch(made, clock)
    assert watch.current() is made
    return watch


def test_a_new_key_is_taken_up_when_it_is_time_to_look(made: Keyring, watch: KeyringWatch, clock: Clock) -> None:
    tokenizer = Tokenizer(made, watch)
    before = tokenizer.tokens(EMAIL, "email")[0]
    keys, fingerprints = tokenizer.customer_keys(EMAIL), tokenizer.fingerprints(EMAIL)
    made.rotate()
    clock.seconds = LOOK_SECONDS / 2
    assert tokenizer.tokens(EMAIL, "email")[0] == before
    clock.seconds = LOOK_SECONDS
    with structlog.testing.capture_logs() as logs:
        after = tokenizer.tokens(EMAIL, "email")[0]
    assert (before[:9], after[:9]) == ("email.k1.", "email.k2.")
    assert logs == [{"event": "keyring taken up", "log_level": "info", "primary": "k2"}]
    assert tokenizer.open(before) == tokenizer.open(after) == EMAIL[0]
    assert tokenizer.customer_keys(EMAIL).equals(keys)
    assert tokenizer.fingerprints(EMAIL).equals(fingerprints)


def test_a_token_of_a_new_key_opens_when_somebody_else_has_rotated(
    made: Keyring, watch: KeyringWatch, clock: Clock
) -> None:
    tokenizer = Tokenizer(made, watch)
    token = Tokenizer(made.rotate()).tokens(EMAIL, "email")[0]
    clock.seconds = LOOK_SECONDS
    assert tokenizer.open(token) == EMAIL[0]


def test_a_new_keyring_is_taken_up_when_customers_are_named_and_no_tokens_made(
    made: Keyring, watch: KeyringWatch, clock: Clock
) -> None:
    tokenizer = Tokenizer(made, watch)
    made.rotate()
    clock.seconds = LOOK_SECONDS
    with structlog.testing.capture_logs() as logs:
        tokenizer.customers(EMAIL)
    assert [each["event"] for each in logs] == ["keyring taken up"]


def test_a_rotation_is_seen_when_it_came_before_the_first_look(made: Keyring) -> None:
    made.rotate()
    assert KeyringWatch(made).current().primary_id == "k2"


def replace_by_another(path: Path) -> None:
    path.unlink()
    Keyring.create(path)


def replace_by_another_key(path: Path) -> None:
    other = Keyring.create(path.with_name("other.json"))
    mine, theirs = json.loads(path.read_text()), json.loads(other.path.read_text())
    mine["keys"][0]["key"] = theirs["keys"][0]["key"]
    path.write_text(json.dumps(mine))


STRANGER = (
    "the keyring {path} is not what became of the one in use: expected {expected}; put that one back, or start "
    "again if this one is meant"
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.unlink(), "no keyring at {path}: expected the file that `signalbox keys create` makes"),
        (
            lambda path: path.write_text("{"),
            "{path} is no keyring: expected the JSON file that `signalbox keys create` makes",
        ),
        (
            lambda path: path.chmod(0o644),
            "the keyring {path} is open to others (mode 0644): expected 0600; run chmod 600 {path}, and replace the "
            "keys if others had access",
        ),
        (replace_by_another, STRANGER.replace("{expected}", "the same join key and sealing key")),
        (replace_by_another_key, STRANGER.replace("{expected}", "the same key under each id")),
    ],
)
def test_the_keys_in_use_stay_and_it_is_said_once_when_the_file_cannot_be_taken_up(
    made: Keyring, watch: KeyringWatch, clock: Clock, change: Callable[[Path], None], message: str
) -> None:
    whole = made.path.read_bytes()
    change(made.path)
    with structlog.testing.capture_logs() as logs:
        for look in range(1, 4):
            clock.seconds = look * LOOK_SECONDS
            assert watch.current() is made
    cause = message.format(path=made.path)
    assert logs == [{"event": "keyring not taken up", "log_level": "warning", "cause": cause}]

    made.path.write_bytes(whole)
    made.path.chmod(0o600)
    made.rotate()
    clock.seconds = 4 * LOOK_SECONDS
    assert watch.current().primary_id == "k2"


def test_the_keys_in_use_stay_when_an_older_file_is_put_back(made: Keyring, clock: Clock) -> None:
    older = made.path.read_bytes()
    rotated = made.rotate()
    watch = KeyringWatch(rotated, clock)
    assert watch.current() is rotated
    made.path.write_bytes(older)
    clock.seconds = LOOK_SECONDS
    with structlog.testing.capture_logs() as logs:
        assert watch.current() is rotated
    assert [each["cause"] for each in logs] == [
        STRANGER.format(path=made.path, expected="k2 or a newer key as the primary one")
    ]
