"""Faults as network management systems tell of them: TMF642 alarms, Mist webhooks, canonical rows.

Source:
    TM Forum TMF642 Alarm Management API v4.0; Juniper Mist, "Webhook Topics".
"""

from __future__ import annotations

from typing import Any

import orjson

from benchmarks.workload.clock import Clock
from benchmarks.workload.faults import Fault, FaultStep

TMF642_TOPIC = "network.faults.tmf642"
MIST_TOPIC = "network.faults.mist"
_EVENT_OF_STATE = {
    "raised": "AlarmCreateEvent",
    "updated": "AlarmAttributeValueChangeEvent",
    "cleared": "AlarmStateChangeEvent",
}
_MIST_SEVERITIES = {"critical": "critical", "warning": "warn", "cleared": "info"}
_ORGANISATION = "9777c1a0-6ef6-11e6-8bbf-02e208b2d34f"


def canonical_fault(fault: Fault, step: FaultStep, clock: Clock) -> dict[str, Any]:
    """The row of `network_fault`."""
    expected = step.expected_clear_us
    return {
        "fault_id": fault.fault_id,
        "element_id": fault.element.element_id,
        "element_type": fault.element.kind,
        "state": step.state,
        "severity": step.severity,
        "probable_cause": fault.cause,
        "services": fault.services,
        "parent_fault_id": fault.parent.fault_id if fault.parent else None,
        "planned": fault.planned,
        "service_affecting": fault.service_affecting,
        "source_system": "oss",
        "event_time": clock.at(step.time_us),
        "expected_clear_time": None if expected is None else clock.at(expected),
    }


def tmf642_alarm(fault: Fault, step: FaultStep, clock: Clock) -> bytes:
    """One alarm, in an event's envelope or alone; systems differ in case, in types, and in how they clear."""
    system, _, alarm_id = fault.fault_id.partition(":")
    shout = fault.number % 3 == 0
    first = fault.steps[0]
    raised = max((s.time_us for s in fault.steps if s.state == "raised" and s.time_us <= step.time_us), default=0)
    alarm: dict[str, Any] = {
        "id": int(alarm_id) if fault.number % 4 == 0 else alarm_id,
        "sourceSystemId": system,
        "alarmType": "environmentalAlarm" if fault.cause == "overheating" else "equipmentAlarm",
        "perceivedSeverity": step.severity.upper() if shout else step.severity,
        "probableCause": fault.cause,
        "alarmedObject": {"id": fault.element.element_id, "href": f"/inventory/{fault.element.element_id}"},
        "alarmedObjectType": fault.element.kind,
        "state": step.state,
        "alarmRaisedTime": clock.iso(raised),
        "serviceAffecting": str(fault.service_affecting).lower() if shout else fault.service_affecting,
        "plannedOutageIndicator": fault.planned,
        "affectedService": [{"id": f"svc-{service}-01", "href": f"/service/{service}"} for service in fault.services],
    }
    if fault.parent is not None:
        alarm["parentAlarm"] = [{"id": fault.parent.fault_id.partition(":")[2], "href": "/alarm"}]
    if step.expected_clear_us is not None:
        alarm["expectedClearTime"] = clock.iso(step.expected_clear_us)
    if step.state == "updated":
        alarm["alarmChangedTime"] = clock.iso(step.time_us)
    if step.state == "cleared":
        _clear(alarm, fault, first, clock.iso(step.time_us))
    if fault.number % 5 == 0:
        return orjson.dumps(alarm)
    event_id = f"{fault.fault_id}/{step.time_us}"
    return orjson.dumps(
        {
            "eventId": event_id,
            "eventTime": clock.iso(step.time_us),
            "eventType": _EVENT_OF_STATE[step.state],
            "event": {"alarm": alarm} if fault.number % 2 else alarm,
        }
    )


def _clear(alarm: dict[str, Any], fault: Fault, first: FaultStep, at: str) -> None:
    """The three ways in which a clear arrives."""
    match fault.number % 3:
        case 0:
            alarm["perceivedSeverity"] = "NORMAL"
            alarm["alarmClearedTime"] = at
        case 1:
            alarm["perceivedSeverity"] = first.severity
            alarm["alarmChangedTime"] = at
        case _:
            alarm["perceivedSeverity"] = first.severity
            alarm["state"] = "raised"
            alarm["alarmClearedTime"] = at


def mist_webhook(fault: Fault, step: FaultStep, clock: Clock, *, organisation: bool = False) -> bytes:
    """One webhook call with one event; the organisation's webhook repeats what the site's has said."""
    seconds = clock.at(step.time_us) // 1_000_000
    subject = fault.fault_id.split(":")[2]
    event: dict[str, Any] = {
        "id": f"{fault.number:08x}-{step.time_us:x}-{'org' if organisation else 'site'}",
        "org_id": _ORGANISATION,
        "site_id": fault.hub_site_id,
        "type": f"{subject}_reconnected" if step.state == "cleared" else f"{subject}_down",
        "group": "infrastructure",
        "severity": _MIST_SEVERITIES[step.severity],
        "timestamp": seconds,
        "last_seen": seconds,
        "count": 1,
    }
    if step.state == "updated":
        event["update"] = True
    if not organisation:
        event["for_site"] = True
    if fault.element.kind == "router":
        event["gateways"] = [fault.element.element_id]
    return orjson.dumps({"topic": "alarms", "events": [event]})
