"""Records for the codec's tests."""

from __future__ import annotations

import io
import json
import struct
from typing import Any

import fastavro

from schemas.blocks import RecordBlock
from schemas.codec import CanonicalDecoder, Decoded, Registry
from schemas.contracts import Avro, Contract, contract

USAGE = contract("usage_event")
NOON = 1_780_315_200_000_000  # 2026-06-01T12:00:00Z


def usage(**changes: Any) -> dict[str, Any]:
    """One usage event with every field given."""
    row = {
        "event_id": "e1",
        "customer_id": "c1",
        "msisdn": "+447700900123",
        "cell_id": None,
        "kind": "data",
        "duration_seconds": 60,
        "bytes_up": 1,
        "bytes_down": 2**40,
        "charge_minor": -5,
        "currency": "EUR",
        "event_time": NOON,
    }
    return row | changes


def body(schema: Avro, row: dict[str, Any]) -> bytes:
    """One Avro body, written by fastavro."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(json.loads(json.dumps(schema))), row)
    return out.getvalue()


def prefixed(schema_id: int, avro: bytes) -> bytes:
    """A body behind Confluent's magic byte and schema id."""
    return struct.pack(">BI", 0, schema_id) + avro


def decode(
    values: list[bytes | None], registry: Registry | None = None, of: Contract = USAGE, **options: Any
) -> Decoded:
    """Decode values as one block."""
    return CanonicalDecoder(of, registry, **options).decode(
        RecordBlock.from_records("usage.events", 0, [(None, value) for value in values])
    )
