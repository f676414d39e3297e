"""Keys rotate and a customer is forgotten while a flow runs: it does not stop and says nothing twice; what it said can
be joined, and opened but for what was forgotten."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Any

import orjson
import polars as pl
import pytest
from confluent_kafka import Producer

from connectors.broker import ApacheKafka
from connectors.kafka import KafkaConfig
from connectors.tables import read_table
from flows.topic_plan import NOTIFICATION_TOPICS
from privacy import Keyring, Tokenizer
from tests.installation import FLOW, PATIENCE_SECONDS, Command, Installation, new_installation, wait_until

pytestmark = pytest.mark.kafka

Notification = dict[str, Any]

PARTITIONS = {"network.faults": 1, "network.topology": 1, "crm.changes": 2, "usage.events": 2}
CUSTOMERS = 40
WORKERS = 2
ROWS_PER_SECOND = 200
FORGOTTEN = "C8"
LOST = "the customer of this token was forgotten: nobody can open it, with this keyring or a later one"
TAKEN_UP = "keyring taken up"
EMAILS = {f"C{number}": f"ada.{number}@example.org" for number in range(0, CUSTOMERS, 2)}
POLICY = """
[care]
email = ["complaint"]
msisdn = ["complaint"]
[billing]
name = ["complaint"]
"""
MSISDNS = {f"C{number}": f"4477009{number:05}" for number in range(1, CUSTOMERS, 2)}


class Operator(Thread):
    """A small telco: everybody lives on one site, changes their profile and uses the network all the time."""

    def __init__(self, installation: Installation) -> None:
        super().__init__(name="operator", daemon=True)
        self.crm_changes = 0
        self._installation = installation
        self._producer = Producer(installation.kafka.producer())
        self._ended = Event()

    def run(self) -> None:
        number = 0
        while not self._ended.wait(2 / ROWS_PER_SECOND):
            self.change(f"C{number % CUSTOMERS}")
            row = {"event_id": f"u{number}", "customer_id": f"C{number * 7 % CUSTOMERS}", "kind": "data"}
            self._send("usage.events", row | {"cell_id": "cell"}, number % 2)
            number += 1

    def change(self, customer: str) -> None:
        row = {
            "customer_id": customer,
            "op": "update",
            "source_system": "test",
            "email": EMAILS.get(customer),
            "msisdn": MSISDNS.get(customer),
            "site_id": "site",
            "channels": ["email", "sms"],
            "consent": ["email", "sms"],
            "status": "active",
            "version": 0,
        }
        self._send("crm.changes", row, int(customer[1:]) % 2)
        self.crm_changes += 1

    def fault(self, fault_id: str, state: str) -> None:
        row = {"fault_id": fault_id, "element_id": "site", "state": state, "severity": "major", "services": []}
        self._send("network.faults", row | {"planned": False, "service_affecting": True}, 0)
        assert self._producer.flush(PATIENCE_SECONDS) == 0

    def site(self) -> None:
        row = {"element_id": "site", "element_type": "site", "site_id": "site", "removed": False}
        self._send("network.topology", row, 0)

    def end(self) -> None:
        self._ended.set()
        self.join(PATIENCE_SECONDS)
        assert self._producer.flush(PATIENCE_SECONDS) == 0

    def _send(self, topic: str, row: dict[str, Any], partition: int) -> None:
        value = orjson.dumps(row | {"event_time": datetime.now(UTC).isoformat()})
        self._producer.produce(self._installation.topics[topic], value, b"key", partition)
        self._producer.poll(0)


def crm_changes_read(installation: Installation) -> int:
    topic = installation.topics["crm.changes"]
    counters = installation.counters.items()
    return sum(total for (name, labels), total in counters if (name, *labels) == ("records_consumed", ("topic", topic)))


def wait_for_everybody(installation: Installation, operator: Operator) -> None:
    """Until every customer's profile was read once more from now on, and is in the state."""
    sent = operator.crm_changes
    wait_until(lambda: operator.crm_changes >= sent + CUSTOMERS, "a change of every customer")
    sent = operator.crm_changes
    wait_until(lambda: crm_changes_read(installation) >= sent, "reading them")


def notifications(installation: Installation) -> list[Notification]:
    return [orjson.loads(each.value or b"") for each in installation.published(NOTIFICATION_TOPICS)]


def told_of(said: list[Notification], fault_id: str, phase: str = "raised") -> list[Notification]:
    return [each for each in said if each["fault_id"] == fault_id and each["phase"] == phase]


