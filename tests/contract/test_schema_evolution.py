"""Evolution in flight: records of old and new schemas, interleaved in one block, against fastavro's own resolution.

With a registry in this process and with a real one.
"""

from __future__ import annotations

import copy
import io
import time
from collections.abc import Sequence
from itertools import cycle, islice
from random import Random
from typing import Any
from uuid import uuid4

import fastavro
import pytest

from schemas.blocks import RecordBlock
from schemas.codec import CanonicalDecoder, Registry
from schemas.contracts import Avro, parse
from tests.unit.schemas.codec_kit import USAGE, body, decode, prefixed, usage


def evolved(**changes: Any) -> Avro:
    """The usage contract with other types for some fields, in their places; None takes a field away."""
    schema = copy.deepcopy(USAGE.avro)
    kept = [field for field in schema["fields"] if changes.get(field["name"], "") is not None]
    schema["fields"] = [
        {"name": field["name"], "type": changes[field["name"]]} if field["name"] in changes else field for field in kept
    ]
    return schema


def more(schema: Avro, *fields: dict[str, Any]) -> Avro:
    return {**schema, "fields": [*schema["fields"], *fields]}


def renamed(schema: Avro, name: str, to: str) -> Avro:
    fields = [{**field, "name": to} if field["name"] == name else field for field in schema["fields"]]
    return {**schema, "fields": fields}


SLICE = {"name": "slice", "type": ["null", "string"], "default": None, "doc": "."}
ROAMING = {"name": "roaming", "type": "boolean", "default": False, "doc": "."}
ROUTES = {"name": "routes", "type": {"type": "array", "items": "string"}, "default": [], "doc": "."}
TIER = {"name": "tier", "type": "string", "default": "basic", "doc": "."}
TODAY = more(evolved(), SLICE, ROAMING, ROUTES, TIER)
TODAY["fields"][6]["aliases"] = ["uplink"]
OURS = parse(TODAY)

WRITERS: dict[str, tuple[Avro, dict[str, Any]]] = {
    "the oldest, with narrower types and another name": (
        more(
            renamed(evolved(bytes_up="int", duration_seconds="int", event_id="bytes"), "bytes_up", "uplink"),
            {"name": "signal", "type": "float"},
        ),
        {"event_id": b"oldest", "uplink": 7, "duration_seconds": 3, "signal": -71.5},
    ),
    "one without the fields that have a default": (
        evolved(currency=None, bytes_down=None, cell_id=None),
        {"event_id": "fewer"},
    ),
    "one whose unknown field has grown": (
        more(evolved(msisdn=["null", "bytes"]), {"name": "signal", "type": "double"}),
        {"event_id": "wider", "msisdn": b"+447700900124", "signal": -71.25},
    ),
    "today's": (TODAY, {"event_id": "today", "slice": "gold", "roaming": True, "routes": ["a", "b"], "tier": "pro"}),
    "one that is ahead of us": (
        {
            **more(
                TODAY,
                {"name": "quality", "type": ["null", "double"]},
                {"name": "labels", "type": {"type": "map", "values": "string"}},
            ),
            "name": "usage_event_v9",
        },
        {
            "event_id": "newer",
            "slice": None,
            "roaming": False,
            "routes": [],
            "tier": "basic",
            "quality": 0.5,
            "labels": {"x": "y"},
        },
    ),
    "another order of fields": (
        {**TODAY, "fields": TODAY["fields"][::-1]},
        {"event_id": "order", "slice": "s", "roaming": True, "routes": ["c"], "tier": ""},
    ),
}
UNREADABLE: dict[str, tuple[Avro, dict[str, Any], str]] = {
    "a number as text": (
        evolved(bytes_up="string"),
        {"bytes_up": "7"},
        "field bytes_up: expected long, came string",
    ),
    "a fraction": (
        evolved(charge_minor="double"),
        {"charge_minor": 0.5},
        "field charge_minor: expected long, came double",
    ),
    "no identity": (evolved(event_id=None), {}, "field event_id: expected it, for it has no default, came nothing"),
}


