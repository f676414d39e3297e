"""Every record is accounted for on Apache Kafka: used, late, repeated or a dead letter, and good ones untouched."""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from benchmarks.workload import Manifest, Workload, WorkloadSpec
from benchmarks.workload.poison import AVRO_KINDS
from connectors.broker import ApacheKafka
from connectors.kafka import KafkaConfig
from flows.dead_letters import DeadLetter, dead_letter_topic, read_dead_letters
from privacy import Keyring, Sealer
from schemas.codec import Registry
from tests import fault_flow
from tests.fault_flow import Result
from tests.installation import FLOW, Installation, Published, new_installation, result_of
from tests.integration.generated import READ, send

pytestmark = pytest.mark.kafka

SPEC = WorkloadSpec(
    seed=6,  # one that spoils records of every topic
    faults=400,
    prepaid=500,
    postpaid=500,
    canonical_share=0.25,
    usage_per_customer_per_hour=4.0,
    topology_changes=100,
    duplicate_share=0.05,
    late_share=0.01,
    poison_share=0.01,
    poison_large_bytes=5_000_000,
)


@dataclass(frozen=True)
class Told:
    """What a run published and wrote, each in terms that do not depend on how the log was cut."""

    notifications: Counter[tuple[object, ...]]
    affected: Counter[tuple[object, ...]]
    incidents: set[tuple[object, ...]]

    @classmethod
    def of(cls, result: Result) -> Told:
        return cls(Counter(fault_flow.told(result)), Counter(fault_flow.affected(result)), fault_flow.incidents(result))


@dataclass(frozen=True)
class Accounts:
    """A run over everything, and what a run over the good records alone has told."""

    installation: Installation
    manifest: Manifest
    told: Told
    told_without_poison: Told

    def counted(self, name: str, topic: str) -> Counter[str]:
        """The totals of a counter for a topic, by its other label; empty text where it has none."""
        found = Counter[str]()
        for (counter, labels), total in self.installation.counters.items():
            values = dict(labels)
            if counter == name and values.pop("topic") == self.installation.topics[topic]:
                found[next(iter(values.values()), "")] += total
        return found

    def published(self, topic: str, ending: str) -> list[Published]:
        return self.installation.published([f"{self.installation.topics[topic]}.{ending}"])


@pytest.fixture(scope="module")
def accounts(kafka: ApacheKafka, registry_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Accounts]:
    config, clean = KafkaConfig(kafka.brokers), tmp_path_factory.mktemp("clean")
    with new_installation(config, clean, READ, registry_url=registry_url) as installation:
        keyring = installation.data_dir / "keyring.json"
        run(installation, replace(SPEC, poison_share=0.0))
        told_without_poison = Told.of(result_of(installation))
    with new_installation(config, tmp_path_factory.mktemp("spoilt"), READ, registry_url=registry_url) as installation:
        shutil.copy(keyring, installation.data_dir / "keyring.json")
        manifest = run(installation, SPEC)
        yield Accounts(installation, manifest, Told.of(result_of(installation)), told_without_poison)


def run(installation: Installation, spec: WorkloadSpec) -> Manifest:
    manifest = send(installation, Workload(spec, registry=Registry.connect(installation.registry_url)))
    code, _, err = installation.run("run", FLOW, "--until-caught-up")
    assert code == 0, err
    return manifest


def test_each_format_has_bad_late_and_repeated_records_when_the_log_is_generated(accounts):
    kinds = {kind for counts in accounts.manifest.poison.values() for kind in counts}
    assert len(kinds) >= 12
    assert kinds >= {*AVRO_KINDS, "huge_record", "year_2999"}
    assert set(accounts.manifest.poison) >= set(READ)
    assert accounts.manifest.late["usage.events"] > 0
    repeated = {"usage.events", "network.faults", "network.faults.tmf642", "network.faults.mist"}
    assert {topic for topic in repeated if accounts.manifest.duplicates[topic]} == repeated


@pytest.mark.parametrize("topic", READ)
def test_records_in_are_records_accounted_for_when_the_log_is_read(accounts, topic):
    outcomes = accounts.counted("records", topic)
    rejected = accounts.counted("records_rejected", topic)
    consumed = accounts.counted("records_consumed", topic).total()
    assert consumed == accounts.manifest.records[topic]
    assert consumed == outcomes["used"] + outcomes["late"] + outcomes["duplicate"] + rejected.total()
    # the generator puts one event into a record; a gap that names its record is a row, and a dead letter
    assert accounts.counted("extra_rows", topic).total() == accounts.manifest.poison[topic]["salesforce_gap"]
    assert outcomes["late"] == len(accounts.published(topic, "late"))
    assert rejected.total() == len(accounts.published(topic, "dlq"))


@pytest.mark.parametrize("topic", READ)
def test_each_reason_is_counted_as_sent_when_records_are_spoilt(accounts, topic):
    expected = accounts.manifest.rejections()[topic]
    assert accounts.counted("records_rejected", topic) == expected
    assert Counter(letter.reason for letter in letters(accounts, topic)) == expected


def test_late_and_repeated_records_are_counted_as_sent(accounts):
    assert accounts.counted("records", "usage.events")["late"] == accounts.manifest.late["usage.events"]
    for topic in ("usage.events", "network.faults", "network.faults.tmf642", "network.faults.mist"):
        assert accounts.counted("records", topic)["duplicate"] == accounts.manifest.duplicates[topic]


def test_nothing_else_changes_when_the_log_has_bad_records_in_it(accounts):
    assert accounts.told.notifications.total() > 1000
    assert accounts.told == accounts.told_without_poison


@pytest.mark.parametrize("topic", READ)
def test_each_dead_letter_holds_the_original_bytes_when_it_is_unsealed(accounts, topic):
    name = accounts.installation.topics[topic]
    sent = defaultdict(list)
    for each in accounts.installation.published([name]):
        sent[each.place].append((each.key, each.value, dict(each.headers), each.timestamp_ms))
    sealer = Sealer(Keyring.load(accounts.installation.data_dir / "keyring.json"))
    for letter in letters(accounts, topic):
        original = letter.reveal(sealer)
        place = (name, int(letter.told["partition"]), int(letter.told["offset"]))
        assert sent[place] == [(original.key, original.value, dict(original.headers), original.timestamp_ms)]


def test_dlq_show_reveals_the_original_when_it_is_asked_to(accounts):
    sealer = Sealer(Keyring.load(accounts.installation.data_dir / "keyring.json"))
    malformed = (each for each in letters(accounts, "usage.events") if each.reason == "malformed_json")
    letter = next(each for each in malformed if each.reveal(sealer).value)
    command = ("dlq", "show", letter.topic, str(letter.partition), str(letter.offset))
    code, sealed, err = accounts.installation.run(*command)
    assert (code, err) == (0, "")
    code, shown, err = accounts.installation.run(*command, "--reveal")
    assert (code, err) == (0, "")
    original = letter.reveal(sealer)
    value = (original.value or b"").decode()
    assert shown.splitlines()[-2:] == [f"key          {(original.key or b'').decode()}", f"value        {value}"]
    assert value not in sealed


def letters(accounts: Accounts, topic: str) -> list[DeadLetter]:
    topics = [dead_letter_topic(accounts.installation.topics[topic])]
    return list(read_dead_letters(accounts.installation.kafka, topics))
