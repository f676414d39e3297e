"""Redaction: what goes, what stays, in texts as customers write them."""
# ruff: noqa: RUF001, for letters of many alphabets are the point

from __future__ import annotations

import polars as pl
import pytest

from privacy import redact
from privacy.redact import redact_text

CARD, IBAN = "4111111111111111", "DE89370400440532013000"


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        (
            "Hi, my card 4111 1111 1111 1111 was charged twice, mail me at ada.lovelace+bill@example.co.uk.",
            "Hi, my card [card] was charged twice, mail me at [email].",
        ),
        (
            "Bitte überweisen Sie auf DE89 3704 0044 0532 0130 00, Rückruf 0171/1234567 oder (030) 123456-78!",
            "Bitte überweisen Sie auf [iban], Rückruf [phone] oder [phone]!",
        ),
        (
            "Bonjour, rappelez-moi au 06 12 34 56 78 ou au +33 (0)1 23 45 67 89. N° 2 55 08 14 168 025 38",
            "Bonjour, rappelez-moi au [phone] ou au [phone]. N° [national_id]",
        ),
        (
            "Mi DNI es 12345678Z, el NIE de mi mujer X-1234567-L, ES91 2100 0418 4502 0005 1332",
            "Mi DNI es [national_id], el NIE de mi mujer [national_id], [iban]",
        ),
        (
            "Codice fiscale RSSMRA85T10A562S, IBAN:IT60X0542811101000000123456, tel. +39 06 1234 5678",
            "Codice fiscale [national_id], IBAN:[iban], tel. [phone]",
        ),
        ("Mój PESEL to 44051401359, e-mail: zażółć@przykład.pl", "Mój PESEL to [national_id], e-mail: [email]"),
        (
            "Henkilötunnukseni on 131052-308T, IBAN FI21 1234 5600 0007 85.",
            "Henkilötunnukseni on [national_id], IBAN [iban].",
        ),
        ("Meu CPF é 111.444.777-35 (ou 11144477735)", "Meu CPF é [national_id] (ou [national_id])"),
        ("Меня зовут Анна, карта 5555-5555-5555-4444", "Меня зовут Анна, карта [card]"),
        ("我的卡号4111111111111111请退款，邮箱 wang@例子.中国。", "我的卡号[card]请退款，邮箱 [email]。"),
        ("رقم بطاقتي ٤١١١١١١١١١١١١١١١ شكرا", "رقم بطاقتي [card] شكرا"),
        ("मेरा नंबर +९१ ९८७६५ ४३२१० है", "मेरा नंबर [phone] है"),
        ("ｶｰﾄﾞ ４１１１ １１１１ １１１１ １１１１ です", "ｶｰﾄﾞ [card] です"),
        ("Call (212) 555-0123 or 1-212-555-0199", "Call [phone] or [phone]"),
        ("Tel. +49 30 - 12 34 - 56 78", "Tel. [phone]"),
        (
            "amex 3782 822463 10005, diners 3056 930902 5904, visa 4222222222222",
            "amex [card], diners [card], visa [card]",
        ),
        ("de89370400440532013000 und rssmra85t10a562s", "[iban] und [national_id]"),
    ],
)
def test_personal_data_goes_when_a_text_holds_some(text: str, redacted: str) -> None:
    column = pl.Series([text, None])
    assert redact(column).to_list() == [redacted, None]
    assert column[0] == text
    assert redact_text(text) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "Ticket 1234567890123456 of 2026-03-02 08:15:30, see INC4111111111111111 and CHG0012345678",
        "Störung seit 02.03.2026 10:15 Uhr, Rechnung 2026-0012345 über 1.234.567,89 €",
        "IMEI 490154203237518, SIM 8991101200003204510, IMSI 262011234567890",
        "card 4111 1111 1111 1112 and GB28 NWBK 6016 1331 9268 19 are none",
        "20 digits 41111111111111111111, and 4111 1111 1111 111",
        "5@1.99, meet @ 8pm, twitter @ada, a@b",
        "192.168.100.200 10.0.0.1 fe80::1 00:1A:2B:3C:4D:5E 51.50735, -0.12776",
        "3.14159265358979, 1e-12345678, 0.00000001, 100 000 000",
        "order 12345678A, 44051401358, 131052-308U, 111.444.777-36",
        "1234 5678 9012 3456 7890 1234",
        "parts 4111111111111111A7, 378282246310005B, 12345678ZZ, DE89370400440532013000X, 01711234567b",
        "line one\nline two\t3\r\n",
        "",
    ],
)
def test_text_stays_as_it_is_when_its_numbers_are_nobodys(text: str) -> None:
    assert redact_text(text) == text


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        (f"1234 {CARD[:4]} {CARD[4:8]} {CARD[8:12]} {CARD[12:]} 123", "1234 [card] 123"),
        (f"AB12 {IBAN} 5", "AB12 [iban] 5"),
        (f"{CARD},{CARD};{IBAN}/{CARD}", "[card],[card];[iban]/[card]"),
        (f"{CARD}@example.com", "[email]"),
        (f"({CARD})", "([card])"),
        (f"\0{CARD}\0", "\0[card]\0"),
        (f"card_{CARD}", "card_[card]"),
        (f"+49 171 1234567 {CARD}", "[phone] [card]"),
    ],
)
def test_neighbours_hide_nothing_when_they_look_alike(text: str, redacted: str) -> None:
    assert redact_text(text) == redacted