def wait_until_told(
    installation: Installation, fault_id: str, phase: str = "raised", customers: int = CUSTOMERS
) -> None:
    wait_until(
        lambda: len(told_of(notifications(installation), fault_id, phase)) >= customers, f"{phase} of {fault_id}"
    )


def keys_of(told: list[Notification]) -> set[str]:
    return {each["contact_token"].split(".")[1] for each in told}


def rotate(installation: Installation, primary: str) -> None:
    code, out, err = installation.run("keys", "rotate")
    assert (code, err) == (0, "")
    assert out.startswith(f"added primary key {primary} to the keyring ")


def wait_until_taken_up(command: Command, primary: str) -> None:
    taken_up = f"primary={primary}"
    wait_until(lambda: command.said.count(taken_up) == WORKERS, f"taking up {primary} in all workers", seconds=20)


@pytest.fixture(scope="module")
def installation(kafka: ApacheKafka, tmp_path_factory: pytest.TempPathFactory):
    directory = tmp_path_factory.mktemp("rotation")
    with new_installation(KafkaConfig(kafka.brokers), directory, PARTITIONS) as made:
        (made.data_dir / "policy.toml").write_text(POLICY)
        run_and_rotate(made)
        yield made


def run_and_rotate(installation: Installation) -> None:
    """Faults f1 to f4 come and go, under one key, another, while a worker dies with the third, and under that one.

    Then a customer is forgotten, and f5 comes.
    """
    operator = Operator(installation)
    operator.site()
    with installation.start("run", FLOW, "--workers", str(WORKERS), "--epoch-milliseconds", "100") as command:
        operator.start()
        wait_for_everybody(installation, operator)
        workers = {worker.pid for worker in command.workers}
        operator.fault("f1", "raised")
        wait_until_told(installation, "f1")

        rotate(installation, "k2")
        wait_until_taken_up(command, "k2")
        wait_for_everybody(installation, operator)
        operator.fault("f1", "cleared")
        wait_until_told(installation, "f1", "cleared")
        operator.fault("f2", "raised")
        wait_until_told(installation, "f2")
        assert {worker.pid for worker in command.workers} == workers, "it was started again"

        operator.fault("f2", "cleared")
        wait_until_told(installation, "f2", "cleared")
        rotate(installation, "k3")
        operator.fault("f3", "raised")
        wait_until_told(installation, "f3", customers=1)
        os.kill(min(workers), signal.SIGKILL)  # what its epoch has published is under k2; the replay makes k3
        wait_until_told(installation, "f3")
        operator.fault("f3", "cleared")
        wait_until_told(installation, "f3", "cleared")

        wait_for_everybody(installation, operator)
        operator.fault("f4", "raised")
        wait_until_told(installation, "f4")
        operator.fault("f4", "cleared")
        wait_until_told(installation, "f4", "cleared")

        times = command.said.count(TAKEN_UP)
        assert installation.run("pii", "forget", FORGOTTEN)[0] == 0
        wait_until(lambda: command.said.count(TAKEN_UP) == times + WORKERS, "forgetting in all workers", seconds=20)
        wait_for_everybody(installation, operator)
        operator.fault("f5", "raised")
        wait_until_told(installation, "f5", customers=CUSTOMERS - 1)
        operator.end()
        sent = operator.crm_changes
        wait_until(lambda: crm_changes_read(installation) == sent, "reading everything")
        command.process.terminate()
        assert command.wait() == 0, command.said
    assert "killed by SIGKILL" in installation.said


@pytest.fixture(scope="module")
def said(installation: Installation) -> list[Notification]:
    return notifications(installation)


def test_new_tokens_are_under_the_new_key_when_a_flow_runs_on(said):
    assert keys_of(told_of(said, "f1")) == {"k1"}
    assert keys_of(told_of(said, "f2")) == {"k2"}
    assert keys_of(told_of(said, "f3")) <= {"k2", "k3"}
    assert keys_of(told_of(said, "f4")) == {"k3"}


def test_everybody_is_told_once_when_keys_rotate_and_a_worker_is_killed(said):
    for fault_id in ("f1", "f2", "f3", "f4"):
        told = told_of(said, fault_id)
        assert len({each["customer_key"] for each in told}) == len(told) == CUSTOMERS
    assert max(Counter(each["notification_id"] for each in said).values()) == 1


