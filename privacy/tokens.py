"""Tokens, customer keys and fingerprints: what the rest of the system sees instead of personal data."""

from __future__ import annotations

import base64
import re

import numpy as np
import polars as pl
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from privacy.aes import ColumnarCmac, ColumnarSiv, Sealed
from privacy.customer_tokens import CustomerKeys, RowKeys, customer_tokens
from privacy.errors import KeyringError
from privacy.keyring import Keyring
from privacy.keyring_watch import KeyringWatch
from privacy.ragged import Bytes, Ragged, strings

PII_CLASSES = frozenset(
    {"account", "address", "birth_date", "customer", "email", "imsi", "msisdn", "name", "text"},
)
"""The classes of personal data. The class is bound into a token: equal values of two classes have unlike tokens."""

_TOKEN = re.compile(r"([a-z_]+)\.([a-z][0-9]+)\.(?:([0-9a-f]{16})\.)?([A-Za-z0-9_-]+)")
_SHORTEST = 22
"""Characters of base64url that the synthetic IV alone takes; whatever is shorter was never sealed."""
_SAMPLE = 256
_SLICE = 16_384
_HEX = np.frombuffer("".join(f"{byte:02x}" for byte in range(256)).encode(), np.uint16)


class Tokenizer:
    """Turns columns of personal data into tokens and keys, and one token back.

    Everything is deterministic: the same value under the same keyring gives the same result in every process.

    Columns are String columns; nulls stay null; the result has the column's name and length. One process has one
    tokenizer and uses it from one thread: it is not safe to share between threads.

    Args:
        keyring: Whose keys are used.
        watch: Says which keyring has become of it; None goes on with the one that is given.

    Attributes:
        made: Tokens made so far.
    """

    def __init__(self, keyring: Keyring, watch: KeyringWatch | None = None) -> None:
        self.made = 0
        self._keyring = keyring
        self._watch = watch
        self._sivs: dict[str, ColumnarSiv] = {}
        self._owners: dict[str, CustomerKeys] = {}
        self._customers = ColumnarCmac(keyring.join_key("customer"))
        self._fingerprints = ColumnarCmac(keyring.join_key("fingerprint"))

    def tokens(self, column: pl.Series, pii_class: str, owners: RowKeys | None = None) -> pl.Series:
        """Tokenize values of one class of personal data, exactly as they are written.

        Args:
            column: The values.
            pii_class: One of `PII_CLASSES`.
            owners: Whose values they are, row by row. Without it equal values have equal tokens, whoever they belong
                to, and no customer can be forgotten.

        Returns:
            String: `class.key_id.base64url`, the last part the AES-SIV of the value without padding, under the primary
            key. With owners `class.key_id.number.base64url`, under a key that the customer of that number has alone:
            equal tokens are equal values of one customer. Those of forgotten customers are null.

        Raises:
            ValueError: There is no such class, or another number of owners.
            TypeError: The column is not String.

        Source: RFC 5297 (class as associated data), RFC 4648 section 5.
        """
        if pii_class not in PII_CLASSES:
            raise ValueError(f"no such class of personal data: expected one of {', '.join(sorted(PII_CLASSES))}")
        self._renew()
        if owners is not None:
            return self._owned_tokens(column, pii_class, owners)
        siv, present = self._siv(pii_class), _present(column)
        self.made += len(present)
        prefix = f"{pii_class}.{self._keyring.primary_id}.".encode()
        if not _repeats(present):
            return _with_nulls(_tokens(present, siv, prefix), column)
        once = present.unique()
        made = present.replace_strict(once, _tokens(once, siv, prefix), return_dtype=pl.String)
        return _with_nulls(made, column)

    def owners(self, numbers: pl.Series) -> RowKeys | None:
        """Each customer's own key, for `tokens`; made once for all columns of a batch.

        Args:
            numbers: The second of `customers`, without nulls.

        Returns:
            One key a row; None under a keyring of version 1, which has none.
        """
        self._renew()
        keys = self._customer_keys(self._keyring.primary_id)
        return None if keys is None else keys.of(numbers.to_numpy(writable=True))

    def customers(self, column: pl.Series) -> tuple[pl.Series, pl.Series]:
        """What streams join on: AES-CMAC of the canonical customer id, under a key that outlives rotations.

        Canonical is: without white space (Unicode's) at either end, in normal form C. Nothing else is changed: case
        and leading zeros tell customers apart.

        Returns:
            The keys: String, 32 hex characters, uniformly distributed. And their first 64 bits, big-endian, UInt64:
            what state is keyed by.

        Source: RFC 4493.
        """
        self._renew()  # so that what was forgotten is gone soon, also where no tokens are made
        tags = self._customers.tags(_canonical(_present(column)))
        text = _HEX[tags].view(np.uint8)
        keys = _with_nulls(strings(text, np.full(len(text), 32)), column)
        return keys, _with_nulls(_numbers(tags), column)

    def customer_keys(self, column: pl.Series) -> pl.Series:
        """The first of `customers`."""
        return self.customers(column)[0]

    def customer_numbers(self, column: pl.Series) -> pl.Series:
        """The second of `customers`."""
        return self.customers(column)[1]

    def fingerprints(self, column: pl.Series) -> pl.Series:
        """A keyed 64-bit hash of any text, for event ids and cells, as UInt64.

        The text is hashed exactly as it is written, under a key unrelated to that of customer keys. It does not change
        when keys rotate.

        Source: RFC 4493, the first 64 bits of the tag, big-endian.
        """
        return _with_nulls(_numbers(self._fingerprints.tags(Ragged.of(_present(column)))), column)

    def open(self, token: str) -> str:
        """The value of one token, made with the primary or any older key of this keyring.

        Raises:
            ForgottenError: The customer whose token it is was forgotten.
            KeyringError: It is no token, its key is not in the keyring, or it was tampered with.
        """
        self._renew()
        pii_class, key_id, number, text = _parts(token)
        cipher = AESSIV(self._keyring.token_key(key_id)) if number is None else self._cipher(key_id, int(number, 16))
        try:
            sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            return cipher.decrypt(sealed, [pii_class.encode()]).decode()
        except (InvalidTag, ValueError):
            pass
        raise KeyringError(
            f"the token does not open with key {key_id} of {self._keyring.path}: expected a token that this keyring "
            "made, unchanged; use the keyring that made it"
        )

    def _owned_tokens(self, column: pl.Series, pii_class: str, owners: RowKeys) -> pl.Series:
        if len(owners.numbers) != len(column):
            raise ValueError(f"expected an owner for each of {len(column)} values, got {len(owners.numbers)}")
        values = _checked(column)
        there = values.is_not_null().to_numpy() & owners.known
        if there.all():
            made = customer_tokens(values, pii_class, owners)
        else:
            made = _placed(customer_tokens(values.filter(there), pii_class, owners.take(there)), pl.Series(there))
        self.made += int(there.sum())
        return made.alias(column.name)

    def _cipher(self, key_id: str, number: int) -> AESSIV:
        keys = self._customer_keys(key_id)
        if keys is None:
            raise KeyringError(
                f"the keyring {self._keyring.path} has no customers, and this token is one's own: "
                "use the keyring that made it"
            )
        return keys.cipher(number)

    def _customer_keys(self, key_id: str) -> CustomerKeys | None:
        if self._keyring.customers is None:
            return None
        if key_id not in self._owners:
            self._owners[key_id] = CustomerKeys(self._keyring.customers, key_id, self._keyring.token_key(key_id))
        return self._owners[key_id]

    def _renew(self) -> None:
        """Go on with the newest keyring. Customer keys and fingerprints stay: their keys never change."""
        if self._watch is not None and (newest := self._watch.current()) is not self._keyring:
            self._keyring = newest
            self._sivs.clear()
            self._owners.clear()

    def _siv(self, pii_class: str) -> ColumnarSiv:
        if pii_class not in self._sivs:
            key = self._keyring.token_key(self._keyring.primary_id)
            self._sivs[pii_class] = ColumnarSiv(key, [pii_class.encode()])
        return self._sivs[pii_class]


