from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.unit.schemas.formats import reading
from tests.unit.schemas.formats.reading import RECEIVED, at, fault

row = partial(reading.row, "network_fault", "tmf642")
rejection = partial(reading.rejection, "network_fault", "tmf642")
nothing = partial(reading.nothing, "network_fault", "tmf642")


def alarm(**changes: Any) -> dict[str, Any]:
    """An alarm with all that v4 requires; a change to None takes the field away."""
    fields = {
        "id": "4711",
        "sourceSystemId": "oss-east",
        "alarmType": "communicationsAlarm",
        "perceivedSeverity": "major",
        "probableCause": "lossOfSignal",
        "alarmedObject": {"id": "cell-17", "href": "/resource/cell-17"},
        "state": "raised",
        "alarmRaisedTime": "2026-04-28T12:00:00Z",
    } | changes
    return {name: value for name, value in fields.items() if value is not None}


def event(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"eventId": "e1", "eventTime": "2026-04-28T12:30:00Z", "eventType": kind, "event": body}


RAISED = fault(
    fault_id="oss-east:4711",
    element_id="cell-17",
    state="raised",
    severity="major",
    probable_cause="lossOfSignal",
    source_system="oss-east",
    event_time=at("2026-04-28T12:00:00Z"),
)
CLEARED = RAISED | {"state": "cleared", "severity": "cleared", "event_time": at("2026-04-28T13:00:00Z")}


def test_alarm_reads_when_only_required_fields_are_there() -> None:
    assert row(alarm()) == RAISED


def test_every_field_reads_when_all_are_there() -> None:
    whole = alarm(
        externalAlarmId="ext-9",
        alarmedObjectType="Cell",
        alarmReportingTime="2026-04-28T12:00:05Z",
        affectedService=[{"id": "svc-voice-1", "href": "/s/1"}, {"id": "mobileData07"}, {"id": "OT_EQUIPMENT"}],
        parentAlarm=[{"id": 4000, "href": "/alarm/4000"}, {"id": "4001"}],
        plannedOutageIndicator="OutOfService",
        serviceAffecting=False,
        expectedClearTime="2026-04-28T18:00:00+02:00",
        place=[{"id": "p1"}],
        isRootCause=True,
    )
    assert row(whole) == RAISED | {
        "element_type": "cell",
        "services": ["voice", "data", "OT_EQUIPMENT"],
        "parent_fault_id": "oss-east:4000",
        "planned": True,
        "service_affecting": False,
        "expected_clear_time": at("2026-04-28T16:00:00Z"),
    }


@pytest.mark.parametrize(
    "clear",
    [
        {"perceivedSeverity": "cleared", "alarmChangedTime": "2026-04-28T13:00:00Z"},
        {"perceivedSeverity": "CLEARED", "alarmChangedTime": "2026-04-28T13:00:00Z"},
        {"perceivedSeverity": "NORMAL", "alarmChangedTime": "2026-04-28T13:00:00Z"},
        {"state": "cleared", "alarmChangedTime": "2026-04-28T13:00:00Z"},
        {"state": "CLOSED", "alarmChangedTime": "2026-04-28T13:00:00Z"},
        {"alarmClearedTime": "2026-04-28T13:00:00Z", "alarmChangedTime": "2026-04-28T12:59:00Z"},
        {"alarmClearedTime": "2026-04-28T21:00:00.000+08:00", "perceivedSeverity": None},
    ],
    ids=["severity", "upper case", "normal", "state", "other word", "time", "time alone"],
)
@pytest.mark.parametrize("enveloped", [False, True])
def test_clear_gives_the_same_row_when_it_is_said_in_any_way(clear: dict[str, Any], enveloped: bool) -> None:
    cleared = alarm(**clear)
    assert row(event("AlarmAttributeValueChangeEvent", cleared) if enveloped else cleared) == CLEARED


def test_alarm_is_not_cleared_when_its_clear_time_is_empty() -> None:
    assert row(alarm(alarmClearedTime="")) == RAISED