@pytest.mark.parametrize(
    ("name", "text", "redacted"),
    [
        ("Ada Lovelace", "ada lovelace here, or LOVELACE, ADA", "[name] here, or [name]"),
        ("Ada Lovelace", "Ada's bill; Mrs Lovelace called", "[name]'s bill; Mrs [name] called"),
        ("Ada Lovelace", "adamant, Adamant, ada", "adamant, Adamant, ada"),
        ("Mark May", "mark my words, in may; Mark called", "mark my words, in may; [name] called"),
        ("Li Na", "Na, Li is not Li Na or li  na", "[name] is not [name] or [name]"),
        ("Anne-Marie O'Neil", "Anne-Marie and o'neil and ANNE-MARIE O'NEIL", "[name] and o'neil and [name]"),
        ("Zoe\u0308 M\u00fcller", "Zo\u00eb MU\u0308LLER", "[name]"),
        ("Γιώργος Παπάς", "Ο ΓΙΏΡΓΟΣ πήρε", "Ο [name] πήρε"),
        ("Γιώργος Παπάς", "Γιώργοσ", "[name]"),
        ("İpek Yılmaz", "Ben İPEK", "Ben [name]"),
        ("İpek", "Ipek geldi", "[name] geldi"),
        ("王小明", "我是王小明，请回电", "我是[name]，请回电"),
        ("محمد علي", "أنا محمد علي ومحمد", "أنا [name] و[name]"),
        ("अदिति राव", "मैं अदिति राव", "मैं [name]"),
        ("A. (", "A. ( stays", "A. ( stays"),
        ("Email Card", "ada@example.com, Email", "[email], [name]"),
        ("", "nobody", "nobody"),
    ],
)
def test_name_goes_when_it_is_known(name: str, text: str, redacted: str) -> None:
    assert redact(pl.Series([text]), pl.Series([name])).to_list() == [redacted]


def test_each_text_loses_its_own_name_when_a_column_has_many() -> None:
    texts = pl.Series("text", ["Ada and Bela", "Ada and Bela", None, "Ada", None], pl.String)
    names = pl.Series("name", ["Ada", "Bela", "Chen", None, None], pl.String)
    redacted = redact(texts, names)
    assert redacted.to_list() == ["[name] and Bela", "Ada and [name]", None, "Ada", None]
    assert redacted.name == "text"
    assert redacted.dtype == pl.String


@pytest.mark.parametrize("column", [pl.Series("t", [], pl.String), pl.Series("t", [None, None]), pl.Series("t", ["a"])])
def test_column_keeps_its_form_when_there_is_nothing_to_find(column: pl.Series) -> None:
    redacted = redact(column)
    assert (redacted.name, redacted.dtype, redacted.to_list()) == ("t", pl.String, column.to_list())


def test_names_are_refused_when_there_are_more_or_fewer_than_texts() -> None:
    with pytest.raises(ValueError, match=r"^expected a name for each of 2 texts, got 1: give null where unknown$"):
        redact(pl.Series(["a", "b"]), pl.Series(["Ada"]))


def test_column_is_refused_when_it_is_not_text() -> None:
    with pytest.raises(TypeError, match=r"^column 'n' is Int64: expected String; cast it first$"):
        redact(pl.Series("n", [1]))
    with pytest.raises(TypeError, match=r"^column 'name' is Int64: expected String; cast it first$"):
        redact(pl.Series("n", ["a"]), pl.Series("name", [1]))
