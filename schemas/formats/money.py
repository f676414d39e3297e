"""Amounts of money as vendors write them, in the minor units that the contracts have.

Source:
    ISO 4217, list of current currencies and their minor units. Those that are not named here have two digits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from types import MappingProxyType

from schemas.errors import RecordError
from schemas.formats.fields import Fields, wrong_type

_CURRENCY = re.compile(r"[A-Z]{3}")
_WITHOUT_DIGITS = (
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF",
    "XPF",
)  # fmt: skip
_WITH_THREE = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")
_WITH_FOUR = ("CLF", "UYW")
_DIGITS: Mapping[str, int] = MappingProxyType(
    dict.fromkeys(_WITHOUT_DIGITS, 0) | dict.fromkeys(_WITH_THREE, 3) | dict.fromkeys(_WITH_FOUR, 4)
)
_MOST_DIGITS = 25  # so that Decimal, with its 28, rounds nothing


def money(amount: Fields) -> tuple[int, str]:
    """TM Forum's Money: a `value` in the currency `unit`.

    Args:
        amount: The fields of the Money.

    Returns:
        Minor units, and the currency in capitals.

    Raises:
        RecordError: The value is no number, or finer than the currency; the unit is no currency.
    """
    currency = amount.required_text("unit").strip().upper()
    if not _CURRENCY.fullmatch(currency):
        raise RecordError("out_of_range", f"{amount.at('unit')}: expected a currency of ISO 4217, came another text")
    minor = _number(amount, "value").scaleb(_DIGITS.get(currency, 2))
    if minor != minor.to_integral_value():
        raise RecordError("out_of_range", f"{amount.at('value')}: expected whole minor units, came a finer amount")
    return int(minor), currency


def _number(fields: Fields, name: str) -> Decimal:
    value = fields.values.get(name)
    if value is None or value == "":
        raise RecordError("missing_field", f"{fields.at(name)}: expected a number, came nothing")
    if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)) > _MOST_DIGITS:
        raise wrong_type(fields.at(name), "a number", value)
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise wrong_type(fields.at(name), "a number", value) from None
    if not number.is_finite() or abs(number.adjusted()) > _MOST_DIGITS:
        raise RecordError("out_of_range", f"{fields.at(name)}: expected an amount of money, came another number")
    return number
