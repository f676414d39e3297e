from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from schemas.codec import Decoded, Registry
from schemas.codec.avro_schema import without_logical_types
from schemas.errors import TransientError
from schemas.formats import decoder_for
from tests.unit.schemas.codec_kit import body, prefixed
from tests.unit.schemas.formats.debezium_events import CREATED, DELETED, KEY, UPDATED, envelope
from tests.unit.schemas.formats.reading import RECEIVED, at, block

DECIMAL = {
    "type": "bytes",
    "scale": 0,
    "precision": 12,
    "connect.version": 1,
    "connect.parameters": {"scale": "0", "connect.decimal.precision": "12"},
    "connect.name": "org.apache.kafka.connect.data.Decimal",
    "logicalType": "decimal",
}
NUMERIC = {
    "type": "record",
    "name": "VariableScaleDecimal",
    "namespace": "io.debezium.data",
    "fields": [{"name": "scale", "type": "int"}, {"name": "value", "type": "bytes"}],
    "connect.name": "io.debezium.data.VariableScaleDecimal",
}
DATE = {"type": "int", "connect.version": 1, "connect.name": "io.debezium.time.Date"}
MICROS = {"type": "long", "connect.version": 1, "connect.name": "io.debezium.time.MicroTimestamp"}
# of a converter that gives Avro's own types to Connect's
DATE_OF_CONNECT = {"type": "int", "connect.name": "org.apache.kafka.connect.data.Date", "logicalType": "date"}
COLUMNS: list[dict[str, Any]] = [
    {"name": "customer_id", "type": DECIMAL},
    *({"name": name, "type": ["null", "string"], "default": None} for name in ("name", "email", "msisdn", "address")),
    {"name": "birth_date", "type": ["null", DATE_OF_CONNECT], "default": None},
    {"name": "segment", "type": ["null", NUMERIC], "default": None},
    {"name": "services", "type": ["null", {"type": "array", "items": ["null", "string"]}], "default": None},
    {"name": "status", "type": {"type": "string", "connect.default": "active"}, "default": "active"},
    {"name": "contract_start", "type": ["null", MICROS], "default": None},
    {"name": "contract_end", "type": ["null", DATE], "default": None},
]
SOURCE = {
    "type": "record",
    "name": "Source",
    "namespace": "io.debezium.connector.postgresql",
    "fields": [
        {"name": "version", "type": "string"},
        {"name": "ts_ms", "type": "long"},
        {"name": "snapshot", "type": [{"type": "string", "connect.default": "false"}, "null"], "default": "false"},
        {"name": "lsn", "type": ["null", "long"], "default": None},
    ],
}
VALUE = {"type": "record", "name": "Value", "fields": COLUMNS, "connect.name": "amdocs.public.customers.Value"}
ENVELOPE = {
    "type": "record",
    "name": "Envelope",
    "namespace": "amdocs.public.customers",
    "fields": [
        {"name": "before", "type": ["null", VALUE], "default": None},
        {"name": "after", "type": ["null", "Value"], "default": None},
        {"name": "source", "type": SOURCE},
        {"name": "op", "type": "string"},
        {"name": "ts_ms", "type": ["null", "long"], "default": None},
    ],
}
FLATTENED = VALUE | {"fields": [*COLUMNS, {"name": "__deleted", "type": ["null", "string"], "default": None}]}
KEY_SCHEMA = {"type": "record", "name": "Key", "namespace": "amdocs.public.customers", "fields": COLUMNS[:1]}

ID = b"\x00\xea"  # 234
CELLS = {
    "customer_id": ID,
    "name": "Ánna Kovács",
    "email": "anna@example.org",
    "msisdn": None,
    "address": "Fő utca 1, Győr",
    "birth_date": 7425,
    "segment": {"scale": -2, "value": b"*"},
    "services": ["voice", None],
    "status": "active",
    "contract_start": 1_705_276_800_000_000,
    "contract_end": 20_834,
}
UNKNOWN = ("msisdn", "site_id", "plan", "language", "channels", "consent")
READ = CREATED | {
    "customer_id": "234",
    "segment": "4200",
    "services": ["voice"],
    "contract_end": at("2027-01-16T00:00:00Z"),
    **dict.fromkeys(UNKNOWN),
}


class Connect:
    """Writes as a converter of Connect does, and reads with the decoder of the format."""

    def __init__(self, form: str = "debezium") -> None:
        self.registry = Registry.connect(f"mock://{uuid4()}")
        self._decoder = decoder_for("crm_change", form, self.registry)

    def avro(self, schema: dict[str, Any], value: Any) -> bytes:
        return prefixed(self.registry.register("crm", schema), body(without_logical_types(schema), value))

    def decode(self, value: bytes | None, key: bytes, **rest: Any) -> Decoded:
        return self._decoder.decode(block(value, keys=[key], **rest))

    def row(self, value: bytes | None, key: bytes | None = None, **rest: Any) -> dict[str, Any]:
        decoded = self.decode(value, self.key() if key is None else key, **rest)
        assert decoded.rejected == []
        [only] = decoded.rows.drop("_row").to_dicts()
        return only

    def key(self) -> bytes:
        return self.avro(KEY_SCHEMA, {"customer_id": ID})


def event(op: str, after: Any = None, before: Any = None) -> dict[str, Any]:
    return envelope(op, after, before)


@pytest.mark.parametrize(("op", "read"), [("c", READ), ("u", READ | {"op": "update"})])
def test_every_column_reads_when_the_record_is_avro(op: str, read: dict[str, Any]) -> None:
    connect = Connect()
    assert connect.row(connect.avro(ENVELOPE, event(op, CELLS))) == read


