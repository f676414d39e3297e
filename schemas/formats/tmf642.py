"""TMF642 alarms (v4 and v5), alone or in an event's envelope, to `network_fault`.

Identity: `fault_id` is `sourceSystemId:id` (`externalAlarmId` where there is no `id`), so that two systems may number
their alarms alike.

Parent: the first of `parentAlarm` that is not the alarm itself, named in the same way; it is of the same system where
it does not say otherwise. The contract has room for one. `correlatedAlarm` makes no parent: where alarms are grouped it
names what is below (the children are the ones that get a `parentAlarm`), and elsewhere it has no direction.
`isRootCause` makes and unmakes none either: it names no alarm.

State: an alarm is *cleared* when its `perceivedSeverity` is cleared (or NORMAL), or its `state` says so, or
`alarmClearedTime` is set, or the event is a clear or a deletion; all of these give the same row. Else it is *updated*
by an event of change, or, where there is no envelope, when its `state` is updated or `alarmChangedTime` is later than
`alarmRaisedTime`; else *raised*.

Words: a `perceivedSeverity` that nobody knows must not cost an outage: it is *indeterminate*. A `state` that nobody
knows does not clear, a `plannedOutageIndicator` does not make the outage planned. All three are counted.

Time: the one that belongs to the state, for the others stay in the alarm for all its life. Raised: `alarmRaisedTime`,
the envelope's `eventTime`, `alarmReportingTime`. Updated: `alarmChangedTime`, `eventTime`. Cleared: `alarmClearedTime`,
`alarmChangedTime` (but not for a deletion, which changes nothing in the alarm), `eventTime`. Where none of them is
given, the record's Kafka timestamp.

`expectedClearTime` is no field of TMF642: systems that know when it will be over add it as an extension.

Source:
    TM Forum TMF642 Alarm Management API v4.0 and v5.0 (its tasks GroupAlarms and UnGroupAlarms for parents);
    severities: ITU-T X.733, 8.1.2.3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from schemas.codec.kernel import Longs
from schemas.codec.nested import FLAG, JSON, NOTHING, TEXT, TIME, Shape
from schemas.codec.nested_cells import Numbers
from schemas.errors import RecordError
from schemas.formats.adapter import Record, Row
from schemas.formats.columns import LISTS, TEXTUAL, Bools, Form, ManyFields, ManyRows, first_given, named
from schemas.formats.fields import Fields
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

# v4 gives `state` no enumeration; these are the words seen.
_STATES: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(("raised", "active", "new", "open", "created", "acknowledged", "unacknowledged"), "raised")
    | dict.fromkeys(("updated", "changed"), "updated")
    | dict.fromkeys(("cleared", "clear", "closed", "resolved", "terminated", "ceased", "inactive"), "cleared")
)

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

# v4 has the words InService and OutOfService, v5 and others cut them otherwise, older systems send a boolean.
_PLANNED: Mapping[str, bool] = MappingProxyType(
    {
        "true": True,
        "outofservice": True,
        "out_of_service": True,
        "planned": True,
        "plannedoutage": True,
        "false": False,
        "inservice": False,
        "in_service": False,
        "none": False,
        "notplanned": False,
    }
)


class Tmf642:
    """The adapter."""

    stream = "network_fault"
    name = "tmf642"
    headers_read = frozenset[str]()

    @property
    def forms(self) -> tuple[Form, ...]:
        """An alarm alone, and in an event in two ways."""
        return _FORMS

    def adapt(self, record: Record) -> list[Row]:
        """Turn one alarm, or one event that carries it, into one row."""
        envelope = record.fields()
        alarm = _alarm(envelope)
        if alarm is None:
            return []
        source = alarm.required_text("sourceSystemId")
        fault = _fault_id(alarm, source)
        state, severity = _condition(envelope, alarm)
        element_type = alarm.text("alarmedObjectType")
        return [
            {
                "fault_id": fault,
                "element_id": alarm.required_inner("alarmedObject").required_text("id"),
                "element_type": element_type.lower() if element_type else None,
                "state": state,
                "severity": severity,
                "probable_cause": alarm.text("probableCause"),
                "services": _services(alarm),
                "parent_fault_id": _parent(alarm, source, fault),
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
    return _name_of_event(envelope.text("eventType") or envelope.text("@type") or "")


def _name_of_event(event_type: str) -> str:
    return event_type.lower().removesuffix("event").removesuffix("notification")


def _fault_id(alarm: Fields, source: str) -> str:
    return f"{source}:{alarm.required_text('id', 'externalAlarmId')}"


def _services(alarm: Fields) -> list[str]:
    return services(service.required_text("id", "name") for service in alarm.objects("affectedService"))


def _parent(alarm: Fields, source: str, fault: str) -> str | None:
    """The first parent that is another alarm than this one."""
    parents = alarm.objects("parentAlarm")
    named = (_fault_id(parent, parent.text("sourceSystemId") or source) for parent in parents)
    return next((parent for parent in named if parent != fault), None)


def _condition(envelope: Fields, alarm: Fields) -> tuple[str, str]:
    """The alarm's state and its severity."""
    stated = alarm.word("state", _STATES, otherwise="raised")
    severity = alarm.word("perceivedSeverity", _SEVERITIES, otherwise="indeterminate")
    state = _state_of_event(envelope) if envelope is not alarm else _state_alone(alarm, stated)
    if "cleared" in (state, severity, stated) or alarm.instant("alarmClearedTime") is not None:
        return "cleared", "cleared"
    if severity is None:
        raise RecordError("missing_field", f"{alarm.at('perceivedSeverity')}: expected a string, came nothing")
    return state, severity


