"""Reading dead letters back: what was refused, where, why, and (with the keyring) what it was."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from connectors.kafka import KafkaConfig, end_offsets, partition_counts
from connectors.kafka.errors import PARTITION_EOF, error_from
from privacy import Sealer
from schemas.blocks import Headers
from schemas.dead_letters import PREFIX, OriginalRecord, open_record
from schemas.errors import TerminalError, TransientError

_TIMEOUT_SECONDS = 15.0
_POLL_SECONDS = 0.05
_ENDING = ".dlq"

EXPLANATIONS: Mapping[str, str] = {
    "malformed_avro": "The bytes do not follow their writer's schema. The producer sent a cut or foreign record.",
    "trailing_bytes": "The Avro record ends before its bytes do. The producer wrote with another schema than it named.",
    "unknown_schema": "The schema id is not in the registry. Register the schema, then replay the record.",
    "incompatible_schema": "The writer's schema cannot be read as our contract: a field changed or is missing.",
    "malformed_json": "The bytes are no JSON document, or not one of this topic's format (see topics.toml).",
    "malformed_syslog": "The message does not follow RFC 5424: let the router write structured data.",
    "nested_too_deep": "The JSON document is nested deeper than any format we read.",
    "invalid_utf8": "A text is no valid UTF-8. The producer used another encoding.",
    "wrong_type": "A field has another type than its contract says (see schemas/).",
    "missing_field": "A field that the contract requires is not there (see schemas/).",
    "out_of_range": "A field has the right type and an impossible value.",
    "too_large": "The record is larger than we take.",
    "missing_key": "The record has no key, and its format needs one.",
    "null_value": "The record has no value, and in this format that means nothing.",
    "future_event_time": "Its event time lies too far after the time Kafka received it. Check the producer's clock.",
    "unknown_type": "The vendor's type of event is not one that we know.",
    "gap": "The source says that it lost changes: read the customer again at the source.",
    "bad_signature": "Its signature is missing or wrong: compare the secret with the sender's, or it is forged.",
    "internal": "A fault of Signalbox, not of the record: report the message, then replay the record.",
}


@dataclass(frozen=True)
class DeadLetter:
    """One dead letter.

    Attributes:
        topic: The dead-letter topic.
        partition: Its partition.
        offset: Its offset.
        refused_at: When it was written.
        told: Its headers without their prefix: topic, partition, offset, flow, step, reason, message.
        sealed: The original record, sealed.
    """

    topic: str
    partition: int
    offset: int
    refused_at: datetime
    told: Mapping[str, str]
    sealed: bytes

    @property
    def reason(self) -> str:
        """Why it was refused, a metric label too."""
        return self.told.get("reason", "unknown")

    @property
    def explanation(self) -> str:
        """What the reason means and what to do."""
        return EXPLANATIONS.get(self.reason, "See the message.")

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
                f"expected a dead letter of Signalbox at {self.topic}[{self.partition}]@{self.offset}, "
                "got a record without its headers: look at another offset"
            ) from error
        return open_record(self.sealed, *place, sealer)


def dead_letter_topic(topic: str) -> str:
    """The dead-letter topic of an input topic; a dead-letter topic stays what it is."""
    return topic if topic.endswith(_ENDING) else topic + _ENDING


def read_dead_letters(config: KafkaConfig, topics: list[str]) -> Iterator[DeadLetter]:
    """All dead letters of some dead-letter topics, up to the end as it is now.

    Raises:
        TransientError: Kafka does not answer.
        TerminalError: A topic does not exist.
    """
    counts = partition_counts(config, topics)
    places = [(topic, partition) for topic in topics for partition in range(counts[topic])]
    written = [place for place, end in end_offsets(config, places).items() if end > 0]
    yield from _read(config, dict.fromkeys(written, OFFSET_BEGINNING))


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
            if messages:
                heard_at = time.monotonic()
            elif time.monotonic() - heard_at > _TIMEOUT_SECONDS:
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
