"""Syslog messages of RFC 5424, one at a time; what does not follow it is refused with the place's name in the RFC.

Two things are taken as senders send them. Header fields may be longer than the RFC allows, for some vendors' MSGIDs
are (Junos: `CHASSISD_VCHASSIS_MEMBER_UPDATE_NOTICE`). And line ends or NULs behind the message, which a transport with
such framing leaves there, are not part of it.

Source:
    RFC 5424, section 6; section 6.3.3 for escapes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from schemas.codec import parse_time
from schemas.errors import RecordError

_VERSION = "1"
_HIGHEST_PRIORITY = 191  # facility 23, severity 7
_BYTE_ORDER_MARK = "\ufeff"

_PRIORITY = re.compile(r"<(0|[1-9][0-9]{0,2})>")
_FIELD = re.compile(r"([!-~]+) ")
_ELEMENT = re.compile(r"\[([!#-<>-\\^-~]+)")  # SD-NAME: printable ASCII but for = " ]
_PARAMETER = re.compile(r' ([!#-<>-\\^-~]+)="((?:[^"\\\]]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\\]])')  # a backslash before anything else is a backslash
_FOREIGN_BYTE = re.compile("[\udc80-\udcff]")  # what surrogateescape makes of a byte that is no UTF-8


@dataclass(frozen=True, slots=True)
class SyslogMessage:
    """One message; None stands for the nil value `-`.

    Attributes:
        facility: 0 to 23.
        severity: 0 (emergency) to 7 (debug).
        time: Microseconds since the epoch, UTC.
        host: HOSTNAME.
        app: APP-NAME.
        process: PROCID.
        message_id: MSGID.
        elements: The structured data: parameters by name, by SD-ID. Of a parameter given twice the last counts.
        text: MSG without its byte order mark, None where there is none. Without that mark its encoding is not known:
            bytes that are no UTF-8 are replaced.
    """

    facility: int
    severity: int
    time: int | None
    host: str | None
    app: str | None
    process: str | None
    message_id: str | None
    elements: Mapping[str, Mapping[str, str]]
    text: str | None


def parse_syslog(message: bytes) -> SyslogMessage:
    """Parse one message.

    Raises:
        RecordError: `malformed_syslog`; for a part that is not UTF-8 although it has to be, `invalid_utf8`; for a
            TIMESTAMP that is no time, what `parse_time` says.
    """
    scan = _Scan(message.decode("utf-8", "surrogateescape").rstrip("\r\n\0"))
    priority = int(scan.take(_PRIORITY, "PRI", "<0> to <191>")[1])
    if priority > _HIGHEST_PRIORITY:
        raise RecordError("malformed_syslog", "PRI: expected <0> to <191>, came a larger number")
    if scan.field("VERSION") != _VERSION:
        raise RecordError("malformed_syslog", "VERSION: expected 1 (RFC 5424), came another or none")
    stamp = scan.field("TIMESTAMP")
    host, app, process, message_id = map(scan.field, ("HOSTNAME", "APP-NAME", "PROCID", "MSGID"))
    return SyslogMessage(
        facility=priority // 8,
        severity=priority % 8,
        time=None if stamp is None else _time(stamp),
        host=host,
        app=app,
        process=process,
        message_id=message_id,
        elements=_elements(scan),
        text=_text(scan),
    )


class _Scan:
    """A text and how far it is read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    @property
    def rest(self) -> str:
        return self._text[self._at :]

    def take(self, form: re.Pattern[str], place: str, expected: str) -> re.Match[str]:
        found = self.take_if(form)
        if found is None:
            raise self.error(place, expected)
        return found

    def take_if(self, form: re.Pattern[str]) -> re.Match[str] | None:
        found = form.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return found

    def skip_if(self, text: str) -> bool:
        skipped = self._text.startswith(text, self._at)
        self._at += len(text) if skipped else 0
        return skipped

    def field(self, place: str) -> str | None:
        """A header field and the blank behind it."""
        found = self.take(_FIELD, place, "printable ASCII and a blank")[1]
        return None if found == "-" else found

    def error(self, place: str, expected: str) -> RecordError:
        came = "something else" if self._at < len(self._text) else "the end"
        return RecordError("malformed_syslog", f"{place}: expected {expected}, came {came} at character {self._at}")


def _time(stamp: str) -> int:
    try:
        return parse_time(stamp)
    except RecordError as error:
        raise RecordError(error.reason, f"TIMESTAMP: {error}") from error


def _elements(scan: _Scan) -> dict[str, dict[str, str]]:
    place = "STRUCTURED-DATA"
    elements: dict[str, dict[str, str]] = {}
    if scan.skip_if("-"):
        return elements
    while element := scan.take_if(_ELEMENT):
        if element[1] in elements:
            raise RecordError("malformed_syslog", f"{place}: expected each SD-ID once, came one twice")
        parameters: dict[str, str] = {}
        elements[element[1]] = parameters
        while parameter := scan.take_if(_PARAMETER):
            parameters[parameter[1]] = _unescaped(parameter[2])
        if not scan.skip_if("]"):
            raise scan.error(place, 'a parameter name="value" or ]')
    if not elements:
        raise scan.error(place, "- or [")
    return elements


def _unescaped(value: str) -> str:
    if _FOREIGN_BYTE.search(value):
        raise RecordError("invalid_utf8", "STRUCTURED-DATA: expected values in UTF-8, came other bytes")
    return _ESCAPED.sub(r"\1", value)


def _text(scan: _Scan) -> str | None:
    if not scan.rest:
        return None
    if not scan.skip_if(" "):
        raise scan.error("STRUCTURED-DATA", "[ or a blank or the end behind it")
    if not scan.skip_if(_BYTE_ORDER_MARK):
        return scan.rest.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if _FOREIGN_BYTE.search(scan.rest):
        raise RecordError("invalid_utf8", "MSG: expected UTF-8 behind the byte order mark, came other bytes")
    return scan.rest
