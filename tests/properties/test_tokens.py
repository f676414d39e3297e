"""Columns of tokens, keys and fingerprints against one value at a time, and cut anywhere."""

import base64
import unicodedata

import polars as pl
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy import PII_CLASSES, Keyring, Tokenizer

WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2003\u200a\u2028\u2029\u202f\u205f\u3000"
SHORT = st.text(max_size=20)
LONG = st.builds(lambda text, length: (text * length)[:length], st.text(min_size=1, max_size=8), st.integers(0, 200))
COLUMN = st.lists(st.none() | SHORT | LONG, max_size=40)
CUSTOMER_IDS = st.lists(st.none() | st.text("c01Zeëåµ\u0308\u030a\u0327-" + WHITE_SPACE, max_size=40), max_size=40)


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    return Keyring.create(tmp_path_factory.mktemp("keys") / "keyring.json").rotate()


def naive_token(keyring: Keyring, value: str, pii_class: str) -> str:
    sealed = AESSIV(keyring.token_key(keyring.primary_id)).encrypt(value.encode(), [pii_class.encode()])
    return f"{pii_class}.{keyring.primary_id}.{base64.urlsafe_b64encode(sealed).decode().rstrip('=')}"


def naive_tag(key: bytes, value: str) -> str:
    mac = CMAC(AES(key))
    mac.update(value.encode())
    return mac.finalize().hex()


@settings(deadline=None)
@given(values=COLUMN, pii_class=st.sampled_from(sorted(PII_CLASSES)))
def test_tokens_equal_the_library_when_values_are_any_text(
    keyring: Keyring, values: list[str | None], pii_class: str
) -> None:
    tokenizer = Tokenizer(keyring)
    tokens = tokenizer.tokens(pl.Series("c", values, pl.String), pii_class).to_list()
    assert tokens == [value if value is None else naive_token(keyring, value, pii_class) for value in values]
    assert [token if token is None else tokenizer.open(token) for token in tokens] == values


@settings(deadline=None)
@given(values=COLUMN)
def test_fingerprints_equal_the_library_when_values_are_any_text(keyring: Keyring, values: list[str | None]) -> None:
    key = keyring.join_key("fingerprint")
    fingerprints = Tokenizer(keyring).fingerprints(pl.Series("c", values, pl.String)).to_list()
    assert fingerprints == [value if value is None else int(naive_tag(key, value)[:16], 16) for value in values]


@settings(deadline=None)
@given(values=CUSTOMER_IDS)
def test_customer_keys_are_of_the_canonical_id_when_ids_have_space_or_marks(
    keyring: Keyring, values: list[str | None]
) -> None:
    tokenizer, column = Tokenizer(keyring), pl.Series("c", values, pl.String)
    key = keyring.join_key("customer")
    expected = [
        value if value is None else naive_tag(key, unicodedata.normalize("NFC", value.strip(WHITE_SPACE)))
        for value in values
    ]
    assert tokenizer.customer_keys(column).to_list() == expected
    numbers = [value if value is None else int(value[:16], 16) for value in expected]
    assert tokenizer.customer_numbers(column).to_list() == numbers


@settings(deadline=None)
@given(values=COLUMN, cut=st.integers(0, 40), repeat=st.integers(1, 20))
def test_results_are_the_same_when_a_column_is_cut_or_repeats(
    keyring: Keyring, values: list[str | None], cut: int, repeat: int
) -> None:
    tokenizer, column = Tokenizer(keyring), pl.Series("c", values * repeat, pl.String)
    parts = [column.head(cut), column.slice(cut)]
    for made in (
        lambda part: tokenizer.tokens(part, "name"),
        tokenizer.customer_keys,
        tokenizer.customer_numbers,
        tokenizer.fingerprints,
    ):
        assert made(column).to_list() == [cell for part in parts for cell in made(part)]
