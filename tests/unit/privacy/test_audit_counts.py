"""What the audit log's metrics count, as it is written, changed and moved away."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from privacy import (
    AuditCounts,
    AuditLog,
    Keyring,
    KeyringError,
    Policy,
    RefusedError,
    RevealRequest,
    Tokenizer,
    forget,
    reveal,
)

POLICY = Policy("policy.toml", {"care": {"email": frozenset({"complaint"}), "name": frozenset({"complaint"})}})


@pytest.fixture
def made(tmp_path: Path) -> Keyring:
    return Keyring.create(tmp_path / "keys" / "keyring.json")


@pytest.fixture
def log(made: Keyring, tmp_path: Path) -> AuditLog:
    return AuditLog(tmp_path / "audit", made)


@pytest.fixture
def counts(log: AuditLog) -> AuditCounts:
    return AuditCounts(log.path.parent)


def ask(keyring: Keyring, log: AuditLog, *tokens: str, role: str = "care") -> None:
    asked = RevealRequest(tokens=tokens, role=role, purpose="complaint", user="eve")
    reveal(asked, policy=POLICY, keyring=keyring, log=log)


def test_each_token_is_counted_when_it_was_asked_for(made: Keyring, log: AuditLog, counts: AuditCounts) -> None:
    tokenizer = Tokenizer(made)
    owners = tokenizer.owners(tokenizer.customer_numbers(pl.Series(["C1"])))
    email, name = (
        tokenizer.tokens(pl.Series(["ada@example.com"]), pii_class, owners)[0] for pii_class in ("email", "name")
    )
    counts.look()
    assert (counts.reveals, counts.unsealed, counts.forgotten) == (Counter(), 0, 0)

    ask(made, log, email, name)
    ask(made, log, email)
    with pytest.raises(RefusedError):
        ask(made, log, name, role="ada-lovelace")
    with pytest.raises(KeyringError):
        ask(made, log, email[:-1] + ("A" if email[-1] != "A" else "Q"))
    log.append([{"event": "unseal", "user": "eve", "dead_letter": "t.dlq[0]@1"}])
    counts.look()
    asked = {("care", "email", "revealed"): 2, ("care", "name", "revealed"): 1, ("", "name", "refused"): 1}
    assert counts.reveals == asked | {("care", "email", "unopened"): 1}

    forget(str(tokenizer.customer_keys(pl.Series(["C1"]))[0]), user="eve", keyring=made, log=log)
    with pytest.raises(KeyringError):
        ask(Keyring.load(made.path), log, name)
    for _ in range(2):
        counts.look()
    assert counts.reveals[("care", "name", "forgotten")] == 1  # type: ignore[index]
    assert counts.reveals.total() == 6
    assert (counts.unsealed, counts.forgotten) == (1, 1)
    assert AuditCounts(log.path.parent).reveals == Counter()


def test_counts_begin_anew_when_the_log_was_moved_away(log: AuditLog, counts: AuditCounts) -> None:
    for expected in (3, 2):
        for number in range(expected):
            log.append([{"event": "unseal", "dead_letter": str(number)}])
        counts.look()
        assert counts.unsealed == expected
        log.path.parent.rename(log.path.parent.with_name(f"audit {expected}"))
    counts.look()
    assert counts.unsealed == 2  # until there is another


def test_others_are_counted_when_a_line_is_no_entry_or_not_whole(log: AuditLog, counts: AuditCounts) -> None:
    log.append([{"event": "unseal", "dead_letter": "1"}])
    with log.path.open("ab") as file:
        file.write(
            b'{"event":\n[]\n{"event":"reveal","outcome":"revealed","role":"care","token":"ada"}\n{"event":"unse'
        )
        file.flush()
        counts.look()
        assert (counts.unsealed, counts.reveals.total()) == (1, 0)
        file.write(b'al"}\n')
    counts.look()
    assert (counts.unsealed, counts.reveals.total()) == (2, 0)