def test_what_was_published_stays_when_its_token_could_be_made_anew(installation, said):
    for fault_id in ("f1", "f2", "f3"):
        raised, cleared = (
            {each["customer_key"]: each["contact_token"] for each in told_of(said, fault_id, phase)}
            for phase in ("raised", "cleared")
        )
        assert cleared == raised
    table = read_table(installation.data_dir, "notifications")
    assert dict(zip(table["notification_id"], table["contact_token"], strict=True)) == {
        each["notification_id"]: each["contact_token"] for each in said
    }


def test_customers_join_by_their_key_when_their_tokens_differ(installation):
    table = read_table(installation.data_dir, "notifications").filter(pl.col("phase") == "raised")
    before, after = (table.filter(pl.col("fault_id") == fault_id) for fault_id in ("f1", "f4"))
    joined = before.join(after, on="customer_key")
    assert joined.height == CUSTOMERS
    assert (joined["contact_token"] != joined["contact_token_right"]).all()
    assert before.join(after, on="contact_token").height == 0


def test_tokens_of_every_key_open_when_they_are_revealed_together(installation, said):
    tokenizer = Tokenizer(Keyring.load(installation.data_dir / "keyring.json"))
    contacts = {**EMAILS, **MSISDNS}
    key = dict(zip(tokenizer.customer_keys(pl.Series([*contacts])), contacts, strict=True))
    tokens, expected = [], []
    for fault_id in ("f1", "f2", "f3", "f4"):
        for each in told_of(said, fault_id)[:10]:
            if key[each["customer_key"]] == FORGOTTEN:
                continue
            tokens.append(each["contact_token"])
            expected.append(contacts[key[each["customer_key"]]])
    code, out, err = reveal(installation, "care", *tokens)
    assert (code, err) == (0, "")
    assert out.splitlines() == expected


def test_a_forgotten_customer_is_unreachable_and_their_tokens_are_lost_when_others_are_told(installation, said):
    path = installation.data_dir / "keyring.json"
    key = Tokenizer(Keyring.load(path)).customer_keys(pl.Series([FORGOTTEN]))[0]
    told = {each["customer_key"] for each in told_of(said, "f5")}
    assert len(told) == CUSTOMERS - 1
    assert key not in told
    affected = read_table(installation.data_dir, "affected_customers").filter(pl.col("customer_key") == key)
    assert sorted(affected["outcome"]) == [*["email"] * 4, "unreachable"]
    withheld = {labels: total for (name, labels), total in installation.counters.items() if name == "tokens_withheld"}
    assert [*withheld] == [(("stream", "crm_change"),)]

    lost = {each["contact_token"] for each in said if each["customer_key"] == key}
    assert keys_of([{"contact_token": token} for token in lost]) == {"k1", "k2", "k3"}
    for token in lost:
        assert reveal(installation, "care", token) == (2, "", f"signalbox: {LOST}\n")
    log = installation.data_dir / "audit" / "reveals.jsonl"
    entries = [json.loads(line) for line in log.read_bytes().splitlines()]
    assert {each["token"] for each in entries if each["outcome"] == "forgotten" and "token" in each} == lost
    assert [each["outcome"] for each in entries if each.get("customer_key") == key] == ["asked", "forgotten"]


def test_log_is_whole_until_a_byte_is_flipped_when_reveals_were_granted_and_refused(installation, said):
    path = installation.data_dir / "audit" / "reveals.jsonl"
    token = next(each["contact_token"] for each in told_of(said, "f1") if each["channel"] == "email")
    assert reveal(installation, "care", token)[0] == 0
    code, out, err = reveal(installation, "billing", token)
    assert (code, out) == (2, "")
    assert err.startswith("signalbox: refused, and noted in the audit log: ")
    assert err.endswith("policy.toml does not let role billing open class email: expected one of name\n")
    last = json.loads(path.read_bytes().splitlines()[-1])
    assert (last["event"], last["role"], last["outcome"], last["token"]) == ("reveal", "billing", "refused", token)

    code, out, err = installation.run("pii", "audit", "verify")
    assert (code, err) == (0, "")
    assert out.startswith(f"whole, {last['n']} entries; anchor {last['n']}:{last['mac']}")
    whole = path.read_bytes()
    place = whole.rindex(b"refused")
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    code, out, err = installation.run("pii", "audit", "verify")
    assert (code, out) == (1, "")
    assert f"line {last['n']} does not fit its MAC: it was changed" in err
    path.write_bytes(whole)


def reveal(installation: Installation, role: str, *tokens: str) -> tuple[int, str, str]:
    return installation.run("pii", "reveal", *tokens, "--role", role, "--purpose", "complaint")
