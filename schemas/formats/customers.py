"""What the CRM formats share: one cell of a CRM's table to one cell of `crm_change`."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date

from schemas.codec import parse_time
from schemas.codec.times import MAXIMUM_MICROSECONDS, MINIMUM_MICROSECONDS
from schemas.errors import RecordError
from schemas.formats.fields import one_of, text, wrong_type
from schemas.formats.times import MICROSECONDS_PER_DAY, date_from_days
from schemas.formats.vocabulary import ACCOUNT_TYPES, STATUSES, channels, services, words

COLUMNS = (
    "account_type",
    "name",
    "email",
    "msisdn",
    "address",
    "birth_date",
    "site_id",
    "segment",
    "plan",
    "services",
    "language",
    "channels",
    "consent",
    "status",
    "contract_start",
    "contract_end",
)
"""The columns of `crm_change` that a CRM's table may fill; those of `changed_fields`, in this order."""

_BEYOND = re.compile(r"-?infinity$|[+-]\d{4,}-")
"""Infinite, or with a signed year, as ISO 8601 has it before the year 0 and after 9999."""


def cell(column: str, value: object, place: str, micros: Callable[[int], int]) -> object:
    """Read one cell as the contract has it.

    Args:
        column: One of `COLUMNS`.
        value: What came.
        place: Where it stood, for messages.
        micros: What this CRM means by a time that is a number, in microseconds since the epoch.

    Returns:
        Text, a list of words, or microseconds; None for null.

    Raises:
        RecordError: The value has another type, or a word that the contract does not know.
    """
    if value is None:
        return None
    match column:
        case "birth_date":
            return _birth_date(value, place, micros)
        case "contract_start" | "contract_end":
            return _instant(value, place, micros)
        case "services":
            return services(words(value, place))
        case "channels" | "consent":
            return channels(words(value, place))
    found = text(value, place)
    if found is not None and column == "status":
        return one_of(found, STATUSES, place)
    if found is not None and column == "account_type":
        return one_of(found, ACCOUNT_TYPES, place)
    return found


def _birth_date(value: object, place: str, micros: Callable[[int], int]) -> str | None:
    """None for what lies outside the years 1 to 9999, PostgreSQL's infinities among it, as in `_instant`."""
    if isinstance(value, int) and not isinstance(value, bool):
        return date_from_days(micros(value) // MICROSECONDS_PER_DAY)
    return text(value, place)


def _instant(value: object, place: str, micros: Callable[[int], int]) -> int | None:
    """A time or a date (its first moment, UTC).

    None for PostgreSQL's infinities, and for what lies outside the years the contract has room for: a contract of
    1965, or one until the year 20000, is no reason to refuse the customer.
    """
    if value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise wrong_type(place, "a time or a date", value)
    if isinstance(value, str) and _BEYOND.match(value):
        return None
    moment = micros(value) if isinstance(value, int) else _moment_of_text(value, place)
    return moment if MINIMUM_MICROSECONDS <= moment <= MAXIMUM_MICROSECONDS else None


def _moment_of_text(value: str, place: str) -> int:
    if len(value) == 10:
        try:
            return (date.fromisoformat(value) - date(1970, 1, 1)).days * MICROSECONDS_PER_DAY
        except ValueError:
            raise RecordError("out_of_range", f"{place}: expected a date, came another text") from None
    try:
        return parse_time(value)
    except RecordError as error:
        raise RecordError(error.reason, f"{place}: {error}") from error