def _state_of_event(envelope: Fields) -> str:
    state = _STATE_OF_EVENT.get(_event_type(envelope))
    if state is None:
        raise RecordError("unknown_type", "eventType: expected an alarm's or an alarm task's event, came another")
    return state


def _state_alone(alarm: Fields, stated: str | None) -> str:
    if stated == "updated":
        return "updated"
    changed, raised = alarm.instant("alarmChangedTime"), alarm.instant("alarmRaisedTime")
    return "updated" if changed is not None and (raised is None or changed > raised) else "raised"


def _planned(alarm: Fields) -> bool:
    if isinstance(alarm.values.get("plannedOutageIndicator"), bool):
        return alarm.flag("plannedOutageIndicator", default=False)
    return alarm.word("plannedOutageIndicator", _PLANNED, otherwise=False) or False


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


def _many_rows(envelopes: ManyFields, alarms: ManyFields) -> ManyRows:
    """The rows of many alarms of known words, with one parent at most; where they are alone both are the same."""
    times = {name: alarms.instant(f"alarm{name}Time") for name in ("Raised", "Changed", "Cleared", "Reporting")}
    stated = alarms.number_meaning("state", partial(_place_of_word, _STATES, _STATE_NAMES), otherwise=-1)
    severity = alarms.number_meaning(
        "perceivedSeverity", partial(_place_of_word, _SEVERITIES, _SEVERITY_NAMES), otherwise=-1
    )
    event_type = envelopes.notes("eventType", "@type")
    if envelopes is alarms:
        raised, changed = times["Raised"], times["Changed"]
        later = ~changed.null & (raised.null | (changed.values > raised.values))
        state = np.where((stated == _UPDATED) | later, _UPDATED, _RAISED)
    else:
        state = envelopes.number_meaning(envelopes.required("eventType", "@type"), _place_of_event, otherwise=-1)
    over = (state == _CLEARED) | (stated == _CLEARED) | (severity == _OVER) | ~times["Cleared"].null
    alarms.leave(~over & (severity < 0))
    state = np.where(over, _CLEARED, state)
    deleted = envelopes.flag_meaning(event_type, lambda name: _name_of_event(name) in _DELETIONS, otherwise=False)
    source, number = alarms.required("sourceSystemId"), alarms.required("id", "externalAlarmId")
    fault, expected = alarms.joined(source, number, separator=":"), alarms.instant("expectedClearTime")
    return ManyRows(
        alarms,
        {
            "fault_id": fault,
            "element_id": alarms.inner("alarmedObject").required_text("id"),
            "element_type": alarms.meaning("alarmedObjectType", str.lower),
            "state": named(_STATE_NAMES, state),
            "severity": named(_SEVERITY_NAMES, np.where(over, _OVER, severity)),
            "probable_cause": alarms.text("probableCause"),
            "services": alarms.meaning("affectedService", _services_of_json, LISTS, otherwise=[]),
            "parent_fault_id": _many_parents(alarms, source, fault),
            "planned": alarms.flag_meaning("plannedOutageIndicator", _planned_of_json, otherwise=False),
            "service_affecting": alarms.flag("serviceAffecting", default=True),
            "source_system": alarms.text(source),
            "event_time": _many_times(times, state, deleted, envelopes),
            "expected_clear_time": Numbers(expected.values, expected.null | over, expected.unfit),
        },
    )


