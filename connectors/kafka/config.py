"""KafkaConfig: how to reach Kafka, and the client settings our guarantees rest on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.errors import TerminalError

MAX_RECORD_BYTES = 10 * 1024 * 1024
"""The largest record a client of ours sends or receives; larger ones are refused by a broker's own defaults."""

# An operator may not change these: exactly-once delivery, or the reader, rests on each of them
_RESERVED = frozenset(
    {
        "acks",
        "auto.offset.reset",
        "bootstrap.servers",
        "enable.auto.commit",
        "enable.idempotence",
        "enable.partition.eof",
        "group.id",
        "isolation.level",
        "metadata.broker.list",
        "request.required.acks",
        "transactional.id",
    }
)
_SECRET = re.compile(r"password|secret|key\.pem|\.jaas|token|basic\.auth|oauthbearer\.config|assertion")
_REDACTED = "***"

_COMMON = {
    "client.id": "signalbox",
    "message.max.bytes": str(MAX_RECORD_BYTES),
    "log_level": "4",
    # a client pauses for half of it between its first connection and the second; failures double it up to 10 s
    "reconnect.backoff.ms": "20",
}

_CONSUMER = {
    # the default of 1000 ms stalls a reader that is faster than its fetches
    "fetch.queue.backoff.ms": "50",
    "fetch.wait.max.ms": "25",
    "queued.min.messages": "100000",
    "queued.max.messages.kbytes": "32768",
    "enable.partition.eof": "true",
    "isolation.level": "read_committed",
    # an offset that retention has deleted must stop the flow; "from the beginning" is asked for explicitly
    "auto.offset.reset": "error",
    "enable.auto.commit": "false",
}

_PRODUCER = {
    "acks": "all",
    "enable.idempotence": "true",
    "compression.type": "lz4",
    # write_batch flushes at once: waiting for more would only add latency
    "linger.ms": "1",
    "batch.num.messages": "100000",
    "queue.buffering.max.messages": "1000000",
    "queue.buffering.max.kbytes": "1048576",
    "transaction.timeout.ms": "60000",
}


@dataclass(frozen=True)
class KafkaConfig:
    """How to reach Kafka.

    Args:
        brokers: Bootstrap servers, `host:port` separated by commas.
        extra: Further librdkafka settings, such as `security.protocol` or `sasl.password`; secrets are redacted in
            `repr`.

    Raises:
        TerminalError: `extra` sets something our delivery guarantees rest on.
    """

    brokers: str
    extra: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        taken = sorted(set(self.extra) & _RESERVED)
        if taken:
            raise TerminalError(f"Kafka setting {', '.join(taken)} is Signalbox's own and cannot be set: remove it")

    def consumer(self) -> dict[str, str]:
        """Settings of a consumer: committed records only, partition ends reported, no group."""
        return _COMMON | _CONSUMER | dict(self.extra) | {"bootstrap.servers": self.brokers}

    def producer(self) -> dict[str, str]:
        """Settings of an idempotent producer; a writer adds its `transactional.id`."""
        return _COMMON | _PRODUCER | dict(self.extra) | {"bootstrap.servers": self.brokers}

    def admin(self) -> dict[str, str]:
        """Settings of an admin client."""
        return _COMMON | dict(self.extra) | {"bootstrap.servers": self.brokers}

    def __repr__(self) -> str:
        shown = {key: _REDACTED if _SECRET.search(key) else value for key, value in self.extra.items()}
        return f"KafkaConfig(brokers={self.brokers!r}, extra={shown!r})"
