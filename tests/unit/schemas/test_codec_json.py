"""JSON records: what is accepted, what is rejected and why, on the quick path and on the exact one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.codec import parse_json
from schemas.codec.json_read import DEPTH_LIMIT
from schemas.contracts import contract
from schemas.errors import RecordError
from tests.unit.schemas.codec_kit import NOON, USAGE, decode, usage

GOOD = json.dumps(usage()).encode()


def with_member(text: str) -> bytes:
    """The good record with a further (or, by name, another) member at its end."""
    return GOOD[:-1] + b", " + text.encode() + b"}"


def accepted(record: bytes) -> dict[str, Any]:
    """The record's row; its neighbours must not notice it."""
    decoded = decode([GOOD, record, GOOD])
    assert decoded.rejected == []
    assert decoded.rows["_row"].to_list() == [0, 1, 2]
    assert decoded.rows.drop("_row").row(0) == decoded.rows.drop("_row").row(2)
    assert decoded.rows.drop("_row").schema == USAGE.polars
    return decoded.rows.row(1, named=True)


def refused(record: bytes) -> tuple[str, str]:
    decoded = decode([GOOD, record, GOOD])
    assert decoded.rows["_row"].to_list() == [0, 2]
    assert decoded.rows.drop("_row").row(0) == decoded.rows.drop("_row").row(1)
    assert [one.row for one in decoded.rejected] == [1]
    return decoded.rejected[0].reason, decoded.rejected[0].message


def test_record_is_read_when_compact_or_spaced_or_in_another_order() -> None:
    expected = accepted(GOOD)
    assert expected["bytes_down"] == 2**40
    assert expected["cell_id"] is None
    for record in (
        json.dumps(usage(), separators=(",", ":")),
        json.dumps(usage(), indent=3),
        "\r\n\t " + json.dumps(dict(reversed(usage().items()))) + " \n",
    ):
        assert accepted(record.encode()) == expected


@pytest.mark.parametrize(
    ("member", "column", "expected"),
    [
        ('"x": {"a": [1, {"b": null}]}', "event_id", "e1"),
        ('"x": 1.5e300', "event_id", "e1"),
        ('"x": [true, "a", []]', "event_id", "e1"),
        ('"event_id": "a", "event_id": "last"', "event_id", "last"),
        ('"event_\\u0069d": "escaped name"', "event_id", "escaped name"),
        ('"event_id": "\\"\\n\\ud83d\\ude00"', "event_id", '"\n\U0001f600'),
        ('"event_id": "żółw\\u0000"', "event_id", "żółw\0"),
        ('"charge_minor": 9223372036854775807', "charge_minor", 2**63 - 1),
        ('"charge_minor": -9223372036854775808', "charge_minor", -(2**63)),
        ('"charge_minor": -0', "charge_minor", 0),
        ('"cell_id": "c", "cell_id": null', "cell_id", None),
    ],
)
def test_record_is_read_when_it_has(member: str, column: str, expected: object) -> None:
    assert accepted(with_member(member))[column] == expected


@pytest.mark.parametrize("time", [str(NOON), '"2026-06-01T12:00:00Z"', '"2026-06-01T14:00:00.000000+02:00"'])
def test_time_is_read_when_given_as(time: str) -> None:
    row = accepted(with_member(f'"event_time": {time}'))
    assert row["event_time"].isoformat() == "2026-06-01T12:00:00+00:00"


def test_defaults_fill_in_when_members_are_left_out() -> None:
    row = accepted(b'{"event_id":"a","customer_id":"b","kind":"sms","event_time":0}')
    assert (row["duration_seconds"], row["currency"]) == (0, None)


