"""Replaying dead letters, on both brokers."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from connectors.kafka import KafkaConfig, create_topics, partition_counts
from connectors.kafka.reader import BEGINNING, open_client
from connectors.kafka.recall import transactional_id
from connectors.kafka.writer import Writer, open_producer
from flows import replay as module
from flows.dead_letters import DeadLetter, Selection, read_dead_letters
from flows.replay import Replayed, marks_topic, replay
from privacy import Keyring, Sealer
from schemas.blocks import RecordBlock
from schemas.dead_letters import REPLAY_OF, REPLAYS, OriginalRecord
from schemas.errors import TerminalError
from tests.conftest import NewTopics
from tests.contract.kafka_kit import WAIT_SECONDS, Row, committed, read_all, rows, wait_until
from tests.refusing import refuse

EVERYTHING = Selection()
STAMP = 1_780_000_000_123


@dataclass(frozen=True)
class Topic:
    """An input topic of two partitions with a dead-letter topic."""

    config: KafkaConfig
    name: str
    sealer: Sealer

    @property
    def letters(self) -> str:
        return f"{self.name}.dlq"

    def refused(self, records, reasons="wrong_type", *, partition=1, first_offset=100, headers=None, stamps=STAMP):
        """Refuse records that were in this topic; they need not be there."""
        block = RecordBlock.from_records(
            self.name, partition, records, first_offset=first_offset, timestamps_ms=stamps, headers=headers
        )
        refuse(self.config, self.sealer, block, reasons)

    def replay(self, selection: Selection = EVERYTHING, **options) -> Replayed:
        return replay(self.config, self.name, selection, self.sealer, **options)

    def records(self, count: int, partition: int = 1) -> list[Row]:
        """What readers see in a partition, once there are so many."""
        wait_until(lambda: len(committed(self.config, self.name, partition)) >= count, "the commit")
        return committed(self.config, self.name, partition)

    def values(self, count: int, partition: int = 1) -> list[bytes | None]:
        return [value for _, _, value, _, _ in self.records(count, partition)]

    def in_log(self) -> list[DeadLetter]:
        return list(read_dead_letters(self.config, [self.letters]))


@pytest.fixture
def sealer(tmp_path) -> Sealer:
    return Sealer(Keyring.create(tmp_path / "keyring.json"))


@pytest.fixture
def topic(kafka_config, new_topic, sealer) -> Topic:
    return topic_at(kafka_config, new_topic, sealer)


@pytest.fixture
def apache_topic(apache_config, new_topic, sealer) -> Topic:
    """For what the embedded broker cannot do: it shows records of transactions that were given up."""
    return topic_at(apache_config, new_topic, sealer)


def topic_at(config: KafkaConfig, new_topic: NewTopics, sealer: Sealer) -> Topic:
    name = new_topic(config, partitions=2, retention_ms="-1")  # the records are years old
    create_topics(config, {f"{name}.dlq": 1})
    return Topic(config, name, sealer)


def counts(done: Replayed) -> tuple[int, int, int]:
    return done.sent.total(), done.already_sent, done.unreadable


def test_originals_are_as_they_were_when_they_are_replayed(topic):
    headers = {0: [("h", b"x"), ("none", None), ("h", b"\xff")]}
    topic.refused([(b"k", b"\xffv"), (None, None), (b"", b"")], headers=headers, stamps=[STAMP, STAMP + 1, -1])
    began = int(time.time() * 1000)
    assert counts(topic.replay()) == (3, 0, 0)
    found = topic.records(3)
    said = [[(REPLAY_OF, f"{topic.letters}[0]@{offset}".encode()), (REPLAYS, b"1")] for offset in range(3)]
    assert [each[1:4] for each in found] == [
        (b"k", b"\xffv", [*said[0], *headers[0]]),
        (None, None, said[1]),
        (b"", b"", said[2]),
    ]
    assert [each[4] for each in found[:2]] == [STAMP, STAMP + 1]
    assert found[2][4] >= began - 1000, "one without a timestamp is sent with that of now"
    assert committed(topic.config, topic.name, 0) == [], "the partition is that of the original"


def test_nothing_is_sent_again_when_a_replay_is_repeated(topic):
    topic.refused([(None, b"a"), (None, b"b")])
    assert counts(topic.replay()) == (2, 0, 0)
    assert counts(topic.replay()) == (0, 2, 0)
    topic.refused([(None, b"c")], first_offset=200)
    assert counts(topic.replay()) == (1, 2, 0)
    assert topic.values(3) == [b"a", b"b", b"c"]


def test_nothing_is_sent_when_it_is_a_dry_run(topic):
    topic.refused([(None, b"a"), (None, b"b"), (None, b"c")], ["wrong_type", "gap", "gap"])
    done = topic.replay(dry_run=True)
    assert done.sent == Counter(wrong_type=1, gap=2)
    with pytest.raises(TerminalError):
        partition_counts(topic.config, [marks_topic(topic.name)])
    topic.replay(Selection(frozenset({"wrong_type"})))
    assert counts(topic.replay(dry_run=True)) == (2, 1, 0)
    assert topic.values(1) == [b"a"]


def test_only_the_chosen_are_sent_when_there_is_a_selection(topic):
    topic.refused([(None, b"a"), (None, b"b"), (None, b"c")], ["wrong_type", "gap", "too_large"])
    now = datetime.now(UTC)
    assert counts(topic.replay(Selection(until=now - timedelta(hours=1)))) == (0, 0, 0)
    assert counts(topic.replay(Selection(since=now + timedelta(hours=1)))) == (0, 0, 0)
    with pytest.raises(TerminalError):  # no marks are needed
        partition_counts(topic.config, [marks_topic(topic.name)])
    chosen = Selection(frozenset({"gap", "too_large"}), now - timedelta(hours=1), now + timedelta(hours=1))
    assert topic.replay(chosen).sent == Counter(gap=1, too_large=1)
    assert topic.values(2) == [b"b", b"c"]


def test_original_is_sent_once_when_it_has_two_dead_letters(topic):
    for _ in range(2):
        topic.refused([(None, b"a")])
    assert counts(topic.replay()) == (1, 1, 0)
    topic.refused([(None, b"a")])
    assert counts(topic.replay()) == (0, 3, 0)
    assert topic.values(1) == [b"a"]


def test_original_is_sent_once_when_its_place_is_written_in_another_way(topic):
    topic.refused([(None, b"a")])
    wait_until(lambda: bool(committed(topic.config, topic.letters)), "the dead letter")
    [(_, key, value, headers, _)] = committed(topic.config, topic.letters)
    changed = [(name, b"00100" if name.endswith(".offset") else said) for name, said in headers]
    producer = Producer(topic.config.producer())
    producer.produce(topic.letters, value, key, headers=changed)
    assert producer.flush(WAIT_SECONDS) == 0
    assert counts(topic.replay()) == (1, 1, 0)


def test_original_is_another_one_when_the_topic_was_made_anew(topic):
    topic.refused([(None, b"a")])
    topic.refused([(None, b"b")], stamps=STAMP + 1)
    assert counts(topic.replay()) == (2, 0, 0)


def test_all_are_sent_in_order_when_they_need_many_transactions(topic, monkeypatch):
    monkeypatch.setattr(module, "_RECORDS_PER_TRANSACTION", 7)
    values = [str(number).encode() for number in range(40)]
    topic.refused([(None, value) for value in values])
    told: list[int] = []
    assert counts(topic.replay(progress=told.append)) == (40, 0, 0)
    assert told == [7, 14, 21, 28, 35, 40]
    assert topic.values(40) == values


def test_transaction_is_small_when_records_are_large(topic, monkeypatch):
    monkeypatch.setattr(module, "_BYTES_PER_TRANSACTION", 10)
    topic.refused([(b"key", b"value" * 3), (None, b"b"), (None, b"c" * 9), (None, b"d")])
    told: list[int] = []
    topic.replay(progress=told.append)
    assert told == [1, 3, 4]


def test_replays_are_counted_when_a_record_is_refused_again(topic):
    topic.refused([(b"k", b"a")], headers={0: [("h", b"x")]})
    topic.replay()
    for round_number in (1, 2):
        topic.records(round_number)
        [block] = [
            each for each in read_all(open_client(topic.config).reader(topic.name, 1, BEGINNING, 9)) if len(each)
        ]
        refuse(topic.config, topic.sealer, last_of(block), "wrong_type")
        newest = topic.in_log()[-1]
        assert newest.told["replays"] == str(round_number)
        assert counts(topic.replay()) == (1, round_number, 0)
        assert topic.records(round_number + 1)[-1][1:4] == (
            b"k",
            b"a",
            [(REPLAY_OF, newest.place.encode()), (REPLAYS, str(round_number + 1).encode()), ("h", b"x")],
        )


def last_of(block: RecordBlock) -> RecordBlock:
    [*_, (offset, key, value, headers, stamp)] = rows([block])
    return RecordBlock.from_records(
        block.topic, block.partition, [(key, value)], offsets=[offset], timestamps_ms=stamp, headers={0: headers}
    )


def test_what_a_run_has_sent_is_left_to_the_next_when_it_is_refused_meanwhile():
    first = DeadLetter("t.dlq", 0, 5, datetime.now(UTC), {"topic": "t", "partition": "0", "offset": "1"}, b"")
    again = DeadLetter("t.dlq", 0, 6, datetime.now(UTC), {"topic": "t", "partition": "0", "offset": "2"}, b"")
    opened = [
        module._Opened(first, OriginalRecord(None, b"a", STAMP, [])),
        module._Opened(again, OriginalRecord(None, b"a", STAMP, [(REPLAY_OF, b"t.dlq[0]@5"), (REPLAYS, b"1")])),
    ]
    done = Replayed()
    assert [each.letter.offset for each in module._unsent(opened, set(), done)] == [5]
    assert [each.letter.offset for each in module._unsent(opened[1:], set(), done)] == [6]
    assert done.already_sent == 0


@pytest.mark.kafka
def test_all_are_sent_once_when_an_earlier_replay_died_inside_a_transaction(apache_topic):
    apache_topic.refused([(None, b"a"), (None, b"b")])
    opened = [
        module._Opened(letter, letter.reveal(apache_topic.sealer))
        for letter in read_dead_letters(apache_topic.config, [apache_topic.letters])
    ]
    create_topics(apache_topic.config, {marks_topic(apache_topic.name): 1})
    wait_until(lambda: not module._marked(apache_topic.config, apache_topic.name), "the marks' topic")
    dead = open_producer(apache_topic.config, transactional_id("dlq-replay", apache_topic.letters, 0))
    dead.init(WAIT_SECONDS)
    dead.begin()
    for batch in (module._originals(apache_topic.name, opened), module._marks(apache_topic.name, opened)):
        dead.produce(batch)
    wait_until(lambda: uncommitted_end(apache_topic) == 2, "the records of the open transaction")
    assert counts(apache_topic.replay()) == (2, 0, 0)
    assert apache_topic.values(2) == [b"a", b"b"]
    assert counts(apache_topic.replay()) == (0, 2, 0)


def uncommitted_end(topic: Topic) -> int:
    """The end of the topic's second partition, behind what is not committed."""
    settings = {"bootstrap.servers": topic.config.brokers, "group.id": "end", "isolation.level": "read_uncommitted"}
    _, end = Consumer(settings).get_watermark_offsets(TopicPartition(topic.name, 1), timeout=WAIT_SECONDS)
    return end


