"""Junos structured syslog (RFC 5424 with structured data) to `network_fault`: links that go down and come up.

The value is the message as the router sent it, or `{"message": "…"}` around it, as some forwarders write it.

A syslog stream is mostly no faults. `SNMP_TRAP_LINK_DOWN` and `SNMP_TRAP_LINK_UP` carry a row, every other MSGID is
understood to carry none. The chassis' alarms (`CHASSISD_*`, alarmd) are left out: no source at hand says which of their
messages is the clear of which, nor what their structured data holds.

Identity: `fault_id` is `junos:host:link:interface`, for the clear is another MSGID. Element: `host:interface`, of type
`interface`, and not the host: one port that is down must not tell everybody behind the router. The topology says
what hangs on an interface. Physical interfaces and their units (`ge-3/1/7`, `ge-3/1/7.0`) are elements of their own.

Severity: the PRI's, as RFC 5674 maps X.733 to it: alert (and emergency) is *critical*, critical is *major*, error is
*minor*, warning is *warning*, anything below is *indeterminate*. Junos sends a link's fall as a warning.

State: down is *raised*, up is *cleared*. A link whose `admin-status` is down or testing was taken down by an operator,
so its fall carries no row; its rise always clears.

Time: the message's; the record's Kafka timestamp where that is nil.

Source:
    Juniper, Junos OS System Log Messages Reference: "SNMP System Log Messages", "Interpreting Messages Generated in
    Structured-Data Format"; RFC 5674, section 2; RFC 2863 (ifAdminStatus).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

from schemas.codec import parse_json
from schemas.errors import RecordError
from schemas.formats.adapter import Record, Row
from schemas.formats.fields import Fields
from schemas.formats.syslog import SyslogMessage, parse_syslog

_STATES: Mapping[str, str] = MappingProxyType({"SNMP_TRAP_LINK_DOWN": "raised", "SNMP_TRAP_LINK_UP": "cleared"})

# by the PRI's severity, from emergency to debug
_SEVERITIES = (
    "critical",
    "critical",
    "major",
    "minor",
    "warning",
    "indeterminate",
    "indeterminate",
    "indeterminate",
)

# `admin-status`, without its number: whether an operator wants the link down
_BY_OPERATOR: Mapping[str, bool] = MappingProxyType({"up": False, "down": True, "testing": True})

_ENTERPRISE = "junos@2636"


class JunosSyslog:
    """The adapter."""

    stream = "network_fault"
    name = "junos_syslog"

    def adapt(self, record: Record) -> list[Row]:
        """Turn one message into one row; none where it is about no link, or about what an operator did."""
        message = parse_syslog(_message(record))
        state = _STATES.get(message.message_id or "")
        if state is None:
            return []
        link = _parameters(message)
        if state == "raised" and _by_operator(link, record.unknown):
            return []
        if message.host is None:
            raise RecordError("missing_field", "HOSTNAME: expected a host, came nothing")
        interface = link.get("interface-name")
        if not interface:
            raise RecordError("missing_field", "STRUCTURED-DATA.interface-name: expected a name, came nothing")
        return [
            {
                "fault_id": f"junos:{message.host}:link:{interface}",
                "element_id": f"{message.host}:{interface}",
                "element_type": "interface",
                "state": state,
                "severity": "cleared" if state == "cleared" else _SEVERITIES[message.severity],
                "probable_cause": None if state == "cleared" else message.message_id,
                "source_system": "junos",
                "event_time": _event_time(message, record.timestamp_ms),
            }
        ]


def _message(record: Record) -> bytes:
    """The message, out of a forwarder's object if it is in one: a message begins with <, an object with {."""
    if record.raw is None:
        raise RecordError("null_value", "value: expected a syslog message, came null")
    if record.raw.lstrip().startswith(b"{"):
        return Fields.of(parse_json(record.raw)).required_text("message").encode()
    return record.raw


def _parameters(message: SyslogMessage) -> Mapping[str, str]:
    """The parameters of Junos' own element, whose SD-ID is the enterprise's number and the platform's."""
    for name, parameters in message.elements.items():
        if name == _ENTERPRISE or name.startswith(f"{_ENTERPRISE}."):
            return parameters
    raise RecordError("missing_field", f"STRUCTURED-DATA: expected an element {_ENTERPRISE}, came none")


def _by_operator(link: Mapping[str, str], unknown: Counter[str]) -> bool:
    """Whether an operator took the link down; a status we do not know is counted, and the link is a fault."""
    status = link.get("admin-status", "").partition("(")[0].strip().lower() or "up"
    if status not in _BY_OPERATOR:
        unknown["admin-status"] += 1
    return _BY_OPERATOR.get(status, False)


def _event_time(message: SyslogMessage, timestamp_ms: int) -> int:
    if message.time is not None:
        return message.time
    if timestamp_ms < 0:
        raise RecordError("missing_field", "TIMESTAMP: expected a time, came nothing")
    return timestamp_ms * 1000
