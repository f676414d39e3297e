"""What a run needs to know before its workers start, checked once for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.kafka import KafkaConfig, partition_counts
from connectors.settings import Settings
from flows.data_directory import DataDirectory
from flows.fault_notifications import STEPS_VERSION, FaultConfig
from flows.flow_config import flow_config
from flows.persisted_format import PersistedFormat, adopt_format
from flows.run_description import RunDescription
from flows.topic_plan import NOTIFICATION_TOPICS, inputs_of, reject_topics, require_readable
from privacy import Keyring
from schemas.errors import TerminalError

RECOVERY_PARTITIONS = 1
"""SQLite files of the recovery store. One worker writes each of them, and waits for the disk three times at every close
for each: snapshots are a few kilobytes, for bulk state lies in segments, so one worker writes them all soonest."""


def prepare(settings: Settings, run: RunDescription) -> RunDescription:
    """Check everything that a start depends on, and bind the saved state to this configuration.

    The data directory must be locked by the caller.

    Args:
        settings: Where everything is.
        run: What the user asked for.

    Returns:
        The description with the topics' partitions.

    Raises:
        TerminalError: The configuration, the keyring, the topics or the saved state do not fit.
        KeyringError: There is no keyring that can be used.
        TransientError: Kafka does not answer.
    """
    Keyring.load(settings.keyring_path)  # no key, no flow
    require_readable(inputs_of(run.flow, settings.load_topics()))
    wanted = wanted_format(settings, run.flow, run.config)
    adopt_format(DataDirectory(settings.data_dir), run.flow, wanted)
    return RunDescription(
        flow=run.flow,
        epoch_milliseconds=run.epoch_milliseconds,
        until_caught_up=run.until_caught_up,
        config=run.config,
        inputs=wanted.inputs,
        output_partitions=wanted.output_partitions,
    )


def wanted_format(settings: Settings, flow: str, values: Mapping[str, Any]) -> PersistedFormat:
    """The format that a start with these settings would use.

    Raises:
        TerminalError: The configuration is wrong, or topics are missing or unequal.
        TransientError: Kafka does not answer.
    """
    config = flow_config(FaultConfig, values, flow)
    inputs = [each.topic for each in inputs_of(flow, settings.load_topics())]
    kafka = settings.kafka_config()
    return PersistedFormat(
        steps=STEPS_VERSION,
        shards=config.shards,
        writers=config.writers,
        recovery_partitions=RECOVERY_PARTITIONS,
        output_partitions=equal_partitions(kafka, [*NOTIFICATION_TOPICS, *reject_topics(inputs)]),
        inputs=partition_counts(kafka, inputs),
    )


def equal_partitions(kafka: KafkaConfig, topics: list[str]) -> int:
    """The number of partitions that all these topics have.

    Raises:
        TerminalError: They differ, or one is missing.
        TransientError: Kafka does not answer.
    """
    counts = partition_counts(kafka, topics)
    usual = max(counts.values())
    odd = [f"{topic} has {count}" for topic, count in counts.items() if count != usual]
    if odd:
        raise TerminalError(
            f"expected {usual} partitions on every output topic, for writers own partitions by number; "
            f"{', '.join(odd)}: give them {usual} with your Kafka tools"
        )
    return usual
