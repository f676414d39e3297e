"""`signalbox pii`: tokens opened from the command line, and the log of it."""

from __future__ import annotations

import io
import json
import os
import pwd
from pathlib import Path

import polars as pl
import pytest

from flows.cli import main
from flows.cli.reveals import user_name
from privacy import Keyring, Tokenizer

EMAIL = "ada@example.com"
NO_TOKEN = (
    "this is no token: expected class.key_id.base64url or class.key_id.number.base64url; give it as it was stored"
)


@pytest.fixture(autouse=True)
def settings(monkeypatch, tmp_path):
    """A clean environment with a data directory of its own."""
    monkeypatch.setenv("SIGNALBOX_DATA_DIR", str(tmp_path / "data"))
    for name in ("KEYRING", "POLICY", "TOPICS"):
        monkeypatch.delenv(f"SIGNALBOX_{name}", raising=False)


@pytest.fixture
def keyring(tmp_path) -> Keyring:
    return Keyring.create(tmp_path / "data" / "keyring.json")


@pytest.fixture
def log(tmp_path) -> Path:
    return tmp_path / "data" / "audit" / "reveals.jsonl"


def token(keyring: Keyring, value: str = EMAIL, pii_class: str = "email") -> str:
    return str(Tokenizer(keyring).tokens(pl.Series([value]), pii_class)[0])


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    said = capsys.readouterr()
    return code, said.out, said.err


def reveal(capsys, *tokens: str, role: str = "care", purpose: str = "complaint") -> tuple[int, str, str]:
    return run(capsys, "pii", "reveal", *tokens, "--role", role, "--purpose", purpose)


def test_values_are_printed_and_noted_when_the_packaged_policy_lets_the_role(capsys, keyring, log):
    tokens = [token(keyring), token(keyring, "447700900123", "msisdn")]
    assert reveal(capsys, *tokens) == (0, f"{EMAIL}\n447700900123\n", "")
    entries = [json.loads(line) for line in log.read_bytes().splitlines()]
    noted = [(each["user"], each["role"], each["purpose"], each["outcome"], each["token"]) for each in entries]
    assert noted == [(user_name(), "care", "complaint", "revealed", each) for each in tokens]
    assert EMAIL not in log.read_text()


def test_a_request_is_refused_and_noted_when_the_policy_does_not_let_the_role(capsys, keyring, log):
    assert reveal(capsys, token(keyring), role="delivery", purpose="complaint") == (
        2,
        "",
        "signalbox: refused, and noted in the audit log: the packaged policy.toml does not let role delivery open "
        "class email for complaint: expected one of notification\n",
    )
    assert json.loads(log.read_bytes())["outcome"] == "refused"


def test_the_own_policy_decides_when_there_is_one(capsys, keyring, tmp_path, monkeypatch):
    own = tmp_path / "data" / "policy.toml"
    own.write_text('[audit]\nemail = ["review"]\n')
    assert reveal(capsys, token(keyring), role="audit", purpose="review")[:2] == (0, f"{EMAIL}\n")
    code, _, err = reveal(capsys, token(keyring))
    assert code == 2
    assert err.endswith(f"{own} has no role care: expected one of audit\n")
    named = tmp_path / "named.toml"
    named.write_text('[care]\nemail = ["complaint"]\n')
    monkeypatch.setenv("SIGNALBOX_POLICY", str(named))
    assert reveal(capsys, token(keyring))[:2] == (0, f"{EMAIL}\n")


def test_each_mistake_is_a_line_when_the_policy_has_some(capsys, keyring, tmp_path, log):
    own = tmp_path / "data" / "policy.toml"
    own.write_text('[care]\nemail = "complaint"\nname = []\n')
    assert reveal(capsys, token(keyring)) == (
        2,
        "",
        f"signalbox: {own}: [care] email: expected a list of purposes, got str\n"
        f"signalbox: {own}: [care] name: expected a list of purposes, got an empty list\n",
    )
    assert not log.exists()


def test_a_mistake_shows_no_value_when_one_was_given_for_a_token(capsys, keyring, log):
    code, out, err = reveal(capsys, EMAIL)
    assert (code, out) == (2, "")
    assert err == f"signalbox: {NO_TOKEN}\n"
    assert not log.exists()


