"""What is said of each format: a record that is read, its ignored fields, and one that is refused."""

from __future__ import annotations

import pytest

from tests.unit.flows.lint.linting import about, keyed, lint_lines, names
from tests.unit.schemas.formats.test_debezium import COLUMNS, KEY, envelope
from tests.unit.schemas.formats.test_mist import alarm as mist_alarm
from tests.unit.schemas.formats.test_mist import call
from tests.unit.schemas.formats.test_salesforce_cdc import WHOLE_BODY
from tests.unit.schemas.formats.test_salesforce_cdc import event as change
from tests.unit.schemas.formats.test_tmf642 import alarm, event

USAGE = {
    "event_id": "e1",
    "customer_id": "c1",
    "msisdn": "+36201234567",
    "cell_id": "cell-1",
    "kind": "voice",
    "duration_seconds": 60,
    "bytes_up": 1,
    "bytes_down": 1,
    "charge_minor": 10,
    "currency": "EUR",
    "event_time": "2026-04-28T12:00:00Z",
}


def test_unknown_members_are_ignored_when_records_are_canonical(tmp_path):
    report = lint_lines(tmp_path, "usage_event", "canonical", USAGE | {"tower": 3, "extra": {"a": [{"b": 1}]}}, USAGE)
    assert (report.records, report.accepted, report.empty, report.rejected, report.rows) == (2, 2, 0, 0, 2)
    assert names(report.ignored) == {"tower", "extra"}
    assert about(report.ignored, "tower").places == ("line 1",)


def test_record_is_rejected_when_it_breaks_its_contract(tmp_path):
    report = lint_lines(tmp_path, "usage_event", "canonical", USAGE, USAGE | {"duration_seconds": "60"})
    [only] = report.rejections
    assert (only.reason, only.message) == ("wrong_type", "column duration_seconds: expected long, came str")
    assert (only.count, only.places) == (1, ("line 2",))


def test_fields_of_an_alarm_are_ignored_when_no_column_comes_from_them(tmp_path):
    body = alarm(
        place=[{"id": "p1"}],
        parentAlarm=[{"id": "1", "href": "/alarm/1"}],
        affectedService=[{"id": "voice-1", "href": "/s/1"}],
        alarmedObjectType="Cell",
        plannedOutageIndicator="InService",
        serviceAffecting="true",
        expectedClearTime="2026-04-28T18:00:00Z",
    )
    report = lint_lines(tmp_path, "network_fault", "tmf642", event("AlarmCreateEvent", body))
    assert report.rejected == 0
    assert names(report.ignored) == {
        "eventId",
        "eventTime",  # the alarm has the time that belongs to its state
        "event.alarmType",
        "event.alarmedObject.href",
        "event.parentAlarm[].href",
        "event.affectedService[].href",
        "event.place",
    }


def test_event_time_is_no_ignored_field_when_some_alarms_need_it(tmp_path):
    with_time = event("AlarmCreateEvent", alarm())
    without = event("AlarmCreateEvent", alarm(alarmRaisedTime=None))
    report = lint_lines(tmp_path, "network_fault", "tmf642", with_time, without)
    assert "eventTime" not in names(report.ignored)


def test_alarm_is_rejected_when_its_time_has_no_zone(tmp_path):
    report = lint_lines(tmp_path, "network_fault", "tmf642", alarm(alarmRaisedTime="2026-04-28T12:00:00"))
    [only] = report.rejections
    assert only.reason == "wrong_type"
    assert only.message == "alarmRaisedTime: expected an ISO 8601 time with offset, came another text"


def test_fields_of_a_webhook_are_ignored_when_no_column_comes_from_them(tmp_path):
    report = lint_lines(
        tmp_path, "network_fault", "mist", call(mist_alarm(), mist_alarm(id="a-2", aps=["5c5b35000002"]))
    )
    assert (report.records, report.rows) == (1, 2)
    # last_seen is the time of updates alone
    assert names(report.ignored) == {"events[].id", "events[].org_id", "events[].last_seen"}


