"""librdkafka's own complaints, in our log, and each of them seldom."""

from __future__ import annotations

import logging
import re
import time

LOGGER = logging.getLogger("connectors.kafka.librdkafka")
"""Where librdkafka's messages go. They name brokers, topics and clients, never a record's content."""

_REPEAT_SECONDS = 30.0
_MOST_REMEMBERED = 1000
_CHANGING = re.compile(r"signalbox#\w+-\d+|\(after \d+ms.*?\)|\d+ identical|:\d+\.\d+")
_LEVELS = (logging.CRITICAL,) * 3 + (logging.ERROR, logging.WARNING, logging.INFO, logging.INFO, logging.DEBUG)


class _Seldom(logging.Filter):
    """Lets a message through once in 30 s: a broker that is away is reported 20 times a second and client."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        text, now = _CHANGING.sub("", record.getMessage()), time.monotonic()
        if now - self._last.get(text, -_REPEAT_SECONDS) < _REPEAT_SECONDS:
            return False
        if len(self._last) >= _MOST_REMEMBERED:
            self._last.clear()
        self._last[text] = now
        return True


LOGGER.addFilter(_Seldom())


def log(syslog_level: int, facility: str, message: str) -> None:
    """Write one of librdkafka's messages.

    Args:
        syslog_level: 0 (emergency) to 7 (debug).
        facility: What it is about, such as FAIL.
        message: The text.
    """
    LOGGER.log(_LEVELS[min(syslog_level, 7)], "%s %s", facility, message)
