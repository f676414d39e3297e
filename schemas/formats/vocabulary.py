"""The words of the canonical contracts, and what vendors and operators write in their stead."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType

from schemas.formats.fields import text, wrong_type

_SERVICE_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "voice": "voice",
        "volte": "voice",
        "vonr": "voice",
        "vowifi": "voice",
        "telephony": "voice",
        "call": "voice",
        "calls": "voice",
        "sms": "sms",
        "messaging": "sms",
        "data": "data",
        "internet": "data",
        "broadband": "data",
        "gprs": "data",
    }
)

CHANNELS: Mapping[str, str] = MappingProxyType(
    {
        "email": "email",
        "e-mail": "email",
        "mail": "email",
        "sms": "sms",
        "text": "sms",
        "whatsapp": "whatsapp",
        "push": "push",
        "app": "push",
    }
)

STATUSES: Mapping[str, str] = MappingProxyType(
    {
        "active": "active",
        "suspended": "suspended",
        "barred": "suspended",
        "on hold": "suspended",
        "inactive": "suspended",
        "left": "left",
        "closed": "left",
        "cancelled": "left",
        "canceled": "left",
        "terminated": "left",
        "churned": "left",
    }
)

ACCOUNT_TYPES: Mapping[str, str] = MappingProxyType({"prepaid": "prepaid", "postpaid": "postpaid"})

_CAMEL = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_LETTERS = re.compile(r"[a-z]+")
_SEPARATORS = re.compile(r"[;,]")
_LONGEST_REMEMBERED = 128  # characters


def services(names: Iterable[str]) -> list[str]:
    """The services that service names or ids speak of.

    An id is cut into words, at digits, punctuation and capitals: `svc-voice-07`, `VoLTE`, `mobileData01`. One that
    holds none of the words we know is kept as it came: an affected service must not become "no service", which
    would read as all of them.

    Returns:
        Each service once, in the order of the names.
    """
    return list(dict.fromkeys(service for name in names for service in _services_of(name)))


def _services_of(name: str) -> tuple[str, ...]:
    # made-up names of a mebibyte each would fill gibibytes if they were remembered
    return _remembered(name) if len(name) <= _LONGEST_REMEMBERED else _services_in(name)


def _services_in(name: str) -> tuple[str, ...]:
    parts = [*_LETTERS.findall(name.lower()), *(part.lower() for part in _CAMEL.findall(name))]
    return tuple(_SERVICE_WORDS[part] for part in parts if part in _SERVICE_WORDS) or (name,)


_remembered = lru_cache(maxsize=4096)(_services_in)


def channels(names: Iterable[str]) -> list[str]:
    """The channels that are named, each once, in the customer's order.

    Others (a letter, a fax) are left out: we have no way to send there.
    """
    return list(dict.fromkeys(CHANNELS[word] for name in names if (word := name.strip().lower()) in CHANNELS))


def words(value: object, place: str) -> list[str]:
    """Read a list of words as CRMs write it: an array, `a;b`, `a,b`, or PostgreSQL's `{a,b}`.

    Raises:
        RecordError: It is something else.
    """
    if isinstance(value, str):
        value = _SEPARATORS.split(value.strip().removeprefix("{").removesuffix("}"))
    if not isinstance(value, list):
        raise wrong_type(place, "an array or a string with separators", value)
    found = (text(item, place) for item in value)
    return [item.strip() for item in found if item and item.strip()]
