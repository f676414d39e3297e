"""Times that vendors write as numbers: seconds, milliseconds or days since the epoch (UTC)."""

from __future__ import annotations

from datetime import date, timedelta

from schemas.codec.times import MAXIMUM_MICROSECONDS
from schemas.errors import RecordError

MICROSECONDS_PER_DAY = 86_400_000_000


def instant_from_seconds(value: object, place: str) -> int:
    """Turn epoch seconds, whole or with a fraction, into microseconds.

    Raises:
        RecordError: It is no number, or lies outside the years 1970 to 9999.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecordError("wrong_type", f"{place}: expected epoch seconds (a number), came another type")
    if not 0 <= value <= MAXIMUM_MICROSECONDS // 1_000_000:
        raise RecordError("out_of_range", f"{place}: expected epoch seconds of years 1970 to 9999, came others")
    return round(value * 1_000_000)


def instant_from_millis(value: int, place: str) -> int:
    """Turn epoch milliseconds into microseconds.

    Raises:
        RecordError: It lies outside the years 1970 to 9999.
    """
    if not 0 <= value <= MAXIMUM_MICROSECONDS // 1000:
        raise RecordError("out_of_range", f"{place}: expected epoch milliseconds of years 1970 to 9999, came others")
    return value * 1000


def date_from_days(days: int) -> str | None:
    """Turn epoch days (negative before 1970) into `YYYY-MM-DD`; None outside the years 1 to 9999."""
    try:
        return (date(1970, 1, 1) + timedelta(days=days)).isoformat()
    except OverflowError:
        return None
