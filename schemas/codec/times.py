"""Event times as text: ISO 8601 with an offset to microseconds since the epoch."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from schemas.errors import RecordError

MINIMUM_MICROSECONDS = 0
MAXIMUM_MICROSECONDS = 253_402_300_800_000_000 - 1  # the last microsecond of the year 9999

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FORM = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:?\d\d)", re.ASCII)


def parse_time(text: str) -> int:
    """Read a time with an offset.

    Args:
        text: `YYYY-MM-DDTHH:MM:SS`, up to nine digits of a second's fraction, then `Z`, `+HH:MM` or `+HHMM`; a blank
            may stand for the `T`. Digits beyond the microsecond are cut off.

    Returns:
        Microseconds since 1970-01-01 UTC, negative before.

    Raises:
        RecordError: `wrong_type` for another form (a time without offset says no moment), `out_of_range` for a day
            or time that does not exist (a leap second too: UTC microseconds have no place for it).

    Source:
        RFC 3339, section 5.6.
    """
    if not _FORM.fullmatch(text):
        raise RecordError("wrong_type", "expected an ISO 8601 time with offset, came another text")
    try:
        return (datetime.fromisoformat(text.upper()) - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError) as error:
        raise RecordError("out_of_range", "expected an ISO 8601 time, came one that does not exist") from error


def microseconds(moment: datetime) -> int:
    """Microseconds since the epoch of an aware datetime.

    Raises:
        RecordError: `wrong_type` when it has no offset.
    """
    if moment.tzinfo is None:
        raise RecordError("wrong_type", "expected a time with offset, came one without")
    return (moment - _EPOCH) // _MICROSECOND
