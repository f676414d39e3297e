"""Sealed bytes: originals of dead letters, which only holders of the keyring can open."""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from privacy.errors import KeyringError
from privacy.keyring import Keyring

_VERSION = 1


class Sealer:
    """Seals bytes with the keyring's sealing key, bound to a context.

    Sealing is deterministic: equal bytes in the same context give equal sealed bytes, so a replay repeats its dead
    letters exactly. What that tells an onlooker is which records were equal in an equal context.

    The sealed form describes itself: a version byte, the length of the key id, the key id in ASCII, then the AES-SIV
    (RFC 5297) of the data, with all that comes before it and the context as its two strings of associated data.

    One process uses it from one thread.
    """

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        key_id = keyring.sealing_id.encode()
        self._header = bytes([_VERSION, len(key_id)]) + key_id
        self._cipher = AESSIV(keyring.sealing_key(keyring.sealing_id))

    def seal(self, data: bytes, context: bytes) -> bytes:
        """Seal bytes of any length; the same context must be given to open them.

        Args:
            data: What to hide.
            context: Where it belongs, such as its topic, partition and offset. Not hidden, not stored.
        """
        return self._header + self._cipher.encrypt(data, [self._header, context])

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """What was sealed.

        Raises:
            KeyringError: It is nothing sealed, it was changed, or its key or its context is another.
        """
        start = 2 + sealed[1] if len(sealed) > 1 else 0
        if not start or sealed[0] != _VERSION or len(sealed) < start + 16:
            raise KeyringError(
                f"this is nothing sealed: expected sealed bytes of version {_VERSION}; give them as stored"
            )
        header = sealed[:start]
        cipher = AESSIV(self._keyring.sealing_key(header[2:].decode("ascii", "replace")))
        try:
            return cipher.decrypt(sealed[start:], [header, context])
        except InvalidTag:
            pass
        raise KeyringError(
            f"the sealed bytes do not open with {self._keyring.path}: expected bytes that this keyring sealed, "
            "unchanged and in this context; use the keyring that sealed them"
        )
