"""The keyring's file format: JSON, version 2. Version 1, which has no `customers`, is still read."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from typing import Any

from privacy.errors import KeyringError
from privacy.puncturable import PuncturablePrf

VERSION = 2
SIV_BYTES = 64
JOIN_BYTES = 32

_ID = re.compile(r"[a-z][0-9]{1,6}")
_NUMBER = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Key:
    """One key.

    Attributes:
        id: Short and public: tokens carry it.
        created: When, ISO 8601 in UTC.
        secret: The key.
    """

    id: str
    created: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyFile:
    """What a keyring file holds.

    Attributes:
        tokens: Token keys, oldest first; the last is the primary, the others are retired but readable.
        join: What customer keys, fingerprints and the keys of the audit log are derived from.
        sealing: Seals dead letters.
        customers: What a customer's own keys are derived from, less those who were forgotten; None in version 1.
    """

    tokens: tuple[Key, ...]
    join: Key
    sealing: Key
    customers: PuncturablePrf | None


def render(file: KeyFile) -> bytes:
    """The file's bytes."""
    if file.customers is None:
        raise ValueError(f"version {VERSION} has customers")
    states = ["readable"] * (len(file.tokens) - 1) + ["primary"]
    document = {
        "version": VERSION,
        "keys": [_entry(key) | {"state": state} for key, state in zip(file.tokens, states, strict=True)],
        "join": _entry(file.join),
        "sealing": _entry(file.sealing),
        "customers": {
            "forgotten": [f"{number:016x}" for number in file.customers.forgotten],
            "nodes": base64.b64encode(file.customers.nodes).decode(),
        },
    }
    return json.dumps(document, indent=2).encode() + b"\n"


def parse(data: bytes, name: str) -> KeyFile:
    """Read a file's bytes.

    Args:
        data: The bytes.
        name: What to call the file in an error.

    Raises:
        KeyringError: It is not a keyring of this version, or damaged.
    """
    document = _json(data)
    if not isinstance(document, dict) or "version" not in document:
        raise KeyringError(f"{name} is no keyring: expected the JSON file that `signalbox keys create` makes")
    if document["version"] not in (1, VERSION):
        raise KeyringError(
            f"the keyring {name} is of another version: expected 1 or {VERSION}; use the Signalbox that made it"
        )
    entries = document.get("keys")
    if not isinstance(entries, list) or not entries:
        raise _damaged(name, "keys", "a list of token keys")
    tokens = tuple(_key(entry, f"keys[{at}]", SIV_BYTES, name) for at, entry in enumerate(entries))
    if len({key.id for key in tokens}) != len(tokens):
        raise _damaged(name, "keys", "a different id for every key")
    if [entry.get("state") for entry in entries] != ["readable"] * (len(entries) - 1) + ["primary"]:
        raise _damaged(name, "keys", "readable keys, then one primary key as the last")
    return KeyFile(
        tokens,
        join=_key(document.get("join"), "join", JOIN_BYTES, name),
        sealing=_key(document.get("sealing"), "sealing", SIV_BYTES, name),
        customers=None if document["version"] == 1 else _customers(document.get("customers"), name),
    )


def _json(data: bytes) -> Any:
    # not raised from here: the decoder's error carries the document, keys and all
    try:
        return json.loads(data)
    except ValueError:
        return None


def _entry(key: Key) -> dict[str, str]:
    return {"id": key.id, "created": key.created, "key": base64.b64encode(key.secret).decode()}


def _key(entry: Any, place: str, size: int, name: str) -> Key:
    parts = entry if isinstance(entry, dict) else {}
    key_id, created, text = parts.get("id"), parts.get("created"), parts.get("key")
    if not (isinstance(key_id, str) and isinstance(created, str) and isinstance(text, str)):
        raise _damaged(name, place, "id, created and key as text")
    if not _ID.fullmatch(key_id):
        raise _damaged(name, f"{place}.id", "a letter and a number")
    secret = _base64(text)
    if len(secret) != size:
        raise _damaged(name, f"{place}.key", f"{size} bytes in base64")
    return Key(key_id, created, secret)


def _customers(entry: Any, name: str) -> PuncturablePrf:
    parts = entry if isinstance(entry, dict) else {}
    forgotten, nodes = parts.get("forgotten"), parts.get("nodes")
    if not (isinstance(forgotten, list) and isinstance(nodes, str)):
        raise _damaged(name, "customers", "forgotten as a list and nodes as text")
    if not all(isinstance(number, str) and _NUMBER.fullmatch(number) for number in forgotten):
        raise _damaged(name, "customers.forgotten", "numbers of 16 hexadecimal digits")
    try:
        return PuncturablePrf(tuple(int(number, 16) for number in forgotten), _base64(nodes))
    except ValueError as error:
        raise _damaged(name, "customers", str(error).removeprefix("expected ")) from error


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""


def _damaged(name: str, place: str, expected: str) -> KeyringError:
    return KeyringError(f"the keyring {name} is damaged at {place}: expected {expected}; restore it from your backup")
