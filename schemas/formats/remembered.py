"""What short texts mean, remembered: vendors say the same again and again."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

Meaning = TypeVar("Meaning")

_MOST = 65_536
_LONGEST = 256  # characters


def remembered(means: Callable[[str], Meaning]) -> Callable[[str], Meaning]:
    """Remember what a function of a text gives; not what it raises.

    Made-up texts of a mebibyte each would fill gibibytes if they were remembered, so only short ones are.
    """
    remember = lru_cache(maxsize=_MOST)(means)

    @wraps(means)
    def meaning(text: str) -> Meaning:
        return remember(text) if len(text) <= _LONGEST else means(text)

    return meaning
