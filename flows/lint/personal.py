"""What looks like an email address or a telephone number."""

from __future__ import annotations

import re

EMAIL = r"[\w.+%-]+@[\w-]+\.[A-Za-z]{2,}"
PHONE = r"\+[1-9](?:[ ().-]{0,2}\d){7,14}"
"""In international form: without the plus it could be any number."""

PERSONAL = f"{EMAIL}|{PHONE}"
"""Either; in the syntax that Python and Polars (Rust) have in common."""

_FIELD_NAME = re.compile(r"[A-Za-z_@$#][A-Za-z0-9_@$#:. -]{0,79}")
_PERSONAL = re.compile(PERSONAL)


def field_name(name: str) -> str:
    """The name of a field as it may be shown; `*` for what may be a value, as where objects are keyed by customer."""
    return name if _FIELD_NAME.fullmatch(name) and not _PERSONAL.search(name) else "*"