def _many_of_events(envelopes: ManyFields, *, inner: bool) -> ManyRows:
    """The rows of events that bring an alarm, as `alarm` in `event` or as `event` itself."""
    event = envelopes.inner("event")
    envelopes.leave(~envelopes.is_there("event"))
    if inner:
        event.leave(~event.is_there("alarm"))
    return _many_rows(envelopes, event.inner("alarm") if inner else event)


def _many_times(times: Mapping[str, Numbers], state: Longs, deleted: Bools, envelopes: ManyFields) -> Numbers:
    """As `_event_time`."""
    of_event, changed = envelopes.instant("eventTime"), times["Changed"]
    raised = times["Raised"].or_else(of_event).or_else(times["Reporting"])
    cleared = times["Cleared"].or_else(changed.where(~deleted)).or_else(of_event)
    found = raised.where(state == _RAISED).or_else(changed.or_else(of_event).where(state == _UPDATED))
    return found.or_else(cleared.where(state == _CLEARED)).or_else(envelopes.kafka_time())


def _many_parents(alarms: ManyFields, source: Longs, fault: pa.Array) -> pa.Array:
    """The one parent of each alarm, where that is another."""
    parents = alarms.objects("parentAlarm")
    parents.leave(parents.ordinals > 0)
    system = first_given(parents.notes("sourceSystemId"), source[parents.parents])
    named = parents.joined(system, parents.required("id", "externalAlarmId"), separator=":")
    named = pc.if_else(pc.equal(named, fault.take(pa.array(parents.parents))), pa.scalar(None, TEXTUAL), named)
    return parents.first(named)


def _place_of_word(known: Mapping[str, str], names: tuple[str, ...], came: str) -> int:
    return _place(known, names, came.strip().lower())


def _place(known: Mapping[str, str], names: tuple[str, ...], word: str) -> int:
    """Which of some names a word means.

    Raises:
        RecordError: It is not known: `adapt` must count it.
    """
    if word not in known:
        raise RecordError("unknown_type", "expected a known word, came another")
    return names.index(known[word])


def _place_of_event(event_type: str) -> int:
    return _place(_STATE_OF_EVENT, _STATE_NAMES, _name_of_event(event_type))


def _services_of_json(written: str) -> list[str]:
    return _services(Fields.of({"affectedService": orjson.loads(written)}))


def _planned_of_json(written: str) -> bool:
    alarm = Fields.of({"plannedOutageIndicator": orjson.loads(written)})
    planned = _planned(alarm)
    if alarm.unknown:
        raise RecordError("unknown_type", "expected a known word, came another")
    return planned


_STATE_NAMES = ("raised", "updated", "cleared")
_RAISED, _UPDATED, _CLEARED = range(3)
_SEVERITY_NAMES = tuple(dict.fromkeys(_SEVERITIES.values()))
_OVER = _SEVERITY_NAMES.index("cleared")
_ALARM: Mapping[str, Shape] = MappingProxyType(
    {
        **dict.fromkeys(("id", "externalAlarmId", "sourceSystemId", "state", "perceivedSeverity"), TEXT),
        **dict.fromkeys(("alarmedObjectType", "probableCause"), TEXT),
        **dict.fromkeys(("alarmRaisedTime", "alarmChangedTime", "alarmClearedTime", "alarmReportingTime"), TIME),
        "expectedClearTime": TIME,
        "alarmedObject": {"id": TEXT},
        "affectedService": JSON,
        "parentAlarm": [dict.fromkeys(("id", "externalAlarmId", "sourceSystemId"), TEXT)],
        "plannedOutageIndicator": JSON,
        "serviceAffecting": FLAG,
    }
)
_ENVELOPE: Mapping[str, Shape] = MappingProxyType({"eventType": TEXT, "@type": TEXT, "eventTime": TIME})
_FORMS = (
    Form.of({**_ENVELOPE, "event": {"alarm": _ALARM}}, partial(_many_of_events, inner=True)),
    Form.of({**_ENVELOPE, "event": {**_ALARM, "alarm": NOTHING}}, partial(_many_of_events, inner=False)),
    Form.of({**_ENVELOPE, **_ALARM, "event": NOTHING}, lambda alarms: _many_rows(alarms, alarms)),
)
