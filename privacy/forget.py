"""Forget: one customer's tokens become unreadable for everybody, by losing their keys (crypto-shredding)."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from privacy.audit import AuditLog
from privacy.keyring import Keyring
from privacy.tokens import Tokenizer


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A customer who was forgotten.

    Attributes:
        customer_key: Whose rows they were, where rows are kept.
        before: They had been forgotten before.
    """

    customer_key: str
    before: bool


def forget(customer_id: str, *, user: str, keyring: Keyring, log: AuditLog) -> Forgotten:
    """Take a customer out of a keyring's file, and note it: that it was asked before, and that it was done after.

    Args:
        customer_id: As the CRM knows them; canonical is what `Tokenizer.customers` says.
        user: Who asks, as the operating system knows them.
        keyring: What to take them out of. It knows no customers, so anybody can be forgotten.
        log: Where it is noted, by the customer key.

    Raises:
        KeyringError: The keyring is of version 1, or cannot be written.
        AuditError: It cannot be noted.
    """
    keys, numbers = Tokenizer(keyring).customers(pl.Series([customer_id], dtype=pl.String))
    customer_key, number = str(keys[0]), int(numbers[0])
    before = number in keyring.forgotten
    asked = {"event": "forget", "user": user, "customer_key": customer_key}
    log.append([asked | {"outcome": "asked"}])
    keyring.forget(number)
    log.append([asked | {"outcome": "forgotten"}])
    return Forgotten(customer_key, before)