@pytest.fixture(params=["mock", pytest.param("real", marks=pytest.mark.kafka)])
def registry(request: pytest.FixtureRequest) -> Registry:
    if request.param == "mock":
        return Registry.connect(f"mock://{uuid4()}")
    return Registry.connect(request.getfixturevalue("registry_url"))


def registered(registry: Registry, schema: Avro, row: dict[str, Any]) -> bytes:
    """One record; each schema under a subject of its own, for a subject's compatibility is the registry's business."""
    names = {field["name"] for field in schema["fields"]}
    cells = {name: cell for name, cell in usage().items() if name in names}
    return prefixed(registry.register(f"{uuid4()}-value", schema), body(schema, cells | row))


def resolved(schema: Avro, record: bytes) -> dict[str, Any]:
    """What Avro's schema resolution, as fastavro has it, makes of a record."""
    found = fastavro.schemaless_reader(io.BytesIO(record[5:]), copy.deepcopy(schema), copy.deepcopy(TODAY))
    assert isinstance(found, dict)
    return found


def test_each_record_is_read_by_its_own_schema_when_old_and_new_ones_are_interleaved(registry: Registry) -> None:
    samples = [(schema, registered(registry, schema, row)) for schema, row in WRITERS.values()]
    order = [Random(n).choice(samples) for n in range(200)]
    decoded = decode([record for _, record in order], registry, of=OURS)
    assert decoded.rejected == []
    assert decoded.rows["_row"].to_list() == list(range(200))
    assert {len(decoded.rows.filter(event_id=name)) > 0 for name in ("oldest", "fewer", "wider", "newer")} == {True}
    assert decoded.rows.drop("_row").to_dicts() == [
        resolved({**schema, "name": "usage_event"}, record) for schema, record in order
    ]


def test_incompatible_records_are_refused_alone_when_they_lie_between_others(registry: Registry) -> None:
    good = [registered(registry, *WRITERS[name]) for name in list(WRITERS)[:4]]
    bad = [registered(registry, schema, row) for schema, row, _ in UNREADABLE.values()]
    alone = decode(good, registry, of=OURS)
    between = decode([good[0], bad[0], good[1], bad[1], bad[2], good[2], bad[0], good[3]], registry, of=OURS)
    assert between.rows["_row"].to_list() == [0, 2, 5, 7]
    assert between.rows.drop("_row").equals(alone.rows.drop("_row"))
    messages = [message for _, _, message in UNREADABLE.values()]
    ids = [int.from_bytes(record[1:5], "big") for record in bad]
    assert [(each.row, each.reason, each.message) for each in between.rejected] == [
        (row, "incompatible_schema", f"schema id {ids[which]}: writer's schema: {messages[which]}")
        for row, which in ((1, 0), (3, 1), (4, 2), (6, 0))
    ]


def test_result_is_the_same_when_the_block_is_cut_between_schemas(registry: Registry) -> None:
    records = [registered(registry, schema, row) for schema, row in WRITERS.values()]
    whole = decode(records, registry, of=OURS).rows.drop("_row")
    for cut in range(1, len(records)):
        parts = [decode(records[:cut], registry, of=OURS), decode(records[cut:], registry, of=OURS)]
        assert parts[0].rows.vstack(parts[1].rows).drop("_row").equals(whole)


def test_reading_is_about_as_fast_when_schemas_are_interleaved() -> None:
    registry = Registry.connect(f"mock://{uuid4()}")
    records = [registered(registry, schema, row) for schema, row in WRITERS.values()]
    decoder = CanonicalDecoder(OURS, registry)
    mixed, single = (block(each, 20_000) for each in (records, records[3:4]))
    seconds: dict[int, list[float]] = {0: [], 1: []}
    for _ in range(7):
        for number, each in enumerate((single, mixed)):
            began = time.perf_counter()
            assert decoder.decode(each).rows.height == 20_000
            seconds[number].append(time.perf_counter() - began)
    # one by one, as a reader without columns has it, they take over thirty times as long
    assert min(seconds[1]) < 5 * min(seconds[0])


def block(records: Sequence[bytes], count: int) -> RecordBlock:
    return RecordBlock.from_records("usage.events", 0, [(None, each) for each in islice(cycle(records), count)])
