"""What every test of the command and its processes starts from."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def _logs_of_its_own() -> Iterator[None]:
    """A command under test points the log at the stderr that pytest gave it; the next test has another one."""
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def _no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slow machine a command says how far it is, among what its test expects it to say."""
    monkeypatch.setattr("flows.progress._PLAIN_SECONDS", math.inf)
