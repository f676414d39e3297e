from __future__ import annotations

import hmac
from functools import partial
from typing import Any

import orjson
import pytest

from schemas.codec import Decoded
from schemas.formats import decoder_for
from tests.unit.schemas.formats import reading
from tests.unit.schemas.formats.reading import at, fault

rows = partial(reading.rows, "network_fault", "mist")
row = partial(reading.row, "network_fault", "mist")
rejection = partial(reading.rejection, "network_fault", "mist")
nothing = partial(reading.nothing, "network_fault", "mist")

NOON = 1_777_377_600  # 2026-04-28T12:00:00Z


def alarm(**changes: Any) -> dict[str, Any]:
    """An event with all that Mist requires; a change to None takes the field away."""
    fields = {
        "id": "a-1",
        "org_id": "org-1",
        "site_id": "site-1",
        "type": "device_down",
        "severity": "critical",
        "group": "infrastructure",
        "aps": ["5c5b35000001"],
        "timestamp": NOON,
        "last_seen": NOON + 60,
    } | changes
    return {name: value for name, value in fields.items() if value is not None}


def call(*events: object) -> dict[str, Any]:
    return {"topic": "alarms", "events": list(events)}


DOWN = fault(
    fault_id="mist:site-1:device:5c5b35000001",
    element_id="5c5b35000001",
    element_type="ap",
    state="raised",
    severity="critical",
    probable_cause="device_down",
    source_system="mist",
    event_time=at("2026-04-28T12:00:00Z"),
)
UP = DOWN | {"state": "cleared", "severity": "cleared", "probable_cause": None}


def test_alarm_reads_when_a_device_goes_down() -> None:
    assert row(call(alarm())) == DOWN


def test_alarm_reads_when_only_required_fields_are_there() -> None:
    assert row(call(alarm(severity=None, group=None, aps=None))) == DOWN | {
        "fault_id": "mist:site-1:device:site-1",
        "element_id": "site-1",
        "element_type": "site",
        "severity": "indeterminate",
    }


@pytest.mark.parametrize(
    ("down", "up", "devices", "element_type", "subject"),
    [
        ("device_down", "device_reconnected", "aps", "ap", "device"),
        ("switch_down", "switch_up", "switches", "switch", "switch"),
        ("switch_down", "switch_reconnected", "switches", "switch", "switch"),
        ("gateway_down", "gateway_reconnected", "gateways", "gateway", "gateway"),
        ("vpn_peer_down", "vpn_peer_up", "gateways", "gateway", "vpn_peer"),
        ("cellular_edge_disconnected", "cellular_edge_connected", "gateways", "gateway", "cellular_edge"),
    ],
)
def test_clear_pairs_with_its_alarm_when_its_type_and_id_are_others(
    down: str, up: str, devices: str, element_type: str, subject: str
) -> None:
    where = {"aps": None, devices: ["d1"]}
    raised, cleared = rows(
        call(alarm(type=down, **where), alarm(id="a-2", type=up, severity="info", timestamp=NOON + 300, **where))
    )
    same = {"fault_id": f"mist:site-1:{subject}:d1", "element_id": "d1", "element_type": element_type}
    assert raised == DOWN | same | {"probable_cause": down}
    assert cleared == UP | same | {"event_time": at("2026-04-28T12:05:00Z")}


def test_faults_differ_when_devices_or_sites_differ() -> None:
    read = rows(call(alarm(), alarm(aps=["5c5b35000002"]), alarm(site_id="site-2"), alarm(type="uplink_down")))
    assert len({fault["fault_id"] for fault in read}) == 4


def test_events_give_a_row_each_when_a_record_carries_many() -> None:
    read = rows(call(alarm(), alarm(type="device_reconnected")), call(alarm(aps=["d2", "d3", "d2"])))
    assert [(fault["element_id"], fault["state"]) for fault in read] == [
        ("5c5b35000001", "raised"),
        ("5c5b35000001", "cleared"),
        ("d2", "raised"),
        ("d3", "raised"),
    ]


def test_rows_are_equal_when_organisation_and_site_both_send_the_event() -> None:
    of_site, of_org = rows(call(alarm(for_site=True)), call(alarm(id="a-99", for_site=False, event_id="e-5")))
    assert of_site == of_org == DOWN


def test_alarm_is_updated_when_it_says_so() -> None:
    assert row(call(alarm(update=True, count=3))) == DOWN | {
        "state": "updated",
        "event_time": at("2026-04-28T12:01:00Z"),
    }


