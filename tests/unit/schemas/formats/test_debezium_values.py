from __future__ import annotations

from functools import partial

import pytest

from tests.unit.schemas.formats import reading
from tests.unit.schemas.formats.debezium_events import COLUMNS, CREATED, DELETED, KEY, envelope
from tests.unit.schemas.formats.reading import at

row = partial(reading.row, "crm_change", "debezium")


@pytest.mark.parametrize(
    ("came", "read"),
    [
        ("infinity", None),
        ("-infinity", None),
        (2_146_033_979, None),  # the date infinity, as a change brings it
        (-2_147_472_691, None),
        (-622_191_234, None),  # and as a snapshot does
        (-625_821_272, None),
        (9_223_372_036_854_775_807, None),  # the timestamp infinity
        (-9_223_372_036_854_775_808, None),
        ("+20000-01-01T00:00:00.000000Z", None),
        ("-0043-03-15T00:00:00.000000Z", None),
        (None, None),
        (20_834, at("2027-01-16T00:00:00Z")),
        (2_932_896, at("9999-12-31T00:00:00Z")),
        (1_800_057_600_000, at("2027-01-16T00:00:00Z")),
        (1_800_057_600_000_000, at("2027-01-16T00:00:00Z")),
        ("2027-01-16", at("2027-01-16T00:00:00Z")),
        (-3653, None),
        (4_000_000, None),
    ],
)
def test_contract_end_reads_when_it_comes_in_any_encoding(came: object, read: object) -> None:
    assert row(envelope("c", COLUMNS | {"contract_end": came}), KEY) == CREATED | {"contract_end": read}


@pytest.mark.parametrize(
    ("came", "read"),
    [
        (7425, "1990-05-01"),
        (-92, "1969-10-01"),
        (-7_948_800_000, "1969-10-01"),
        (-719_162, "0001-01-01"),
        (2_932_896, "9999-12-31"),
        (-719_163, None),
        (2_932_897, None),
        (2_146_033_979, None),
        (-622_191_234, None),
        ("1990-05-01", "1990-05-01"),
        (None, None),
    ],
)
def test_birth_date_reads_when_it_comes_in_any_encoding(came: object, read: object) -> None:
    assert row(envelope("c", COLUMNS | {"birth_date": came}), KEY) == CREATED | {"birth_date": read}


@pytest.mark.parametrize(
    ("came", "read"),
    [
        (["voice", "data"], ["voice", "data"]),
        ("{voice,data}", ["voice", "data"]),
        ("voice;data", ["voice", "data"]),
        ("", []),
        ([], []),
        (None, None),
    ],
)
def test_services_read_when_they_come_in_any_form(came: object, read: object) -> None:
    assert row(envelope("c", COLUMNS | {"services": came}), KEY) == CREATED | {"services": read}


@pytest.mark.parametrize("came", [42, {"scale": 0, "value": "Kg=="}], ids=["bigint", "numeric"])
def test_customer_reads_when_the_id_is_a_number(came: object) -> None:
    read = row(envelope("c", COLUMNS | {"customer_id": came}), {"customer_id": came})
    assert read == CREATED | {"customer_id": "42"}
    assert row(envelope("d"), {"customer_id": came}) == DELETED | {"customer_id": "42"}


def test_customer_reads_when_a_numeric_has_lost_its_zeros() -> None:
    assert row(envelope("d"), {"customer_id": {"scale": -2, "value": "Kg=="}}) == DELETED | {"customer_id": "4200"}


@pytest.mark.parametrize(("base64", "scale"), [("Kg==", "0"), ("EGg=", "2"), ("BQ==", "-2")])
def test_decimals_read_when_only_their_schema_tells_the_scale(base64: str, scale: str) -> None:
    decimal = {"type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": scale}}
    names = ("customer_id", "plan")
    table = {
        "type": "struct",
        "fields": [{"type": "string", "field": "name"}, *({**decimal, "field": n} for n in names)],
    }
    schema = {"type": "struct", "fields": [{**table, "field": "before"}, {**table, "field": "after"}]}
    cells = {"customer_id": base64, "plan": base64}
    number = {"Kg==": "42", "EGg=": "42", "BQ==": "500"}[base64]
    key = {"schema": {**table, "name": "Key"}, "payload": {"customer_id": base64}}
    old = [("__debezium.oldkey", b'{"customer_id":7}')]
    value = {"schema": schema, "payload": envelope("c", COLUMNS | cells)}
    assert row(value, key, headers={0: old}) == CREATED | {
        "customer_id": number,
        "plan": number,
        "previous_customer_id": "7",
    }
    assert row({"schema": schema, "payload": envelope("d")}, key) == DELETED | {"customer_id": number}


@pytest.mark.parametrize("schema", [None, "int32", {}, {"fields": "x"}, {"fields": [None, {"field": []}, {}]}])
def test_value_reads_when_its_schema_says_nothing(schema: object) -> None:
    value, key = ({"schema": schema, "payload": payload} for payload in (envelope("c", COLUMNS), KEY))
    assert row(value, key) == CREATED
