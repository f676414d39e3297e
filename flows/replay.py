"""Replaying dead letters: each original goes back to its topic once, however often that is asked for.

A transaction writes some originals to their topic and a mark for each to `<topic>.dlq.replayed`: both are there, or
neither. A replay first takes the transactional id of the dead-letter topic. That ends a transaction which a killed
replay has left open, and shuts out one that still runs. So all marks are known when they are read back next, and what
is marked is left out.

A mark is kept for the original, not for the dead letter: a flow that was started anew may have refused the same record
twice. The original's place names it, and its timestamp, for in a topic that was made anew the places begin again.

What is refused again is a new dead letter of a new record, which can be replayed once more; headers count the replays.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from connectors.kafka import KafkaConfig, OutputBatch, create_topics, end_offsets, partition_counts
from connectors.kafka.admin import topic_settings
from connectors.kafka.output import published_ids
from connectors.kafka.recall import Recall, transactional_id
from connectors.kafka.writer import Writer
from flows.dead_letters import DeadLetter, Selection, dead_letter_topic, input_topic, read_dead_letters
from privacy import KeyringError, Sealer
from schemas.dead_letters import REPLAY_OF, REPLAYS, OriginalRecord, record_id, replay_count
from schemas.errors import SignalboxError, TerminalError

_RECORDS_PER_TRANSACTION = 500
_BYTES_PER_TRANSACTION = 4 * 1024 * 1024
_TRANSACTION_MS = "10000"
_NEW_TOPIC_SECONDS = 15.0
_LOOK_AGAIN_SECONDS = 0.1
_RECALL_WAIT_MS = 50
_PLACES_TOLD = 5
_TO_READ_MS = 3_600_000
_KEEP_LONGER = "raise the topic's retention.ms, then replay again"


@dataclass(slots=True)
class Replayed:
    """What became of the chosen dead letters of a topic.

    Attributes:
        sent: How many were sent, or in a dry run would be, by reason.
        already_sent: How many were left out because their original had been sent before.
        unreadable: How many cannot be opened, or have no way back.
        too_old: How many are older than their topic keeps records: Kafka could delete them before they are read.
        why_not_sent: What is wrong with the first few of the last two, and where they are.
    """

    sent: Counter[str] = field(default_factory=Counter)
    already_sent: int = 0
    unreadable: int = 0
    too_old: int = 0
    why_not_sent: list[str] = field(default_factory=list)

    def explain(self, letter: DeadLetter, why: object) -> None:
        """Keep the first few reasons."""
        if len(self.why_not_sent) < _PLACES_TOLD:
            self.why_not_sent.append(f"{letter.place}: {why}")


@dataclass(frozen=True, slots=True)
class _Opened:
    letter: DeadLetter
    original: OriginalRecord

    @property
    def identity(self) -> str:
        """Names the original record. A persisted format: under another one all would be sent again."""
        told = self.letter.told
        # numbers, for a header may write the same one in many ways
        place = record_id(told["topic"], int(told["partition"]), int(told["offset"]))
        return f"{place}#{self.original.timestamp_ms}"

    @property
    def replay_of(self) -> bytes | None:
        """Where the dead letter was from which the original had been sent; None where it was no replay."""
        return next((value for name, value in self.original.headers if name == REPLAY_OF), None)

    @property
    def size(self) -> int:
        return len(self.original.key or b"") + len(self.original.value or b"")


def marks_topic(topic: str) -> str:
    """Where the marks of an input topic's replayed records are."""
    return f"{dead_letter_topic(topic)}.replayed"


