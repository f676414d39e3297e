"""Numbers that carry a check digit: payment cards, IBANs, and national ids of a few countries.

Every function takes a candidate without white space or separators, letters in upper case, and says whether it is one.
"""

from __future__ import annotations

import re

_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)

# ISO/IEC 7812 issuer ranges as the networks publish them: first and last prefix, lengths of the number
_ISSUERS = (
    ("4", "4", (13, 16, 19)),  # Visa
    ("51", "55", (16,)),  # Mastercard
    ("2221", "2720", (16,)),  # Mastercard
    ("34", "34", (15,)),  # American Express
    ("37", "37", (15,)),  # American Express
    ("300", "305", (14, 16, 17, 18, 19)),  # Diners Club
    ("36", "36", (14, 15, 16, 17, 18, 19)),  # Diners Club
    ("38", "39", (14, 15, 16, 17, 18, 19)),  # Diners Club
    ("6011", "6011", (16, 17, 18, 19)),  # Discover
    ("644", "659", (16, 17, 18, 19)),  # Discover, RuPay
    ("3528", "3589", (16, 17, 18, 19)),  # JCB
    ("62", "62", (16, 17, 18, 19)),  # UnionPay
    ("50", "50", (13, 14, 15, 16, 17, 18, 19)),  # Maestro, RuPay
    ("56", "58", (13, 14, 15, 16, 17, 18, 19)),  # Maestro
    ("6304", "6304", (13, 14, 15, 16, 17, 18, 19)),  # Maestro
    ("67", "67", (13, 14, 15, 16, 17, 18, 19)),  # Maestro
    ("2200", "2205", (16, 17, 18, 19)),  # Mir
    ("81", "82", (16,)),  # RuPay
    ("9792", "9792", (16,)),  # Troy
)

# lengths by country, from the IBAN registry that SWIFT keeps (ISO 13616)
_IBAN_COUNTRIES = """
AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ES24 FI18
FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20
LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24
SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30
"""
IBAN_LENGTHS = {entry[:2]: int(entry[2:]) for entry in _IBAN_COUNTRIES.split()}
"""How long an IBAN is, by country."""

_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
_HETU_CHARACTERS = "0123456789ABCDEFHJKLMNPRSTUVWXY"
_FISCAL_ODD_LETTERS = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
# digits count as the first ten letters do
_FISCAL_ODD = dict(
    zip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", _FISCAL_ODD_LETTERS[:10] + _FISCAL_ODD_LETTERS, strict=True)
)


def is_card(digits: str) -> bool:
    """Whether 13 to 19 digits are a payment card: an issuer's range and length, and Luhn's check digit.

    Numbers with Luhn's digit that are no cards, such as IMEIs and the ICCIDs of SIM cards, begin otherwise.

    Source: ISO/IEC 7812-1, annex B.
    """
    issued = any(len(digits) in lengths and first <= digits[: len(first)] <= last for first, last, lengths in _ISSUERS)
    return issued and has_luhn_digit(digits)


def has_luhn_digit(digits: str) -> bool:
    """Whether the last digit is Luhn's. Source: ISO/IEC 7812-1, annex B."""
    numbers = [int(digit) for digit in reversed(digits)]
    return (sum(numbers[::2]) + sum(_DOUBLED[number] for number in numbers[1::2])) % 10 == 0


def is_iban(text: str) -> bool:
    """Whether letters and digits are an IBAN: its country's length, and 1 modulo 97. Source: ISO 13616-1, ISO 7064."""
    if len(text) != IBAN_LENGTHS.get(text[:2]) or not text[2:4].isdigit():
        return False
    return int("".join(str(int(char, 36)) for char in text[4:] + text[:4])) % 97 == 1


def is_dni(text: str) -> bool:
    """Spain, DNI and NIE: eight digits, or X, Y or Z and seven, and a letter by the remainder modulo 23.

    Source: Orden INT/2058/2008.
    """
    number = text[:-1].translate(str.maketrans("XYZ", "012"))
    return text[-1] == _DNI_LETTERS[int(number) % 23]


def is_codice_fiscale(text: str) -> bool:
    """Italy, codice fiscale: 15 letters and digits and a check letter. Source: Decreto ministeriale 23/12/1976."""
    odd = sum(_FISCAL_ODD[char] for char in text[:15:2])
    even = sum(int(char) if char.isdigit() else ord(char) - ord("A") for char in text[1:15:2])
    return text[15] == chr(ord("A") + (odd + even) % 26)


def is_nir(text: str) -> bool:
    """France, numéro d'inscription au répertoire: 13 digits (2A and 2B for Corsica) and 97 less their remainder.

    Source: Code de la sécurité sociale, R115-1; INSEE.
    """
    number = int(text[:13].replace("2A", "19").replace("2B", "18"))
    return 97 - number % 97 == int(text[13:])


def is_pesel(digits: str) -> bool:
    """Poland, PESEL: 11 digits that begin with a date of birth, the last a weighted sum's complement.

    Source: Ustawa o ewidencji ludności (2010), article 15.
    """
    month, day = int(digits[2:4]) % 20, int(digits[4:6])
    weighted = sum(int(digit) * weight for digit, weight in zip(digits, (1, 3, 7, 9) * 2 + (1, 3, 1), strict=True))
    return 1 <= month <= 12 and 1 <= day <= 31 and weighted % 10 == 0


def is_hetu(text: str) -> bool:
    """Finland, henkilötunnus: date of birth, a sign for the century, three digits, a character modulo 31.

    The sign may be left out, as hyphens are.

    Source: Valtioneuvoston asetus väestötietojärjestelmästä 128/2010.
    """
    day, month = int(text[:2]), int(text[2:4])
    check = _HETU_CHARACTERS[int(text[:6] + text[-4:-1]) % 31]
    return 1 <= day <= 31 and 1 <= month <= 12 and text[-1] == check


def is_cpf(digits: str) -> bool:
    """Brazil, CPF: nine digits, not all the same, and two check digits modulo 11. Source: Receita Federal, IN 1548."""
    numbers = [int(digit) for digit in digits]
    for length in (9, 10):
        weighted = sum(number * weight for number, weight in zip(numbers, range(length + 1, 1, -1), strict=False))
        if numbers[length] != weighted * 10 % 11 % 10:
            return False
    return len(set(digits)) > 1


NATIONAL_IDS = (
    (re.compile(r"[12] ?\d\d ?\d\d ?(?:\d\d|2[ABab]) ?\d{3} ?\d{3} ?\d\d"), is_nir),
    (re.compile(r"[A-Za-z]{6} ?\d\d[A-Ea-eHhLMlmPpR-Tr-t]\d\d ?[A-Za-z]\d{3}[A-Za-z]"), is_codice_fiscale),
    (re.compile(r"(?:\d{8}|[XYZxyz]-?\d{7})-?[A-Za-z]"), is_dni),
    (re.compile(r"\d{6}[-+A-FU-Ya-fu-y]\d{3}[0-9A-Ya-y]"), is_hetu),
    (re.compile(r"\d{3}\.\d{3}\.\d{3}-\d\d|\d{11}"), is_cpf),
    (re.compile(r"\d{11}"), is_pesel),
)
"""How each national id is written, and what tells whether it is one; spaces, dots and hyphens are left out for that."""
