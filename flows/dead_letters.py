"""Reading dead letters back: what was refused, where, why, and (with the keyring) what it was."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from connectors.kafka import KafkaConfig, end_offsets, partition_counts
from connectors.kafka.errors import PARTITION_EOF, error_from
from flows.refusal_reasons import EXPLANATIONS, UNKNOWN, Explanation
from privacy import Sealer
from schemas.blocks import Headers
from schemas.codec import REASONS
from schemas.dead_letters import PREFIX, OriginalRecord, open_record, record_id
from schemas.errors import TerminalError, TransientError

_TIMEOUT_SECONDS = 15.0
_POLL_SECONDS = 0.05
_ENDING = ".dlq"


@dataclass(frozen=True)
class DeadLetter:
    """One dead letter.

    Attributes:
        topic: The dead-letter topic.
        partition: Its partition.
        offset: Its offset.
        refused_at: When it was written.
        told: Its headers without their prefix: topic, partition, offset, flow, step, reason, message, and replays
            where the record had been replayed before.
        sealed: The original record, sealed.
    """

    topic: str
    partition: int
    offset: int
    refused_at: datetime
    told: Mapping[str, str]
    sealed: bytes

    @property
    def place(self) -> str:
        """Where it is, as `topic[partition]@offset`."""
        return record_id(self.topic, self.partition, self.offset)

    @property
    def reason(self) -> str:
        """Why it was refused, a metric label too."""
        return self.told.get("reason", "unknown")

    @property
    def explanation(self) -> Explanation:
        """What the reason means and what to do."""
        return EXPLANATIONS.get(self.reason, UNKNOWN)

    @property
    def origin(self) -> str:
        """Where the original record is, as `topic[partition]@offset`."""
        return "{topic}[{partition}]@{offset}".format(**{"topic": "?", "partition": "?", "offset": "?", **self.told})

    def reveal(self, sealer: Sealer) -> OriginalRecord:
        """Open the original record.

        Raises:
            KeyringError: This keyring did not seal it.
            TerminalError: The headers do not say where it came from.
        """
        try:
            place = self.told["topic"], int(self.told["partition"]), int(self.told["offset"])
        except (KeyError, ValueError) as error:
            raise TerminalError(
                f"expected a dead letter of Signalbox at {self.place}, "
                "got a record without its headers: look at another offset"
            ) from error
        return open_record(self.sealed, *place, sealer)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters are meant. What is not given chooses all.

    Attributes:
        reasons: Those refused for one of these reasons.
        since: Those refused at this time or later.
        until: Those refused before this time.

    Raises:
        TerminalError: There is no such reason, or the time ends before it begins.
    """

    reasons: frozenset[str] = frozenset()
    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        unknown = sorted(self.reasons - REASONS)
        if unknown:
            raise TerminalError(f"expected a reason ({', '.join(sorted(REASONS))}), got another word: {unknown[0]}")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise TerminalError("expected a time until that is later than the time since: nothing lies between them")

    def __contains__(self, letter: DeadLetter) -> bool:
        return (
            (not self.reasons or letter.reason in self.reasons)
            and (self.since is None or letter.refused_at >= self.since)
            and (self.until is None or letter.refused_at < self.until)
        )


def dead_letter_topic(topic: str) -> str:
    """The dead-letter topic of an input topic; a dead-letter topic stays what it is."""
    return topic if topic.endswith(_ENDING) else topic + _ENDING


def input_topic(topic: str) -> str:
    """The input topic of a dead-letter topic; an input topic stays what it is."""
    return topic.removesuffix(_ENDING)


def read_dead_letters(
    config: KafkaConfig, topics: Sequence[str], selection: Selection = Selection()
) -> Iterator[DeadLetter]:
    """The chosen dead letters of some dead-letter topics, up to the ends that are found. Partitions keep their order.

    Raises:
        TransientError: Kafka does not answer.
        TerminalError: A topic does not exist.
    """
    counts = partition_counts(config, topics)
    places = [(topic, partition) for topic in topics for partition in range(counts[topic])]
    written = [place for place, end in end_offsets(config, places).items() if end > 0]
    yield from (each for each in _read(config, dict.fromkeys(written, OFFSET_BEGINNING)) if each in selection)


def read_dead_letter(config: KafkaConfig, topic: str, partition: int, offset: int) -> DeadLetter:
    """One dead letter.

    Raises:
        TransientError: Kafka does not answer.
        TerminalError: There is no record at that place.
    """
    partitions = partition_counts(config, [topic])[topic]
    if partition >= partitions:
        raise TerminalError(f"expected a partition of {topic} below {partitions}, got {partition}")
    place = topic, partition
    if offset < end_offsets(config, [place])[place]:
        # where retention or a transaction's marker has left a gap, the next record comes
        letter = next(_read(config, {place: offset}), None)
        if letter is not None and letter.offset == offset:
            return letter
    raise TerminalError(f"there is no record at {topic}[{partition}]@{offset}: see `signalbox dlq list`")


def _read(config: KafkaConfig, starts: Mapping[tuple[str, int], int]) -> Iterator[DeadLetter]:
    """The records of the partitions from these offsets to their ends."""
    unfinished = set(starts)
    if not unfinished:
        return
    consumer = Consumer({**config.consumer(), "group.id": "signalbox-dlq", "auto.offset.reset": "earliest"})
    try:
        consumer.assign([TopicPartition(*place, offset) for place, offset in starts.items()])
        heard_at = time.monotonic()
        while unfinished:
            messages = consumer.consume(1000, _POLL_SECONDS)  # it waits for all 1000 or the time to pass
            if not messages and time.monotonic() - heard_at > _TIMEOUT_SECONDS:
                raise TransientError(f"Kafka sent nothing within {_TIMEOUT_SECONDS:.0f} s: try again")
            for message in messages:
                error = message.error()
                place = str(message.topic()), int(message.partition() or 0)
                if error is None:
                    yield _dead_letter(message, place)
                elif error.code() == PARTITION_EOF:
                    unfinished.discard(place)
                else:
                    raise error_from(f"{place[0]}[{place[1]}]", error)
            if messages:  # whoever reads us may have taken long, which is not Kafka silent
                heard_at = time.monotonic()
    finally:
        consumer.close()


def _dead_letter(message: Message, place: tuple[str, int]) -> DeadLetter:
    headers = cast(Headers, list(message.headers() or []))  # the client gives a list of pairs, its types say more
    told = {
        name.removeprefix(PREFIX): (value or b"").decode("utf-8", "replace")
        for name, value in headers
        if name.startswith(PREFIX)
    }
    refused_at = datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC)
    return DeadLetter(*place, int(message.offset() or 0), refused_at, told, bytes(message.value() or b""))
