from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import RecordError
from schemas.formats.syslog import SyslogMessage, parse_syslog

NOON = 1_777_377_600_000_000  # 2026-04-28T12:00:00Z, microseconds
HEADER = "<28>1 2026-04-28T12:00:00Z r1 mib2d 18654 LINK "
NAMES = st.text(string.ascii_letters + string.digits + ".@-_", min_size=1, max_size=8)
VALUES = st.text(max_size=8) | st.text('"\\] =[', max_size=5)
ELEMENTS = st.dictionaries(NAMES, st.dictionaries(NAMES, VALUES, max_size=3), max_size=3)


def message(**changes: Any) -> SyslogMessage:
    fields: dict[str, Any] = {
        "facility": 3,
        "severity": 4,
        "time": NOON,
        "host": "r1",
        "app": "mib2d",
        "process": "18654",
        "message_id": "LINK",
        "elements": {},
        "text": None,
    }
    return SyslogMessage(**(fields | changes))


def escaped(value: str) -> str:
    return "".join(f"\\{mark}" if mark in '"\\]' else mark for mark in value)


def refusal(written: bytes) -> str | None:
    try:
        parse_syslog(written)
    except RecordError as error:
        return error.reason
    return None


def element(name: str, parameters: dict[str, str]) -> str:
    written = [f'{key}="{escaped(value)}"' for key, value in parameters.items()]
    return f"[{' '.join([name, *written])}]"


def test_every_field_reads_when_all_are_there() -> None:
    read = parse_syslog(
        b'<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut="3" '
        b'eventSource="Application" eventID="1011"][examplePriority@32473 class="high"] \xef\xbb\xbfAn event'
    )
    assert read == SyslogMessage(
        facility=20,
        severity=5,
        time=1_065_910_455_003_000,
        host="mymachine.example.com",
        app="evntslog",
        process=None,
        message_id="ID47",
        elements={
            "exampleSDID@32473": {"iut": "3", "eventSource": "Application", "eventID": "1011"},
            "examplePriority@32473": {"class": "high"},
        },
        text="An event",
    )


def test_fields_are_none_when_they_are_nil() -> None:
    nil = message(time=None, host=None, app=None, process=None, message_id=None, facility=0, severity=0)
    assert parse_syslog(b"<0>1 - - - - - -") == nil


@pytest.mark.parametrize(
    ("stamp", "time"),
    [
        ("2026-04-28T20:00:00+08:00", NOON),
        ("2026-04-28T12:00:00.25Z", NOON + 250_000),
        ("2026-04-28T04:30:00.000003-07:30", NOON + 3),
    ],
)
def test_time_reads_when_it_has_an_offset_and_a_fraction(stamp: str, time: int) -> None:
    assert parse_syslog(HEADER.replace("2026-04-28T12:00:00Z", stamp).encode() + b"-") == message(time=time)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (r"say \"hi\"", 'say "hi"'),
        (r"C:\\x", r"C:\x"),
        (r"a\]b", "a]b"),
        (r"\n", r"\n"),
        (r"\\\"", r"\""),
        ("two\nlines", "two\nlines"),
        ("Győr [x", "Győr [x"),
        ("", ""),
    ],
    ids=["quote", "backslash", "bracket", "no escape", "both", "line end", "unicode", "empty"],
)
def test_value_reads_when_it_holds_escapes(written: str, value: str) -> None:
    assert parse_syslog(f'{HEADER}[e@1 name="{written}"]'.encode()) == message(elements={"e@1": {"name": value}})


@given(elements=ELEMENTS, text=st.none() | st.text(min_size=1).map(lambda text: f"{text}."))
def test_message_reads_back_when_it_is_written_as_the_rfc_has_it(
    elements: dict[str, dict[str, str]], text: str | None
) -> None:
    data = "".join(element(name, parameters) for name, parameters in elements.items())
    written = HEADER + (data or "-") + ("" if text is None else f" \ufeff{text}")
    assert parse_syslog(written.encode()) == message(elements=elements, text=text)


@given(st.binary(max_size=3), st.integers(0, 120), st.integers(0, 3))
def test_nothing_but_a_refusal_comes_when_any_byte_is_another(by: bytes, at: int, cut: int) -> None:
    whole = (HEADER + '[junos@2636.1 a="1" b="x\\"y"][c@2] \ufefftext').encode()
    expected = (None, "malformed_syslog", "invalid_utf8", "wrong_type", "out_of_range")
    assert refusal(whole[:at] + by + whole[at + cut :]) in expected