def token_class(token: str) -> str:
    """The class of personal data that a token names; whether the token is genuine only opening it shows.

    Raises:
        KeyringError: It is no token.
    """
    pii_class, *_, text = _parts(token)
    if len(text) < _SHORTEST:
        raise _no_token()
    return pii_class


def _parts(token: str) -> tuple[str, str, str | None, str]:
    match = _TOKEN.fullmatch(token)
    if not match or match[1] not in PII_CLASSES:
        raise _no_token()
    return match[1], match[2], match[3], match[4]


def _no_token() -> KeyringError:
    return KeyringError(
        "this is no token: expected class.key_id.base64url or class.key_id.number.base64url; give it as it was stored"
    )


def _repeats(values: pl.Series) -> bool:
    """Whether tokenizing each distinct value once is likely to pay.

    Finding them and putting their tokens back costs 140 ns a row, a token of 12 bytes 300 ns.
    """
    sample = values.gather_every(max(len(values) // _SAMPLE, 1))
    return len(values) >= _SAMPLE and sample.n_unique() * 2 < len(sample)


def _tokens(values: pl.Series, siv: ColumnarSiv, prefix: bytes) -> pl.Series:
    """Tokens, a slice at a time: what is worked on fits the processor's cache, and memory is bounded."""
    slices = [_slice_tokens(values.slice(at, _SLICE), siv, prefix) for at in range(0, len(values), _SLICE)]
    return pl.concat(slices) if slices else pl.Series(dtype=pl.String)


def _slice_tokens(values: pl.Series, siv: ColumnarSiv, prefix: bytes) -> pl.Series:
    ragged = Ragged.of(values)
    pieces = [(sealed.rows, _text(sealed, prefix)) for sealed in siv.seal(ragged)]
    if len(long_rows := ragged.long_rows()):
        sealed_long = (siv.one(ragged.value(row)) for row in long_rows)
        text = [(prefix + base64.urlsafe_b64encode(data).rstrip(b"=")).decode() for data in sealed_long]
        pieces.append((long_rows, pl.Series(text)))
    if len(pieces) == 1:
        return pieces[0][1]
    order = np.concatenate([rows for rows, _ in pieces])
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    return pl.concat([text for _, text in pieces]).gather(pl.Series(back))


def _text(sealed: Sealed, prefix: bytes) -> pl.Series:
    """Base64 of a whole matrix at once: rows of a multiple of three bytes turn into rows of text without padding."""
    width = -(-int(sealed.lengths.max(initial=0)) // 3) * 3
    data = np.zeros((len(sealed.lengths), width), np.uint8)
    kept = min(width, sealed.data.shape[1])
    data[:, :kept] = sealed.data[:, :kept]
    encoded = np.frombuffer(base64.urlsafe_b64encode(data.data), np.uint8).reshape(len(data), -1)
    text = np.empty((len(data), len(prefix) + encoded.shape[1]), np.uint8)
    text[:, : len(prefix)] = np.frombuffer(prefix, np.uint8)
    text[:, len(prefix) :] = encoded
    return strings(text, len(prefix) + (sealed.lengths * 4 + 2) // 3)


def _numbers(tags: Bytes) -> pl.Series:
    return pl.Series(tags.view(">u8")[:, 0].astype(np.uint64))


def _canonical(column: pl.Series) -> Ragged:
    values = Ragged.of(column)
    # printable ASCII without a space is canonical already, and is what customer ids are made of
    if not len(values.data) or (values.data.min() > 0x20 and values.data.max() < 0x7F):
        return values
    return Ragged.of(column.str.strip_chars().str.normalize("NFC"))


def _checked(column: pl.Series) -> pl.Series:
    if column.dtype == pl.Null:
        return column.cast(pl.String)
    if column.dtype != pl.String:
        raise TypeError(f"column {column.name!r} is {column.dtype}: expected String; cast it first")
    return column


def _present(column: pl.Series) -> pl.Series:
    column = _checked(column)
    return column.drop_nulls() if column.null_count() else column


def _with_nulls(values: pl.Series, column: pl.Series) -> pl.Series:
    """Values of the cells that are there, put where they belong."""
    return (_placed(values, column.is_not_null()) if column.null_count() else values).alias(column.name)


def _placed(values: pl.Series, there: pl.Series) -> pl.Series:
    """Values in the places that are marked, nulls in the others."""
    at = there.cum_sum().cast(pl.Int64) - 1
    return values.gather(pl.select(pl.when(there).then(at)).to_series())