@pytest.mark.parametrize("came", ["MAJOR", "Major", "major"])
def test_severity_reads_when_its_case_differs(came: str) -> None:
    assert row(alarm(perceivedSeverity=came))["severity"] == "major"


def test_fault_id_is_equal_when_the_id_is_an_integer() -> None:
    assert row(alarm(id=4711)) == RAISED


def test_external_id_identifies_when_there_is_no_id() -> None:
    assert row(alarm(id=None, externalAlarmId="4711")) == RAISED


@pytest.mark.parametrize(("came", "read"), [("true", True), ("False", False), (True, True), ("", True)])
def test_service_affecting_reads_when_it_is_a_string(came: object, read: bool) -> None:
    assert row(alarm(serviceAffecting=came))["service_affecting"] is read


@pytest.mark.parametrize(
    ("came", "read"),
    [
        ("true", True),
        (True, True),
        ("OUTOFSERVICE", True),
        ("OUT_OF_SERVICE", True),
        ("InService", False),
        ("IN_SERVICE", False),
        ("false", False),
        ("", False),
        (None, False),
    ],
)
def test_planned_reads_when_the_indicator_is_a_word_or_a_boolean(came: object, read: bool) -> None:
    assert row(alarm(plannedOutageIndicator=came))["planned"] is read


@pytest.mark.parametrize(
    ("kind", "state", "time"),
    [
        ("AlarmCreateEvent", "raised", "2026-04-28T12:00:00Z"),
        ("AlarmCreateNotification", "raised", "2026-04-28T12:00:00Z"),
        ("AlarmChangeEvent", "updated", "2026-04-28T12:20:00Z"),
        ("AlarmUpdateEvent", "updated", "2026-04-28T12:20:00Z"),
        ("AlarmClearEvent", "cleared", "2026-04-28T12:20:00Z"),
        ("AlarmAttributeValueChangeEvent", "updated", "2026-04-28T12:20:00Z"),
        ("AlarmStateChangeEvent", "updated", "2026-04-28T12:20:00Z"),
        ("AlarmClearedNotification", "cleared", "2026-04-28T12:20:00Z"),
        ("AlarmDeleteEvent", "cleared", "2026-04-28T12:30:00Z"),
    ],
)
def test_state_and_time_follow_the_event_when_there_is_an_envelope(kind: str, state: str, time: str) -> None:
    read = row(event(kind, alarm(alarmChangedTime="2026-04-28T12:20:00Z")))
    severity = "cleared" if state == "cleared" else "major"
    assert read == RAISED | {"state": state, "severity": severity, "event_time": at(time)}


def test_alarm_reads_when_the_event_holds_it_one_level_deeper() -> None:
    nested = {"@type": "AlarmCreateEvent", "event": {"alarm": alarm()}}
    assert row(nested) == RAISED


@pytest.mark.parametrize(
    ("kind", "body", "read"),
    [
        ("AlarmCreateEvent", {}, RAISED),
        (
            "AlarmAttributeValueChangeEvent",
            {"perceivedSeverity": "critical", "alarmChangedTime": "2026-04-28T12:20:00Z"},
            RAISED | {"state": "updated", "severity": "critical", "event_time": at("2026-04-28T12:20:00Z")},
        ),
        ("AlarmStateChangeEvent", {"state": "cleared", "alarmClearedTime": "2026-04-28T13:00:00Z"}, CLEARED),
        ("AlarmDeleteEvent", {"alarmClearedTime": "2026-04-28T13:00:00Z"}, CLEARED),
    ],
)
def test_event_reads_when_its_envelope_is_that_of_v5(kind: str, body: dict[str, Any], read: dict[str, Any]) -> None:
    envelope = {
        "@type": kind,
        "eventId": "e1",
        "eventTime": "2026-04-28T12:30:00Z",
        "correlationId": "c1",
        "domain": "Network",
        "priority": "1",
        "source": {"id": "oss-east", "@type": "ReportingResource"},
        "reportingSystem": {"id": "427", "@type": "ReportingResource"},
        "event": {"alarm": alarm(**{"@type": "Alarm"}, **body)},
    }
    assert row(envelope) == read


