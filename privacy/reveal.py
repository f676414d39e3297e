"""Reveal: tokens are opened for a role and a purpose, if the policy lets them, and never without an audit entry."""

from __future__ import annotations

from dataclasses import dataclass

from privacy.audit import AuditLog
from privacy.errors import ForgottenError, KeyringError, RefusedError
from privacy.keyring import Keyring
from privacy.policy import Policy, require_name
from privacy.tokens import Tokenizer, token_class


@dataclass(frozen=True, slots=True, kw_only=True)
class RevealRequest:
    """Who wants to see what, and what for.

    Attributes:
        tokens: What to open. A request is granted as a whole or not at all.
        role: The role that is claimed. Nothing here proves it: `user` tells who claimed it.
        purpose: What the values are needed for.
        user: Who asks, as the operating system knows them.
    """

    tokens: tuple[str, ...]
    role: str
    purpose: str
    user: str


def reveal(request: RevealRequest, *, policy: Policy, keyring: Keyring, log: AuditLog) -> list[str]:
    """Open the tokens of a request.

    What was asked, and what became of it, is on the disk before this returns or raises, one entry a token; the only
    requests without entries are those that are no requests, for a role, a purpose or a token is not written as one.

    Args:
        request: The request.
        policy: Who may open what.
        keyring: Opens the tokens.
        log: Where it is noted.

    Returns:
        The values, in the order of the tokens.

    Raises:
        PolicyError: The role or the purpose is no name of one.
        RefusedError: The policy does not let the role open one of the classes for the purpose.
        ForgottenError: The customer behind one of the tokens was forgotten.
        KeyringError: One of the tokens is none, or the keyring does not open it.
        AuditError: It cannot be noted; so nothing is revealed.
    """
    require_name("role", request.role)
    require_name("purpose", request.purpose)
    classes = [token_class(token) for token in request.tokens]
    try:
        for pii_class in classes:
            policy.require(request.role, request.purpose, pii_class)
    except RefusedError as error:
        _note(request, "refused", log)
        raise RefusedError(f"refused, and noted in the audit log: {error}") from error
    tokenizer = Tokenizer(keyring)
    try:
        values = [tokenizer.open(token) for token in request.tokens]
    except KeyringError as error:
        _note(request, "forgotten" if isinstance(error, ForgottenError) else "unopened", log)
        raise
    _note(request, "revealed", log)
    return values


def _note(request: RevealRequest, outcome: str, log: AuditLog) -> None:
    asked = {"event": "reveal", "user": request.user, "role": request.role, "purpose": request.purpose}
    log.append([asked | {"outcome": outcome, "token": token} for token in request.tokens])
