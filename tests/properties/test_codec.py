"""The codec under damage: block by block it says what a naive reader says record by record, whatever is sent.

The naive Avro reader below is the definition: the specification in a few lines, strict wherever bytes could mean
nothing. For JSON the definition is orjson and the contract's types. Hypothesis prints how to repeat a failure.
"""

from __future__ import annotations

import copy
import io
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import fastavro
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.blocks import RecordBlock
from schemas.codec import REASONS, CanonicalDecoder, Encoder, Registry, rows_to_frame
from schemas.codec.json_read import read_json_exactly
from schemas.codec.kernel import valid_utf8
from schemas.contracts import TIMESTAMP, Contract, contract

STREAMS = ("usage_event", "crm_change", "network_fault")
EXAMPLES = settings(max_examples=25, deadline=None)


class Malformed(Exception):  # noqa: N818
    """The bytes do not follow the schema."""


@dataclass
class NaiveReader:
    """Reads one Avro body by the letter of the specification (Avro 1.11, "Binary Encoding")."""

    data: bytes
    at: int = 0

    def take(self, count: int) -> bytes:
        if not 0 <= count <= len(self.data) - self.at:
            raise Malformed
        self.at += count
        return self.data[self.at - count : self.at]

    def long(self) -> int:
        result = shift = 0
        while True:
            byte = self.take(1)[0]
            result |= (byte & 0x7F) << shift
            if result >= 2**64 or shift > 63:
                raise Malformed
            if byte < 0x80:
                return (result >> 1) ^ -(result & 1)
            shift += 7

    def array(self, items: Any) -> list[Any]:
        found: list[Any] = []
        while count := self.long():
            end = None
            if count < 0:
                size = self.long()
                if not 0 <= size <= len(self.data) - self.at:
                    raise Malformed
                count, end = -count, self.at + size
            if count > len(self.data) - self.at:
                raise Malformed
            found += [self.value(items) for _ in range(count)]
            if end not in (None, self.at):
                raise Malformed
        return found

    def value(self, avro_type: Any) -> Any:
        if isinstance(avro_type, list):
            branch = self.long()
            if not 0 <= branch < len(avro_type):
                raise Malformed
            return self.value(avro_type[branch])
        if isinstance(avro_type, dict):
            if avro_type["type"] == "array":
                return self.array(avro_type["items"])
            return self.value(avro_type["type"])
        match avro_type:
            case "null":
                return None
            case "boolean":
                byte = self.take(1)[0]
                if byte > 1:
                    raise Malformed
                return bool(byte)
            case "long":
                return self.long()
            case "string":
                try:
                    return self.take(self.long()).decode()
                except UnicodeDecodeError:
                    raise Malformed from None
        raise AssertionError(avro_type)


def naive_avro(schema: dict[str, Any], body: bytes) -> dict[str, Any]:
    reader = NaiveReader(body)
    row = {field["name"]: reader.value(field["type"]) for field in schema["fields"]}
    if reader.at != len(body):
        raise Malformed
    return row


TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
TIMES = st.integers(0, 253_402_300_799_999_999)


def rows_of(stream: Contract) -> st.SearchStrategy[dict[str, Any]]:
    def column(name: str, dtype: pl.DataType) -> st.SearchStrategy[Any]:
        limits = stream.limits.get(name)
        if limits and limits.allowed:
            cells: st.SearchStrategy[Any] = st.sampled_from(limits.allowed)
        elif dtype == TIMESTAMP:
            cells = TIMES
        elif dtype == pl.String:
            cells = TEXTS.filter(bool) if limits and limits.not_empty else TEXTS
        elif dtype == pl.Int64:
            cells = st.integers(limits.minimum if limits and limits.minimum is not None else -(2**63), 2**63 - 1)
        elif dtype == pl.Boolean:
            cells = st.booleans()
        else:
            cells = st.lists(TEXTS, max_size=4)
        return cells if name in stream.required else st.none() | cells

    return st.fixed_dictionaries({name: column(name, dtype) for name, dtype in stream.polars.items()})


@st.composite
def damaged(draw: st.DrawFn, records: list[bytes], keep: int = 0) -> list[bytes]:
    """The records with some of them damaged behind their first `keep` bytes, and some swapped."""
    records = list(records)
    for _ in range(draw(st.integers(0, 9))):
        i, j = draw(st.integers(0, len(records) - 1)), draw(st.integers(0, len(records) - 1))
        body = bytearray(records[i])
        cut = draw(st.integers(keep, max(keep, len(body))))
        match draw(st.sampled_from(["flip", "byte", "byte", "cut", "append", "insert", "swap", "splice"])):
            case "flip" if cut < len(body):
                body[cut] ^= 1 << draw(st.integers(0, 7))
            case "byte" if cut < len(body):
                body[cut] = draw(st.sampled_from([0, 1, 2, 0x7F, 0x80, 0xFF, 34, 44, 92, 125]))
            case "cut":
                del body[cut:]
            case "append":
                body += draw(st.binary(min_size=1, max_size=12))
            case "insert":
                body[cut:cut] = draw(st.binary(min_size=1, max_size=3))
            case "swap":
                records[i], records[j] = records[j], records[i]
                continue
            case "splice":
                body[cut:] = records[j][cut:]
        records[i] = bytes(body)
    return records


