"""A generated telco in the topics of an installation."""

from __future__ import annotations

from confluent_kafka import Producer

from benchmarks.workload import PARTITIONS, Manifest, Workload
from connectors.topics import load_topics
from flows.topic_plan import inputs_of
from tests.installation import FLOW, PATIENCE_SECONDS, Installation

READ = {each.topic: PARTITIONS[each.topic] for each in inputs_of(FLOW, load_topics())}
"""Partitions of the topics that the flow reads."""


def send(installation: Installation, workload: Workload) -> Manifest:
    """Produce what the flow reads; returns the ledger of it all."""
    # small batches, or a reader that is paced gets all at once
    producer = Producer(installation.kafka.producer() | {"batch.num.messages": "200"})
    for record in workload.records():
        if record.topic in installation.topics:
            producer.produce(
                installation.topics[record.topic],
                record.value,
                record.key,
                record.partition,
                timestamp=record.timestamp_ms,
                headers=list(record.headers) or None,
            )
            producer.poll(0)
    assert producer.flush(PATIENCE_SECONDS) == 0
    return workload.manifest