def test_rejections_are_one_cause_when_they_differ_in_their_position_alone(tmp_path):
    bad = mist_alarm(type="no_such_thing")
    report = lint_lines(tmp_path, "network_fault", "mist", call(bad), call(mist_alarm(), bad))
    [only] = report.rejections
    assert (only.reason, only.count, only.places) == ("unknown_type", 2, ("line 1", "line 2"))
    assert only.message.startswith("events[0].type: expected a type that ends in ")
    assert (report.accepted, report.rows) == (0, 1)


def test_fields_of_a_change_are_ignored_when_no_column_comes_from_them(tmp_path):
    report = lint_lines(tmp_path, "crm_change", "salesforce_cdc", change("CREATE", **WHOLE_BODY))
    assert report.rejected == 0
    assert names(report.ignored) == {
        "ChangeEventHeader.changeOrigin",
        "ChangeEventHeader.transactionKey",
        "ChangeEventHeader.commitUser",
        "BillingAddress.Latitude",
        "OwnerId",
        "LastModifiedDate",
    }


def test_field_is_used_when_only_a_rare_kind_of_record_needs_it(tmp_path):
    created = [change("CREATE", {"nulledFields": [], "recordIds": [str(number)]}, Name="A B") for number in range(70)]
    # the 73rd, which is neither among the first nor at a power of two
    rare = [*created, created[0], created[1], change("UPDATE", {"nulledFields": ["Plan__c"]}, Name="A B"), *created]
    assert "ChangeEventHeader.nulledFields" in names(
        lint_lines(tmp_path, "crm_change", "salesforce_cdc", *created).ignored
    )
    assert "ChangeEventHeader.nulledFields" not in names(
        lint_lines(tmp_path, "crm_change", "salesforce_cdc", *rare).ignored
    )


def test_gap_is_told_when_a_source_lost_changes(tmp_path):
    report = lint_lines(tmp_path, "crm_change", "salesforce_cdc", change("GAP_UPDATE"))
    assert [(each.reason, each.count) for each in report.rejections] == [("gap", 1)]


def test_columns_of_the_table_are_ignored_when_the_contract_lacks_them(tmp_path):
    report = lint_lines(tmp_path, "crm_change", "debezium", keyed(KEY, envelope("u", COLUMNS)))
    assert report.rejected == 0
    ignored = names(report.ignored)
    assert {"after.updated_at", "after.credit", "after.extra"} <= ignored
    assert not any(f"after.{name}" in ignored for name in COLUMNS.keys() - {"updated_at", "credit", "extra"})
    assert "source.lsn" not in ignored


def test_delete_reads_when_its_line_has_the_key(tmp_path):
    deleted = envelope("d", None)
    assert lint_lines(tmp_path, "crm_change", "debezium", keyed(KEY, deleted)).accepted == 1
    [only] = lint_lines(tmp_path, "crm_change", "debezium", deleted).rejections
    assert only.reason == "missing_key"


def test_tombstone_is_empty_when_its_format_says_so(tmp_path):
    tombstone = keyed(KEY, None)
    report = lint_lines(tmp_path, "crm_change", "debezium", tombstone)
    assert (report.records, report.empty, report.rows) == (1, 1, 0)
    report = lint_lines(tmp_path, "crm_change", "debezium_flattened", tombstone)
    assert (report.accepted, report.rows) == (1, 1)


def test_flattened_row_reads_when_its_format_is_flattened(tmp_path):
    report = lint_lines(tmp_path, "crm_change", "debezium_flattened", COLUMNS)
    assert report.accepted == 1
    assert names(report.ignored) == {"updated_at", "credit", "extra"}


@pytest.mark.parametrize(
    ("stream", "record"),
    [
        ("network_topology", {"element_id": "cell-1", "element_type": "cell", "event_time": "2026-04-28T12:00:00Z"}),
        (
            "billing_event",
            {
                "event_id": "b1",
                "customer_id": "c1",
                "kind": "payment",
                "amount_minor": 5,
                "currency": "EUR",
                "event_time": "2026-04-28T12:00:00Z",
            },
        ),
        (
            "care_interaction",
            {"interaction_id": "i", "customer_id": "c", "channel": "call", "event_time": "2026-04-28T12:00:00Z"},
        ),
    ],
)
def test_canonical_record_is_accepted_when_it_keeps_to_its_contract(tmp_path, stream, record):
    report = lint_lines(tmp_path, stream, "canonical", record)
    assert (report.accepted, report.ignored) == (1, [])