@pytest.mark.parametrize(
    ("came", "read"), [("critical", "critical"), ("warn", "warning"), ("info", "indeterminate"), ("WARN", "warning")]
)
def test_severity_follows_x733_when_it_is_one_of_mists(came: str, read: str) -> None:
    assert row(call(alarm(severity=came)))["severity"] == read


@pytest.mark.parametrize(
    ("event", "read", "field"),
    [
        (alarm(severity="huge"), DOWN | {"severity": "indeterminate"}, "severity"),
        (alarm(severity="huge", type="device_reconnected"), UP, "severity"),
        (
            alarm(group="marvis", details={"state": "vanished"}),
            DOWN | {"fault_id": "mist:site-1:device_down:5c5b35000001"},
            "state",
        ),
    ],
    ids=["severity", "severity of a clear", "state"],
)
def test_alarm_is_kept_and_counted_when_a_word_of_it_is_unknown(
    event: dict[str, Any], read: dict[str, Any], field: str
) -> None:
    decoded = reading.decode("network_fault", "mist", call(alarm(), event))
    assert decoded.rows.drop("_row").to_dicts() == [DOWN, read]
    assert decoded.rejected == []
    assert decoded.unknown == {field: 1}


def test_time_keeps_its_fraction_when_seconds_have_one() -> None:
    assert row(call(alarm(timestamp=NOON + 0.25)))["event_time"] == at("2026-04-28T12:00:00.25Z")


@pytest.mark.parametrize(
    ("details", "state", "severity"),
    [
        ({"state": "open"}, "raised", "critical"),
        ({"state": "validated"}, "cleared", "cleared"),
        (None, "raised", "critical"),
    ],
)
def test_marvis_alarm_keeps_its_identity_when_it_is_validated(details: object, state: str, severity: str) -> None:
    read = row(call(alarm(group="marvis", type="bad_cable", aps=None, switches=["s1"], details=details)))
    assert read == DOWN | {
        "fault_id": "mist:site-1:bad_cable:s1",
        "element_id": "s1",
        "element_type": "switch",
        "state": state,
        "severity": severity,
        "probable_cause": None if state == "cleared" else "bad_cable",
    }


@pytest.mark.parametrize(
    "event", [alarm(group="security", type="rogue_ap"), alarm(type="device_restarted"), alarm(type="switch_restarted")]
)
def test_event_carries_no_row_when_it_is_no_outage(event: dict[str, Any]) -> None:
    assert nothing(call(event))


def test_call_carries_no_row_when_it_has_no_events() -> None:
    assert nothing(call())


def test_other_events_go_on_when_one_of_a_record_cannot_be_read() -> None:
    decoded = reading.decode(
        "network_fault", "mist", call(alarm(), alarm(type="loop_detected"), alarm(type="device_reconnected"), 7)
    )
    assert decoded.rows.drop("_row").to_dicts() == [DOWN, UP]
    assert decoded.rows["_row"].to_list() == [0, 0]
    assert [(record.row, record.reason) for record in decoded.rejected] == [(0, "unknown_type")]
    assert decoded.rejected[0].message.startswith("events[1].type: expected a type that ends in _down, ")
    assert decoded.empty == 0


@pytest.mark.parametrize(
    ("value", "reason", "message"),
    [
        (None, "null_value", "value: expected an object, came null"),
        ({"events": []}, "missing_field", "topic: expected a string, came nothing"),
        (
            {"topic": "audits", "events": []},
            "unknown_type",
            "topic: expected alarms, came another; send other topics elsewhere",
        ),
        ({"topic": "alarms"}, "missing_field", "events: expected an array, came nothing"),
        ({"topic": "alarms", "events": {}}, "wrong_type", "events: expected an array, came an object"),
        (call("down"), "wrong_type", "events[0]: expected an object, came a string"),
        (call(alarm(type=None)), "missing_field", "events[0].type: expected a string, came nothing"),
        (call(alarm(site_id=None)), "missing_field", "events[0].site_id: expected a string, came nothing"),
        (call(alarm(timestamp=None)), "missing_field", "events[0].timestamp: expected epoch seconds, came nothing"),
        (
            call(alarm(timestamp="noon")),
            "wrong_type",
            "events[0].timestamp: expected epoch seconds (a number), came another type",
        ),
        (
            call(alarm(timestamp=NOON * 1000_000)),
            "out_of_range",
            "events[0].timestamp: expected epoch seconds of years 1970 to 9999, came others",
        ),
        (call(alarm(severity=["x"])), "wrong_type", "events[0].severity: expected a string, came an array"),
        (call(alarm(aps=[["x"]])), "wrong_type", "events[0].aps[0]: expected a string, came an array"),
    ],
)
def test_call_is_rejected_when_it_cannot_be_read(value: object, reason: str, message: str) -> None:
    assert rejection(value) == (reason, message)


