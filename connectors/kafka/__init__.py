"""Apache Kafka: reads topics in blocks, publishes exactly once, and looks after topics."""

from connectors.kafka.admin import TopicsReport, create_topics, end_offsets, lag, partition_counts
from connectors.kafka.config import KafkaConfig
from connectors.kafka.open_parts import OpenParts
from connectors.kafka.output import ID_HEADER, OutputBatch
from connectors.kafka.published import PublishedSource
from connectors.kafka.sink import TransactionalSink
from connectors.kafka.source import KafkaSource

__all__ = [
    # how to reach it
    "KafkaConfig",
    # dataflow ends
    "KafkaSource",
    "PublishedSource",
    "OpenParts",
    "TransactionalSink",
    "OutputBatch",
    "ID_HEADER",
    # topics
    "TopicsReport",
    "create_topics",
    "partition_counts",
    "end_offsets",
    "lag",
]
