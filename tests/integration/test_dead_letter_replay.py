"""`signalbox dlq replay` on Apache Kafka: refused, corrected, replayed, in once; also when it is killed."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import orjson
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from connectors.broker import ApacheKafka
from connectors.kafka import KafkaConfig
from connectors.kafka.admin import admin_client, stable_ends
from connectors.tables import read_table
from flows.replay import marks_topic
from privacy import Keyring, Sealer
from schemas.blocks import RecordBlock
from schemas.dead_letters import REPLAY_OF, REPLAYS
from schemas.errors import SignalboxError
from tests.installation import FLOW, PATIENCE_SECONDS, Installation, new_installation, wait_until
from tests.integration.generated import READ
from tests.refusing import refuse
from tests.unit.schemas.formats.test_tmf642 import alarm

pytestmark = pytest.mark.kafka

TMF642 = "network.faults.tmf642"
NOON_MS = 1_777_377_600_000
LETTERS = 10_000  # twenty transactions


def replay(installation: Installation, topic: str, *more: str) -> tuple[int, str]:
    code, out, _ = installation.run("dlq", "replay", "--topic", topic, *more)
    return code, out


def replays(installation: Installation, topic: str) -> Counter[bytes]:
    """How often each dead letter was replayed, by its place."""
    return Counter(each.headers[REPLAY_OF] for each in installation.published([topic]) if REPLAY_OF in each.headers)


def counted(installation: Installation, name: str, topic: str) -> Counter[str]:
    """The totals of a counter for a topic, by its other label; empty text where it has none."""
    found = Counter[str]()
    for (counter, labels), total in installation.counters.items():
        values = dict(labels)
        if counter == name and values.pop("topic", None) == topic:
            found[next(iter(values.values()), "")] += total
    return found


def test_refused_records_are_in_once_when_the_format_is_corrected_and_they_are_replayed(
    kafka: ApacheKafka, tmp_path: Path
) -> None:
    with new_installation(KafkaConfig(kafka.brokers), tmp_path, READ) as installation:
        topic, file = installation.topics[TMF642], tmp_path / "topics.toml"
        right = file.read_text()
        file.write_text(right.replace('format = "tmf642"', 'format = "canonical"'))
        producer = Producer(installation.kafka.producer())
        for number in range(20):
            value = alarm(id=str(number), alarmedObject={"id": f"cell-{number}"})
            stamp = NOON_MS + number
            producer.produce(topic, orjson.dumps(value), f"k{number}", number % READ[TMF642], timestamp=stamp)
        producer.produce(topic, b"{", "bad", 0, timestamp=NOON_MS)
        assert producer.flush(PATIENCE_SECONDS) == 0
        sent = {(each.key, each.value, each.timestamp_ms, each.place[1]) for each in installation.published([topic])}

        assert installation.run("run", FLOW, "--until-caught-up")[0] == 0
        assert counted(installation, "records_rejected", topic) == {"missing_field": 20, "malformed_json": 1}
        assert installation.run("dlq", "list", "--topic", topic)[1].splitlines()[:2] == [
            f"{1:>8}  {topic + '.dlq':<32}  malformed_json",
            f"{20:>8}  {topic + '.dlq':<32}  missing_field",
        ]

        file.write_text(right)
        assert replay(installation, topic, "--dry-run") == (
            0,
            f"{1:>8}  {topic:<32}  malformed_json\n{20:>8}  {topic:<32}  missing_field\n"
            "would send 21, already sent 0, unreadable 0\n",
        )
        assert replay(installation, topic, "--reason", "missing_field") == (
            0,
            "sent 20, already sent 0, unreadable 0\n",
        )
        assert installation.run("run", FLOW, "--until-caught-up")[0] == 0
        assert replay(installation, topic) == (0, "sent 1, already sent 20, unreadable 0\n")
        assert replay(installation, topic) == (0, "sent 0, already sent 21, unreadable 0\n")
        assert installation.run("run", FLOW, "--until-caught-up")[0] == 0

        assert counted(installation, "records", topic) == {"used": 20}
        assert counted(installation, "records_rejected", topic) == {"missing_field": 20, "malformed_json": 2}
        incidents = read_table(installation.data_dir, "incidents")
        assert sorted(incidents["element_id"].unique()) == sorted(f"cell-{number}" for number in range(20))
        published = installation.published([topic])
        again = [each for each in published if REPLAY_OF in each.headers]
        assert {(each.key, each.value, each.timestamp_ms, each.place[1]) for each in again} == sent
        assert len(again) == 21

        # what is refused again is a new dead letter that says so, and can be replayed again
        newest = [
            each for each in installation.published([f"{topic}.dlq"]) if "__signalbox.errors.replays" in each.headers
        ]
        [(_, partition, offset)] = [each.place for each in newest]
        code, shown, _ = installation.run("dlq", "show", topic, str(partition), str(offset), "--reveal")
        assert code == 0
        assert "replays      1 before it was refused again\n" in shown
        assert "key          bad\nvalue        {\n" in shown
        assert replay(installation, topic) == (0, "sent 1, already sent 21, unreadable 0\n")
        assert Counter(each.headers.get(REPLAYS) for each in installation.published([topic])) == {
            None: 21,
            b"1": 21,
            b"2": 1,
        }


def test_each_record_is_in_once_when_the_replay_is_killed_again_and_again(kafka: ApacheKafka, tmp_path: Path) -> None:
    # a request for each record, so that there is time to kill between the first transaction and the last
    paced = {"batch.num.messages": "1"}
    with new_installation(KafkaConfig(kafka.brokers), tmp_path, {TMF642: 2}, paced=paced) as installation:
        topic = installation.topics[TMF642]
        sealer = Sealer(Keyring.load(installation.data_dir / "keyring.json"))
        for partition in range(2):
            values = [(None, f"{partition}/{number}".encode()) for number in range(LETTERS // 2)]
            block = RecordBlock.from_records(topic, partition, values, timestamps_ms=NOON_MS)
            refuse(installation.kafka, sealer, block, "wrong_type", partitions=2)

        admin = admin_client(installation.kafka)  # one, for a new one takes as long as some transactions
        originals, marks = [(topic, 0), (topic, 1)], [(marks_topic(topic), 0)]
        for watched in (originals, marks, originals):
            before_start = end(admin, watched)
            with installation.start("dlq", "replay", "--topic", topic):  # killed at the end
                wait_until(
                    lambda watched=watched, seen=before_start: end(admin, watched) > seen, "a transaction of the replay"
                )
        before = replays(installation, topic)

        code, out = replay(installation, topic)
        found = re.fullmatch(r"sent ([\d,]+), already sent ([\d,]+), unreadable 0\n", out)
        assert code == 0
        assert found is not None
        sent, already = (int(number.replace(",", "")) for number in found.groups())
        assert 0 < already < LETTERS, "it was never killed in the middle"
        assert sent + already == LETTERS

        after = replays(installation, topic)
        assert len(after) == LETTERS
        assert set(after.values()) == {1}
        assert before.keys() < after.keys()
        assert replay(installation, topic) == (0, f"sent 0, already sent {LETTERS:,}, unreadable 0\n")
        for partition in range(2):
            values = [each.value for each in installation.published([topic]) if each.place[1] == partition]
            assert values == [f"{partition}/{number}".encode() for number in range(LETTERS // 2)]


def end(admin: AdminClient, places: list[tuple[str, int]]) -> int:
    """Grows with every transaction in these partitions; 0 while there is no such topic."""
    try:
        return sum(stable_ends(admin, places).values())
    except SignalboxError:
        return 0
