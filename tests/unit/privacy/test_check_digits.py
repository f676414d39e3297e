"""Check digits: numbers that their issuers publish as examples pass, and one wrong digit is found."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from privacy.check_digits import (
    IBAN_LENGTHS,
    has_luhn_digit,
    is_card,
    is_codice_fiscale,
    is_cpf,
    is_dni,
    is_hetu,
    is_iban,
    is_nir,
    is_pesel,
)

# test numbers of the card networks
CARDS = {
    "Visa": "4111111111111111",
    "Visa, 13 digits": "4222222222222",
    "Mastercard": "5555555555554444",
    "Mastercard, second range": "2223003122003222",
    "American Express": "378282246310005",
    "Diners Club": "30569309025904",
    "Discover": "6011111111111117",
    "JCB": "3530111333300000",
    "UnionPay": "6200000000000005",
    "Maestro": "6759649826438453",
    "Mir": "2200000000000004",
    "Troy": "9792030394440796",
}

# examples of the IBAN registry
IBANS = [
    "AL47212110090000000235698741",
    "AT611904300234573201",
    "BE68539007547034",
    "BR1800360305000010009795493C1",
    "CH9300762011623852957",
    "DE89370400440532013000",
    "ES9121000418450200051332",
    "FI2112345600000785",
    "FR1420041010050500013M02606",
    "GB29NWBK60161331926819",
    "IT60X0542811101000000123456",
    "LC55HEMM000100010012001200023015",
    "MT84MALT011000012345MTLCAST001S",
    "NL91ABNA0417164300",
    "NO9386011117947",
    "PL61109010140000071219812874",
    "SA0380000000608010167519",
    "SE4550000000058398257466",
    "TR330006100519786457841326",
    "UA213223130000026007233566001",
]

IDS: list[tuple[Callable[[str], bool], str]] = [
    (is_dni, "12345678Z"),
    (is_dni, "X1234567L"),
    (is_codice_fiscale, "RSSMRA85T10A562S"),
    (is_nir, "255081416802538"),
    (is_nir, "253072A07300443"),
    (is_nir, "253072B07300470"),
    (is_pesel, "44051401359"),
    (is_pesel, "02070803628"),
    (is_hetu, "131052308T"),
    (is_hetu, "010594Y9032"),
    (is_cpf, "11144477735"),
]


@pytest.mark.parametrize("number", CARDS.values(), ids=CARDS)
def test_card_passes_when_its_network_says_it_is_one(number: str) -> None:
    assert is_card(number)


@pytest.mark.parametrize("number", CARDS.values(), ids=CARDS)
def test_card_fails_when_one_digit_is_another(number: str) -> None:
    for at in range(len(number)):
        for digit in "0123456789".replace(number[at], ""):
            assert not is_card(number[:at] + digit + number[at + 1 :])


@pytest.mark.parametrize(
    "number",
    [
        "490154203237518",
        "8991101200003204510",
        "1234567890123452",
        "411111111111111",
        "41111111111111111",
        "9999999999999995",
    ],
    ids=["IMEI", "ICCID", "no issuer", "one short", "one long", "Luhn only"],
)
def test_number_is_no_card_when_no_issuer_has_its_range_and_length(number: str) -> None:
    assert not is_card(number)


def test_luhn_digit_is_told_when_it_is_the_standards_own_example() -> None:
    assert has_luhn_digit("79927398713")
    assert [digit for digit in "0123456789" if has_luhn_digit("7992739871" + digit)] == ["3"]


@pytest.mark.parametrize("iban", IBANS)
def test_iban_passes_when_it_is_an_example_of_the_registry(iban: str) -> None:
    assert is_iban(iban)


@pytest.mark.parametrize("iban", IBANS)
def test_iban_fails_when_one_character_is_another_or_two_are_swapped(iban: str) -> None:
    for at in range(2, len(iban)):
        other = ("1" if iban[at] != "1" else "2") if iban[at].isdigit() else ("A" if iban[at] != "A" else "B")
        assert not is_iban(iban[:at] + other + iban[at + 1 :])
        if at > 2 and iban[at] != iban[at - 1]:
            assert not is_iban(iban[: at - 1] + iban[at] + iban[at - 1] + iban[at + 1 :])


def test_iban_fails_when_its_country_or_length_is_none() -> None:
    assert not is_iban("ZZ89370400440532013000")
    assert not is_iban("DE8937040044053201300")
    assert not is_iban("DEAA370400440532013000")
    assert not is_iban("")
    assert len(IBAN_LENGTHS) == 89
    assert set(IBAN_LENGTHS.values()) <= set(range(15, 35))


@pytest.mark.parametrize(("is_id", "text"), IDS)
def test_id_passes_when_its_check_digit_fits_and_fails_when_it_does_not(
    is_id: Callable[[str], bool], text: str
) -> None:
    assert is_id(text)
    last = text[-1]
    others = "0123456789" if last.isdigit() else "ABCDEFGHJKLMNPRSTUVWXYZ"
    assert not any(is_id(text[:-1] + other) for other in others if other != last)


def test_id_fails_when_its_date_is_none() -> None:
    assert not is_pesel("44131401355")
    assert not is_hetu("321052308T")


@pytest.mark.parametrize("digit", "0123456789")
def test_cpf_fails_when_all_its_digits_are_the_same(digit: str) -> None:
    assert not is_cpf(digit * 11)
