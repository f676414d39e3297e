from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from schemas.blocks import RecordBlock
from schemas.codec import AvroEvents, Registry
from schemas.codec.avro_schema import without_logical_types
from schemas.errors import RecordError
from tests.unit.schemas.codec_kit import body, prefixed

DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}
INNER = {"type": "record", "name": "Inner", "fields": [{"name": "day", "type": {"type": "int", "logicalType": "date"}}]}
OUTER = {
    "type": "record",
    "name": "Outer",
    "namespace": "crm",
    "fields": [
        {"name": "before", "type": ["null", INNER], "default": None},
        {"name": "after", "type": ["null", "Inner"], "default": None},
        {"name": "texts", "type": {"type": "array", "items": ["null", "string"]}},
        {"name": "numbers", "type": {"type": "map", "values": "double"}},
        {"name": "amount", "type": ["null", DECIMAL]},
        {"name": "amounts", "type": {"type": "array", "items": DECIMAL}},
        {"name": "raw", "type": "bytes", "default": "\xff"},
        {"name": "four", "type": {"type": "fixed", "name": "Four", "size": 4}},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["a", "b"]}},
        {"name": "moment", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "flag", "type": {"type": "boolean"}},
    ],
}
VALUE = {
    "before": None,
    "after": {"day": 7425},
    "texts": ["x", None],
    "numbers": {"a": 1.5},
    "amount": b"\x27\x0f",
    "amounts": [b"\x01"],
    "raw": b"\x00\xff",
    "four": b"abcd",
    "kind": "b",
    "moment": 1_777_377_600_250_000,
    "flag": True,
}
AS_JSON = VALUE | {
    "amount": {"scale": 2, "value": "Jw8="},
    "amounts": [{"scale": 2, "value": "AQ=="}],
    "raw": "AP8=",
    "four": "YWJjZA==",
}


@pytest.fixture
def registry() -> Registry:
    return Registry.connect(f"mock://{uuid4()}")


def framed(registry: Registry, schema: dict[str, Any], value: Any) -> bytes:
    return prefixed(registry.register("crm", schema), body(without_logical_types(schema), value))


def read(registry: Registry, value: bytes | None, key: bytes | None = None) -> object:
    """The value where there is one, else the key."""
    events = AvroEvents(registry, of_connect=True)
    events.prepare(RecordBlock.from_records("crm", 0, [(key, value)]))
    return events.read(value or key or b"").value


def test_value_reads_as_json_has_it_when_it_holds_any_type(registry: Registry) -> None:
    assert read(registry, framed(registry, OUTER, VALUE)) == AS_JSON


def test_key_reads_when_the_value_is_a_tombstone(registry: Registry) -> None:
    assert read(registry, None, framed(registry, OUTER, VALUE)) == AS_JSON


def test_key_reads_when_its_schema_is_no_record(registry: Registry) -> None:
    schema = {"type": "string"}
    assert read(registry, None, framed(registry, schema, "C-1")) == {"value": "C-1"}


def test_value_reads_when_a_type_stands_in_another(registry: Registry) -> None:
    schema = {"type": "record", "name": "R", "fields": [{"name": "a", "type": {"type": {"type": "boolean"}}}]}
    assert read(registry, prefixed(registry.register("crm", schema), b"\x01")) == {"a": True}


def test_decimal_reads_when_it_has_a_million_digits(registry: Registry) -> None:
    schema = {"type": "record", "name": "R", "fields": [{"name": "a", "type": DECIMAL}]}
    found: Any = read(registry, framed(registry, schema, {"a": b"\x7f" * 400_000}))
    assert found["a"]["scale"] == 2
    assert len(found["a"]["value"]) > 500_000


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "PROTOBUF"}, "expected types defined in the schema itself, came the name PROTOBUF"),
        (
            {"type": "record", "name": "N", "fields": [{"name": "a", "type": {"type": "map"}}]},
            "expected an Avro schema, came KeyError",
        ),
    ],
    ids=["another kind", "no Avro"],
)
def test_value_is_refused_when_its_schema_cannot_be_read(schema: dict[str, Any], message: str) -> None:
    class OneSchema(Registry):
        def __init__(self) -> None:
            pass

        def schema(self, schema_id: int) -> dict[str, Any] | None:
            return schema

    with pytest.raises(RecordError) as error:
        read(OneSchema(), b"\0\0\0\0\x07")
    assert error.value.reason == "incompatible_schema"
    assert str(error.value).startswith("schema id 7: ")
    assert str(error.value).endswith(message)


def test_registry_is_asked_for_a_few_ids_when_keys_make_up_many() -> None:
    class NoSchemas(Registry):
        def __init__(self) -> None:
            self.asked: list[int] = []

        def schema(self, schema_id: int) -> dict[str, Any] | None:
            self.asked.append(schema_id)
            return None

    registry = NoSchemas()
    records = [(prefixed(number, b""), prefixed(1000 + number, b"")) for number in range(100)]
    AvroEvents(registry, of_connect=True).prepare(RecordBlock.from_records("crm", 0, records))
    assert len(registry.asked) == 16
