"""Vendors' events in Confluent Avro, by their own schemas: for formats whose adapters read fields and not columns.

A body is accepted when it follows its schema from the first byte to the last. That is found out before fastavro reads
it: a kernel of ours walks over it within bounds, where a reader that trusts the bytes could be made to build a list of
any length, or to call itself until the stack ends.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import fastavro
import numpy as np

from schemas.blocks import RecordBlock
from schemas.codec.avro_read import is_whole
from schemas.codec.avro_schema import Layout, lay_out, without_logical_types
from schemas.codec.confluent import MAGIC_BYTE, PREFIX_BYTES, UNKNOWN_IDS_PER_BLOCK, by_frequency, schema_ids
from schemas.codec.connect_types import as_json, record_of
from schemas.codec.kernel import Bytes, Longs
from schemas.codec.registry import Registry
from schemas.contracts import Avro
from schemas.errors import RecordError

_MILLISECONDS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "date": (86_400_000, 1),
        "timestamp-millis": (1, 1),
        "timestamp-micros": (1, 1_000),
        "timestamp-nanos": (1, 1_000_000),
    }
)
"""How the numbers of a logical type become milliseconds: times, divided by."""


@dataclass(frozen=True, slots=True)
class EventSchema:
    """The schema that an event was written with.

    Attributes:
        parsed: As fastavro has parsed it, without logical types: all names are full.
        named: The named types in it, by their full names.
        layout: The same for the kernel.
        milliseconds: The fields of the record with a logical type of time, and how their numbers become milliseconds.
    """

    parsed: Avro
    named: Mapping[str, Avro]
    layout: Layout
    milliseconds: Mapping[str, tuple[int, int]]

    @classmethod
    def of(cls, schema: Avro, *, of_connect: bool = False) -> EventSchema:
        """Prepare a schema for reading.

        Args:
            schema: The schema.
            of_connect: As in `AvroEvents`.

        Raises:
            RecordError: `incompatible_schema`: it is no record, or has a type that no bound can be given for.
        """
        schema = record_of(schema) if of_connect else schema
        layout = lay_out(schema)
        named: dict[str, Avro] = {}
        parsed: Any = fastavro.parse_schema(as_json(schema) if of_connect else without_logical_types(schema), named)
        if of_connect:
            return cls(parsed, named, layout, {})
        times = {field["name"]: _MILLISECONDS.get(_logical_type(field["type"])) for field in schema["fields"]}
        return cls(parsed, named, layout, {name: scale for name, scale in times.items() if scale is not None})

    def fields(self, parent: int | None = None) -> list[str]:
        """The names of the record's fields, in order; or of those of the record in its field at position `parent`.

        Empty where that field is no record, also in no branch of its union.
        """
        if parent is None:
            return [field["name"] for field in self.parsed["fields"]]
        of_parent = self.parsed["fields"][parent]["type"]
        for branch in of_parent if isinstance(of_parent, list) else [of_parent]:
            record = self.named.get(branch) if isinstance(branch, str) else branch
            if record is not None and record["type"] == "record":
                return [field["name"] for field in record["fields"]]
        return []


@dataclass(frozen=True, slots=True)
class AvroEvent:
    """One event.

    Attributes:
        value: Its fields. Enums are texts; a time in a field of the event itself is milliseconds since the epoch,
            whatever its logical type; but see `of_connect`.
        schema: What it was written with.
    """

    value: Mapping[str, Any]
    schema: EventSchema


class AvroEvents:
    """Reads events; from one thread.

    Args:
        registry: Knows the writers' schemas; None refuses all Avro.
        of_connect: Kafka Connect writes them: values are as its JSON converter has them (`connect_types`), and keys are
            Avro too.
    """

    def __init__(self, registry: Registry | None, *, of_connect: bool = False) -> None:
        self._registry = registry
        self._of_connect = of_connect
        self._schemas: dict[int, EventSchema | RecordError] = {}

    def prepare(self, block: RecordBlock) -> None:
        """Get the schemas of a block's events.

        Raises:
            TransientError: The registry cannot be asked; no record is to blame.
            TerminalError: The registry refuses us.
        """
        if self._registry is None:
            return
        ids = _framed(block.values, block.value_ends)
        if self._of_connect:
            ids = np.concatenate([ids, _framed(block.keys, block.key_ends)])
        unknown = 0
        for schema_id in by_frequency(ids):
            if schema_id not in self._schemas and unknown < UNKNOWN_IDS_PER_BLOCK:
                schema = self._registry.schema(schema_id)
                if schema is None:
                    unknown += 1
                    continue
                try:
                    self._schemas[schema_id] = EventSchema.of(schema, of_connect=self._of_connect)
                except RecordError as error:
                    self._schemas[schema_id] = RecordError(error.reason, f"schema id {schema_id}: {error}")
                except Exception as error:  # whatever the parsers have against a schema that is none
                    message = f"schema id {schema_id}: expected an Avro schema, came {type(error).__name__}"
                    self._schemas[schema_id] = RecordError("incompatible_schema", message)

    def read(self, value: bytes) -> AvroEvent:
        """Read one value, or key, of the block that was prepared last.

        Raises:
            RecordError: There is no registry, it does not know the schema, or the bytes do not follow it.
        """
        if self._registry is None:
            raise RecordError(
                "malformed_json", "expected JSON, came Confluent Avro's magic byte; configure a schema registry"
            )
        if len(value) < PREFIX_BYTES:
            raise RecordError(
                "malformed_avro", f"expected a prefix of {PREFIX_BYTES} bytes (magic byte, schema id), came fewer"
            )
        schema_id = int.from_bytes(value[1:PREFIX_BYTES], "big")
        schema = self._schemas.get(schema_id)
        if schema is None:
            raise RecordError("unknown_schema", f"expected a schema id that the registry knows, came {schema_id}")
        if isinstance(schema, RecordError):
            raise RecordError(schema.reason, str(schema))
        body = value[PREFIX_BYTES:]
        if not is_whole(schema.layout, np.frombuffer(body, np.uint8)):
            raise RecordError("malformed_avro", "expected bytes after the writer's schema, came others")
        try:
            event: Any = fastavro.schemaless_reader(io.BytesIO(body), schema.parsed, None)
        except UnicodeDecodeError:
            # `from None`: the decoder's message and its `object` hold the text itself
            raise RecordError("invalid_utf8", "expected texts in UTF-8, came other bytes") from None
        for name, (times, by) in schema.milliseconds.items():
            if isinstance(event[name], int):
                event[name] = event[name] * times // by
        return AvroEvent(event, schema)


def _framed(values: Bytes, ends: Longs) -> Longs:
    """The schema ids of those values that have a whole prefix."""
    starts = ends[:-1]
    framed = starts[ends[1:] - starts >= PREFIX_BYTES]
    return schema_ids(values, framed[values[framed] == MAGIC_BYTE])


def _logical_type(avro_type: Any) -> str:
    """The logical type of a field, also of a branch of its union; empty where there is none."""
    for branch in avro_type if isinstance(avro_type, list) else [avro_type]:
        if isinstance(branch, dict) and branch.get("logicalType"):
            return str(branch["logicalType"])
    return ""
