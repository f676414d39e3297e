"""From settings to a dataflow that is connected to the world."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from bytewax.dataflow import Dataflow

from connectors.epoch_pace import EpochClock
from connectors.kafka import KafkaSource, OpenParts, OutputBatch, PublishedSource, TransactionalSink
from connectors.kafka.source import POLL_SECONDS
from connectors.metrics import MetricsSink, process_metrics
from connectors.settings import Settings
from connectors.tables import TablesSink
from connectors.topics import TopicConfig
from flows.data_directory import DataDirectory
from flows.fault_notifications import FLOW, TABLES, FaultConfig, FaultIO, build
from flows.flow_config import flow_config
from flows.run_description import RunDescription
from flows.topic_plan import NOTIFICATION_TOPICS, inputs_of, reject_topics, require_flow
from privacy import Keyring, KeyringWatch, Sealer, Tokenizer
from schemas.codec import CanonicalDecoder, Encoder, Registry
from schemas.contracts import contract
from schemas.formats import decoder_for

_NETWORK = ("network_fault", "network_topology")
_USAGE_POLL_SECONDS = 0.1
"""Usage is nearly all of the load, and every block costs every shard something: a few thick ones are cheaper."""


@dataclass(frozen=True)
class Wired:
    """A dataflow that is ready to run.

    Attributes:
        flow: The dataflow.
        recovery: Its recovery store.
        finalizers: To be called in order after the dataflow has ended well.
    """

    flow: Dataflow
    recovery: Path
    finalizers: tuple[Callable[[], None], ...]


def wire(settings: Settings, run: RunDescription, stop: threading.Event) -> Wired:
    """Connect a flow.

    Args:
        settings: Where everything is.
        run: What the supervisor prepared.
        stop: Set to end the sources.

    Raises:
        TerminalError: The configuration does not fit.
        KeyringError: There is no keyring that can be used: no key, no flow.
    """
    require_flow(run.flow)
    config = flow_config(FaultConfig, run.config, run.flow)
    directory = DataDirectory(settings.data_dir)
    keyring = Keyring.load(settings.keyring_path)
    registry = Registry.connect(settings.schema_registry_url) if settings.schema_registry_url else None
    notification = contract("notification")
    topics = inputs_of(run.flow, settings.load_topics())
    kafka = settings.kafka_config()

    inputs, epochs = OpenParts(), EpochClock(run.epoch_milliseconds / 1000)

    def source(*streams: str, poll_seconds: float = POLL_SECONDS) -> KafkaSource:
        return KafkaSource(
            kafka,
            [each.topic for each in topics if each.stream in streams],
            until_caught_up=run.until_caught_up,
            poll_seconds=poll_seconds,
            epochs=epochs,
            open_parts=inputs,
            stop=stop,
        )

    tables = TablesSink(settings.data_dir, TABLES, flow=FLOW, generation=run.generation or None)
    metrics = MetricsSink(directory.metrics(run.flow))
    io = FaultIO(
        network=source(*_NETWORK),
        subscribers=source("crm_change"),
        usage=source("usage_event", poll_seconds=_USAGE_POLL_SECONDS),
        published=PublishedSource(
            kafka,
            flow=FLOW,
            sink="notifications",
            topics=NOTIFICATION_TOPICS,
            writers=config.writers,
            epochs=epochs,
            inputs=inputs if run.until_caught_up else None,
            stop=stop,
        ),
        notifications=TransactionalSink(
            kafka,
            flow=FLOW,
            sink="notifications",
            topics=NOTIFICATION_TOPICS,
            writers=config.writers,
            recalled=True,
            on_commit=_measure_notifications,
        ),
        rejects=TransactionalSink(
            kafka,
            flow=FLOW,
            sink="rejects",
            topics=reject_topics(each.topic for each in topics),
            writers=config.writers,
        ),
        tables=tables,
        metrics=metrics,
        decoders={each.topic: decoder_for(each.stream, each.format, registry, each.secret()) for each in topics},
        published_decoder=CanonicalDecoder(notification, registry),
        encoder=Encoder(notification, registry, subject="signalbox.notification"),
        tokenizer=Tokenizer(keyring, KeyringWatch(keyring)),
        sealer=Sealer(keyring),
        origins=_origins(topics, run),
        output_partitions=run.output_partitions,
        state_dir=directory.state(run.flow),
    )
    return Wired(build(config, io), directory.recovery(run.flow), (tables.finalize, metrics.finalize))


def _measure_notifications(batch: OutputBatch, committed_ms: int) -> None:
    """Observe how long each notification took since its cause came into Kafka."""
    if batch.triggered_ms is not None:
        seconds = np.maximum(committed_ms - batch.triggered_ms, 0) / 1000.0
        channel = batch.topic.removeprefix("notifications.")
        process_metrics().time_to_notify_seconds.labels(channel).observe_column(seconds)


def _origins(topics: list[TopicConfig], run: RunDescription) -> tuple[tuple[str, int], ...]:
    return tuple((each.topic, partition) for each in topics for partition in range(run.inputs[each.topic]))
