"""Tokens of customers' own equal a library's AES-SIV, and open until their customer is forgotten."""

from __future__ import annotations

import base64
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy import PII_CLASSES, ForgottenError, Keyring, KeyringError, Tokenizer
from privacy.customer_tokens import single_tokens

SHORT = st.text(max_size=20)
LONG = st.builds(lambda text, length: (text * length)[:length], st.text(min_size=1, max_size=8), st.integers(0, 200))
NUMBERS = st.integers(0, 2**64 - 1) | st.integers(0, 3)
ROWS = st.lists(st.tuples(NUMBERS, st.none() | SHORT | LONG), max_size=30)
CLASSES = st.sampled_from(sorted(PII_CLASSES))


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    return Keyring.create(tmp_path_factory.mktemp("keys") / "keyring.json").rotate().forget(2)


def naive_token(keyring: Keyring, number: int, value: str, pii_class: str) -> str | None:
    """The definition, by a library and one by one."""
    values, known = keyring.customers.values(np.array([number], np.uint64))
    if not known[0]:
        return None
    leaf, key_id = values[0].tobytes(), keyring.primary_id
    secret = HKDFExpand(SHA256(), 64, b"signalbox customer token").derive(keyring.token_key(key_id))
    key = b""
    for half in (secret[:32], secret[32:]):
        ciphered = Cipher(algorithms.AES(half), modes.ECB()).encryptor().update(leaf)
        key += bytes(a ^ b for a, b in zip(ciphered, leaf, strict=True))
    sealed = base64.urlsafe_b64encode(AESSIV(key).encrypt(value.encode(), [pii_class.encode()])).decode()
    return f"{pii_class}.{key_id}.{number:016x}.{sealed.rstrip('=')}"


def tokens_of(keyring: Keyring, rows: list[tuple[int, str | None]], pii_class: str) -> list[str | None]:
    tokenizer = Tokenizer(keyring)
    owners = tokenizer.owners(pl.Series([number for number, _ in rows], dtype=pl.UInt64))
    tokens = tokenizer.tokens(pl.Series("c", [value for _, value in rows], pl.String), pii_class, owners)
    assert (tokens.name, tokens.dtype) == ("c", pl.String)
    assert tokenizer.made == len(tokens) - tokens.null_count()
    return tokens.to_list()


@settings(deadline=None)
@given(rows=ROWS, pii_class=CLASSES)
def test_tokens_equal_the_library_when_values_are_any_text(
    keyring: Keyring, rows: list[tuple[int, str | None]], pii_class: str
) -> None:
    tokens = tokens_of(keyring, rows, pii_class)
    assert tokens == [
        value if value is None else naive_token(keyring, number, value, pii_class) for number, value in rows
    ]
    tokenizer = Tokenizer(keyring)
    for token, (number, value) in zip(tokens, rows, strict=True):
        assert (token is None) == (value is None or number == 2)
        assert token is None or tokenizer.open(token) == value


@settings(deadline=None)
@given(rows=ROWS, pii_class=CLASSES)
def test_tokens_are_the_same_when_the_processor_has_no_instructions_for_them(
    keyring: Keyring, rows: list[tuple[int, str | None]], pii_class: str
) -> None:
    tokenizer = Tokenizer(keyring)
    given = [(number, value) for number, value in rows if value is not None and number != 2]
    owners = tokenizer.owners(pl.Series([number for number, _ in given], dtype=pl.UInt64))
    values = pl.Series([value for _, value in given], dtype=pl.String)
    assert single_tokens(values, pii_class, owners).to_list() == tokens_of(keyring, given, pii_class)


@settings(deadline=None)
@given(rows=ROWS, cut=st.integers(0, 30), repeat=st.sampled_from([1, 20]), pii_class=CLASSES)
def test_tokens_are_the_same_when_a_column_is_cut_or_repeats(
    keyring: Keyring, rows: list[tuple[int, str | None]], cut: int, repeat: int, pii_class: str
) -> None:
    whole = tokens_of(keyring, rows * repeat, pii_class)
    parts = (rows * repeat)[:cut], (rows * repeat)[cut:]
    assert whole == [token for part in parts for token in tokens_of(keyring, part, pii_class)]


@settings(deadline=None)
@given(value=SHORT | LONG, number=NUMBERS, other=NUMBERS, place=st.integers(0), change=st.integers(1, 63))
def test_a_token_does_not_open_when_it_was_tampered_with(
    keyring: Keyring, value: str, number: int, other: int, place: int, change: int
) -> None:
    [token] = tokens_of(keyring, [(number, value)], "email")
    if token is None:
        return
    tokenizer = Tokenizer(keyring)
    *names, text = token.split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    place %= len(text)
    # of the last character some bits may be padding, so its first bit is changed
    changed = alphabet[alphabet.index(text[place]) ^ (32 if place == len(text) - 1 else change)]
    forged = [
        ".".join([*names, text[:place] + changed + text[place + 1 :]]),
        token.replace("email", "name", 1),
        token.replace(".k2.", ".k1.", 1),
        f"email.k2.{text}",  # as one of everybody's
    ]
    if other != number:
        forged.append(token.replace(names[2], f"{other:016x}"))
    for each in forged:
        with pytest.raises(KeyringError) as raised:
            tokenizer.open(each)
        assert value not in str(raised.value) or len(value) < 3


@settings(deadline=None, max_examples=25)
@given(forgotten=st.sets(st.integers(0, 5), max_size=4), rotations=st.lists(st.booleans(), max_size=4))
def test_tokens_of_all_others_open_when_some_are_forgotten_and_keys_rotate(
    forgotten: set[int], rotations: list[bool]
) -> None:
    rows = [(number, f"ada{number}@example.com") for number in range(6)]
    with TemporaryDirectory() as directory:
        keyring = Keyring.create(Path(directory) / "keyring.json")
        made = tokens_of(keyring, rows, "email")
        everybodys = Tokenizer(keyring).tokens(pl.Series(["ada@example.com"]), "email")[0]
        left = sorted(forgotten)
        for rotates in [*rotations, *[False] * len(left)]:
            if not rotates and left:
                keyring = keyring.forget(left.pop())
            elif rotates:
                keyring = keyring.rotate()
            made += tokens_of(keyring, rows, "email")
        last = tokens_of(keyring, rows, "email")
        keyring = Keyring.load(keyring.path)

    assert keyring.forgotten == forgotten
    assert [token is None for token in last] == [number in forgotten for number, _ in rows]
    tokenizer = Tokenizer(keyring)
    assert tokenizer.open(everybodys) == "ada@example.com"
    for token, (number, value) in zip(made, rows * (len(made) // len(rows)), strict=True):
        if token is None:
            assert number in forgotten
        elif number not in forgotten:
            assert tokenizer.open(token) == value
        else:
            with pytest.raises(ForgottenError):
                tokenizer.open(token)