def test_no_terminal_is_commanded_when_a_value_holds_control_characters(capsys, keyring):
    assert reveal(capsys, token(keyring, "Zoë\x1b[2J\n"))[1] == "Zoë\\x1b[2J\\n\n"


def test_a_customer_is_forgotten_when_they_are_named_or_read(capsys, keyring, log, monkeypatch):
    tokenizer = Tokenizer(keyring)
    customers = pl.Series(["C1", "C2"])
    keys, numbers = tokenizer.customers(customers)
    lost, kept = tokenizer.tokens(pl.Series([EMAIL, "bob@example.com"]), "email", tokenizer.owners(numbers))
    said = f"forgot the customer of key {keys[0]}: keep a new copy of the keyring, and destroy the old ones\n"
    assert run(capsys, "pii", "forget", "C1") == (0, said, "")
    assert reveal(capsys, lost) == (
        2,
        "",
        "signalbox: the customer of this token was forgotten: nobody can open it, with this keyring or a later one\n",
    )
    assert reveal(capsys, kept)[:2] == (0, "bob@example.com\n")
    assert run(capsys, "pii", "forget", "C1") == (0, f"the customer of key {keys[0]} had been forgotten before\n", "")

    older = keyring.path.read_bytes()
    monkeypatch.setattr("sys.stdin", io.StringIO(" C2\n"))
    assert run(capsys, "pii", "forget", "-")[1].startswith(f"forgot the customer of key {keys[1]}: ")
    keyring.path.write_bytes(older)
    assert reveal(capsys, kept)[0] == 0
    assert run(capsys, "pii", "forget", "--key", keys[1])[1].startswith(f"forgot the customer of key {keys[1]}: ")
    assert reveal(capsys, kept)[0] == 2
    outcomes = [json.loads(line)["outcome"] for line in log.read_bytes().splitlines()]
    done = ["asked", "forgotten"]
    assert outcomes == [*done, "forgotten", "revealed", *done, *done, "revealed", *done, "forgotten"]


@pytest.mark.parametrize("name", ["", " \n"])
def test_nobody_is_forgotten_when_no_id_is_given(capsys, keyring, log, name):
    before = keyring.path.read_bytes()
    code, out, err = run(capsys, "pii", "forget", name)
    assert (code, out) == (2, "")
    assert err == "signalbox: Invalid value: expected a customer's id, got none (see `signalbox pii forget --help`)\n"
    assert keyring.path.read_bytes() == before
    assert not log.exists()


def test_the_log_is_verified_when_it_is_whole(capsys, keyring, log):
    assert run(capsys, "pii", "audit", "verify") == (0, "whole, 0 entries\n", "")
    assert reveal(capsys, token(keyring))[0] == 0
    anchor = f"1:{json.loads(log.read_bytes())['mac']}"
    said = f"whole, 1 entry; anchor {anchor}\n"
    assert run(capsys, "pii", "audit", "verify") == (0, said, "")
    assert run(capsys, "pii", "audit", "verify", "--anchor", anchor) == (0, said, "")


def test_the_line_is_named_with_code_1_when_the_log_was_changed(capsys, keyring, log):
    for _ in range(3):
        reveal(capsys, token(keyring))
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(lines[0] + lines[2])
    code, out, err = run(capsys, "pii", "audit", "verify")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "line 2 holds entry 3: entries were removed, repeated or moved" in err
    code, out, err = reveal(capsys, token(keyring))
    assert (code, out) == (1, "")
    assert "its end was cut off" in err


def test_a_verification_is_refused_when_there_is_no_keyring(capsys, tmp_path):
    code, out, err = run(capsys, "pii", "audit", "verify")
    path = tmp_path / "data" / "keyring.json"
    assert (code, out) == (2, "")
    assert err == f"signalbox: no keyring at {path}: expected the file that `signalbox keys create` makes\n"


def test_the_user_is_who_logged_in_and_as_whom_they_act_when_these_differ(tmp_path):
    login, me = tmp_path / "loginuid", pwd.getpwuid(os.getuid()).pw_name
    for said, expected in (
        (str(os.getuid()), me),
        ("4294967295", me),
        ("", me),
        ("4242424", f"4242424 as {me}"),
        (str(pwd.getpwnam("daemon").pw_uid), f"daemon as {me}"),
    ):
        login.write_text(said)
        assert user_name(login) == expected
    assert user_name(tmp_path / "none") == me
