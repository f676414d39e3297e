"""Encoding: what is written, and that it comes back."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import fastavro
import polars as pl
import pytest

from schemas.codec import Encoder, Registry, rows_to_frame
from schemas.contracts import contract
from schemas.errors import TerminalError
from tests.unit.schemas.codec_kit import NOON, decode

CRM = contract("crm_change")


def customers(*changes: dict[str, Any]) -> pl.DataFrame:
    base = {"customer_id": "c", "op": "create", "source_system": "s", "event_time": NOON}
    frame, rejected = rows_to_frame(CRM, [base | change for change in changes], list(range(len(changes))))
    assert rejected == []
    return frame.drop("_row")


ODD = customers(
    {},
    {"name": 'quote " backslash \\ slash / tab \t nul \0 del \x7f', "version": -(2**63), "channels": []},
    {"name": "żółw \U0001f600 \u2028", "version": 2**63 - 1, "channels": ["sms", "", 'e"mail']},
    {"name": "", "services": ["voice"], "contract_start": 0, "contract_end": 253_402_300_799_999_999},
    {"event_time": 951_782_400_000_001, "version": 10**18, "consent": ["x"] * 40},
    {"version": -1, "segment": "a" * 5000},
)


def test_json_is_one_object_with_every_column_when_written() -> None:
    records = Encoder(CRM, None, "x").encode(ODD)
    first = json.loads(records[0])
    assert list(first) == list(CRM.polars)
    assert first["event_time"] == "2026-06-01T12:00:00.000000Z"
    assert first["name"] is None
    assert json.loads(records[4])["event_time"] == "2000-02-29T00:00:00.000001Z"
    assert json.loads(records[3])["contract_end"] == "9999-12-31T23:59:59.999999Z"
    assert [json.loads(record)["version"] for record in records] == ODD["version"].to_list()
    assert not any(b"\n" in record for record in records)


def test_rows_come_back_when_encoded() -> None:
    for registry in (None, Registry.connect(f"mock://{uuid4()}")):
        decoded = decode(list(Encoder(CRM, registry, "crm-value").encode(ODD)), registry, of=CRM)
        assert decoded.rejected == []
        assert decoded.rows.drop("_row").equals(ODD)


def test_fastavro_reads_the_same_when_avro_is_written() -> None:
    registry = Registry.connect(f"mock://{uuid4()}")
    schema = fastavro.parse_schema(json.loads(json.dumps(CRM.avro)))
    for record, row in zip(Encoder(CRM, registry, "crm-value").encode(ODD), ODD.iter_rows(named=True), strict=True):
        stream = io.BytesIO(record[5:])
        expected = row if row["contract_end"] is None else row | {"contract_end": _last_microsecond()}
        assert fastavro.schemaless_reader(stream, schema) == expected
        assert stream.read() == b""


def _last_microsecond() -> datetime:
    return datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)


def test_every_contract_comes_back_when_written_from_a_slice_with_other_columns() -> None:
    frame = ODD.with_columns(more=pl.lit(1)).select(reversed([*ODD.columns, "more"]))
    records = Encoder(CRM, None, "x").encode(frame.slice(2, 3))
    assert decode(list(records), of=CRM).rows.drop("_row").equals(ODD.slice(2, 3))


def test_nothing_is_written_when_the_frame_is_empty() -> None:
    assert Encoder(CRM, None, "x").encode(ODD.clear()) == []
    assert Encoder(CRM, Registry.connect(f"mock://{uuid4()}"), "x").encode(ODD.clear()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            pl.lit(None, pl.String).alias("op"),
            "crm_change.op: expected no null, came 6; fill or drop them",
        ),
        (
            pl.lit(1, pl.Int32).alias("version"),
            "crm_change.version: expected Int64, came Int32; cast it",
        ),
        (
            pl.lit(pl.Series([["a", None]])).first().alias("channels"),
            "crm_change.channels: expected texts in the lists, came a null; drop it",
        ),
        (
            pl.lit(-1).cast(pl.Datetime("us", "UTC")).alias("event_time"),
            "crm_change.event_time: expected times in the years 1970 to 9999, came one outside; correct it",
        ),
    ],
)
def test_frame_is_refused_when_it_breaks_the_contract(change: pl.Expr, message: str) -> None:
    with pytest.raises(TerminalError) as error:
        Encoder(CRM, None, "x").encode(ODD.with_columns(change))
    assert str(error.value) == message


def test_frame_is_refused_when_a_column_is_missing() -> None:
    with pytest.raises(
        TerminalError, match=r"^crm_change\.name: expected a column of that name, came customer_id, op,"
    ):
        Encoder(CRM, None, "x").encode(ODD.drop("name"))
