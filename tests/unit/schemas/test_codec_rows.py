"""Rows to frames: strict types, exact messages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from schemas.codec import REASONS, Rejected, empty_frame, parse_time, rows_to_frame
from schemas.contracts import contract
from schemas.errors import RecordError

USAGE = contract("usage_event")
CRM = contract("crm_change")
NOON = 1_780_315_200_000_000  # 2026-06-01T12:00:00Z


def usage(**changes: Any) -> dict[str, Any]:
    return {"event_id": "e1", "customer_id": "c1", "kind": "data", "event_time": NOON} | changes


def refused(row: dict[str, Any]) -> Rejected:
    frame, rejected = rows_to_frame(USAGE, [row], [7])
    assert frame.is_empty()
    assert frame.schema == empty_frame(USAGE).schema
    assert len(rejected) == 1
    assert rejected[0].row == 7
    assert rejected[0].reason in REASONS
    return rejected[0]


def test_frame_has_the_contracts_types_and_defaults_when_columns_are_left_out() -> None:
    frame, rejected = rows_to_frame(USAGE, [usage()], [3])
    assert rejected == []
    assert frame.schema == empty_frame(USAGE).schema
    row = frame.row(0, named=True)
    assert row["event_time"] == datetime(2026, 6, 1, 12, tzinfo=UTC)
    assert (row["bytes_up"], row["msisdn"], row["_row"]) == (0, None, 3)


@pytest.mark.parametrize(
    ("changes", "reason", "message"),
    [
        ({"bytes_up": "12"}, "wrong_type", "column bytes_up: expected long, came str"),
        ({"bytes_up": 12.0}, "wrong_type", "column bytes_up: expected long, came float"),
        ({"bytes_up": True}, "wrong_type", "column bytes_up: expected long, came bool"),
        ({"bytes_up": None}, "wrong_type", "column bytes_up: expected long, came null"),
        ({"bytes_up": 2**63}, "out_of_range", "column bytes_up: expected a number of 64 bits, came a larger one"),
        ({"bytes_up": -1}, "out_of_range", "column bytes_up: expected at least 0, came less"),
        ({"event_id": 5}, "wrong_type", "column event_id: expected string, came int"),
        ({"event_id": ""}, "out_of_range", "column event_id: expected a text that is not empty, came an empty one"),
        ({"cell_id": "\ud800"}, "invalid_utf8", "column cell_id: expected Unicode text, came a lone surrogate"),
        ({"kind": "fax"}, "out_of_range", "column kind: expected one of voice, sms, data, came another text"),
        (
            {"event_time": "2026-06-01T12:00:00"},
            "wrong_type",
            "column event_time: expected an ISO 8601 time with offset, came another text",
        ),
        (
            {"event_time": "2026-02-30T12:00:00Z"},
            "out_of_range",
            "column event_time: expected an ISO 8601 time, came one that does not exist",
        ),
        (
            {"event_time": -1},
            "out_of_range",
            "column event_time: expected a time in the years 1970 to 9999, came one outside",
        ),
        (
            {"event_time": datetime(2026, 6, 1)},
            "wrong_type",
            "column event_time: expected a time with offset, came one without",
        ),
    ],
)
def test_record_is_rejected_and_the_column_named_when(changes: Any, reason: str, message: str) -> None:
    assert refused(usage(**changes)) == Rejected(7, reason, message)


def test_record_is_rejected_when_a_required_column_is_left_out() -> None:
    row = usage()
    del row["event_time"]
    message = "column event_time: expected a time (ISO 8601 text with offset, or microseconds as integer), came nothing"
    assert refused(row) == Rejected(7, "missing_field", message)


def test_messages_never_hold_a_value_when_personal_data_is_wrong() -> None:
    for value in (447700900123, 4.5, ["+447700900123"], {"a": 447700900123}):
        assert "4477" not in refused(usage(msisdn=value)).message


def test_list_items_must_be_texts() -> None:
    row = {"customer_id": "c", "op": "create", "source_system": "s", "event_time": NOON, "channels": ["sms", 5]}
    _, rejected = rows_to_frame(CRM, [row], [0])
    message = "column channels: expected array of string, came an item of type int"
    assert rejected == [Rejected(0, "wrong_type", message)]


def test_whole_record_is_rejected_when_one_of_its_rows_is_bad() -> None:
    rows = [usage(), usage(event_id="e2"), usage(kind="fax"), usage(event_id="e3")]
    frame, rejected = rows_to_frame(USAGE, rows, [0, 1, 1, 2])
    assert frame["_row"].to_list() == [0, 2]
    assert [one.row for one in rejected] == [1]


def test_neighbours_come_out_when_records_are_rejected_for_several_reasons() -> None:
    rows = [usage(kind="fax"), usage(event_id="good"), usage(bytes_up="1")]
    frame, rejected = rows_to_frame(USAGE, rows, [4, 5, 9])
    assert frame["event_id"].to_list() == ["good"]
    assert [(one.row, one.reason) for one in rejected] == [(4, "out_of_range"), (9, "wrong_type")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-06-01T12:00:00Z", NOON),
        ("2026-06-01t12:00:00z", NOON),
        ("2026-06-01 14:00:00+02:00", NOON),
        ("2026-06-01T07:00:00-0500", NOON),
        ("2026-06-01T12:00:00.5Z", NOON + 500_000),
        ("2026-06-01T12:00:00.123456789Z", NOON + 123_456),
        ("1970-01-01T00:00:00+00:00", 0),
        ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
        ("1969-12-31T23:59:59Z", -1_000_000),
    ],
)
def test_parse_time_reads(text: str, expected: int) -> None:
    assert parse_time(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2026-06-01", "wrong_type"),
        ("2026-06-01T12:00Z", "wrong_type"),
        ("2026-06-01T12:00:00", "wrong_type"),
        ("2026-06-01T12:00:00.Z", "wrong_type"),
        ("2026-06-01T12:00:00Z ", "wrong_type"),
        ("٢٠٢٦-06-01T12:00:00Z", "wrong_type"),
        ("20260601T120000Z", "wrong_type"),
        ("", "wrong_type"),
        ("2026-06-01T12:00:60Z", "out_of_range"),
        ("2026-13-01T12:00:00Z", "out_of_range"),
        ("2026-06-01T12:00:00+24:00", "out_of_range"),
    ],
)
def test_parse_time_refuses(text: str, reason: str) -> None:
    with pytest.raises(RecordError) as error:
        parse_time(text)
    assert error.value.reason == reason


def test_datetime_counts_in_its_own_zone() -> None:
    local = datetime(2026, 6, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    frame, _ = rows_to_frame(USAGE, [usage(event_time=local)], [0])
    assert frame["event_time"].to_physical().to_list() == [NOON]