def agrees(stream: Contract, registry: Registry | None, records: list[bytes], expected: pl.DataFrame) -> None:
    decoded = CanonicalDecoder(stream, registry).decode(
        RecordBlock.from_records("t", 0, [(None, record) for record in records])
    )
    assert decoded.rows.equals(expected), f"{decoded.rows} is not {expected}"
    assert decoded.rows.schema == expected.schema
    rejected = [one.row for one in decoded.rejected]
    assert rejected == sorted(set(range(len(records))) - set(expected["_row"]))
    assert {one.reason for one in decoded.rejected} <= REASONS - {"internal"}


@pytest.mark.parametrize("name", STREAMS)
@EXAMPLES
@given(data=st.data())
def test_avro_block_is_read_as_a_naive_reader_reads_each_record(name: str, data: st.DataObject) -> None:
    stream = contract(name)
    registry = Registry.connect(f"mock://{name}")
    schema_id = registry.register(f"{name}-value", stream.avro)
    schema = fastavro.parse_schema(json.loads(json.dumps(stream.avro)))
    records = []
    for row in data.draw(st.lists(rows_of(stream), min_size=1, max_size=6)):
        out = io.BytesIO()
        fastavro.schemaless_writer(out, schema, row)
        records.append(struct.pack(">BI", 0, schema_id) + out.getvalue())
    records = data.draw(damaged(records, keep=5))
    rows, positions = [], []
    for position, record in enumerate(records):
        try:
            rows.append(naive_avro(stream.avro, record[5:]))
            positions.append(position)
        except Malformed:
            continue
    agrees(stream, registry, records, rows_to_frame(stream, rows, positions)[0])


@pytest.mark.parametrize("name", STREAMS)
def test_avro_block_is_read_as_a_naive_reader_reads_it_when_any_one_byte_is_another(name: str) -> None:
    stream = contract(name)
    registry = Registry.connect(f"mock://{name}")
    prefix = struct.pack(">BI", 0, registry.register(f"{name}-value", stream.avro))
    cells: dict[str, Any] = {"String": "\u00e9a", "Int64": 300, "Boolean": True, "List": ["a", "b"]}
    row = {
        name: 10**15 if dtype == TIMESTAMP else cells[str(dtype.base_type())] for name, dtype in stream.polars.items()
    }
    row |= {name: limits.allowed[0] for name, limits in stream.limits.items() if limits.allowed}
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(json.loads(json.dumps(stream.avro))), row)
    intact = out.getvalue()
    bodies = [
        intact[:at] + bytes([byte]) + intact[at + 1 :]
        for at in range(len(intact))
        for byte in {intact[at] ^ 1, intact[at] ^ 2, intact[at] ^ 0x80, 0, 0xFF, (intact[at] + 2) % 256}
    ]
    rows, positions = [], []
    for position, body in enumerate(bodies):
        try:
            rows.append(naive_avro(stream.avro, body))
            positions.append(position)
        except Malformed:
            continue
    agrees(stream, registry, [prefix + body for body in bodies], rows_to_frame(stream, rows, positions)[0])


def as_json(row: dict[str, Any], shape: int) -> bytes:
    """One of the ways a producer may write a row."""
    if shape & 1:
        row = dict(reversed(row.items()))
    if shape & 2:
        row = {name: cell for name, cell in row.items() if cell is not None}
    separators = (",", ":") if shape & 4 else (" , ", "\t: ")
    return json.dumps(row, ensure_ascii=bool(shape & 8), separators=separators).encode()


@pytest.mark.parametrize("name", STREAMS)
@EXAMPLES
@given(data=st.data())
def test_json_block_is_read_as_each_record_alone(name: str, data: st.DataObject) -> None:
    stream = contract(name)
    rows = data.draw(st.lists(rows_of(stream), min_size=1, max_size=6))
    intact = [as_json(row, data.draw(st.integers(0, 15))) for row in rows]
    whole, _ = rows_to_frame(stream, rows, list(range(len(rows))))
    agrees(stream, None, intact, whole)
    records = data.draw(damaged(intact))
    expected, _ = read_json_exactly(stream, records, list(range(len(records))))
    if not any(record.startswith(b"\0") for record in records):  # without a registry, rejected unread
        agrees(stream, None, records, expected)


