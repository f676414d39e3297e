"""The reveal policy: which role may open tokens of which class of personal data, and what for."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from privacy.errors import PolicyError, RefusedError
from privacy.tokens import PII_CLASSES

_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
NAME_EXPECTED = "expected a small letter, then at most 39 small letters, digits and hyphens"


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be revealed; everything else is refused.

    Attributes:
        source: The file it is of, for messages.
        roles: Role → class → purposes.
    """

    source: str
    roles: Mapping[str, Mapping[str, frozenset[str]]]

    @classmethod
    def load(cls, path: Path | None = None) -> Policy:
        """Read a policy.

        Args:
            path: A TOML file, one table per role, its keys classes, their values lists of purposes; None for the
                packaged one.

        Raises:
            PolicyError: The file cannot be read or says something it must not; one line per mistake, with its place.
        """
        source = str(path) if path else "the packaged policy.toml"
        try:
            text = path.read_text("utf-8") if path else (files("privacy") / "policy.toml").read_text("utf-8")
            roles = tomllib.loads(text)
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise PolicyError(f"{source} cannot be read as TOML: {error}; correct the file or its path") from error
        mistakes = [f"{source}: {mistake}" for role, classes in roles.items() for mistake in _in_role(role, classes)]
        if not roles:
            mistakes.append(f"{source}: expected one table per role, it has none")
        if mistakes:
            raise PolicyError("\n".join(mistakes))
        return cls(
            source, {role: {pii: frozenset(given) for pii, given in each.items()} for role, each in roles.items()}
        )

    def require(self, role: str, purpose: str, pii_class: str) -> None:
        """Pass if a role may open tokens of a class for a purpose.

        Raises:
            RefusedError: It may not. The message says what the policy would accept.
        """
        classes = self.roles.get(role)
        if classes is None:
            raise RefusedError(f"{self.source} has no role {role}: expected one of {', '.join(sorted(self.roles))}")
        purposes = classes.get(pii_class)
        if purposes is None:
            raise RefusedError(
                f"{self.source} does not let role {role} open class {pii_class}: "
                f"expected one of {', '.join(sorted(classes))}"
            )
        if purpose not in purposes:
            raise RefusedError(
                f"{self.source} does not let role {role} open class {pii_class} for {purpose}: "
                f"expected one of {', '.join(sorted(purposes))}"
            )


def require_name(what: str, text: str) -> None:
    """Pass if a text is written as roles and purposes are: such a text is written to the audit log as it is.

    Raises:
        PolicyError: It is not. The message does not show it.
    """
    if not _NAME.fullmatch(text):
        raise PolicyError(f"this is no name of a {what}: {NAME_EXPECTED}")


def _in_role(role: str, classes: Any) -> Iterator[str]:
    if not _NAME.fullmatch(role):
        yield f"[{role!r}] is no name of a role: {NAME_EXPECTED}"
        return
    if not isinstance(classes, dict):
        yield f"{role} stands outside of a table: write [role], and below it class = [purposes]"
        return
    if not classes:
        yield f'[{role}] is empty: expected at least one line such as email = ["complaint"]'
    for pii_class, purposes in classes.items():
        yield from (f"[{role}] {pii_class}{mistake}" for mistake in _in_class(pii_class, purposes))


def _in_class(pii_class: str, purposes: Any) -> Iterator[str]:
    if pii_class not in PII_CLASSES:
        yield f" is no class of personal data: expected one of {', '.join(sorted(PII_CLASSES))}"
        return
    if not isinstance(purposes, list) or not purposes:
        found = "an empty list" if isinstance(purposes, list) else type(purposes).__name__
        yield f": expected a list of purposes, got {found}"
        return
    for at, purpose in enumerate(purposes):
        if not isinstance(purpose, str):
            yield f"[{at}]: expected the name of a purpose, got {type(purpose).__name__}"
        elif not _NAME.fullmatch(purpose):
            yield f"[{at}] is no name of a purpose: {NAME_EXPECTED}"
        elif purpose in purposes[:at]:
            yield f"[{at}]: {purpose} stands there twice"