def test_earlier_replay_can_send_nothing_more_when_another_has_taken_over(topic):
    topic.refused([(None, b"a"), (None, b"b")])
    writer = module._take_over(topic.config, topic.name)
    opened = [
        module._Opened(letter, letter.reveal(topic.sealer))
        for letter in read_dead_letters(topic.config, [topic.letters])
    ]
    assert counts(topic.replay()) == (2, 0, 0)
    with pytest.raises(TerminalError) as error:
        writer.publish([module._originals(topic.name, opened), module._marks(topic.name, opened)])
    assert str(error.value).startswith(
        f"writer dlq-replay/{topic.letters}/0: another process has taken over; stop one "
    )
    assert topic.values(2) == [b"a", b"b"]


def test_unreadable_ones_are_counted_when_the_others_are_sent(topic, tmp_path):
    other = Sealer(Keyring.create(tmp_path / "other.json"))
    producer = Producer(topic.config.producer())
    producer.produce(topic.letters, b"of somebody else")
    assert producer.flush(WAIT_SECONDS) == 0
    topic.refused([(None, b"a")])
    refuse(topic.config, other, RecordBlock.from_records(topic.name, 0, [(None, b"b")]), "gap")
    topic.refused([(None, b"c")], partition=2)
    done = topic.replay()
    assert counts(done) == (1, 0, 3)
    assert topic.values(1) == [b"a"]
    foreign, sealed, homeless = done.why_not_sent
    assert foreign == (
        f"{topic.letters}[0]@0: expected a dead letter of Signalbox at {topic.letters}[0]@0, got a record without its "
        "headers: look at another offset"
    )
    assert "sealed bytes do not open with" in sealed or "lacks the sealing key" in sealed
    assert homeless.endswith(
        f": expected an original of {topic.name}'s 2 partitions, got one of partition 2: "
        "give the topic as many as it had"
    )