def test_delete_reads_from_the_key_alone_when_both_are_avro() -> None:
    connect = Connect()
    assert connect.row(connect.avro(ENVELOPE, event("d", before=CELLS))) == DELETED | {"customer_id": "234"}


def test_delete_reads_when_only_the_value_is_avro() -> None:
    connect = Connect()
    assert connect.row(connect.avro(ENVELOPE, event("d", before=CELLS)), b"C-1") == DELETED


def test_delete_reads_when_its_key_is_a_text_in_avro() -> None:
    connect = Connect()
    key = connect.avro({"type": "string"}, "C-1")
    assert connect.row(connect.avro(ENVELOPE, event("d", before=CELLS)), key) == DELETED


def test_customer_is_renamed_when_the_record_is_avro() -> None:
    connect = Connect()
    headers: Any = {0: [("__debezium.oldkey", b'{"customer_id":7}')]}
    read = connect.row(connect.avro(ENVELOPE, event("c", CELLS)), headers=headers)
    assert read == READ | {"previous_customer_id": "7"}


@pytest.mark.parametrize("form", ["debezium", "debezium_flattened"])
def test_flattened_rows_read_when_they_are_avro(form: str) -> None:
    connect = Connect(form)
    order = {"version": 0, "event_time": RECEIVED}
    row, gone = (connect.avro(FLATTENED, CELLS | {"__deleted": said}) for said in ("false", "true"))
    assert connect.row(row) == READ | {"op": "update"} | order
    assert connect.row(gone) == DELETED | {"customer_id": "234"} | order


def test_tombstone_is_a_delete_when_the_key_is_avro_and_rows_are_flattened() -> None:
    order = {"version": 0, "event_time": RECEIVED}
    assert Connect("debezium_flattened").row(None) == DELETED | {"customer_id": "234"} | order


def test_json_reads_when_a_registry_is_configured() -> None:
    connect = Connect()
    json = {"customer_id": "C-1", "plan": "max"}
    decoded = connect.decode(event("u", json), KEY)  # type: ignore[arg-type]
    assert decoded.rejected == []
    [row] = decoded.rows.drop("_row").to_dicts()
    assert row["plan"] == "max"
    assert row["event_time"] == UPDATED["event_time"]


@pytest.mark.parametrize(
    ("spoil_key", "spoil_value", "reason", "message"),
    [
        (
            lambda _: b"\0\xff\xff\xff\xff",
            lambda value: value,
            "unknown_schema",
            "key: expected a schema id that the registry knows, came 4294967295",
        ),
        (
            lambda key: key + b"\0",
            lambda value: value,
            "malformed_avro",
            "key: expected bytes after the writer's schema, came others",
        ),
        (
            lambda key: key,
            lambda value: value[:-1],
            "malformed_avro",
            "expected bytes after the writer's schema, came others",
        ),
    ],
    ids=["key of an unknown schema", "key too long", "value cut off"],
)
def test_record_is_rejected_when_its_avro_cannot_be_read(
    spoil_key: Any, spoil_value: Any, reason: str, message: str
) -> None:
    connect = Connect()
    value = connect.avro(ENVELOPE, event("d", before=CELLS))
    [rejected] = connect.decode(spoil_value(value), spoil_key(connect.key())).rejected
    assert (rejected.reason, rejected.message) == (reason, message)


def test_record_is_rejected_when_it_is_avro_and_there_is_no_registry() -> None:
    connect = Connect()
    records = block(connect.avro(ENVELOPE, event("c", CELLS)), keys=[KEY])
    [rejected] = decoder_for("crm_change", "debezium", None).decode(records).rejected
    assert (rejected.reason, rejected.message) == (
        "malformed_json",
        "expected JSON, came Confluent Avro's magic byte; configure a schema registry",
    )


def test_no_record_is_to_blame_when_the_registry_cannot_be_asked() -> None:
    class Silent(Registry):
        def __init__(self) -> None:
            pass

        def schema(self, schema_id: int) -> dict[str, Any] | None:
            raise TransientError("no answer")

    with pytest.raises(TransientError, match="no answer"):
        decoder_for("crm_change", "debezium", Silent()).decode(block(b"\0\0\0\0\x07", keys=[KEY]))


@pytest.mark.parametrize("part", ["key", "value"])
def test_neighbours_are_untouched_when_any_byte_of_a_record_is_another(part: str) -> None:
    connect = Connect()
    good = (connect.key(), connect.avro(ENVELOPE, event("u", CELLS)))
    deleted = (connect.key(), connect.avro(ENVELOPE, event("d", before=CELLS)))
    spoilt = []
    for key, value in (good, deleted):
        whole = key if part == "key" else value
        for at_byte in range(len(whole)):
            other = whole[:at_byte] + bytes([whole[at_byte] ^ 0x15]) + whole[at_byte + 1 :]
            spoilt.append((other, value) if part == "key" else (key, other))
    records = [record for each in spoilt for record in (good, each, deleted)]
    values, keys = [value for _, value in records], [key for key, _ in records]
    decoded = decoder_for("crm_change", "debezium", connect.registry).decode(block(*values, keys=keys))
    assert {each.row % 3 for each in decoded.rejected} == {1}
    assert "internal" not in {each.reason for each in decoded.rejected}
    rows = decoded.rows.filter(decoded.rows["_row"] % 3 != 1).drop("_row").to_dicts()
    assert rows == [READ | {"op": "update"}, DELETED | {"customer_id": "234"}] * len(spoilt)