@pytest.mark.parametrize(
    ("member", "reason", "message"),
    [
        ('"bytes_up": "12"', "wrong_type", "column bytes_up: expected long, came str"),
        ('"bytes_up": 1.0', "wrong_type", "column bytes_up: expected long, came float"),
        ('"bytes_up": 1e3', "wrong_type", "column bytes_up: expected long, came float"),
        ('"bytes_up": true', "wrong_type", "column bytes_up: expected long, came bool"),
        ('"bytes_up": null', "wrong_type", "column bytes_up: expected long, came null"),
        ('"bytes_up": -7', "out_of_range", "column bytes_up: expected at least 0, came less"),
        (
            '"bytes_up": 9223372036854775808',
            "out_of_range",
            "column bytes_up: expected a number of 64 bits, came a larger one",
        ),
        ('"bytes_up": 99999999999999999999', "wrong_type", "column bytes_up: expected long, came float"),
        ('"event_id": 5', "wrong_type", "column event_id: expected string, came int"),
        ('"event_id": ["a"]', "wrong_type", "column event_id: expected string, came list"),
        ('"kind": "DATA"', "out_of_range", "column kind: expected one of voice, sms, data, came another text"),
        (
            '"event_time": "2026-06-01T12:00:00"',
            "wrong_type",
            "column event_time: expected an ISO 8601 time with offset, came another text",
        ),
        (
            '"event_time": "1969-12-31T23:59:59Z"',
            "out_of_range",
            "column event_time: expected a time in the years 1970 to 9999, came one outside",
        ),
    ],
)
def test_record_is_rejected_when_it_has(member: str, reason: str, message: str) -> None:
    assert refused(with_member(member)) == (reason, message)


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b" ",
        b"{",
        GOOD[:-1],
        GOOD + b"}",
        GOOD + GOOD,
        GOOD + b"\n" + GOOD,
        GOOD.replace(b'"c1"', b"NaN"),
        GOOD.replace(b"60", b"060"),
        GOOD.replace(b"60", b"+60"),
        GOOD.replace(b"60", b"6_0"),
        GOOD.replace(b"60", b"Infinity"),
        GOOD.replace(b'"e1"', b"'e1'"),
        GOOD.replace(b'"e1"', b'"e\n1"'),
        GOOD.replace(b'"e1"', b'"\\ud800"'),
        GOOD.replace(b'"e1",', b'"e1",,'),
        GOOD[:-1] + b",}",
        b"\xef\xbb\xbf" + GOOD,
        GOOD + b"\0",
        b"\0" + GOOD,
    ],
)
def test_record_is_malformed_when(record: bytes) -> None:
    assert refused(record)[0] == "malformed_json"


@pytest.mark.parametrize("record", [b"null", b"[]", b'"a"', b"12", b"[" + GOOD + b"]"])
def test_record_has_the_wrong_type_when_it_is_no_object(record: bytes) -> None:
    reason, message = refused(record)
    assert reason == "wrong_type"
    assert message.startswith("expected a JSON object, came ")


@pytest.mark.parametrize("text", [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"])
def test_record_is_invalid_utf8_when_a_text_holds(text: bytes) -> None:
    assert refused(GOOD.replace(b"e1", text))[0] == "invalid_utf8"


@pytest.mark.parametrize("record", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000])
def test_record_is_nested_too_deep_when_brackets_pile_up(record: bytes) -> None:
    assert refused(record) == ("nested_too_deep", f"expected at most {DEPTH_LIMIT} levels of nesting, came more")


def test_depth_does_not_count_brackets_when_they_stand_in_a_text() -> None:
    row = accepted(with_member('"event_id": "' + "[" * 1000 + '\\"{"'))
    assert row["event_id"] == "[" * 1000 + '"{'


def test_nothing_of_the_record_is_in_the_error_when_json_is_malformed() -> None:
    with pytest.raises(RecordError) as error:
        parse_json(b'{"msisdn": "+447700900123"')
    assert "4477" not in str(error.value)
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__


def test_lists_are_read_when_plain_or_escaped_or_empty() -> None:
    crm = contract("crm_change")
    start = b'{"customer_id":"c","op":"create","source_system":"s","event_time":0,"channels":'
    lists = [b"[]", b'["sms"]', b'[ "sms" , "e\\u006dail" ]', b"null", b'["a","b","c"]']
    decoded = decode([start + one + b"}" for one in lists], of=crm)
    assert decoded.rejected == []
    assert decoded.rows["channels"].to_list() == [[], ["sms"], ["sms", "email"], None, ["a", "b", "c"]]
    bad = [b"[1]", b"[null]", b'["a",]', b'["a" "b"]', b'"sms"', b"{}"]
    decoded = decode([start + one + b"}" for one in bad], of=crm)
    assert [one.reason for one in decoded.rejected] == ["wrong_type"] * 2 + ["malformed_json"] * 2 + ["wrong_type"] * 2
