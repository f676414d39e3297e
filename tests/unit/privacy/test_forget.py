"""Forget: what becomes of a customer's tokens, of the keyring's file, and what the audit log says of it."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from privacy import (
    AuditError,
    AuditLog,
    ForgottenError,
    Keyring,
    KeyringError,
    KeyringWatch,
    Policy,
    RevealRequest,
    Tokenizer,
    forget,
    reveal,
)
from privacy.keyring_watch import LOOK_SECONDS

ADA, BOB = "C1", "C2"
POLICY = Policy("policy.toml", {"care": {"email": frozenset({"complaint"})}})
FORGOTTEN = "the customer of this token was forgotten: nobody can open it, with this keyring or a later one"


@pytest.fixture
def made(tmp_path: Path) -> Keyring:
    return Keyring.create(tmp_path / "keys" / "keyring.json")


@pytest.fixture
def log(made: Keyring, tmp_path: Path) -> AuditLog:
    return AuditLog(tmp_path / "audit", made)


def number_of(keyring: Keyring, customer: str) -> int:
    return int(Tokenizer(keyring).customer_numbers(pl.Series([customer]))[0])


def key_of(keyring: Keyring, customer: str) -> str:
    return str(Tokenizer(keyring).customer_keys(pl.Series([customer]))[0])


def tokens(tokenizer: Tokenizer) -> list[str | None]:
    numbers = tokenizer.customer_numbers(pl.Series([ADA, BOB]))
    column = pl.Series(["ada@example.com", "bob@example.com"])
    return tokenizer.tokens(column, "email", tokenizer.owners(numbers)).to_list()


def noted(log: AuditLog) -> list[dict[str, Any]]:
    log.verify()
    entries = [json.loads(line) for line in log.path.read_bytes().splitlines()]
    return [{name: each[name] for name in each if name not in ("n", "at", "previous", "mac")} for each in entries]


def test_tokens_of_one_customer_are_lost_and_all_others_open_when_they_are_forgotten(
    made: Keyring, log: AuditLog
) -> None:
    before = tokens(Tokenizer(made.rotate()))
    key = key_of(made, ADA)
    assert forget(key, user="eve", keyring=made, log=log)
    after = Tokenizer(Keyring.load(made.path))
    with pytest.raises(ForgottenError, match=f"^{FORGOTTEN}$"):
        after.open(before[0])
    assert after.open(before[1]) == "bob@example.com"
    assert tokens(after) == [None, before[1]]
    # what joins stays
    assert key_of(Keyring.load(made.path), ADA) == key
    assert not forget(key, user="eve", keyring=made, log=log)


def test_it_stays_forgotten_when_keys_rotate(made: Keyring) -> None:
    rotated = made.forget(number_of(made, ADA)).rotate().rotate()
    assert tokens(Tokenizer(rotated))[0] is None
    assert rotated.forgotten == {number_of(made, ADA)}


def test_the_log_names_the_key_and_not_the_customer_when_one_is_forgotten(made: Keyring, log: AuditLog) -> None:
    customer = "customer-4711"
    key = key_of(made, customer)
    forget(key, user="eve", keyring=made, log=log)
    entry = {"event": "forget", "user": "eve", "customer_key": key}
    assert noted(log) == [entry | {"outcome": "asked"}, entry | {"outcome": "forgotten"}]
    assert customer not in log.path.read_text() + made.path.read_text()


def test_nobody_is_forgotten_when_it_cannot_be_noted(made: Keyring, log: AuditLog) -> None:
    log.path.parent.write_text("")
    before = made.path.read_bytes()
    with pytest.raises(AuditError):
        forget(key_of(made, ADA), user="eve", keyring=made, log=log)
    assert made.path.read_bytes() == before


@pytest.mark.parametrize("text", ["", ADA, "0" * 31, "0" * 33, "A" * 32])
def test_nobody_is_forgotten_when_it_is_no_customer_key(made: Keyring, log: AuditLog, text: str) -> None:
    with pytest.raises(KeyringError) as raised:
        forget(text, user="eve", keyring=made, log=log)
    assert str(raised.value) == "this is no customer key: expected 32 hexadecimal digits, in small letters"
    assert not log.path.exists()


def test_it_says_so_and_is_noted_when_a_forgotten_token_is_to_be_revealed(made: Keyring, log: AuditLog) -> None:
    lost, kept = tokens(Tokenizer(made))
    forgetful = made.forget(number_of(made, ADA))
    request = RevealRequest(tokens=(kept, lost), role="care", purpose="complaint", user="eve")
    with pytest.raises(ForgottenError, match=f"^{FORGOTTEN}$"):
        reveal(request, policy=POLICY, keyring=forgetful, log=log)
    assert [(each["token"], each["outcome"]) for each in noted(log)] == [(kept, "forgotten"), (lost, "forgotten")]


def test_the_file_is_private_and_the_old_one_destroyed_when_somebody_is_forgotten(made: Keyring) -> None:
    made.rotate()
    with made.path.open("rb") as before:
        size = os.fstat(before.fileno()).st_size
        made.forget(5)
        assert before.read() == bytes(size)
    assert made.path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in made.path.parent.iterdir()] == ["keyring.json"]


def test_a_customer_costs_a_kilobyte_when_they_are_forgotten(made: Keyring) -> None:
    sizes = [made.path.stat().st_size]
    for number in (2**63, 2**62, 12345):
        made.forget(number)
        sizes.append(made.path.stat().st_size)
    assert all(later - earlier < 1500 for earlier, later in pairwise(sizes))


def test_nothing_is_lost_and_every_reader_reads_a_keyring_when_many_change_it_at_once(made: Keyring) -> None:
    def work(number: int) -> int:
        if number % 5 == 0:
            made.rotate()
        elif number % 5 == 1:
            made.forget(number)
        return len(Keyring.load(made.path).token_key_ids)

    with ThreadPoolExecutor(8) as pool:
        assert min(pool.map(work, range(100))) >= 1
    last = Keyring.load(made.path)
    assert last.forgotten == set(range(1, 100, 5))
    assert len(last.token_key_ids) == 21


def test_a_process_makes_no_more_tokens_when_it_has_taken_it_up(made: Keyring) -> None:
    seconds = 0.0
    tokenizer = Tokenizer(made, KeyringWatch(made, lambda: seconds))
    before = tokens(tokenizer)
    made.forget(number_of(made, ADA))
    assert tokens(tokenizer) == before
    seconds = LOOK_SECONDS
    assert tokens(tokenizer) == [None, before[1]]


def test_a_keyring_is_not_taken_up_when_it_knows_somebody_who_was_forgotten(made: Keyring) -> None:
    older = made.path.read_bytes()
    forgetful = made.forget(number_of(made, ADA))
    seconds = 0.0
    tokenizer = Tokenizer(forgetful, KeyringWatch(forgetful, lambda: seconds))
    tokens(tokenizer)
    made.path.write_bytes(older)
    seconds = LOOK_SECONDS
    assert tokens(tokenizer)[0] is None


def test_a_keyring_of_version_1_goes_on_until_it_is_rotated(keyring: Keyring) -> None:
    """The fixture's file is of version 1."""
    old = Tokenizer(keyring)
    assert old.owners(pl.Series([5], dtype=pl.UInt64)) is None
    token = old.tokens(pl.Series(["ada@example.com"]), "email", None)[0]
    with pytest.raises(KeyringError) as raised:
        keyring.forget(5)
    assert str(raised.value) == (
        f"the keyring {keyring.path} is of version 1, whose tokens cannot be forgotten: run signalbox keys rotate "
        "first; tokens made before stay readable"
    )
    rotated = keyring.rotate()
    rotated.require_follows(keyring)
    new = Tokenizer(rotated)
    assert new.open(token) == "ada@example.com"
    owned = tokens(new)
    assert [new.open(each) for each in owned] == ["ada@example.com", "bob@example.com"]
    with pytest.raises(KeyringError, match="has no customers, and this token is one's own: use the keyring that"):
        old.open(owned[0].replace(".k2.", ".k1."))