@pytest.mark.parametrize(
    ("behind", "text"),
    [
        (b"", None),
        (b" ", ""),
        (b" link down", "link down"),
        (b" \xef\xbb\xbfGy\xc5\x91r", "Győr"),
        (b" Gy\xf5r", "Gy\ufffdr"),
        (b" link down\r\n\0", "link down"),
        (b" [c@2]", "[c@2]"),
    ],
    ids=["none", "empty", "ascii", "byte order mark", "other encoding", "framing", "looks like an element"],
)
def test_text_reads_when_it_is_written_in_any_way(behind: bytes, text: str | None) -> None:
    assert parse_syslog(f"{HEADER}[e@1]".encode() + behind) == message(elements={"e@1": {}}, text=text)


def test_last_parameter_counts_when_its_name_is_given_twice() -> None:
    read = parse_syslog(f'{HEADER}[e@1 ip="a" ip="b"]'.encode())
    assert read == message(elements={"e@1": {"ip": "b"}})


def test_message_id_reads_when_it_is_longer_than_the_rfc_allows() -> None:
    name = "CHASSISD_VCHASSIS_MEMBER_UPDATE_NOTICE"
    assert parse_syslog(HEADER.replace("LINK", name).encode() + b"-") == message(message_id=name)


@pytest.mark.parametrize(
    ("written", "reason", "place"),
    [
        (b"", "malformed_syslog", "PRI: expected <0> to <191>, came the end at character 0"),
        (b"28 1 -", "malformed_syslog", "PRI: expected <0> to <191>, came something else at character 0"),
        (b"<028>1 -", "malformed_syslog", "PRI: expected <0> to <191>, came something else at character 0"),
        (b"<192>1 -", "malformed_syslog", "PRI: expected <0> to <191>, came a larger number"),
        (
            b"<28>Apr 28 12:00:00 r1 mib2d[18654]: SNMP_TRAP_LINK_DOWN: ifIndex 738",
            "malformed_syslog",
            "VERSION: expected 1 (RFC 5424), came another or none",
        ),
        (b"<28>2 - - - - - -", "malformed_syslog", "VERSION: expected 1 (RFC 5424), came another or none"),
        (
            b"<28>1 noon r1 - - - -",
            "wrong_type",
            "TIMESTAMP: expected an ISO 8601 time with offset, came another text",
        ),
        (
            b"<28>1 2026-02-30T12:00:00Z r1 - - - -",
            "out_of_range",
            "TIMESTAMP: expected an ISO 8601 time, came one that does not exist",
        ),
        (
            b"<28>1 -  mib2d - - -",
            "malformed_syslog",
            "HOSTNAME: expected printable ASCII and a blank, came something else at character 8",
        ),
        (
            "<28>1 - Győr mib2d - - -".encode(),
            "malformed_syslog",
            "HOSTNAME: expected printable ASCII and a blank, came something else at character 8",
        ),
        (
            b"<28>1 - r1 mib2d 18654",
            "malformed_syslog",
            "PROCID: expected printable ASCII and a blank, came something else at character 17",
        ),
        (b"<28>1 - r1 - - - ", "malformed_syslog", "STRUCTURED-DATA: expected - or [, came the end at character 17"),
        (
            b"<28>1 - r1 - - - text",
            "malformed_syslog",
            "STRUCTURED-DATA: expected - or [, came something else at character 17",
        ),
        (
            b'<28>1 - r1 - - - [e@1 a="1]',
            "malformed_syslog",
            'STRUCTURED-DATA: expected a parameter name="value" or ], came something else at character 21',
        ),
        (
            b'<28>1 - r1 - - - [e@1 a="x]y"]',
            "malformed_syslog",
            'STRUCTURED-DATA: expected a parameter name="value" or ], came something else at character 21',
        ),
        (
            b"<28>1 - r1 - - - [e@1][e@1]",
            "malformed_syslog",
            "STRUCTURED-DATA: expected each SD-ID once, came one twice",
        ),
        (
            b"<28>1 - r1 - - - [e@1]text",
            "malformed_syslog",
            "STRUCTURED-DATA: expected [ or a blank or the end behind it, came something else at character 22",
        ),
        (
            b'<28>1 - r1 - - - [e@1 a="\xff"]',
            "invalid_utf8",
            "STRUCTURED-DATA: expected values in UTF-8, came other bytes",
        ),
        (
            b"<28>1 - r1 - - - - \xef\xbb\xbf\xff",
            "invalid_utf8",
            "MSG: expected UTF-8 behind the byte order mark, came other bytes",
        ),
    ],
)
def test_message_is_refused_when_it_does_not_follow_the_rfc(written: bytes, reason: str, place: str) -> None:
    with pytest.raises(RecordError) as caught:
        parse_syslog(written)
    assert (caught.value.reason, str(caught.value)) == (reason, place)
