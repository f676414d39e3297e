"""What is said of columns: those that are never filled, and those that look misread."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from tests.unit.flows.lint.linting import about, keyed, lint_lines, names
from tests.unit.flows.lint.test_formats import USAGE

LEAST = {"event_id": "e", "customer_id": "c", "kind": "sms", "event_time": "2026-04-28T12:00:00Z"}


def lint(folder, *records):
    return lint_lines(folder, "usage_event", "canonical", *records)


def after(**distance: float) -> str:
    return (datetime.now(UTC) + timedelta(**distance)).isoformat()


def test_columns_are_never_filled_when_no_record_has_them(tmp_path):
    report = lint(tmp_path, LEAST, LEAST)
    assert [(each.name, each.what, each.count) for each in report.never_filled] == [
        ("msisdn", "always null", 2),
        ("cell_id", "always null", 2),
        ("duration_seconds", "always the default, 0", 2),
        ("bytes_up", "always the default, 0", 2),
        ("bytes_down", "always the default, 0", 2),
        ("charge_minor", "always the default, 0", 2),
        ("currency", "always null", 2),
    ]
    assert lint(tmp_path, LEAST, USAGE).never_filled == []


def test_list_is_never_filled_when_it_is_always_empty(tmp_path):
    fault = {"fault_id": "f", "element_id": "e", "state": "raised", "severity": "major", "event_time": 1}
    report = lint_lines(tmp_path, "network_fault", "canonical", fault | {"services": []})
    assert about(report.never_filled, "services").what == "always empty"
    assert about(report.never_filled, "service_affecting").what == "always the default, true"


def test_event_time_is_suspicious_when_it_lies_in_the_future(tmp_path):
    report = lint(tmp_path, LEAST | {"event_time": after(minutes=5)}, LEAST | {"event_time": after(seconds=-5)})
    found = about(report.suspicious, "event_time")
    assert (found.count, found.places) == (1, ("line 1",))
    assert found.what == "over a minute after Kafka received the record: check clock and time zone"


def test_record_is_rejected_when_its_event_time_lies_too_far_in_the_future(tmp_path):
    report = lint(tmp_path, LEAST | {"event_time": after(hours=5)})
    assert [(each.reason, each.places) for each in report.rejections] == [("future_event_time", ("line 1",))]


def test_event_time_is_suspicious_when_it_is_years_ago(tmp_path):
    report = lint(tmp_path, LEAST | {"event_time": after(days=-800)}, LEAST | {"event_time": after(days=-80)})
    found = about(report.suspicious, "event_time")
    assert (found.count, found.places) == (1, ("line 1",))
    assert found.what.startswith("over a year before Kafka received the record")


@pytest.mark.parametrize("unit", [1, 1000])
def test_times_are_suspicious_when_they_are_seconds_or_milliseconds(tmp_path, unit):
    report = lint(tmp_path, LEAST | {"event_time": int(time.time() * unit)})
    [found] = report.suspicious
    assert found.name == "event_time"
    assert found.what.startswith("in 1970: are these seconds or milliseconds?")


def test_event_time_is_held_against_the_records_timestamp_when_its_line_has_one(tmp_path):
    stamp = datetime(2020, 1, 1, tzinfo=UTC)
    record = LEAST | {"event_time": stamp.isoformat()}
    assert lint(tmp_path, keyed(None, record, timestamp_ms=int(stamp.timestamp() * 1000))).suspicious == []


def test_column_is_suspicious_when_all_its_values_are_equal(tmp_path):
    records = [LEAST | {"event_id": str(number), "customer_id": str(number), "cell_id": "1"} for number in range(20)]
    report = lint(tmp_path, *records)
    assert about(report.suspicious, "cell_id").what.startswith("the same in all rows")
    assert {"event_id", "customer_id", "currency"} & names(report.suspicious) == set()
    assert "cell_id" not in names(lint(tmp_path, *records[:19]).suspicious)


@pytest.mark.parametrize("value", ["ada@example.org", "call +44 20 7946 0018 now"])
def test_column_is_suspicious_when_it_holds_what_looks_personal(tmp_path, value):
    report = lint(tmp_path, LEAST, LEAST | {"cell_id": value, "msisdn": value})
    found = about(report.suspicious, "cell_id")
    assert (found.count, found.places) == (1, ("line 2",))
    assert found.what.startswith("looks like an email address or a telephone number")
    assert "msisdn" not in names(report.suspicious), "its contract says that it is personal"
    assert value not in orjson.dumps(report.as_dict()).decode()


def test_list_is_suspicious_when_an_item_looks_personal(tmp_path):
    fault = {"fault_id": "f", "element_id": "e", "state": "raised", "severity": "major", "event_time": after()}
    report = lint_lines(tmp_path, "network_fault", "canonical", fault | {"services": ["voice", "ada@example.org"]})
    assert about(report.suspicious, "services").count == 1


@pytest.mark.parametrize("value", ["36201234567", "cell-1", "a@b", "2026-04-28T12:00:00+02:00", "+1.5"])
def test_column_is_not_suspicious_when_its_values_are_names_and_numbers(tmp_path, value):
    assert "cell_id" not in names(lint(tmp_path, LEAST | {"cell_id": value}).suspicious)


def test_used_field_is_suspicious_when_its_time_names_no_zone(tmp_path):
    record = LEAST | {"event_time": after(), "currency": "2026-04-28 12:00", "ignored": "2026-04-28T12:00:00"}
    found = about(lint(tmp_path, record).suspicious, "currency")
    assert found.what.startswith("a time without zone or offset")
    assert "ignored" not in names(lint(tmp_path, record).suspicious)
