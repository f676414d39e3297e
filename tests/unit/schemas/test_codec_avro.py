"""Avro records: exactly what the writer's schema says, to the last byte, whatever the writer's schema is."""

from __future__ import annotations

import copy
from typing import Any
from uuid import uuid4

import pytest

from schemas.codec import Registry
from schemas.codec.avro_schema import resolve
from schemas.contracts import contract, parse
from schemas.errors import RecordError
from tests.unit.schemas.codec_kit import NOON, USAGE, body, decode, prefixed, usage

OTHER = {"name": "other", "type": "long"}


@pytest.fixture
def registry() -> Registry:
    return Registry.connect(f"mock://{uuid4()}")


def writer(*fields: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The contract's schema with fields of other types, and further fields at the end."""
    schema = copy.deepcopy(USAGE.avro)
    for field in schema["fields"]:
        if field["name"] in changes:
            field["type"] = changes[field["name"]]
            field.pop("default", None)
    schema["fields"] += fields
    return schema


def read(registry: Registry, schema: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    schema_id = registry.register("usage.events-value", schema)
    decoded = decode([prefixed(schema_id, body(schema, row))], registry)
    assert decoded.rejected == []
    assert decoded.rows.drop("_row").schema == USAGE.polars
    return decoded.rows.row(0, named=True)


def test_record_is_read_when_written_with_the_contract(registry: Registry) -> None:
    row = read(registry, USAGE.avro, usage(event_id="żółw", charge_minor=-(2**63)))
    assert row["event_id"] == "żółw"
    assert (row["charge_minor"], row["bytes_down"], row["cell_id"]) == (-(2**63), 2**40, None)
    assert row["event_time"].isoformat() == "2026-06-01T12:00:00+00:00"


SKIPPED = [
    ("int", 5),
    ("double", 1.5),
    ("bytes", b"abc"),
    ({"type": "map", "values": ["null", "long"]}, {"a": None, "b": 300}),
    ({"type": "array", "items": {"type": "array", "items": "float"}}, [[1.0], [], [2.0, 3.0]]),
    ({"type": "enum", "name": "colour", "symbols": ["red", "blue"]}, "blue"),
    ({"type": "fixed", "name": "md5", "size": 16}, b"x" * 16),
    (["null", "string", "long", "boolean"], 77),
    ({"type": "record", "name": "inner", "fields": [OTHER, {"name": "more", "type": ["null", "string"]}]}, None),
]


@pytest.mark.parametrize(("avro_type", "value"), SKIPPED)
def test_unknown_field_is_passed_over_when_its_type_is(registry: Registry, avro_type: Any, value: Any) -> None:
    value = {"other": 5, "more": "text"} if value is None else value
    schema = writer({"name": "extra", "type": avro_type})
    schema["fields"].insert(0, schema["fields"].pop())
    assert read(registry, schema, usage(extra=value))["event_id"] == "e1"


@pytest.mark.parametrize(
    ("column", "avro_type", "value", "expected"),
    [
        ("bytes_up", "int", 7, 7),
        ("bytes_up", ["null", "long"], 7, 7),
        ("bytes_up", ["string", "int", "long"], 7, 7),
        ("event_id", "bytes", b"abc", "abc"),
        ("event_id", ["string", "null"], "abc", "abc"),
        ("event_id", {"type": "string", "avro.java.string": "String"}, "abc", "abc"),
        ("msisdn", "string", "abc", "abc"),
        ("msisdn", "null", None, None),
        ("event_time", "long", NOON, NOON),
        ("event_time", {"type": "long", "logicalType": "timestamp-millis"}, NOON // 1000, NOON),
        ("event_time", {"type": "long", "logicalType": "timestamp-nanos"}, NOON * 1000, NOON),
    ],
)
def test_field_is_resolved_when_written_as(
    registry: Registry, column: str, avro_type: Any, value: Any, expected: Any
) -> None:
    if isinstance(avro_type, dict) and avro_type.get("logicalType") == "timestamp-nanos":
        written = body(writer(event_time="long"), usage(event_time=value))  # the writer knows no such type
        schema_id = registry.register("usage.events-value", writer(event_time=avro_type))
        row = decode([prefixed(schema_id, written)], registry).rows.row(0, named=True)
    else:
        row = read(registry, writer(**{column: avro_type}), usage(**{column: value}))
    got = row[column]
    assert (round(got.timestamp() * 1_000_000) if column == "event_time" else got) == expected


def test_fields_are_found_when_the_writer_has_another_order_and_leaves_some_out(registry: Registry) -> None:
    schema = writer()
    schema["fields"] = [field for field in reversed(schema["fields"]) if field["name"] not in ("currency", "bytes_up")]
    row = read(registry, schema, usage())
    assert (row["event_id"], row["bytes_down"], row["currency"], row["bytes_up"]) == ("e1", 2**40, None, 0)


def test_text_and_list_defaults_fill_in_when_the_writer_has_no_such_field(registry: Registry) -> None:
    schema = copy.deepcopy(contract("usage_event").avro)
    schema["fields"] += [
        {"name": "origin", "type": "string", "default": "home"},
        {"name": "tags", "type": {"type": "array", "items": "string"}, "default": ["a", "b"]},
    ]
    schema_id = registry.register("usage.events-value", USAGE.avro)
    records = [prefixed(schema_id, body(USAGE.avro, usage())), b'{"event_id":"e","customer_id":"c","kind":"sms",'
               b'"event_time":0}']  # fmt: skip
    decoded = decode(records, registry, of=parse(schema))
    assert decoded.rejected == []
    assert decoded.rows.select("origin", "tags").rows() == [("home", ["a", "b"])] * 2


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (writer(bytes_up="string"), "field bytes_up: expected long, came string"),
        (writer(event_id="long"), "field event_id: expected string, came long"),
        (writer(event_time={"type": "int", "logicalType": "date"}),
         "field event_time: expected long (timestamp-micros), came int (date)"),
        (writer(event_time={"type": "long", "logicalType": "local-timestamp-micros"}),
         "field event_time: expected long (timestamp-micros), came long (local-timestamp-micros)"),
        (writer(currency={"type": "bytes", "logicalType": "decimal"}),
         "field currency: expected null or string, came bytes (decimal)"),
        (writer(kind={"type": "enum", "name": "k", "symbols": ["a"]}), "field kind: expected string, came enum"),
        (writer({"name": "loop", "type": {"type": "record", "name": "node", "fields": [
            {"name": "next", "type": ["null", "node"]}]}}),
         "field loop: expected a type that ends, came one that holds itself (node)"),
        (writer({"name": "x", "type": "elsewhere.Type"}),
         "field x: expected types defined in the schema itself, came the name elsewhere.Type"),
        (writer({"name": "x", "type": {"type": "array", "items": "null"}}),
         "field x: expected array items that have a size, came array of null"),
        ({"type": "PROTOBUF"}, "expected a record, came PROTOBUF"),
        ({"type": "enum", "name": "e", "symbols": []}, "expected a record, came enum"),
    ],
)  # fmt: skip
def test_schema_is_incompatible_when(schema: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as error:
        resolve(USAGE, schema)
    assert error.value.reason == "incompatible_schema"
    assert str(error.value) == f"writer's schema: {message}"


def test_every_record_of_the_id_is_rejected_when_its_schema_is_incompatible(registry: Registry) -> None:
    good = registry.register("usage.events-value", USAGE.avro)
    schema = writer(bytes_up="string")
    bad = registry.register("usage.events-value", schema)
    record = prefixed(good, body(USAGE.avro, usage()))
    other = prefixed(bad, body(schema, usage(bytes_up="5")))
    decoded = decode([record, other, record, other], registry)
    assert decoded.rows["_row"].to_list() == [0, 2]
    assert [(one.row, one.reason) for one in decoded.rejected] == [
        (1, "incompatible_schema"),
        (3, "incompatible_schema"),
    ]
    assert decoded.rejected[0].message == (
        f"schema id {bad}: writer's schema: field bytes_up: expected long, came string"
    )


def test_record_is_rejected_when_its_branch_is_null_or_another_type(registry: Registry) -> None:
    schema = writer(bytes_up=["null", "string", "long"])
    schema_id = registry.register("usage.events-value", schema)
    records = [prefixed(schema_id, body(schema, usage(bytes_up=value))) for value in (None, "5", 5)]
    decoded = decode(records, registry)
    assert decoded.rows["bytes_up"].to_list() == [5]
    assert [(one.reason, one.message) for one in decoded.rejected] == [
        ("wrong_type", "column bytes_up: expected Int64, came null"),
        ("wrong_type", "column bytes_up: expected Int64, came another branch of the writer's union"),
    ]


FLAGS = parse({"type": "record", "name": "flags", "fields": [
    {"name": "texts", "type": {"type": "array", "items": "string"}}, {"name": "flag", "type": "boolean"}]})  # fmt: skip


@pytest.mark.parametrize(
    ("avro", "texts"),
    [
        (b"\x00\x01", []),
        (b"\x02\x02a\x00\x01", ["a"]),
        (b"\x02\x02a\x02\x02b\x00\x01", ["a", "b"]),
        (b"\x01\x04\x02a\x00\x01", ["a"]),  # a block of -1 items, that is 1, in 2 bytes
        (b"\x82\x00\x02a\x00\x01", ["a"]),  # the count in more bytes than it needs
    ],
)
def test_list_is_read_when_its_blocks_are(registry: Registry, avro: bytes, texts: list[str]) -> None:
    decoded = decode([prefixed(registry.register("flags", FLAGS.avro), avro)], registry, of=FLAGS)
    assert decoded.rejected == []
    assert decoded.rows["texts"].to_list() == [texts]


@pytest.mark.parametrize(
    ("avro", "reason"),
    [
        (b"", "malformed_avro"),
        (b"\x00", "malformed_avro"),
        (b"\x00\x02", "malformed_avro"),  # a boolean of 2
        (b"\x00\x01\x00", "trailing_bytes"),
        (b"\x02\x04a", "malformed_avro"),  # a text beyond the end
        (b"\x02\x01\x00\x01", "malformed_avro"),  # a text of -1 bytes
        (b"\x01\x06\x02a\x00\x01", "malformed_avro"),  # a block that is shorter than it says
        (b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x01", "malformed_avro"),  # 2^63 - 1 items
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x01", "malformed_avro"),  # -2^63 items
        (b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02\x00\x01", "malformed_avro"),  # a count of 65 bits
        (b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00\x00\x01", "malformed_avro"),  # a varint of 11 bytes
        (b"\x02\x02\xff\x00\x01", "invalid_utf8"),
    ],
)
def test_record_is_rejected_and_no_neighbour_touched_when_its_bytes_are(
    registry: Registry, avro: bytes, reason: str
) -> None:
    schema_id = registry.register("flags", FLAGS.avro)
    good = prefixed(schema_id, b"\x02\x02a\x00\x01")
    decoded = decode([good, prefixed(schema_id, avro), good], registry, of=FLAGS)
    assert decoded.rows.rows() == [(["a"], True, 0), (["a"], True, 2)]
    assert [(one.row, one.reason) for one in decoded.rejected] == [(1, reason)]


def test_time_is_out_of_range_when_milliseconds_overflow(registry: Registry) -> None:
    schema = writer(event_time={"type": "long", "logicalType": "timestamp-millis"})
    plain = writer(event_time="long")
    schema_id = registry.register("usage.events-value", schema)
    decoded = decode([prefixed(schema_id, body(plain, usage(event_time=2**62)))], registry)
    assert [one.reason for one in decoded.rejected] == ["out_of_range"]
