"""TMF642 alarms (v4), alone or in an event's envelope, to `network_fault`.

Identity: `fault_id` is `sourceSystemId:id` (`externalAlarmId` where there is no `id`), so that two systems may number
their alarms alike; the first of `parentAlarm` is named in the same way, as an alarm of the same system.

State: an alarm is *cleared* when its `perceivedSeverity` is cleared (or NORMAL), or its `state` says so, or
`alarmClearedTime` is set, or the event is a clear or a deletion; all of these give the same row. Else it is *updated*
by an event of change, or, where there is no envelope, when its `state` is updated or `alarmChangedTime` is later than
`alarmRaisedTime`; else *raised*.

Time: the one that belongs to the state, for the others stay in the alarm for all its life. Raised: `alarmRaisedTime`,
the envelope's `eventTime`, `alarmReportingTime`. Updated: `alarmChangedTime`, `eventTime`. Cleared: `alarmClearedTime`,
`alarmChangedTime` (but not for a deletion, which changes nothing in the alarm), `eventTime`. Where none of them is
given, the record's Kafka timestamp.

`expectedClearTime` is no field of TMF642: systems that know when it will be over add it as an extension.

Source:
    TM Forum TMF642 Alarm Management API v4.0; severities: ITU-T X.733, 8.1.2.3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from schemas.errors import RecordError
from schemas.formats.adapter import Record, Row
from schemas.formats.fields import Fields, one_of
from schemas.formats.vocabulary import services

_SEVERITIES: Mapping[str, str] = MappingProxyType(
    {
        "critical": "critical",
        "major": "major",
        "minor": "minor",
        "warning": "warning",
        "indeterminate": "indeterminate",
        "cleared": "cleared",
        "normal": "cleared",
    }
)

# v4 gives `state` no enumeration; these are the words seen for "it is over".
_CLEARED_STATES = frozenset({"cleared", "clear", "closed", "resolved", "terminated", "ceased", "inactive"})

# What an event says of its alarm; the name is matched without "Event" or "Notification" at its end.
_STATE_OF_EVENT: Mapping[str, str] = MappingProxyType(
    {
        "alarmcreate": "raised",
        "alarmcreation": "raised",
        "alarmattributevaluechange": "updated",
        "alarmstatechange": "updated",
        "alarmchange": "updated",
        "alarmupdate": "updated",
        "alarmclear": "cleared",
        "alarmcleared": "cleared",
        "alarmdelete": "cleared",
        "alarmremove": "cleared",
    }
)

_DELETIONS = frozenset({"alarmdelete", "alarmremove"})

# Events about the task resources: what an operator asked for. What comes of it arrives as an event of the alarm.
_TASK_EVENT = re.compile(r"(un)?(ack|clear|comment|group)alarms?(create|attributevaluechange|statechange|delete)")

# v4 has the words InService and OutOfService, older systems send a boolean.
_PLANNED: Mapping[str, bool] = MappingProxyType(
    {
        "true": True,
        "outofservice": True,
        "planned": True,
        "plannedoutage": True,
        "false": False,
        "inservice": False,
        "none": False,
        "notplanned": False,
    }
)


class Tmf642:
    """The adapter."""

    stream = "network_fault"
    name = "tmf642"

    def adapt(self, record: Record) -> list[Row]:
        """Turn one alarm, or one event that carries it, into one row."""
        envelope = record.fields()
        alarm = _alarm(envelope)
        if alarm is None:
            return []
        source = alarm.required_text("sourceSystemId")
        state, severity = _condition(envelope, alarm)
        parents = alarm.objects("parentAlarm")
        element_type = alarm.text("alarmedObjectType")
        affected = [service.required_text("id", "name") for service in alarm.objects("affectedService")]
        return [
            {
                "fault_id": f"{source}:{alarm.required_text('id', 'externalAlarmId')}",
                "element_id": alarm.required_inner("alarmedObject").required_text("id"),
                "element_type": element_type.lower() if element_type else None,
                "state": state,
                "severity": severity,
                "probable_cause": alarm.text("probableCause"),
                "services": services(affected),
                "parent_fault_id": f"{source}:{parents[0].required_text('id')}" if parents else None,
                "planned": _planned(alarm),
                "service_affecting": alarm.flag("serviceAffecting", default=True),
                "source_system": source,
                "event_time": _event_time(state, envelope, alarm, record.timestamp_ms),
                "expected_clear_time": None if state == "cleared" else alarm.instant("expectedClearTime"),
            }
        ]


def _alarm(envelope: Fields) -> Fields | None:
    """The alarm in an envelope (`event` or `event.alarm`), or the value itself; None for events of the tasks."""
    event = envelope.inner("event")
    if event is None:
        return envelope
    if _TASK_EVENT.fullmatch(_event_type(envelope)):
        return None
    return event.inner("alarm") or event


def _event_type(envelope: Fields) -> str:
    name = (envelope.text("eventType") or envelope.text("@type") or "").lower()
    return name.removesuffix("event").removesuffix("notification")


def _condition(envelope: Fields, alarm: Fields) -> tuple[str, str]:
    """The alarm's state and its severity."""
    stated = (alarm.text("state") or "").lower()
    severity = alarm.text("perceivedSeverity")
    known = one_of(severity, _SEVERITIES, alarm.at("perceivedSeverity")) if severity else None
    state = _state_of_event(envelope) if envelope is not alarm else _state_alone(alarm)
    if "cleared" in (state, known) or stated in _CLEARED_STATES or alarm.instant("alarmClearedTime") is not None:
        return "cleared", "cleared"
    if known is None:
        raise RecordError("missing_field", f"{alarm.at('perceivedSeverity')}: expected a string, came nothing")
    return state, known


def _state_of_event(envelope: Fields) -> str:
    state = _STATE_OF_EVENT.get(_event_type(envelope))
    if state is None:
        raise RecordError("unknown_type", "eventType: expected an alarm's or an alarm task's event, came another")
    return state


def _state_alone(alarm: Fields) -> str:
    if (alarm.text("state") or "").lower() in ("updated", "changed"):
        return "updated"
    changed, raised = alarm.instant("alarmChangedTime"), alarm.instant("alarmRaisedTime")
    return "updated" if changed is not None and (raised is None or changed > raised) else "raised"


def _planned(alarm: Fields) -> bool:
    indicator = alarm.values.get("plannedOutageIndicator")
    if isinstance(indicator, str) and indicator.lower() in _PLANNED:
        return _PLANNED[indicator.lower()]
    return alarm.flag("plannedOutageIndicator", default=False)


def _event_time(state: str, envelope: Fields, alarm: Fields, timestamp_ms: int) -> int:
    of_event = (envelope, "eventTime")
    order = {
        "raised": [(alarm, "alarmRaisedTime"), of_event, (alarm, "alarmReportingTime")],
        "updated": [(alarm, "alarmChangedTime"), of_event],
        "cleared": [(alarm, "alarmClearedTime"), (alarm, "alarmChangedTime"), of_event],
    }[state]
    if _event_type(envelope) in _DELETIONS:
        order = [(alarm, "alarmClearedTime"), of_event]
    for fields, name in order:
        moment = fields.instant(name)
        if moment is not None:
            return moment
    if timestamp_ms < 0:
        raise RecordError("missing_field", f"{order[0][0].at(order[0][1])}: expected a time, came nothing")
    return timestamp_ms * 1000
