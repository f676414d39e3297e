"""What the contracts hold, and that today's schema reads everything written with an earlier one."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from schemas.codec.avro_schema import resolve
from schemas.contracts import TIMESTAMP, Contract, Limits, contract, contract_names, parse
from schemas.errors import RecordError, TerminalError

HISTORY = Path(__file__).parents[3] / "schemas" / "history"
PII_CLASSES = {"customer", "name", "email", "msisdn", "imsi", "address", "account", "birth_date", "text"}


def usage_with(change: Any) -> Contract:
    avro = copy.deepcopy(contract("usage_event").avro)
    change(avro["fields"])
    return parse(avro)


def test_every_field_has_a_doc_and_a_known_pii_class() -> None:
    for name in contract_names():
        for field in contract(name).avro["fields"]:
            assert field["doc"].endswith("."), f"{name}.{field['name']}"
            assert field.get("pii", "text") in PII_CLASSES, f"{name}.{field['name']}"


def test_contract_gives_types_and_classes_when_asked_for_a_stream() -> None:
    usage = contract("usage_event")
    assert usage.polars["bytes_up"] == pl.Int64
    assert usage.polars["event_time"] == TIMESTAMP
    assert usage.pii == {"customer_id": "customer", "msisdn": "msisdn"}
    assert "msisdn" not in usage.required
    assert "event_time" in usage.required
    assert usage.limits["kind"] == Limits(allowed=("voice", "sms", "data"))
    assert contract("crm_change").polars["channels"] == pl.List(pl.String)


def test_contract_is_the_notification_when_asked_for_the_table() -> None:
    assert contract("notifications") == contract("notification")


def test_contract_names_what_there_is_when_asked_for_another() -> None:
    with pytest.raises(
        TerminalError, match=r"^no contract is named 'usage'; there are affected_customers, billing_event"
    ):
        contract("usage")


def test_parse_refuses_when_a_type_has_no_columnar_form() -> None:
    with pytest.raises(TerminalError) as refused:
        usage_with(lambda fields: fields[5].update(type="double"))
    assert str(refused.value) == (
        "usage_event.duration_seconds: expected string, long, boolean, timestamp-micros or array of string, "
        'nullable or not, came "double"; change the contract'
    )


@pytest.mark.parametrize("name", contract_names())
def test_todays_schema_reads_every_released_one(name: str) -> None:
    released = sorted((HISTORY / name).glob("*.avsc"))
    assert released, f"schemas/history/{name} holds no released schema"
    for path in released:
        resolve(contract(name), json.loads(path.read_text(encoding="utf-8")))


def released_usage() -> dict[str, Any]:
    return json.loads((HISTORY / "usage_event" / "1.avsc").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda fields: fields.append({"name": "imsi", "type": "string", "doc": "."}),
            "writer's schema: field imsi: expected it, for it has no default, came nothing",
        ),
        (
            lambda fields: fields[5].update(type="string", default=""),
            "writer's schema: field duration_seconds: expected string, came long",
        ),
        (
            lambda fields: fields[0].update(name="usage_id"),
            "writer's schema: field usage_id: expected it, for it has no default, came nothing",
        ),
    ],
    ids=["new field without default", "another type", "renamed without alias"],
)
def test_the_check_fails_when_a_change_is_incompatible(change: Any, message: str) -> None:
    with pytest.raises(RecordError) as refused:
        resolve(usage_with(change), released_usage())
    assert refused.value.reason == "incompatible_schema"
    assert str(refused.value) == message


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields.append({"name": "imsi", "type": ["null", "string"], "default": None, "doc": "."}),
        lambda fields: fields.pop(9),
        lambda fields: fields[0].update(name="usage_id", aliases=["event_id"]),
        lambda fields: fields.reverse(),
        lambda fields: fields[1].update(type=["null", "string"]),
    ],
    ids=["new field with default", "removed field", "renamed with alias", "other order", "now nullable"],
)
def test_the_check_passes_when_a_change_is_compatible(change: Any) -> None:
    resolve(usage_with(change), released_usage())