@pytest.mark.parametrize(
    ("parents", "read"),
    [
        ([{"id": "4000"}, {"id": "4001"}], "oss-east:4000"),
        ({"id": 4000}, "oss-east:4000"),
        ([{"id": "4711"}, {"id": "4001"}], "oss-east:4001"),
        ([{"id": "4711"}], None),
        ([{"id": "4000", "sourceSystemId": "oss-west"}], "oss-west:4000"),
        ([{"id": "4711", "sourceSystemId": "oss-west"}], "oss-west:4711"),
        ([{"externalAlarmId": "4000"}], "oss-east:4000"),
        ([], None),
    ],
    ids=["first", "one", "not itself", "itself alone", "other system", "same number", "external id", "none"],
)
def test_parent_is_the_first_that_is_another_alarm_when_some_are_named(parents: object, read: str | None) -> None:
    assert row(alarm(parentAlarm=parents)) == RAISED | {"parent_fault_id": read}


@pytest.mark.parametrize(
    "change",
    [
        {"correlatedAlarm": [{"id": "4000"}, {"id": "4001"}]},
        {"correlatedAlarm": [{"id": "4000"}], "isRootCause": True},
        {"correlatedAlarm": [{"id": "4000"}], "isRootCause": False},
        {"isRootCause": "true"},
    ],
    ids=["correlated", "root cause", "no root cause", "string"],
)
def test_alarm_has_no_parent_when_it_is_only_correlated(change: dict[str, Any]) -> None:
    assert row(alarm(**change)) == RAISED


@pytest.mark.parametrize("root", [True, False, "true"])
def test_parent_stays_when_the_alarm_says_what_it_is_the_cause_of(root: object) -> None:
    read = row(alarm(isRootCause=root, parentAlarm=[{"id": "4000"}], correlatedAlarm=[{"id": "4001"}]))
    assert read == RAISED | {"parent_fault_id": "oss-east:4000"}


@pytest.mark.parametrize(
    ("change", "read"),
    [
        ({"perceivedSeverity": "apocalyptic"}, RAISED | {"severity": "indeterminate"}),
        ({"state": "dormant"}, RAISED),
        ({"plannedOutageIndicator": "perhaps"}, RAISED),
        ({"plannedOutageIndicator": 1}, RAISED),
    ],
)
@pytest.mark.parametrize("enveloped", [False, True])
def test_alarm_is_kept_and_counted_when_a_word_of_it_is_unknown(
    change: dict[str, Any], read: dict[str, Any], enveloped: bool
) -> None:
    odd = event("AlarmCreateEvent", {"alarm": alarm(**change)}) if enveloped else alarm(**change)
    decoded = reading.decode("network_fault", "tmf642", alarm(), odd)
    assert decoded.rows.drop("_row").to_dicts() == [RAISED, read]
    assert decoded.rejected == []
    assert decoded.unknown == dict.fromkeys(change, 1)


def test_alarm_is_cleared_when_its_state_says_so_in_an_unknown_severity() -> None:
    odd = alarm(state="cleared", perceivedSeverity="apocalyptic", alarmClearedTime="2026-04-28T13:00:00Z")
    assert row(odd) == CLEARED


@pytest.mark.parametrize("state", ["raised", "ACTIVE", "updated", "cleared", "acknowledged", "", None])
def test_nothing_is_counted_when_the_words_are_known(state: str | None) -> None:
    assert reading.decode("network_fault", "tmf642", alarm(state=state, plannedOutageIndicator=True)).unknown == {}


@pytest.mark.parametrize(
    "change",
    [{"alarmChangedTime": "2026-04-28T12:20:00Z"}, {"state": "updated", "alarmChangedTime": "2026-04-28T12:20:00Z"}],
)
def test_alarm_is_updated_when_it_has_no_envelope_and_has_changed(change: dict[str, Any]) -> None:
    assert row(alarm(**change)) == RAISED | {"state": "updated", "event_time": at("2026-04-28T12:20:00Z")}


