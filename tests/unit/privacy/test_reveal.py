"""Reveal: what is opened, what is refused, and what the audit log says of each."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from privacy import (
    AuditError,
    AuditLog,
    Keyring,
    KeyringError,
    Policy,
    PolicyError,
    RefusedError,
    RevealRequest,
    Tokenizer,
    reveal,
)

EMAIL, MSISDN = "ada@example.com", "447700900123"
POLICY = Policy("policy.toml", {"care": {"email": frozenset({"complaint"}), "msisdn": frozenset({"complaint"})}})


@pytest.fixture
def log(keyring: Keyring, tmp_path: Path) -> AuditLog:
    return AuditLog(tmp_path / "audit", keyring)


@pytest.fixture
def email(keyring: Keyring) -> str:
    return str(Tokenizer(keyring).tokens(pl.Series([EMAIL]), "email")[0])


@pytest.fixture
def msisdn(keyring: Keyring) -> str:
    return str(Tokenizer(keyring).tokens(pl.Series([MSISDN]), "msisdn")[0])


def request(*tokens: str, role: str = "care", purpose: str = "complaint") -> RevealRequest:
    return RevealRequest(tokens=tokens, role=role, purpose=purpose, user="ada")


def noted(log: AuditLog) -> list[dict[str, str]]:
    """What the log says, without what chains it."""
    log.verify()
    entries = [json.loads(line) for line in log.path.read_bytes().splitlines()] if log.path.exists() else []
    return [{name: each[name] for name in each if name not in ("n", "at", "previous", "mac")} for each in entries]


def entry(token: str, outcome: str, role: str = "care", purpose: str = "complaint") -> dict[str, str]:
    return {
        "event": "reveal",
        "user": "ada",
        "role": role,
        "purpose": purpose,
        "outcome": outcome,
        "token": token,
    }


def test_values_come_in_order_and_each_is_noted_when_the_policy_lets_them(
    keyring: Keyring, log: AuditLog, email: str, msisdn: str
) -> None:
    values = reveal(request(msisdn, email, msisdn), policy=POLICY, keyring=keyring, log=log)
    assert values == [MSISDN, EMAIL, MSISDN]
    assert noted(log) == [entry(token, "revealed") for token in (msisdn, email, msisdn)]


def test_old_and_new_tokens_open_when_keys_were_rotated(keyring: Keyring, log: AuditLog, email: str) -> None:
    rotated = keyring.rotate()
    again = Tokenizer(rotated).tokens(pl.Series([EMAIL]), "email")[0]
    assert reveal(request(email, again), policy=POLICY, keyring=rotated, log=log) == [EMAIL, EMAIL]


@pytest.mark.parametrize(
    ("role", "purpose", "message"),
    [
        ("fraud", "complaint", "policy.toml has no role fraud: expected one of care"),
        ("care", "fun", "policy.toml does not let role care open class email for fun: expected one of complaint"),
    ],
)
def test_refusal_is_noted_and_told_when_the_policy_does_not_let_the_role(
    keyring: Keyring, log: AuditLog, email: str, role: str, purpose: str, message: str
) -> None:
    with pytest.raises(RefusedError) as raised:
        reveal(request(email, role=role, purpose=purpose), policy=POLICY, keyring=keyring, log=log)
    assert str(raised.value) == f"refused, and noted in the audit log: {message}"
    assert noted(log) == [entry(email, "refused", role, purpose)]


def test_nothing_is_opened_when_one_class_of_a_request_is_refused(keyring: Keyring, log: AuditLog, email: str) -> None:
    name = str(Tokenizer(keyring).tokens(pl.Series(["Ada"]), "name")[0])
    with pytest.raises(RefusedError):
        reveal(request(email, name), policy=POLICY, keyring=keyring, log=log)
    assert noted(log) == [entry(email, "refused"), entry(name, "refused")]


def test_attempt_is_noted_when_a_token_does_not_open(keyring: Keyring, log: AuditLog, email: str, msisdn: str) -> None:
    forged = msisdn.replace("msisdn", "email")
    with pytest.raises(KeyringError, match="the token does not open with key k1"):
        reveal(request(email, forged), policy=POLICY, keyring=keyring, log=log)
    assert noted(log) == [entry(email, "unopened"), entry(forged, "unopened")]


@pytest.mark.parametrize("text", [EMAIL, "email.k1.AdaLovelace", "shoe.k1." + "A" * 30])
def test_nothing_is_noted_when_an_argument_is_no_token(keyring: Keyring, log: AuditLog, text: str) -> None:
    """It might be a value that somebody typed for a token, and the log must hold none."""
    with pytest.raises(KeyringError, match="this is no token"):
        reveal(request(text), policy=POLICY, keyring=keyring, log=log)
    assert noted(log) == []


@pytest.mark.parametrize(("role", "purpose"), [("Ada Lovelace", "complaint"), ("care", "to call +447700900123")])
def test_nothing_is_noted_when_role_or_purpose_is_no_name(
    keyring: Keyring, log: AuditLog, email: str, role: str, purpose: str
) -> None:
    with pytest.raises(PolicyError, match=r"^this is no name of a (role|purpose): expected a small letter"):
        reveal(request(email, role=role, purpose=purpose), policy=POLICY, keyring=keyring, log=log)
    assert noted(log) == []


def test_nothing_is_revealed_when_it_cannot_be_noted(keyring: Keyring, log: AuditLog, email: str) -> None:
    log.path.parent.write_text("")
    with pytest.raises(AuditError, match="nothing is revealed without it"):
        reveal(request(email), policy=POLICY, keyring=keyring, log=log)


def test_log_holds_no_value_when_many_were_revealed(keyring: Keyring, log: AuditLog) -> None:
    values = [f"+4477009{number:05}" for number in range(200)]
    tokens = Tokenizer(keyring).tokens(pl.Series(values), "msisdn").to_list()
    assert reveal(request(*tokens), policy=POLICY, keyring=keyring, log=log) == values
    written = b"".join(path.read_bytes() for path in log.path.parent.iterdir()).decode()
    assert [value for value in values if value[1:] in written] == []