NAMES = ("event_id", "cell_id", "bytes_up", "charge_minor", "event_time", "kind", "more", "mor\\u0065", "bytes_u")
NUMBERS = [
    "0",
    "-0",
    "00",
    "01",
    "1.0",
    "1e3",
    "-",
    "12",
    "-12",
    "+12",
    "999999999999999999",
    "1000000000000000000",
    "-999999999999999999",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999",
    "1_0",
    "0x10",
    "NaN",
    "Infinity",
    "null",
    "true",
    "false",
    "nul",
    "truth",
    "[]",
    "[1]",
    "[null]",
    "{}",
    '{"event_id":"b"}',
]
TEXTS_IN_JSON = (
    "",
    "sms",
    "12",
    "\u00e9",
    "\\u00e9",
    "\\ud800",
    "a\nb",
    "a\x00b",
    "a\\\\",
    "a\\",
    "\x7f",
    "[{",
    "null",
)
TIMES_IN_JSON = [
    "2026-06-01T12:00:00Z",
    "2026-06-01T12:00:00.1234567+23:59",
    "2024-02-29t23:59:59-0000",
    "2023-02-29T00:00:00Z",
    "2100-02-29T00:00:00Z",
    "2000-02-29T00:00:00z",
    "9999-12-31T23:59:59.999999-00:01",
    "9999-12-31T23:59:59.999999Z",
    "1970-01-01T00:00:00Z",
    "1970-01-01T00:00:00+00:01",
    "1969-12-31T23:59:59Z",
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00+23:59",
    "2026-06-01T12:00:00.Z",
    "2026-06-01T12:00:00.123456789Z",
    "2026-06-01T12:00:00.1234567890Z",
    "2026-06-01T12:00:00",
    "2026-06-01T24:00:00Z",
    "2026-06-01T12:60:00Z",
    "2026-06-01T12:00:60Z",
    "2026-00-01T12:00:00Z",
    "2026-13-01T12:00:00Z",
    "2026-04-31T12:00:00Z",
    "2026-04-00T12:00:00Z",
    "2026-06-01T12:00:00+24:00",
    "2026-06-01T12:00:00+23:60",
    "2026-06-01T12:00:00+1:00",
    "2026-06-01T12:00:00+01",
    "2026-06-01T12:00:00+0100",
    "2026-06-01T12:00:00+01:000",
    "2026-06-01T12:00:00ZZ",
    "2026-6-01T12:00:00Z",
    "2026-06-01",
    "2026/06/01T12:00:00Z",
    "2026-06-01x12:00:00Z",
    "2026-06-01T12.00.00Z",
]
VALUES = (*NUMBERS, *(f'"{text}"' for text in (*TEXTS_IN_JSON, *TIMES_IN_JSON, "2026-06-01 12:00:00Z")))
EVENT = ('"event_id":"a"', '"customer_id":"b"', '"kind":"sms"', '"event_time":0')


def test_json_block_is_read_as_each_record_alone_for_every_member_of_every_kind() -> None:
    stream = contract("usage_event")
    members = [f'"{name}":{value}' for name in NAMES for value in VALUES]
    records = [("{" + ",".join([*EVENT, member]) + "}").encode() for member in members]
    expected, _ = read_json_exactly(stream, records, list(range(len(records))))
    assert len(expected) > len(records) / 4
    agrees(stream, None, records, expected)


JUNK = st.sampled_from(
    ["{", "}", "[", "]", ",", ":", '"', "\\", " ", "\n", "\t", "\x00", "\ufeff", "\u00a0", "nul", "1"]
)
MEMBER = st.tuples(st.sampled_from(NAMES), st.sampled_from([":", " : ", ":\r\n"]), st.sampled_from(VALUES))
MEMBERS = st.lists(MEMBER.map(lambda parts: f'"{parts[0]}"{parts[1]}{parts[2]}'), max_size=3)


@st.composite
def pieced_together(draw: st.DrawFn) -> bytes:
    """A usage event with odd further members, and now and then a sign too many somewhere."""
    text = "{" + draw(st.sampled_from([",", " , "])).join([*EVENT, *draw(MEMBERS)]) + "}"
    if draw(st.integers(0, 4)) == 0:
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(JUNK) + text[at:]
    return text.encode()


@settings(max_examples=100, deadline=None)
@given(records=st.lists(pieced_together(), min_size=1, max_size=8))
def test_json_block_is_read_as_each_record_alone_when_pieced_together(records: list[bytes]) -> None:
    stream = contract("usage_event")
    records = [record for record in records if not record.startswith(b"\0")]  # without a registry, rejected unread
    expected, _ = read_json_exactly(stream, records, list(range(len(records))))
    agrees(stream, None, records, expected)


