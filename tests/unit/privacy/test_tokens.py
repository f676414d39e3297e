"""Tokens, customer keys and fingerprints of columns, and tokens opened again."""

import base64

import polars as pl
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from privacy import PII_CLASSES, Keyring, KeyringError, Tokenizer

KEY = bytes(range(64))
NO_TOKEN = (
    "this is no token: expected class.key_id.base64url or class.key_id.number.base64url; give it as it was stored"
)


def library_token(value: str, pii_class: str) -> str:
    sealed = AESSIV(KEY).encrypt(value.encode(), [pii_class.encode()])
    return f"{pii_class}.k1." + base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


@pytest.fixture
def tokenizer(keyring: Keyring) -> Tokenizer:
    return Tokenizer(keyring)


def test_results_stay_the_same_when_keys_are_the_same(tokenizer: Tokenizer) -> None:
    """Tokens, keys and fingerprints are stored: these literals are a persisted format."""
    column = pl.Series("c", ["447700900123"])
    assert tokenizer.tokens(column, "msisdn").to_list() == ["msisdn.k1.njNcvNzc48CGRNNtRTzUZEKUu8m9rQUG1Owwkg"]
    assert tokenizer.customer_keys(column).to_list() == ["bc43f37c8cafbde9c8156f1ac9fa0d57"]
    assert tokenizer.customer_numbers(column).to_list() == [0xBC43F37C8CAFBDE9]
    assert tokenizer.fingerprints(column).to_list() == [0x1767CD2A180300F9]


@pytest.mark.parametrize("rows", [0, 1, 255, 256, 1000, 40_000])
@pytest.mark.parametrize("distinct", [1, 7, 100_000])
def test_tokens_equal_library_when_columns_repeat_or_not(tokenizer: Tokenizer, rows: int, distinct: int) -> None:
    values = [str(at % distinct * 7919) * (1 + at % distinct % 3) for at in range(rows)]
    tokens = tokenizer.tokens(pl.Series("msisdn", values, pl.String), "msisdn")
    cipher = {value: library_token(value, "msisdn") for value in set(values)}
    assert tokens.to_list() == [cipher[value] for value in values]
    assert tokens.dtype == pl.String
    assert tokenizer.made == rows


def test_nulls_stay_null_when_they_stand_between_values(tokenizer: Tokenizer) -> None:
    column = pl.Series("name", [None, "Ada", None, "", "Zoë" * 60, None])
    tokens = tokenizer.tokens(column, "name")
    assert tokens.name == "name"
    assert tokens.to_list() == [value if value is None else library_token(value, "name") for value in column]
    for made in (tokenizer.customer_keys(column), tokenizer.customer_numbers(column), tokenizer.fingerprints(column)):
        assert made.name == "name"
        assert made.is_null().to_list() == column.is_null().to_list()
    assert tokenizer.made == 3


@pytest.mark.parametrize("column", [pl.Series("c", [], pl.String), pl.Series("c", [None] * 3, pl.String)])
@pytest.mark.parametrize("dtype", [pl.String, pl.Null])
def test_types_hold_when_column_has_no_value(tokenizer: Tokenizer, column: pl.Series, dtype: pl.DataType) -> None:
    column = column.cast(dtype)
    results = [
        tokenizer.tokens(column, "name"),
        tokenizer.customer_keys(column),
        tokenizer.customer_numbers(column),
        tokenizer.fingerprints(column),
    ]
    assert [made.dtype for made in results] == [pl.String, pl.String, pl.UInt64, pl.UInt64]
    assert all(made.null_count() == len(made) == len(column) and made.name == "c" for made in results)


def test_results_are_those_of_the_rows_when_column_is_a_slice_of_chunks(tokenizer: Tokenizer) -> None:
    values = [f"customer-{at}" for at in range(50)]
    column = pl.concat([pl.Series(values[:20]), pl.Series(values[20:])], rechunk=False).slice(15, 20)
    assert tokenizer.tokens(column, "customer").to_list() == [library_token(v, "customer") for v in values[15:35]]
    assert tokenizer.fingerprints(column).to_list() == tokenizer.fingerprints(pl.Series(values)).to_list()[15:35]


def test_customer_number_is_start_of_customer_key_when_ids_have_any_length(tokenizer: Tokenizer) -> None:
    column = pl.Series(["7" * length for length in range(200)])
    keys = tokenizer.customer_keys(column).to_list()
    assert [int(key[:16], 16) for key in keys] == tokenizer.customer_numbers(column).to_list()
    assert all(len(key) == 32 for key in keys)
    assert len(set(keys)) == 200


