from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.unit.schemas.formats import reading
from tests.unit.schemas.formats.reading import RECEIVED, at, fault

rows = partial(reading.rows, "network_fault", "junos_syslog")
row = partial(reading.row, "network_fault", "junos_syslog")
rejection = partial(reading.rejection, "network_fault", "junos_syslog")
nothing = partial(reading.nothing, "network_fault", "junos_syslog")


def link(state: str = "DOWN", **changes: str | None) -> bytes:
    """A link's message as Junos writes it; a change to None takes the parameter away."""
    fields = {
        "priority": "28",
        "time": "2026-04-28T23:12:48.188+08:00",
        "host": "HOST",
        "sd_id": "junos@2636.1.1.1.2.25",
        "index": "738",
        "admin": "up(1)",
        "operational": "down(2)" if state == "DOWN" else "up(1)",
        "interface": "ge-3/1/7",
    } | changes
    parameters = {
        "snmp-interface-index": fields["index"],
        "admin-status": fields["admin"],
        "operational-status": fields["operational"],
        "interface-name": fields["interface"],
    }
    data = "".join(f' {name}="{value}"' for name, value in parameters.items() if value is not None)
    return (
        f"<{fields['priority']}>1 {fields['time']} {fields['host']} mib2d 18654 SNMP_TRAP_LINK_{state} "
        f"[{fields['sd_id']}{data}] ifIndex 738, ifAdminStatus up(1), ifOperStatus down(2), ifName ge-3/1/7"
    ).encode()


def other(message_id: str, data: str = "-") -> bytes:
    return f"<28>1 2026-04-28T23:12:48.188+08:00 HOST chassisd 1509 {message_id} {data} text".encode()


DOWN = fault(
    fault_id="junos:HOST:link:ge-3/1/7",
    element_id="HOST:ge-3/1/7",
    element_type="interface",
    state="raised",
    severity="warning",
    probable_cause="SNMP_TRAP_LINK_DOWN",
    source_system="junos",
    event_time=at("2026-04-28T15:12:48.188Z"),
)
UP = DOWN | {"state": "cleared", "severity": "cleared", "probable_cause": None}


def test_fault_reads_when_a_link_goes_down() -> None:
    assert row(link()) == DOWN


def test_clear_pairs_with_its_fault_when_the_link_comes_up() -> None:
    up = link("UP", priority="30", time="2026-04-28T15:20:00Z", index="739")
    assert rows(link(), up) == [DOWN, UP | {"event_time": at("2026-04-28T15:20:00Z")}]


def test_message_reads_when_a_forwarder_wraps_it() -> None:
    assert row({"message": link().decode(), "@timestamp": "2026-04-28T15:12:49Z"}) == DOWN
    assert row(b'\n {"message": "' + link().replace(b'"', b'\\"') + b'"}') == DOWN


def test_faults_differ_when_hosts_or_interfaces_differ() -> None:
    read = rows(link(), link(host="HOST2"), link(interface="ge-3/1/8"), link(interface="ge-3/1/7.0"))
    assert len({fault["fault_id"] for fault in read}) == 4
    assert len({fault["element_id"] for fault in read}) == 4


def test_element_of_junos_is_read_when_there_are_others() -> None:
    two = link().replace(b"[junos", b'[origin@1 interface-name="x"][junos').replace(b"2636.1.1.1.2.25", b"2636")
    assert row(two) == DOWN


@pytest.mark.parametrize("admin", ["down(2)", "testing(3)", "Down"])
def test_fault_carries_no_row_when_an_operator_took_the_link_down(admin: str) -> None:
    assert nothing(link(admin=admin))


@pytest.mark.parametrize("admin", ["up(1)", "down(2)", None])
def test_link_clears_when_it_comes_up_whatever_operators_want(admin: str | None) -> None:
    assert row(link("UP", admin=admin)) == UP


