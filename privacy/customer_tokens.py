"""Tokens that can be forgotten: each customer's are made under keys of their own, and one customer's keys can be lost.

The key of a customer is one of AES-SIV, 32 bytes, made of two secrets: the value that the keyring's function of
customers has for their number, which can be forgotten; and a token key, which rotates. A token names both, so that it
can be opened: `class.key_id.number.base64url`.

Source: RFC 5869, section 2.3 (HKDF-Expand; a token key is uniformly random and needs no extraction).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from numpy.typing import NDArray

from privacy.errors import ForgottenError
from privacy.puncturable import NODE_BYTES, Numbers, PuncturablePrf
from privacy.ragged import Bytes, Ragged, packed_strings

_HALF_BYTES = 32
_KEY_BYTES = 2 * NODE_BYTES


@dataclass(frozen=True, slots=True)
class RowKeys:
    """For each row of a batch the key of its customer.

    Attributes:
        key_id: Of the token key.
        numbers: The customers' numbers.
        known: Which of them were not forgotten.
        keys: AES-SIV keys; those of forgotten customers mean nothing. uint8, (n, 32).
    """

    key_id: str
    numbers: Numbers
    known: NDArray[np.bool_]
    keys: Bytes = field(repr=False)

    def take(self, which: NDArray[np.bool_]) -> RowKeys:
        """Some of the rows."""
        return RowKeys(self.key_id, self.numbers[which], self.known[which], self.keys[which])


class CustomerKeys:
    """The keys of customers under one token key.

    Args:
        customers: Gives each customer's leaf.
        key_id: Of the token key.
        token_key: It; 64 bytes.
    """

    def __init__(self, customers: PuncturablePrf, key_id: str, token_key: bytes) -> None:
        self._customers = customers
        self._key_id = key_id
        halves = HKDFExpand(SHA256(), 2 * _HALF_BYTES, b"signalbox customer token").derive(token_key)
        self._halves = halves[:_HALF_BYTES], halves[_HALF_BYTES:]

    def of(self, numbers: Numbers) -> RowKeys:
        """The keys of some customers: both halves are AES(leaf) ⊕ leaf, so that no leaf can be got back from them."""
        leaves, known = self._customers.values(numbers)
        keys = np.concatenate([_hashed(half, leaves) for half in self._halves], axis=1)
        return RowKeys(self._key_id, numbers, known, keys)

    def cipher(self, number: int) -> AESSIV:
        """What opens the tokens of one customer.

        Raises:
            ForgottenError: The customer was forgotten.
        """
        keys = self.of(np.array([number], np.uint64))
        if not keys.known[0]:
            raise ForgottenError(
                "the customer of this token was forgotten: nobody can open it, with this keyring or a later one"
            )
        return AESSIV(keys.keys[0].tobytes())


def customer_tokens(values: pl.Series, pii_class: str, keys: RowKeys) -> pl.Series:
    """Seal a String column without nulls; the rows of `keys` are its rows, and all of them are known."""
    from privacy import kernels  # loads numba, which most commands do without

    if not len(values):
        return pl.Series(dtype=pl.String)
    return (compiled_tokens if kernels.AVAILABLE else single_tokens)(values, pii_class, keys)


def single_tokens(values: pl.Series, pii_class: str, keys: RowKeys) -> pl.Series:
    """`customer_tokens` by the library, one by one: a key of each row's own costs it 7 µs a value."""
    associated, prefix, material = [pii_class.encode()], f"{pii_class}.{keys.key_id}.", keys.keys.tobytes()
    tokens = []
    for row, (value, number) in enumerate(zip(values, keys.numbers.tolist(), strict=True)):
        cipher = AESSIV(material[row * _KEY_BYTES : (row + 1) * _KEY_BYTES])
        sealed = base64.urlsafe_b64encode(cipher.encrypt(value.encode(), associated))
        tokens.append(f"{prefix}{number:016x}.{sealed.rstrip(b'=').decode()}")
    return pl.Series(tokens, dtype=pl.String)


def compiled_tokens(values: pl.Series, pii_class: str, keys: RowKeys) -> pl.Series:
    """`customer_tokens` where the processor has instructions for AES; at least one value."""
    from privacy import kernels

    ragged, prefix = Ragged.of(values), f"{pii_class}.{keys.key_id}.".encode()
    data = ragged.data
    data.flags.writeable = False  # as it mostly is; numba compiles for each kind apart, and one is enough
    lengths = np.diff(ragged.ends)
    ends = np.zeros_like(ragged.ends)
    np.cumsum(len(prefix) + kernels.HEX_DIGITS + 1 + ((lengths + kernels.SIV_BYTES) * 4 + 2) // 3, out=ends[1:])
    text = np.empty(ends[-1], np.uint8)
    kernels.write_tokens(
        data,
        ragged.ends,
        keys.keys,
        keys.numbers,
        np.frombuffer(prefix, np.uint8).copy(),
        np.frombuffer((pii_class.encode() + b"\x80").ljust(16, b"\0"), np.uint8).copy(),
        np.empty(int(lengths.max()) + kernels.ROOM, np.uint8),
        np.empty(kernels.SCHEDULE_WORDS, np.uint64),
        text,
        ends,
    )
    return packed_strings(text, ends)


def _hashed(key: bytes, leaves: Bytes) -> Bytes:
    # ECB is the bare block cipher
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305
    return np.frombuffer(encryptor.update(leaves.tobytes()), np.uint8).reshape(-1, NODE_BYTES) ^ leaves
