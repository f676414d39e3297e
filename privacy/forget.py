"""Forget: one customer's tokens become unreadable for everybody, by losing their keys (crypto-shredding)."""

from __future__ import annotations

import re

from privacy.audit import AuditLog
from privacy.errors import KeyringError
from privacy.keyring import Keyring

_KEY = re.compile(r"[0-9a-f]{32}")


def forget(customer_key: str, *, user: str, keyring: Keyring, log: AuditLog) -> bool:
    """Take a customer out of a keyring's file, and note it: that it was asked before, and that it was done after.

    Args:
        customer_key: Of `Tokenizer.customer_keys`; so those who were forgotten can be forgotten again, by what the log
            says, when an older copy of the keyring had to be put back.
        user: Who asks, as the operating system knows them.
        keyring: What to take them out of. It knows no customers, so anybody can be forgotten.
        log: Where it is noted.

    Returns:
        Whether the file still knew them.

    Raises:
        KeyringError: It is no customer key; or the keyring is of version 1, or cannot be written.
        AuditError: It cannot be noted.
    """
    if not _KEY.fullmatch(customer_key):
        raise KeyringError("this is no customer key: expected 32 hexadecimal digits, in small letters")
    number = int(customer_key[:16], 16)
    knew = number not in Keyring.load(keyring.path).forgotten
    asked = {"event": "forget", "user": user, "customer_key": customer_key}
    log.append([asked | {"outcome": "asked"}])
    keyring.forget(number)
    log.append([asked | {"outcome": "forgotten"}])
    return knew