def replay(
    config: KafkaConfig,
    topic: str,
    selection: Selection,
    sealer: Sealer,
    *,
    dry_run: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> Replayed:
    """Send the originals of the chosen dead letters to their topic again, each once.

    Key, value, headers, partition and timestamp are the original's. Two headers are added, `REPLAY_OF` and `REPLAYS`;
    those that an earlier replay had added give way to them.

    Args:
        config: How to reach Kafka.
        topic: The input topic, or its dead-letter topic.
        selection: Which dead letters.
        sealer: Opens them.
        dry_run: Send nothing, make no topic and shut nobody out; the result is what would be.
        progress: Told after each transaction how many have been sent.

    Returns:
        What became of them.

    Raises:
        TransientError: Kafka does not answer. What was sent is marked: run it again.
        TerminalError: A topic does not exist, another replay of it has taken over, or an original is larger than its
            topic takes.
    """
    letters, origin = dead_letter_topic(topic), input_topic(topic)
    partitions = partition_counts(config, [letters, origin])[origin]
    done = Replayed()
    chosen = read_dead_letters(config, [letters], selection)
    first = next(chosen, None)
    if first is None:  # most topics have none, and need no marks
        return done
    writer = None if dry_run else _take_over(config, origin)
    marked = set() if dry_run and not _exists(config, marks_topic(origin)) else _marked(config, origin)
    opened = _opened(chain([first], chosen), origin, partitions, sealer, done)
    unsent = _young(_unsent(opened, marked, done), origin, _oldest_kept_ms(topic_settings(config, origin)), done)
    for some in _portions(unsent):
        if writer is not None:
            writer.publish([_originals(origin, some), _marks(origin, some)])
        done.sent.update(each.letter.reason for each in some)
        progress(done.sent.total())
    return done


def _take_over(config: KafkaConfig, topic: str) -> Writer:
    """Make sure of the topic for the marks, and shut out every other replay of this dead-letter topic."""
    # compacted, so that no mark is ever deleted: a dead letter may stay longer than its topic's retention says
    create_topics(config, {marks_topic(topic): 1}, settings={"cleanup.policy": "compact"})
    _wait_for_leader(config, marks_topic(topic))
    limits = {"transaction.timeout.ms": _TRANSACTION_MS, "socket.timeout.ms": _TRANSACTION_MS}
    if not limits.keys() & config.extra.keys():
        # readers of committed records stand still behind a transaction that is open: when we are killed, for so long
        config = KafkaConfig(config.brokers, {**config.extra, **limits})
    return Writer(config, transactional_id("dlq-replay", dead_letter_topic(topic), 0))


def _wait_for_leader(config: KafkaConfig, topic: str) -> None:
    deadline = time.monotonic() + _NEW_TOPIC_SECONDS
    while True:
        try:
            end_offsets(config, [(topic, 0)])
            return
        except SignalboxError:
            if time.monotonic() > deadline:
                raise
        time.sleep(_LOOK_AGAIN_SECONDS)


def _exists(config: KafkaConfig, topic: str) -> bool:
    try:
        partition_counts(config, [topic])
    except TerminalError:
        return False
    return True


def _marked(config: KafkaConfig, topic: str) -> set[str]:
    """The identities of all originals that were sent."""
    recall = Recall(config, [(marks_topic(topic), 0)], {})
    found: set[str] = set()
    while not recall.finished:
        found |= published_ids(recall.read(_RECALL_WAIT_MS))
    return found


def _opened(
    letters: Iterable[DeadLetter], topic: str, partitions: int, sealer: Sealer, done: Replayed
) -> Iterator[_Opened]:
    """Open the dead letters; those that cannot be are counted."""
    for letter in letters:
        try:
            original = letter.reveal(sealer)
            _require_way_back(letter, topic, partitions)
        except (TerminalError, KeyringError) as error:
            done.unreadable += 1
            done.explain(letter, error)
        else:
            yield _Opened(letter, original)


def _require_way_back(letter: DeadLetter, topic: str, partitions: int) -> None:
    if letter.told["topic"] != topic:
        raise TerminalError(f"expected a dead letter of {topic}, got one of another topic: replay it from its own")
    if int(letter.told["partition"]) >= partitions:
        raise TerminalError(
            f"expected an original of {topic}'s {partitions} partitions, got one of partition "
            f"{letter.told['partition']}: give the topic as many as it had"
        )


def _unsent(opened: Iterable[_Opened], marked: set[str], done: Replayed) -> Iterator[_Opened]:
    """Leave out and count what was sent before, and the second dead letter of one original.

    What this very run has sent may be refused again while it goes on. That is for another run, or this one never ends.
    """
    sent_now: set[bytes] = set()
    for each in opened:
        if each.identity in marked:
            done.already_sent += 1
        elif each.replay_of not in sent_now:
            marked.add(each.identity)
            sent_now.add(each.letter.place.encode())
            yield each


def _oldest_kept_ms(settings: Mapping[str, str]) -> int:
    """Which timestamp a record needs, so that Kafka does not delete it for its age before it is read."""
    kept_ms = int(settings.get("retention.ms", -1))
    ages = "delete" in settings.get("cleanup.policy", "delete") and kept_ms >= 0
    if not ages or settings.get("message.timestamp.type") == "LogAppendTime":
        return 0
    return time.time_ns() // 1_000_000 - kept_ms + min(_TO_READ_MS, kept_ms // 10)


def _young(opened: Iterable[_Opened], topic: str, oldest_ms: int, done: Replayed) -> Iterator[_Opened]:
    """Leave out and count what Kafka could delete at once: it has its old timestamp, and would be marked as sent."""
    for each in opened:
        if 0 <= each.original.timestamp_ms < oldest_ms:
            done.too_old += 1
            done.explain(
                each.letter, f"expected an original that {topic} still keeps, got an older one: {_KEEP_LONGER}"
            )
        else:
            yield each


def _portions(opened: Iterable[_Opened]) -> Iterator[list[_Opened]]:
    """Cut into what one transaction holds."""
    portion: list[_Opened] = []
    size = 0
    for each in opened:
        portion.append(each)
        size += each.size
        if len(portion) >= _RECORDS_PER_TRANSACTION or size >= _BYTES_PER_TRANSACTION:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


def _originals(topic: str, some: list[_Opened]) -> OutputBatch:
    originals = [each.original for each in some]
    return OutputBatch(
        topic=topic,
        partitions=np.array([int(each.letter.told["partition"]) for each in some], np.int32),
        keys=[original.key for original in originals],
        values=[original.value for original in originals],
        ids=[each.letter.place for each in some],
        id_header=REPLAY_OF,
        headers=[_headers(original) for original in originals],
        timestamps_ms=np.array([max(0, original.timestamp_ms) for original in originals], np.int64),
    )


def _headers(original: OriginalRecord) -> list[tuple[str, bytes | None]]:
    count = str(replay_count(original.headers) + 1).encode()
    return [(REPLAYS, count), *(each for each in original.headers if each[0] not in (REPLAY_OF, REPLAYS))]


def _marks(topic: str, some: list[_Opened]) -> OutputBatch:
    """A mark's key and id name the original, its value the dead letter it was sent from."""
    return OutputBatch(
        topic=marks_topic(topic),
        partitions=np.zeros(len(some), np.int32),
        keys=[each.identity.encode() for each in some],
        values=[each.letter.place.encode() for each in some],
        ids=[each.identity for each in some],
    )
