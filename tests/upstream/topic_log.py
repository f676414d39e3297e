"""Topics of customer changes as our flow reads them, from their beginning to where they end by now."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from connectors.kafka import KafkaConfig
from connectors.kafka.admin import admin_client, beginnings, stable_ends
from connectors.kafka.reader import open_client
from flows.batch import Batch, Origin
from flows.operators.decode import DecodeSpec, decode_block
from schemas.codec import Registry
from schemas.formats import decoder_for

_READ_SECONDS = 30.0


@dataclass(frozen=True)
class Letter:
    """A dead letter; `customer` is whose row went on all the same."""

    reason: str
    message: str
    customer: str | None


class TopicLog:
    """Everything that was read so far, decoded.

    Args:
        config: How to reach Kafka.
        formats: The format of each topic; all carry `crm_change`.
        partitions: How many each topic has.
        registry: Knows the schemas of records in Avro.
    """

    def __init__(
        self, config: KafkaConfig, formats: Mapping[str, str], partitions: Mapping[str, int], registry: Registry
    ) -> None:
        decoders = {topic: decoder_for("crm_change", each, registry) for topic, each in formats.items()}
        self._spec = DecodeSpec(decoders=decoders, max_future=0)
        self._origins = [Origin(topic, number) for topic in formats for number in range(partitions[topic])]
        self._admin = admin_client(config)
        self._next = beginnings(self._admin, self._origins)
        client = open_client(config)
        self._readers = {origin: client.reader(*origin, self._next[origin], 10_000) for origin in self._origins}
        self._batches: list[Batch] = []
        self._letters: list[tuple[str, Letter]] = []

    def held(self, topic: str) -> int:
        """How many records Kafka holds of a topic."""
        return sum(stable_ends(self._admin, [origin for origin in self._origins if origin.topic == topic]).values())

    def read_on(self) -> None:
        """Read and decode what has come since."""
        deadline = time.monotonic() + _READ_SECONDS
        for origin, end in stable_ends(self._admin, self._origins).items():
            while self._next[origin] < end:
                assert time.monotonic() < deadline, f"the end of {origin} was not reached in {_READ_SECONDS} s"
                self._read(origin)

    def batches(self, topic: str) -> list[Batch]:
        """The rows of a topic."""
        return [batch for batch in self._batches if batch.origin.topic == topic]

    def letters(self, topic: str) -> list[Letter]:
        """What could not be read of a topic."""
        return [letter for of, letter in self._letters if of == topic]

    def close(self) -> None:
        """Stop reading."""
        for reader in self._readers.values():
            reader.close()

    def _read(self, origin: tuple[str, int]) -> None:
        block = self._readers[origin].read(20)
        if not len(block):
            return
        self._next[origin] = int(block.offsets[-1]) + 1
        batch, refused, _ = decode_block(block, self._spec)
        self._batches.append(batch)
        customers = dict(batch.rows.select("_offset", "customer_id").iter_rows())
        for each in refused.rejected if refused else []:
            customer = customers.get(int(block.offsets[each.row]))
            self._letters.append((block.topic, Letter(each.reason, each.message, customer)))
