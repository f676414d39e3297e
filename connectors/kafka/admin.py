"""Topics and their ends: what is there, what is missing, how far behind a reader is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ClusterMetadata,
    ConfigResource,
    NewTopic,
    OffsetSpec,
)

from connectors.kafka.config import KafkaConfig
from connectors.kafka.errors import error_from
from connectors.kafka.logs import LOGGER
from schemas.errors import TerminalError, TransientError

ANSWER_SECONDS = 5.0
"""How long to wait for a broker that may not be there at all."""

_REQUEST_SECONDS = 15.0  # for what a broker that answers is asked to do

Origin = tuple[str, int]
"""A topic and a partition number."""


@dataclass(frozen=True, slots=True)
class TopicsReport:
    """What `create_topics` did.

    Attributes:
        created: Topics that are new.
        existing: Topics that were there, with as many partitions as asked for.
        different: Topics that were there with another number of partitions, and that number. They are left as they
            are: adding partitions moves keys.
    """

    created: tuple[str, ...]
    existing: tuple[str, ...]
    different: Mapping[str, int]


def create_topics(
    config: KafkaConfig,
    partitions: Mapping[str, int],
    *,
    replication: int = -1,
    settings: Mapping[str, str] | None = None,
    answer_seconds: float = ANSWER_SECONDS,
) -> TopicsReport:
    """Create the topics that do not exist yet. May be run again and again.

    Args:
        config: How to reach Kafka.
        partitions: The number of partitions by topic.
        replication: The replication factor; -1 for the brokers' default.
        settings: Topic settings for the new ones, such as `retention.ms`.
        answer_seconds: How long a broker may take to answer at all.

    Raises:
        TransientError: Kafka does not answer.
        TerminalError: Kafka refuses, for example for want of rights.
    """
    admin = admin_client(config)
    there = _counts(_metadata(admin, config, answer_seconds))
    missing = [topic for topic in partitions if topic not in there]
    futures = (
        admin.create_topics(
            [NewTopic(topic, partitions[topic], replication, config=dict(settings or {})) for topic in missing],
            request_timeout=_REQUEST_SECONDS,
        )
        if missing
        else {}
    )
    created = []
    for topic, future in futures.items():
        try:
            future.result(_REQUEST_SECONDS)
            created.append(topic)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # somebody else was quicker
                raise error_from(f"creating topic {topic}", error) from error
    others = [topic for topic in partitions if topic in there]
    return TopicsReport(
        created=tuple(created),
        existing=tuple(topic for topic in others if there[topic] == partitions[topic]),
        different={topic: there[topic] for topic in others if there[topic] != partitions[topic]},
    )


def partition_counts(
    config: KafkaConfig, topics: Iterable[str], *, answer_seconds: float = ANSWER_SECONDS
) -> dict[str, int]:
    """The number of partitions of each topic.

    Args:
        config: How to reach Kafka.
        topics: Which topics.
        answer_seconds: How long a broker may take to answer.

    Raises:
        TransientError: Kafka does not answer.
        TerminalError: A topic does not exist; the message names all that are missing.
    """
    there = _counts(_metadata(admin_client(config), config, answer_seconds))
    wanted = list(topics)
    missing = [topic for topic in wanted if topic not in there]
    if missing:
        raise TerminalError(
            f"Kafka at {config.brokers} has no topic {', '.join(missing)}: make it with `signalbox topics create`"
        )
    return {topic: there[topic] for topic in wanted}


def topic_settings(config: KafkaConfig, topic: str) -> dict[str, str]:
    """The settings of a topic as they are in force, by name; see `settings_by_topic`."""
    return settings_by_topic(config, [topic])[topic]


def settings_by_topic(config: KafkaConfig, topics: Iterable[str]) -> dict[str, dict[str, str]]:
    """The settings of some topics as they are in force, by topic and name.

    Raises:
        TransientError: Kafka does not answer.
        TerminalError: A topic does not exist, or this user may not see its settings.
    """
    resources = [ConfigResource(ConfigResource.Type.TOPIC, topic) for topic in topics]
    if not resources:
        return {}
    admin = admin_client(config)  # must outlive its answers
    found: dict[str, dict[str, str]] = {}
    for resource, future in admin.describe_configs(resources, request_timeout=_REQUEST_SECONDS).items():
        try:
            entries = future.result(_REQUEST_SECONDS)
        except KafkaException as error:
            raise error_from(f"settings of {resource.name}", error) from error
        found[resource.name] = {name: entry.value for name, entry in entries.items() if entry.value is not None}
    return found


def end_offsets(config: KafkaConfig, origins: Iterable[Origin]) -> dict[Origin, int]:
    """The last stable offset of each partition: where a reader of committed records is at the end.

    Raises:
        TransientError: Kafka does not answer.
        TerminalError: A partition does not exist.
    """
    return stable_ends(admin_client(config), origins)


def stable_ends(admin: AdminClient, origins: Iterable[Origin]) -> dict[Origin, int]:
    """`end_offsets` through a client that is already there."""
    return _list_offsets(admin, origins, OffsetSpec.latest())  # type: ignore[no-untyped-call]


def beginnings(admin: AdminClient, origins: Iterable[Origin]) -> dict[Origin, int]:
    """The offset of the earliest record there is in each partition, the end of an empty one.

    A reader that is given it starts at once; asked for "the beginning", librdkafka finds it by a timer of half a
    second.

    Raises:
        TransientError: Kafka does not answer.
        TerminalError: A partition does not exist.
    """
    return _list_offsets(admin, origins, OffsetSpec.earliest())  # type: ignore[no-untyped-call]


def _list_offsets(admin: AdminClient, origins: Iterable[Origin], spec: OffsetSpec) -> dict[Origin, int]:
    wanted = {TopicPartition(topic, partition): spec for topic, partition in origins}
    if not wanted:
        return {}
    futures = admin.list_offsets(
        wanted, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=_REQUEST_SECONDS
    )
    offsets = {}
    for place, future in futures.items():
        try:
            offsets[place.topic, place.partition] = int(future.result(_REQUEST_SECONDS).offset)
        except KafkaException as error:
            raise error_from(f"{place.topic}[{place.partition}]", error) from error
    return offsets


def lag(config: KafkaConfig, next_offsets: Mapping[Origin, int]) -> dict[Origin, int]:
    """How many offsets lie between a reader and the end of each partition, 0 at the end.

    Args:
        config: How to reach Kafka.
        next_offsets: Where the reader will read next, by topic and partition.

    Raises:
        TransientError: Kafka does not answer.
        TerminalError: A partition does not exist.
    """
    ends = end_offsets(config, next_offsets)
    return {origin: max(0, ends[origin] - max(0, offset)) for origin, offset in next_offsets.items()}


def admin_client(config: KafkaConfig) -> AdminClient:
    """An admin client; it connects when it is first used."""
    return AdminClient({**config.admin()}, logger=LOGGER)


def _metadata(admin: AdminClient, config: KafkaConfig, answer_seconds: float) -> ClusterMetadata:
    try:
        return admin.list_topics(timeout=answer_seconds)
    except KafkaException as error:
        name = error.args[0].name()
        raise TransientError(
            f"no Kafka broker answered at {config.brokers} within {answer_seconds:g} s (Kafka error {name}): is it "
            "running, and are SIGNALBOX_BROKERS and SIGNALBOX_KAFKA_… right?"
        ) from error


def _counts(metadata: ClusterMetadata) -> dict[str, int]:
    return {name: len(topic.partitions) for name, topic in metadata.topics.items() if topic.error is None}
