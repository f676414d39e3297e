"""When made-up records were written: a second apart."""

from __future__ import annotations

from datetime import UTC, datetime

FIRST_SECOND = 1_780_315_200  # 2026-06-01T12:00:00Z


def iso(seconds: int) -> str:
    """The moment so many seconds after the first, as text."""
    return datetime.fromtimestamp(FIRST_SECOND + seconds, UTC).isoformat()
