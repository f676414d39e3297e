"""Text from elsewhere, as it may be shown on a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """Text without control characters, for they could command a terminal: those become Python escapes."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
