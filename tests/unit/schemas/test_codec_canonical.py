"""Which record goes to which reader, and what becomes of those that nobody can read."""

from __future__ import annotations

import json
from typing import Any, Never
from uuid import uuid4

import pytest

from schemas.blocks import RecordBlock
from schemas.codec import REASONS, CanonicalDecoder, Registry, canonical, warm_up
from tests.unit.schemas.codec_kit import USAGE, body, decode, prefixed, usage

JSON = json.dumps(usage()).encode()


@pytest.fixture
def registry() -> Registry:
    return Registry.connect(f"mock://{uuid4()}")


def test_rows_keep_their_places_when_formats_and_faults_are_mixed(registry: Registry) -> None:
    schema_id = registry.register("usage.events-value", USAGE.avro)
    avro = prefixed(schema_id, body(USAGE.avro, usage(event_id="avro")))
    decoded = decode([JSON, None, avro, b"{", avro[:-1], prefixed(99, b""), b"\0", JSON, avro], registry)
    assert list(zip(decoded.rows["_row"], decoded.rows["event_id"], strict=True)) == [
        (0, "e1"),
        (2, "avro"),
        (7, "e1"),
        (8, "avro"),
    ]
    assert [(one.row, one.reason) for one in decoded.rejected] == [
        (1, "null_value"),
        (3, "malformed_json"),
        (4, "malformed_avro"),
        (5, "unknown_schema"),
        (6, "malformed_avro"),
    ]
    assert {one.reason for one in decoded.rejected} <= REASONS
    assert decoded.empty == 0


def test_frame_is_empty_and_typed_when_the_block_is_empty(registry: Registry) -> None:
    for decoded in (decode([]), decode([], registry), decode([None])):
        assert decoded.rows.is_empty()
        assert decoded.rows.drop("_row").schema == USAGE.polars


def test_avro_is_rejected_with_advice_when_no_registry_is_configured() -> None:
    decoded = decode([prefixed(1, body(USAGE.avro, usage())), JSON])
    assert decoded.rows["_row"].to_list() == [1]
    assert [(one.reason, one.message) for one in decoded.rejected] == [
        ("malformed_json", "expected JSON, came Confluent Avro's magic byte; configure a schema registry")
    ]


def test_record_is_too_large_when_longer_than_the_limit(registry: Registry) -> None:
    decoded = decode([JSON, JSON + b" "], registry, max_record_bytes=len(JSON))
    assert decoded.rows["_row"].to_list() == [0]
    message = f"expected at most {len(JSON)} bytes, came more"
    assert [(one.row, one.reason, one.message) for one in decoded.rejected] == [(1, "too_large", message)]


def test_frequent_ids_are_asked_for_first_when_a_block_is_full_of_made_up_ones(registry: Registry) -> None:
    schema_id = registry.register("usage.events-value", USAGE.avro)
    good = prefixed(schema_id, body(USAGE.avro, usage()))
    decoded = decode([prefixed(1000 + i, b"") for i in range(200)] + [good, good], registry)
    assert decoded.rows["_row"].to_list() == [200, 201]
    assert {one.reason for one in decoded.rejected} == {"unknown_schema"}
    assert len(decoded.rejected) == 200


def test_one_record_is_internal_and_the_others_come_out_when_our_own_code_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = canonical.read_json

    class PanicError(BaseException):
        """Like the panics of Polars, no `Exception`."""

    def failing(contract: Any, columns: Any, values: Any, starts: Any, ends: Any, positions: Any) -> Any:
        if 5 in positions:
            fail()
        return real(contract, columns, values, starts, ends, positions)

    def fail() -> Never:
        raise PanicError

    monkeypatch.setattr(canonical, "read_json", failing)
    decoded = decode([JSON] * 11)
    assert decoded.rows["_row"].to_list() == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]
    assert [(one.row, one.reason, one.message) for one in decoded.rejected] == [
        (5, "internal", "expected to read the record, came PanicError in our own code; report it")
    ]


def test_block_stays_as_it_is_when_decoded() -> None:
    block = RecordBlock.from_records("usage.events", 0, [(None, JSON)])
    before = block.values.tobytes()
    CanonicalDecoder(USAGE, None).decode(block)
    assert block.values.tobytes() == before


def test_columns_do_not_share_bytes_when_a_frame_is_pickled() -> None:
    decoded = decode([JSON])
    assert b"447700900123" not in decoded.rows.drop("msisdn").serialize()


def test_warm_up_runs_when_called_twice() -> None:
    warm_up()
    warm_up()