def test_customer_is_the_same_when_written_with_other_space_or_composition(tokenizer: Tokenizer) -> None:
    same = pl.Series(["Zoë-1", " Zoë-1", "Zoe\u0308-1\r\n", "\u00a0\u3000Zoe\u0308-1\t"])
    assert tokenizer.customer_keys(same).n_unique() == 1
    assert tokenizer.customer_numbers(same).n_unique() == 1
    assert tokenizer.customer_keys(pl.Series(["c1", " c1 ", "\nc1"])).n_unique() == 1


def test_customers_differ_when_case_zeros_or_inner_space_differ(tokenizer: Tokenizer) -> None:
    assert tokenizer.customer_keys(pl.Series(["c1", "C1", "c01", "c 1", "c-1"])).n_unique() == 5


def test_fingerprint_differs_from_customer_number_when_text_is_the_same(tokenizer: Tokenizer) -> None:
    column = pl.Series(["c1", "c2"])
    assert not (tokenizer.fingerprints(column) == tokenizer.customer_numbers(column)).any()
    assert tokenizer.fingerprints(pl.Series(["c1", " c1"])).n_unique() == 2


def test_tokens_differ_when_classes_differ(tokenizer: Tokenizer) -> None:
    parts = {tokenizer.tokens(pl.Series(["447700900123"]), name)[0].split(".")[2] for name in PII_CLASSES}
    assert len(parts) == len(PII_CLASSES)


def test_joins_hold_and_old_tokens_open_when_keys_rotate(keyring: Keyring) -> None:
    column = pl.Series(["c1", "c2"])
    old, new = Tokenizer(keyring), Tokenizer(keyring.rotate())
    assert old.customer_keys(column).to_list() == new.customer_keys(column).to_list()
    assert old.fingerprints(column).to_list() == new.fingerprints(column).to_list()
    before, after = old.tokens(column, "customer"), new.tokens(column, "customer")
    assert after.str.starts_with("customer.k2.").all()
    assert [new.open(token) for token in (*before, *after)] == ["c1", "c2", "c1", "c2"]
    with pytest.raises(KeyringError, match=r"lacks the key of this token: expected one of k1; use the keyring"):
        old.open(after[0])


@pytest.mark.parametrize("value", ["", "a", "447700900123", "Zoë", "1 Long Street, " * 20])
def test_token_opens_when_it_is_ours(tokenizer: Tokenizer, value: str) -> None:
    assert tokenizer.open(tokenizer.tokens(pl.Series([value]), "address")[0]) == value


@pytest.mark.parametrize("token", ["", "447700900123", "msisdn.k1", "msisdn.k1.", "shoe.k1.AAAA", "msisdn.k1.AA=="])
def test_message_shows_no_value_when_text_is_no_token(tokenizer: Tokenizer, token: str) -> None:
    with pytest.raises(KeyringError) as raised:
        tokenizer.open(token)
    assert str(raised.value) == NO_TOKEN


def test_token_does_not_open_when_it_was_changed(tokenizer: Tokenizer, keyring: Keyring) -> None:
    token = tokenizer.tokens(pl.Series(["447700900123"]), "msisdn")[0]
    head, body = token[:10], token[10:]
    flipped = "A" if body[5] != "A" else "B"
    changed = [
        token.replace("msisdn", "imsi"),
        head + body[:5] + flipped + body[6:],
        token[:-4],
        head + "AAAA",
        head + "A",
    ]
    for text in changed:
        with pytest.raises(KeyringError) as raised:
            tokenizer.open(text)
        assert str(raised.value) == (
            f"the token does not open with key k1 of {keyring.path}: expected a token that this keyring made, "
            "unchanged; use the keyring that made it"
        )
        assert raised.value.__context__ is None


def test_class_is_refused_when_it_is_unknown(tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match=r"^no such class of personal data: expected one of account, address, "):
        tokenizer.tokens(pl.Series(["x"]), "shoe_size")
    assert tokenizer.made == 0


def test_column_is_refused_when_it_is_not_text(tokenizer: Tokenizer) -> None:
    with pytest.raises(TypeError, match=r"^column 'customer_id' is Int64: expected String; cast it first$"):
        tokenizer.customer_keys(pl.Series("customer_id", [447700900123]))