@pytest.mark.parametrize("confluent", [False, True])
@pytest.mark.parametrize("name", [*STREAMS, "notification"])
@EXAMPLES
@given(data=st.data())
def test_rows_come_back_when_encoded_and_decoded(name: str, confluent: bool, data: st.DataObject) -> None:
    stream = contract(name)
    rows = data.draw(st.lists(rows_of(stream), max_size=8))
    frame, rejected = rows_to_frame(stream, rows, list(range(len(rows))))
    assert rejected == []
    registry = Registry.connect("mock://round-trip") if confluent else None
    records = Encoder(stream, registry, f"{name}-value").encode(frame)
    for record in records if confluent else ():
        naive_avro(stream.avro, record[5:])
    agrees(stream, registry, records, frame)


ANY_TYPE = st.recursive(
    st.sampled_from(["null", "boolean", "int", "long", "float", "double", "bytes", "string"]),
    lambda inner: (
        st.builds(lambda values: {"type": "map", "values": values}, inner)
        | st.builds(lambda items: {"type": "array", "items": items}, inner.filter(lambda items: items != "null"))
        | st.builds(lambda other: ["null", other], inner.filter(lambda t: t != "null" and not isinstance(t, list)))
    ),
    max_leaves=4,
)


def value_of(avro_type: Any) -> st.SearchStrategy[Any]:
    if isinstance(avro_type, list):
        return st.one_of([value_of(branch) for branch in avro_type])
    if isinstance(avro_type, dict):
        if avro_type["type"] == "map":
            return st.dictionaries(TEXTS, value_of(avro_type["values"]), max_size=3)
        return st.lists(value_of(avro_type["items"]), max_size=3)
    simple: dict[str, Callable[[], st.SearchStrategy[Any]]] = {
        "null": st.none,
        "boolean": st.booleans,
        "int": lambda: st.integers(-(2**31), 2**31 - 1),
        "long": lambda: st.integers(-(2**63), 2**63 - 1),
        "float": lambda: st.just(1.5),
        "double": st.floats,
        "bytes": lambda: st.binary(max_size=9),
        "string": lambda: TEXTS,
    }
    return simple[avro_type]()


@EXAMPLES
@given(data=st.data())
def test_known_fields_are_read_when_unknown_ones_of_any_type_lie_between(data: st.DataObject) -> None:
    stream = contract("usage_event")
    writer = copy.deepcopy(stream.avro)
    rows = data.draw(st.lists(rows_of(stream), min_size=1, max_size=3))
    given = [dict(row) for row in rows]
    for i in range(data.draw(st.integers(1, 3))):
        avro_type = data.draw(ANY_TYPE)
        at = data.draw(st.integers(0, len(writer["fields"])))
        writer["fields"].insert(at, {"name": f"extra_{i}", "type": avro_type})
        for row in given:
            row[f"extra_{i}"] = data.draw(value_of(avro_type))
    registry = Registry.connect(f"mock://{uuid4()}")
    schema_id = registry.register("usage_event-value", writer)
    schema = fastavro.parse_schema(json.loads(json.dumps(writer)))
    records = []
    for row in given:
        out = io.BytesIO()
        fastavro.schemaless_writer(out, schema, row)
        records.append(struct.pack(">BI", 0, schema_id) + out.getvalue())
    agrees(stream, registry, records, rows_to_frame(stream, rows, list(range(len(rows))))[0])
    # and damage anywhere, the unknown fields included, may reject a record but never reach its neighbours
    hurt = data.draw(damaged(records, keep=5))
    decoded = CanonicalDecoder(stream, registry).decode(RecordBlock.from_records("t", 0, [(None, one) for one in hurt]))
    whole = dict(zip(records, rows, strict=True))
    found = {row["_row"]: row for row in decoded.rows.iter_rows(named=True)}
    for position, record in enumerate(hurt):
        if record in whole:
            assert found[position]["event_id"] == whole[record]["event_id"]
            assert found[position]["bytes_down"] == whole[record]["bytes_down"]


UTF8_PIECES = st.sampled_from(
    [b"a", b"\xc3\xa9", b"\xe2\x82\xac", b"\xf0\x9f\x98\x80", b"\xc0\x80", b"\xe0\x80\x80", b"\xed\xa0\x80", b"\x80",
     b"\xf4\x90\x80\x80", b"\xf0\x80\x80\x80", b"\xc3", b"\xe2\x82", b"\xff", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(data=st.lists(UTF8_PIECES | st.binary(max_size=4), max_size=6).map(b"".join))
def test_text_is_valid_when_python_decodes_it(data: bytes) -> None:
    try:
        data.decode()
        expected = True
    except UnicodeDecodeError:
        expected = False
    assert valid_utf8(np.frombuffer(b"x" + data + b"x", np.uint8), 1, 1 + len(data)) == expected
