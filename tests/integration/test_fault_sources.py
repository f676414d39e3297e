"""Faults as routers and webhooks send them, through `signalbox run` to the customers, on the embedded broker."""

from __future__ import annotations

import hmac
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from confluent_kafka import Producer

from connectors.broker import EmbeddedBroker, free_port
from connectors.kafka import KafkaConfig, create_topics
from connectors.metrics import read_counters
from connectors.tables import read_table
from connectors.topics import load_topics
from flows.data_directory import DataDirectory
from flows.topic_plan import planned_partitions
from privacy import Keyring
from tests.integration.byte_scan import ByteScan, pieces_of_directory

FLOW = "fault-notifications"
PATIENCE_SECONDS = 90.0
SECRET = "the webhook's secret"
DOWN = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
UP = DOWN + timedelta(minutes=10)
TOPICS = """
["network.topology"]
stream = "network_topology"
format = "canonical"

["crm.changes"]
stream = "crm_change"
format = "canonical"

["usage.events"]
stream = "usage_event"
format = "canonical"

["faults.junos"]
stream = "network_fault"
format = "junos_syslog"

["faults.mist"]
stream = "network_fault"
format = "mist"
secret_env = "SIGNALBOX_MIST_SECRET"
"""


def element(element_id: str, kind: str, parent_id: str | None = None, site_id: str | None = None) -> bytes:
    since = (DOWN - timedelta(days=1)).isoformat()
    row = {"element_id": element_id, "element_type": kind, "parent_id": parent_id, "site_id": site_id}
    return orjson.dumps(row | {"event_time": since})


def customer(customer_id: str, site_id: str) -> bytes:
    row = {"customer_id": customer_id, "op": "create", "source_system": "crm", "site_id": site_id, "status": "active"}
    contact = {"msisdn": "+36201234567", "channels": ["sms"], "consent": ["sms"]}
    return orjson.dumps(row | contact | {"event_time": (DOWN - timedelta(days=1)).isoformat()})


def link(state: str, time: datetime, interface: str = "ge-3/1/7", admin: str = "up(1)") -> bytes:
    return (
        f"<28>1 {time.isoformat()} r1 mib2d 18654 SNMP_TRAP_LINK_{state} [junos@2636.1.1.1.2.25 "
        f'admin-status="{admin}" interface-name="{interface}"] ifName {interface}'
    ).encode()


def call(device: str, severity: str) -> bytes:
    event = {"site_id": "s", "type": "switch_down", "severity": severity, "switches": [device]}
    return orjson.dumps({"topic": "alarms", "events": [event | {"timestamp": round(DOWN.timestamp())}]})


def signed(body: bytes) -> dict[str, str | bytes | None]:
    return {"X-Mist-Signature-v2": hmac.digest(SECRET.encode(), body, "sha256").hex()}


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An installation with two sites behind one router, one behind a switch, and what happened to them."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "topics.toml").write_text(TOPICS)
    (tmp_path / "signalbox.toml").write_text('[fault-notifications]\nmin_severity = "warning"\n')
    Keyring.create(tmp_path / "data" / "keyring.json")
    with EmbeddedBroker() as broker:
        create_topics(
            KafkaConfig(broker.brokers), planned_partitions(load_topics(tmp_path / "data" / "topics.toml"), 1, 1)
        )
        producer = Producer({"bootstrap.servers": broker.brokers})
        for row in (
            element("r1", "router"),
            element("r1:ge-3/1/7", "interface", "r1"),
            element("port-site", "site", "r1:ge-3/1/7", "port-site"),
            element("other-site", "site", "r1", "other-site"),
            element("d1", "switch"),
            element("switch-site", "site", "d1", "switch-site"),
        ):
            producer.produce("network.topology", row)
        for number, site in enumerate(("port-site", "other-site", "switch-site")):
            producer.produce("crm.changes", customer(f"C-{number}", site))
        for message in (
            link("DOWN", DOWN),
            f"<29>1 {DOWN.isoformat()} r1 mgd 4410 UI_COMMIT - commit".encode(),
            link("DOWN", DOWN, interface="ge-3/1/8", admin="down(2)"),
            b"<28>Apr 28 12:00:00 r1 mib2d[18654]: SNMP_TRAP_LINK_DOWN: ifName ge-3/1/7",
            link("UP", UP),
        ):
            producer.produce("faults.junos", message)
        for body, headers in (
            (call("d1", "critical"), signed(call("d1", "critical"))),
            (call("d2", "unheard of"), signed(call("d2", "unheard of"))),
            (call("r1", "critical"), signed(call("d1", "critical"))),
            (call("r1", "critical"), {}),
        ):
            producer.produce("faults.mist", body, headers=headers)
        assert producer.flush(30) == 0
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SIGNALBOX_")}
        yield inherited | {
            "SIGNALBOX_BROKERS": broker.brokers,
            "SIGNALBOX_DATA_DIR": str(tmp_path / "data"),
            "SIGNALBOX_METRICS_ADDRESS": f"127.0.0.1:{free_port()}",
            "SIGNALBOX_MIST_SECRET": SECRET,
        }


def run(environment: dict[str, str], tmp_path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "import sys; from flows.cli import main; sys.exit(main())", "run", FLOW]
    command += ["--until-caught-up", "--config", str(tmp_path / "signalbox.toml")]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )


def counted(data_dir: Path, name: str) -> dict[tuple[str, ...], int]:
    found: Counter[tuple[str, ...]] = Counter()
    for (series, labels), total in read_counters(DataDirectory(data_dir).metrics(FLOW)).items():
        if series == name:
            found[tuple(value for _, value in labels)] += total
    return dict(found)


def test_customers_hear_of_a_link_and_of_a_signed_alarm_when_both_come_in_their_own_formats(environment, tmp_path):
    ended = run(environment, tmp_path)
    assert ended.returncode == 0, ended.stderr
    data = tmp_path / "data"
    incidents = read_table(data, "incidents").unique("incident_id").select("incident_id", "element_id")
    told = read_table(data, "notifications").join(incidents, on="incident_id")
    assert sorted(told.select("element_id", "phase").rows()) == [
        ("d1", "raised"),
        ("r1:ge-3/1/7", "cleared"),
        ("r1:ge-3/1/7", "raised"),
    ]
    assert counted(data, "records_rejected") == {
        ("malformed_syslog", "faults.junos"): 1,
        ("bad_signature", "faults.mist"): 2,
    }
    assert counted(data, "unknown_values") == {("severity", "faults.mist"): 1}
    assert counted(data, "records")["used", "faults.junos"] == 4
    pieces = [*pieces_of_directory(data), ("output", (ended.stdout + ended.stderr).encode())]
    assert len(pieces) > 20
    assert ByteScan([SECRET]).find(pieces) == []


def test_flow_does_not_start_when_a_secret_is_not_set(environment, tmp_path):
    del environment["SIGNALBOX_MIST_SECRET"]
    ended = run(environment, tmp_path)
    assert ended.returncode == 2
    assert (
        '["faults.mist"] expects its secret in SIGNALBOX_MIST_SECRET, which is not set: set it, or take secret_env out'
        in ended.stderr
    )
    assert "Traceback" not in ended.stderr