@pytest.mark.parametrize(("admin", "unknown"), [(None, {}), ("", {}), ("asleep(9)", {"admin-status": 1})])
def test_fault_is_kept_and_counted_when_its_admin_status_is_unknown(admin: str | None, unknown: dict[str, int]) -> None:
    decoded = reading.decode("network_fault", "junos_syslog", link(admin=admin))
    assert decoded.rows.drop("_row").to_dicts() == [DOWN]
    assert decoded.rejected == []
    assert decoded.unknown == unknown


@pytest.mark.parametrize(
    ("severity", "read"),
    [
        (0, "critical"),
        (1, "critical"),
        (2, "major"),
        (3, "minor"),
        (4, "warning"),
        (5, "indeterminate"),
        (6, "indeterminate"),
        (7, "indeterminate"),
    ],
)
def test_severity_follows_rfc_5674_when_the_priority_has_any(severity: int, read: str) -> None:
    assert row(link(priority=str(3 * 8 + severity))) == DOWN | {"severity": read}


def test_time_is_kafkas_when_the_message_has_none() -> None:
    assert row(link(time="-")) == DOWN | {"event_time": RECEIVED}


@pytest.mark.parametrize(
    "value",
    [
        other("CHASSISD_FRU_OFFLINE_NOTICE", '[junos@2636.1.1.1.2.29 fru="PEM 1"]'),
        other("CHASSISD_VCHASSIS_MEMBER_UPDATE_NOTICE"),
        other("UI_COMMIT", '[junos@2636.1.1.1.2.29 username="netops" command="commit"]'),
        other("-"),
        {"message": other("UI_COMMIT_PROGRESS").decode()},
    ],
    ids=["chassis", "long message id", "commit", "no message id", "wrapped"],
)
def test_message_carries_no_row_when_it_is_about_no_link(value: Any) -> None:
    assert nothing(value)


@pytest.mark.parametrize(
    ("value", "reason", "message"),
    [
        (None, "null_value", "value: expected a syslog message, came null"),
        (b"", "malformed_syslog", "PRI: expected <0> to <191>, came the end at character 0"),
        (b"link down", "malformed_syslog", "PRI: expected <0> to <191>, came something else at character 0"),
        (
            b"<28>Apr 28 15:12:48 HOST mib2d[18654]: SNMP_TRAP_LINK_DOWN: ifIndex 738",
            "malformed_syslog",
            "VERSION: expected 1 (RFC 5424), came another or none",
        ),
        (b"{", "malformed_json", "expected JSON, came something else at character 1"),
        ({"msg": "x"}, "missing_field", "message: expected a string, came nothing"),
        ({"message": ["x"]}, "wrong_type", "message: expected a string, came an array"),
        (
            {"message": "x"},
            "malformed_syslog",
            "PRI: expected <0> to <191>, came something else at character 0",
        ),
        (link(host="-"), "missing_field", "HOSTNAME: expected a host, came nothing"),
        (
            link(interface=None),
            "missing_field",
            "STRUCTURED-DATA.interface-name: expected a name, came nothing",
        ),
        (
            link(interface=""),
            "missing_field",
            "STRUCTURED-DATA.interface-name: expected a name, came nothing",
        ),
        (
            link(sd_id="junos@26360"),
            "missing_field",
            "STRUCTURED-DATA: expected an element junos@2636, came none",
        ),
        (
            other("SNMP_TRAP_LINK_DOWN"),
            "missing_field",
            "STRUCTURED-DATA: expected an element junos@2636, came none",
        ),
        (
            link(time="2026-04-28T23:12:48"),
            "wrong_type",
            "TIMESTAMP: expected an ISO 8601 time with offset, came another text",
        ),
    ],
)
def test_message_is_rejected_when_it_cannot_be_read(value: object, reason: str, message: str) -> None:
    assert rejection(value) == (reason, message)


def test_message_is_rejected_when_nothing_says_when() -> None:
    rejected = rejection(link(time="-"), timestamp_ms=-1)
    assert rejected == ("missing_field", "TIMESTAMP: expected a time, came nothing")