def test_alarm_is_raised_when_its_change_time_is_that_of_the_raise() -> None:
    assert row(alarm(alarmChangedTime="2026-04-28T12:00:00Z")) == RAISED


@pytest.mark.parametrize(
    ("value", "time"),
    [
        (event("AlarmCreateEvent", alarm(alarmRaisedTime=None)), at("2026-04-28T12:30:00Z")),
        (alarm(alarmRaisedTime=None, alarmReportingTime="2026-04-28T12:00:09Z"), at("2026-04-28T12:00:09Z")),
        (alarm(alarmRaisedTime=None), RECEIVED),
        (alarm(state="cleared", alarmReportingTime="2026-04-28T12:00:09Z"), RECEIVED),
        (alarm(state="updated"), RECEIVED),
    ],
    ids=["event", "report", "kafka", "clear has no time of its own", "change has no time of its own"],
)
def test_next_best_time_is_taken_when_the_first_is_missing(value: dict[str, Any], time: object) -> None:
    assert row(value)["event_time"] == time


@pytest.mark.parametrize(
    "kind",
    ["AckAlarmCreateEvent", "ClearAlarmsStateChangeEvent", "UnGroupAlarmsCreateEvent", "GroupAlarmStateChangeEvent"],
)
def test_event_carries_no_row_when_it_is_about_a_task(kind: str) -> None:
    assert nothing(event(kind, {"ackAlarm": {"id": "1"}}))


@pytest.mark.parametrize(
    ("value", "reason", "message"),
    [
        (None, "null_value", "value: expected an object, came null"),
        ([], "wrong_type", "value: expected an object, came an array"),
        (alarm(sourceSystemId=None), "missing_field", "sourceSystemId: expected a string, came nothing"),
        (alarm(id=None), "missing_field", "id or externalAlarmId: expected a string, came nothing"),
        (alarm(id=1.5), "wrong_type", "id: expected a string, came a fraction"),
        (alarm(id=True), "wrong_type", "id: expected a string, came a boolean"),
        (alarm(alarmedObject=None), "missing_field", "alarmedObject: expected an object, came nothing"),
        (alarm(alarmedObject={"href": "/x"}), "missing_field", "alarmedObject.id: expected a string, came nothing"),
        (alarm(perceivedSeverity=None), "missing_field", "perceivedSeverity: expected a string, came nothing"),
        (alarm(perceivedSeverity=["x"]), "wrong_type", "perceivedSeverity: expected a string, came an array"),
        (
            alarm(parentAlarm=[{"href": "/alarm/1"}]),
            "missing_field",
            "parentAlarm[0].id or parentAlarm[0].externalAlarmId: expected a string, came nothing",
        ),
        (alarm(serviceAffecting="perhaps"), "wrong_type", "serviceAffecting: expected a boolean, came a string"),
        (
            alarm(affectedService=["voice"]),
            "wrong_type",
            "affectedService[0]: expected an object, came a string",
        ),
        (
            alarm(alarmRaisedTime="2026-04-28T12:00:00"),
            "wrong_type",
            "alarmRaisedTime: expected an ISO 8601 time with offset, came another text",
        ),
        (
            alarm(alarmRaisedTime=1_780_000_000),
            "wrong_type",
            "alarmRaisedTime: expected an ISO 8601 string, came an integer",
        ),
        (
            alarm(alarmRaisedTime="2026-02-30T12:00:00Z"),
            "out_of_range",
            "alarmRaisedTime: expected an ISO 8601 time, came one that does not exist",
        ),
        (
            event("SomethingEvent", alarm()),
            "unknown_type",
            "eventType: expected an alarm's or an alarm task's event, came another",
        ),
    ],
)
def test_alarm_is_rejected_when_it_cannot_be_read(value: object, reason: str, message: str) -> None:
    assert rejection(value) == (reason, message)


def test_alarm_is_rejected_when_nothing_says_when() -> None:
    rejected = rejection(alarm(alarmRaisedTime=None), timestamp_ms=-1)
    assert rejected == ("missing_field", "alarmRaisedTime: expected a time, came nothing")