def test_dead_letter_is_unreadable_when_it_is_of_another_topic(topic, new_topic):
    stranger = new_topic(topic.config)
    [letter] = copied(topic, stranger)
    assert letter.told["topic"] == stranger
    done = topic.replay()
    assert counts(done) == (0, 0, 1)
    assert done.why_not_sent[0].endswith(
        f": expected a dead letter of {topic.name}, got one of another topic: replay it from its own"
    )


def copied(topic: Topic, stranger: str) -> list[DeadLetter]:
    """A dead letter of another topic in this one's dead-letter topic."""
    create_topics(topic.config, {f"{stranger}.dlq": 1})
    refuse(topic.config, topic.sealer, RecordBlock.from_records(stranger, 0, [(None, b"a")]), "gap")
    wait_until(lambda: bool(committed(topic.config, f"{stranger}.dlq")), "the dead letter")
    producer = Producer(topic.config.producer())
    for _, key, value, headers, _ in committed(topic.config, f"{stranger}.dlq"):
        producer.produce(topic.letters, value, key, headers=headers)
    assert producer.flush(WAIT_SECONDS) == 0
    return topic.in_log()


@pytest.mark.kafka
def test_original_is_not_sent_when_kafka_could_delete_it_unread(apache_config, new_topic, sealer):
    name = new_topic(apache_config, retention_ms=str(7 * 86_400_000))
    create_topics(apache_config, {f"{name}.dlq": 1})
    topic = Topic(apache_config, name, sealer)
    now_ms = time.time_ns() // 1_000_000
    ages = [(8, b"gone"), (7 - 0.5 / 24, b"nearly"), (6.5, b"kept")]
    stamps = [now_ms - round(days * 86_400_000) for days, _ in ages]
    topic.refused([(None, value) for _, value in ages], partition=0, stamps=stamps)
    done = topic.replay()
    assert (counts(done), done.too_old) == ((1, 0, 0), 2)
    assert topic.values(1, partition=0) == [b"kept"]
    assert done.why_not_sent[0] == (
        f"{name}.dlq[0]@0: expected an original that {name} still keeps, got an older one: "
        "raise the topic's retention.ms, then replay again"
    )
    done = topic.replay()
    assert (counts(done), done.too_old) == ((0, 1, 0), 2), "what was left out is not marked"


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"retention.ms": "-1"},
        {"retention.ms": "5", "cleanup.policy": "compact"},
        {"retention.ms": "5", "message.timestamp.type": "LogAppendTime"},
    ],
)
def test_every_original_is_young_when_its_topic_deletes_none_for_its_timestamp(settings):
    assert module._oldest_kept_ms(settings) == 0


def test_replay_is_refused_when_a_topic_does_not_exist(kafka_config, sealer):
    with pytest.raises(TerminalError) as error:
        replay(kafka_config, "never.made", EVERYTHING, sealer)
    assert "has no topic never.made.dlq, never.made: make it with" in str(error.value)
    with pytest.raises(TerminalError):
        partition_counts(kafka_config, [marks_topic("never.made")])


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"reasons": frozenset({"gap", "spite"})}, "got another word: spite"),
        (
            {"since": datetime(2026, 1, 2, tzinfo=UTC), "until": datetime(2026, 1, 1, tzinfo=UTC)},
            "expected a time until that is later than the time since: nothing lies between them",
        ),
    ],
)
def test_selection_is_refused_when_it_chooses_nothing(choice, message):
    with pytest.raises(TerminalError) as error:
        Selection(**choice)
    assert str(error.value).endswith(message)


def test_transactions_are_given_up_soon_unless_the_operator_says_how_soon(topic):
    slow = KafkaConfig(topic.config.brokers, {"transaction.timeout.ms": "20000", "socket.timeout.ms": "15000"})
    assert isinstance(module._take_over(slow, topic.name), Writer)
