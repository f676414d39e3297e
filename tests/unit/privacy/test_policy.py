"""The reveal policy: what it lets through, what it refuses, and what a mistake in its file is told as."""

from __future__ import annotations

from pathlib import Path

import pytest

from privacy import PII_CLASSES, Policy, PolicyError, RefusedError
from privacy.policy import require_name

POLICY = """
[care]
email = ["complaint", "callback"]
msisdn = ["callback"]

[delivery]
email = ["notification"]
"""


def policy_of(folder: Path, text: str) -> Policy:
    path = folder / "policy.toml"
    path.write_text(text, "utf-8")
    return Policy.load(path)


def test_policy_holds_what_the_file_says_when_it_is_read(tmp_path: Path) -> None:
    policy = policy_of(tmp_path, POLICY)
    assert policy.source == str(tmp_path / "policy.toml")
    assert policy.roles == {
        "care": {"email": {"complaint", "callback"}, "msisdn": {"callback"}},
        "delivery": {"email": {"notification"}},
    }


def test_request_passes_when_role_class_and_purpose_stand_together(tmp_path: Path) -> None:
    policy = policy_of(tmp_path, POLICY)
    accepted = {
        (role, purpose, pii_class)
        for role in ("care", "delivery")
        for purpose in ("complaint", "callback", "notification")
        for pii_class in PII_CLASSES
        if passes(policy, role, purpose, pii_class)
    }
    assert accepted == {
        ("care", "complaint", "email"),
        ("care", "callback", "email"),
        ("care", "callback", "msisdn"),
        ("delivery", "notification", "email"),
    }


def passes(policy: Policy, role: str, purpose: str, pii_class: str) -> bool:
    try:
        policy.require(role, purpose, pii_class)
    except RefusedError:
        return False
    return True


@pytest.mark.parametrize(
    ("role", "purpose", "pii_class", "message"),
    [
        ("fraud", "callback", "email", "has no role fraud: expected one of care, delivery"),
        ("care", "callback", "name", "does not let role care open class name: expected one of email, msisdn"),
        (
            "care",
            "notification",
            "email",
            "does not let role care open class email for notification: expected one of callback, complaint",
        ),
    ],
)
def test_message_says_what_would_be_accepted_when_a_request_is_refused(
    tmp_path: Path, role: str, purpose: str, pii_class: str, message: str
) -> None:
    policy = policy_of(tmp_path, POLICY)
    with pytest.raises(RefusedError) as raised:
        policy.require(role, purpose, pii_class)
    assert str(raised.value) == f"{tmp_path / 'policy.toml'} {message}"


def test_every_class_may_be_opened_by_somebody_when_the_policy_is_the_packaged_one() -> None:
    policy = Policy.load()
    assert policy.source == "the packaged policy.toml"
    assert {pii_class for classes in policy.roles.values() for pii_class in classes} == PII_CLASSES
    policy.require("delivery", "notification", "msisdn")
    with pytest.raises(RefusedError):
        policy.require("care", "complaint", "birth_date")


NAME = "expected a small letter, then at most 39 small letters, digits and hyphens"
CLASSES = "account, address, birth_date, customer, email, imsi, msisdn, name, text"


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        ("", ["expected one table per role, it has none"]),
        ('care = ["email"]', ["care stands outside of a table: write [role], and below it class = [purposes]"]),
        ('["Ada L"]\nemail = ["x"]', [f"['Ada L'] is no name of a role: {NAME}"]),
        ("[care]", ['[care] is empty: expected at least one line such as email = ["complaint"]']),
        ('[care]\nshoe = ["x"]', [f"[care] shoe is no class of personal data: expected one of {CLASSES}"]),
        ('[care]\nemail = "complaint"', ["[care] email: expected a list of purposes, got str"]),
        ("[care]\nemail = []", ["[care] email: expected a list of purposes, got an empty list"]),
        ('[care]\nemail = ["x", 7]', ["[care] email[1]: expected the name of a purpose, got int"]),
        ('[care]\nemail = ["*"]', [f"[care] email[0] is no name of a purpose: {NAME}"]),
        ('[care]\nemail = ["x", "x"]', ["[care] email[1]: x stands there twice"]),
        ("[care]\n[care.email]\nx = 1", ["[care] email: expected a list of purposes, got dict"]),
        (
            '[care]\nemail = []\n[fraud]\nimei = ["x"]\nname = ["y", 1]',
            [
                "[care] email: expected a list of purposes, got an empty list",
                f"[fraud] imei is no class of personal data: expected one of {CLASSES}",
                "[fraud] name[1]: expected the name of a purpose, got int",
            ],
        ),
    ],
)
def test_each_mistake_is_told_with_file_and_place_when_a_policy_has_some(
    tmp_path: Path, text: str, mistakes: list[str]
) -> None:
    with pytest.raises(PolicyError) as raised:
        policy_of(tmp_path, text)
    assert str(raised.value).splitlines() == [f"{tmp_path / 'policy.toml'}: {mistake}" for mistake in mistakes]


def test_line_is_named_when_a_file_is_no_toml(tmp_path: Path) -> None:
    with pytest.raises(PolicyError) as raised:
        policy_of(tmp_path, '[care]\nemail = ["complaint"\n')
    assert str(raised.value).startswith(f"{tmp_path / 'policy.toml'} cannot be read as TOML: ")
    assert "line 3" in str(raised.value) or "end of document" in str(raised.value)


def test_path_is_named_when_there_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"policy\.toml cannot be read as TOML: .*No such file.*; correct the file"):
        Policy.load(tmp_path / "policy.toml")


@pytest.mark.parametrize("text", ["", "Care", "ada@example.com", "care\n", "-care", "1st", "a" * 41])
def test_text_is_refused_and_not_shown_when_it_is_no_name(text: str) -> None:
    with pytest.raises(PolicyError) as raised:
        require_name("role", text)
    assert str(raised.value) == f"this is no name of a role: {NAME}"


def test_text_passes_when_it_is_a_name() -> None:
    for text in ("a", "care", "data-protection", "tier-2", "a" * 40):
        require_name("role", text)
