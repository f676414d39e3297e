"""Dead letters: what could not be read, sealed as it came, with plain headers that say why.

A dead letter's value is one sealed Avro record that holds the original key, value, timestamp and headers byte for
byte. Its headers, in the style of Kafka Connect, hold no personal data and are readable by everyone.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, Protocol

import fastavro

from schemas.blocks import Headers, RecordBlock
from schemas.codec import Rejected

PREFIX = "__signalbox.errors."
REPLAY_OF = "__signalbox.replay.of"
"""Header of a replayed record: the place of its dead letter, as `record_id` writes it; also its identity."""
REPLAYS = "__signalbox.replay.count"
"""Header of a replayed record: how often the original has been replayed, this time included; digits."""
_MOST_DIGITS = 6
_ORIGINAL = fastavro.parse_schema(
    {
        "type": "record",
        "name": "signalbox.original_record",
        "fields": [
            {"name": "key", "type": ["null", "bytes"]},
            {"name": "value", "type": ["null", "bytes"]},
            {"name": "timestamp_ms", "type": "long"},
            {
                "name": "headers",
                "type": {
                    "type": "array",
                    "items": {
                        "type": "record",
                        "name": "signalbox.original_header",
                        "fields": [{"name": "name", "type": "string"}, {"name": "value", "type": ["null", "bytes"]}],
                    },
                },
            },
        ],
    }
)


class Seal(Protocol):
    """What seals and opens bytes; `privacy.Sealer` is one."""

    def seal(self, data: bytes, context: bytes) -> bytes: ...  # noqa: D102
    def open(self, sealed: bytes, context: bytes) -> bytes: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class OriginalRecord:
    """A record as it was received."""

    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    headers: Headers


def record_id(topic: str, partition: int, offset: int) -> str:
    """Name the place a record came from; it is also the dead letter's key and identity."""
    return f"{topic}[{partition}]@{offset}"


def seal_record(block: RecordBlock, row: int, seal: Seal) -> bytes:
    """Seal the record at position `row`; the place it came from is bound to the seal."""
    out = io.BytesIO()
    headers = [{"name": name, "value": value} for name, value in block.headers.get(row, [])]
    original = {
        "key": block.key(row),
        "value": block.value(row),
        "timestamp_ms": int(block.timestamps_ms[row]),
        "headers": headers,
    }
    fastavro.schemaless_writer(out, _ORIGINAL, original)
    return seal.seal(out.getvalue(), _context(block.topic, block.partition, int(block.offsets[row])))


def open_record(sealed: bytes, topic: str, partition: int, offset: int, seal: Seal) -> OriginalRecord:
    """Open a dead letter's value; the place is the original record's, as its headers name it."""
    plain = seal.open(sealed, _context(topic, partition, offset))
    original: Any = fastavro.schemaless_reader(io.BytesIO(plain), _ORIGINAL, None)
    headers = [(header["name"], header["value"]) for header in original["headers"]]
    return OriginalRecord(original["key"], original["value"], original["timestamp_ms"], headers)


def error_headers(block: RecordBlock, rejected: Rejected, *, flow: str, step: str) -> list[tuple[str, bytes]]:
    """Say in headers where the record came from, who refused it and why, and how often it was replayed before."""
    fields = {
        "topic": block.topic,
        "partition": str(block.partition),
        "offset": str(int(block.offsets[rejected.row])),
        "flow": flow,
        "step": step,
        "reason": rejected.reason,
        "message": rejected.message,
    }
    replays = replay_count(block.headers.get(rejected.row, []))
    if replays:
        fields["replays"] = str(replays)
    return [(PREFIX + name, text.encode()) for name, text in fields.items()]


def replay_count(headers: Headers) -> int:
    """How often a record was replayed, as its headers say; 0 where they say nothing, or no number."""
    said = next((value for name, value in reversed(headers) if name == REPLAYS), None) or b""
    return int(said) if said.isdigit() and len(said) <= _MOST_DIGITS else 0


def _context(topic: str, partition: int, offset: int) -> bytes:
    return record_id(topic, partition, offset).encode()