SECRET = b"a secret of Mist's"
BODY = orjson.dumps(call(alarm()))


def hmac_of(body: bytes, hash_name: str = "sha256", secret: bytes = SECRET) -> bytes:
    return hmac.digest(secret, body, hash_name).hex().encode()


def decode_signed(body: bytes | None, *headers: tuple[str, bytes | None]) -> Decoded:
    return decoder_for("network_fault", "mist", None, SECRET).decode(reading.block(body, headers={0: list(headers)}))


V2, V1 = "X-Mist-Signature-v2", "X-Mist-Signature"


@pytest.mark.parametrize(
    "headers",
    [
        [(V2, hmac_of(BODY))],
        [(V1, hmac_of(BODY, "sha1"))],
        [(V1, hmac_of(BODY, "sha1")), (V2, hmac_of(BODY))],
        [(V1, b"wrong"), (V2, hmac_of(BODY))],
        [(V2.lower(), hmac_of(BODY).upper() + b" ")],
        [(V2, b"wrong"), (V2, hmac_of(BODY))],
    ],
    ids=["sha-256", "sha-1", "both", "the newer decides", "any case", "the last counts"],
)
def test_call_reads_when_it_is_signed_with_the_secret(headers: list[tuple[str, bytes]]) -> None:
    decoded = decode_signed(BODY, *headers)
    assert decoded.rejected == []
    assert decoded.rows.drop("_row").to_dicts() == [DOWN]


@pytest.mark.parametrize(
    ("body", "headers", "message"),
    [
        (BODY, [], f"header {V2} or {V1}: expected a signature, came none"),
        (BODY, [(V2, None)], f"header {V2} or {V1}: expected a signature, came none"),
        (None, [], f"header {V2} or {V1}: expected a signature, came none"),
        (None, [(V2, hmac_of(BODY))], f"header {V2}: expected the value's HMAC by the secret, came another"),
        (b"{", [], f"header {V2} or {V1}: expected a signature, came none"),
        (BODY, [(V2, b"")], f"header {V2}: expected the value's HMAC by the secret, came another"),
        (BODY, [(V2, b"\xff")], f"header {V2}: expected the value's HMAC by the secret, came another"),
        (BODY, [(V2, hmac_of(BODY, "sha1"))], f"header {V2}: expected the value's HMAC by the secret, came another"),
        (
            BODY,
            [(V2, hmac_of(BODY, secret=b"another"))],
            f"header {V2}: expected the value's HMAC by the secret, came another",
        ),
        (BODY + b" ", [(V2, hmac_of(BODY))], f"header {V2}: expected the value's HMAC by the secret, came another"),
        (
            BODY,
            [(V1, hmac_of(BODY, "sha1")), (V2, b"wrong")],
            f"header {V2}: expected the value's HMAC by the secret, came another",
        ),
    ],
    ids=[
        "no header",
        "null header",
        "tombstone",
        "tombstone with a header",
        "no json",
        "empty",
        "no text",
        "other hash",
        "other secret",
        "other body",
        "the newer decides",
    ],
)
def test_call_is_refused_when_its_signature_is_missing_or_wrong(
    body: bytes | None, headers: list[tuple[str, bytes | None]], message: str
) -> None:
    decoded = decode_signed(body, *headers)
    assert decoded.rows.height == 0
    assert [(record.reason, record.message) for record in decoded.rejected] == [("bad_signature", message)]


def test_calls_are_judged_one_by_one_when_some_are_signed() -> None:
    signed: dict[int, Any] = {0: [(V2, hmac_of(BODY))], 2: [(V2, hmac_of(BODY))]}
    block = reading.block(BODY, BODY, BODY, headers=signed)
    decoded = decoder_for("network_fault", "mist", None, SECRET).decode(block)
    assert decoded.rows["_row"].to_list() == [0, 2]
    assert [(record.row, record.reason) for record in decoded.rejected] == [(1, "bad_signature")]


def test_signature_is_not_looked_at_when_there_is_no_secret() -> None:
    assert row(BODY, headers={0: [(V2, b"wrong")]}) == DOWN


def test_secret_does_not_show_when_the_decoder_is_printed() -> None:
    decoder = decoder_for("network_fault", "mist", None, SECRET)
    shown = f"{decoder!r} {vars(decoder)!r}"
    assert SECRET.decode() not in shown
