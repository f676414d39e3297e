"""Redaction: what is planted never survives, whatever stands around it; and a column is its texts, one by one."""

from __future__ import annotations

import unicodedata

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy import redact
from privacy.check_digits import IBAN_LENGTHS, has_luhn_digit, is_card, is_iban
from privacy.redact import redact_text

ISSUERS = ["4", "51", "2221", "2720", "34", "37", "300", "36", "6011", "65", "3528", "62", "50", "6759", "2200", "9792"]
ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
NOISE = st.text(st.sampled_from("0123456789 +-./()@,:_\n\u00a0٤éß卡DEab"), max_size=30) | st.text(max_size=10)
APART = st.sampled_from([" ", "\n", ",", ":", "(", ")", "-", ".", "+", "/", "=", "卡", "ö", "|", "\0", "_", "“"])
"""What stands beside a value: anything but a letter of A to Z or a digit, with which it would be another number."""


@st.composite
def cards(draw: st.DrawFn) -> str:
    start = draw(st.sampled_from(ISSUERS))
    length = draw(st.integers(13, 19))
    body = start + "".join(draw(st.lists(st.sampled_from("0123456789"), min_size=20, max_size=20)))
    number = next(number for digit in "0123456789" if has_luhn_digit(number := body[: length - 1] + digit))
    return number if is_card(number) else draw(cards())


@st.composite
def ibans(draw: st.DrawFn) -> str:
    country = draw(st.sampled_from(sorted(IBAN_LENGTHS)))
    size = IBAN_LENGTHS[country] - 4
    account = "".join(draw(st.lists(st.sampled_from(ALPHANUMERIC), min_size=size, max_size=size)))
    rest = int("".join(str(int(char, 36)) for char in account + country + "00")) % 97
    return f"{country}{98 - rest:02}{account}"


def grouped(text: str, sizes: list[int], separator: str) -> str:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(text[at : at + size])
        at += size
    return separator.join(piece for piece in pieces if piece)


@st.composite
def written_cards(draw: st.DrawFn) -> str:
    number = draw(cards())
    layouts = {14: [4, 6, 4], 15: [4, 6, 5], 16: [4] * 4, 19: [4, 4, 4, 4, 3]}
    if len(number) not in layouts or draw(st.booleans()):
        return number
    return grouped(number, layouts[len(number)], draw(st.sampled_from([" ", "-", ".", "\u00a0"])))


@st.composite
def written_ibans(draw: st.DrawFn) -> str:
    iban = draw(ibans())
    iban = iban.lower() if draw(st.booleans()) else iban
    return grouped(iban, [4] * 9, draw(st.sampled_from(["", "", " ", "-", "\u00a0"])))


def planted(what: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, str]]:
    """A value, and a text that holds it."""
    return st.tuples(NOISE, APART, what, APART, NOISE).map(lambda parts: (parts[2], "".join(parts)))


@settings(max_examples=400, deadline=None)
@given(planted(written_cards()))
def test_card_never_survives_when_it_is_planted(case: tuple[str, str]) -> None:
    value, text = case
    assert value not in redact(pl.Series([text]))[0]


@settings(max_examples=400, deadline=None)
@given(planted(written_ibans()))
def test_iban_never_survives_when_it_is_planted(case: tuple[str, str]) -> None:
    value, text = case
    assert value not in redact(pl.Series([text]))[0]


@settings(max_examples=400, deadline=None)
@given(planted(st.emails()))
def test_email_address_never_survives_when_it_is_planted(case: tuple[str, str]) -> None:
    value, text = case
    assert value not in redact(pl.Series([text]))[0]


@given(ibans())
def test_iban_passes_when_its_check_digits_are_computed(iban: str) -> None:
    assert is_iban(iban)


@pytest.mark.parametrize("size", [1, 12])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_column_equals_its_texts_one_by_one_when_they_are_mixed(size: int, data: st.DataObject) -> None:
    text = st.one_of(NOISE, planted(written_cards() | written_ibans() | st.emails()).map(lambda case: case[1]))
    name = st.none() | st.sampled_from(["Ada Lovelace", "Γιώργος Παπάς", "王小明", "İpek", "Dea Deß", "éa b"])
    rows = data.draw(st.lists(st.tuples(st.none() | text, name, st.booleans()), min_size=size, max_size=size))
    texts = [text and (f"{text} {name}" if name and said else text) for text, name, said in rows]
    names = [name for _, name, _ in rows]
    expected = [
        text if text is None else redact_text(unicodedata.normalize("NFC", text), name)
        for text, name in zip(texts, names, strict=True)
    ]
    assert redact(pl.Series(texts, dtype=pl.String), pl.Series(names, dtype=pl.String)).to_list() == expected


@settings(deadline=None)
@given(NOISE)
def test_nothing_changes_when_it_is_done_again(text: str) -> None:
    once = redact(pl.Series([text]))
    assert redact(once).to_list() == once.to_list()
