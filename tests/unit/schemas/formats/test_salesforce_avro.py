"""Salesforce's events as Avro: the same rows as from JSON, bitmaps resolved, and nothing read that does not fit."""

from __future__ import annotations

import copy
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import Decoded, Registry
from schemas.errors import TransientError
from schemas.formats import decoder_for
from tests.unit.schemas.codec_kit import prefixed
from tests.unit.schemas.formats.reading import at, block
from tests.unit.schemas.formats.salesforce_avro import ACCOUNT, ADDRESS, bitmap, packed, position
from tests.unit.schemas.formats.test_salesforce_cdc import ANNA, BARE, BELA, CREATED, event

REGISTRY = Registry.connect(f"mock://{uuid4()}")
ID = REGISTRY.register("crm.changes.salesforce-value", ACCOUNT)
ADDRESSES = position("BillingAddress")
WHOLE = dict.fromkeys(ADDRESS) | {"Street": "Fő utca 1", "City": "Győr", "PostalCode": "9021", "Country": "HU"}


def change(kind: str, /, header: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    lists: dict[str, Any] = {"nulledFields": [], "diffFields": [], "changedFields": []}
    return event(kind, lists | (header or {}), **fields)


def decode(*values: Any, registry: Registry | None = REGISTRY) -> Decoded:
    return decoder_for("crm_change", "salesforce_cdc", registry).decode(block(*values))


def rows(*values: Any) -> list[dict[str, Any]]:
    decoded = decode(*values)
    assert decoded.rejected == []
    return decoded.rows.drop("_row").to_dicts()


def row(kind: str, /, header: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    [only] = rows(packed(ID, change(kind, header, **fields)))
    return only


def rejection(*values: Any, registry: Registry | None = REGISTRY) -> tuple[str, str]:
    decoded = decode(*values, registry=registry)
    assert decoded.rows.height == 0
    [only] = decoded.rejected
    return only.reason, only.message


def test_every_field_reads_when_the_event_is_avro() -> None:
    fields = {
        "Name": {"Salutation": None, "FirstName": "Ánna", "LastName": "Kovács"},
        "BillingAddress": WHOLE,
        "PersonBirthdate": -7_948_800_000,
        "PersonEmail": "anna@example.org",
        "MSISDN__c": "+36201234567",
        "SiteId__c": "site-7",
        "Segment__c": "consumer",
        "Plan__c": "flex-10",
        "Services__c": "voice;sms",
        "Language__c": "hu",
        "Channels__c": "SMS;Email",
        "Consent__c": "Email",
        "Status__c": "Active",
        "ContractStart__c": 1_705_276_800_000,
        "AnnualRevenue": 1.5,
    }
    assert row("CREATE", **fields) == CREATED | {
        "name": "Ánna Kovács",
        "address": "Fő utca 1, 9021, Győr, HU",
        "birth_date": "1969-10-01",
        "email": "anna@example.org",
        "msisdn": "+36201234567",
        "site_id": "site-7",
        "segment": "consumer",
        "plan": "flex-10",
        "services": ["voice", "sms"],
        "language": "hu",
        "channels": ["sms", "email"],
        "consent": ["email"],
        "status": "active",
        "contract_start": at("2024-01-15T00:00:00Z"),
    }


def test_name_reads_when_it_is_a_text_in_avro() -> None:
    assert row("UNDELETE", Name="Kovács Kft.") == CREATED | {"name": "Kovács Kft."}


def test_update_is_partial_when_its_lists_are_bitmaps() -> None:
    header = {
        "changedFields": [bitmap("LastModifiedDate", "SiteId__c", "Plan__c")],
        "nulledFields": [bitmap("Plan__c")],
    }
    read = row("UPDATE", header, SiteId__c="site-8", LastModifiedDate=1_777_377_600_250)
    assert read == BARE | {"site_id": "site-8", "changed_fields": ["site_id", "plan"]}


def test_lowest_bit_is_the_first_field_when_a_bitmap_is_read() -> None:
    # the documentation's own digits, 0x650004E0: bits 5, 6, 7, 10, 24, 26, 29 and 30
    schema = copy.deepcopy(ACCOUNT)
    fields = schema["fields"]
    names = [f"F{n}__c" for n in range(len(fields), 31)]
    schema["fields"] = [*fields, *({**fields[2], "name": name} for name in names)]
    schema["fields"][24]["name"], schema["fields"][25]["name"] = "Birthdate", "Email"
    schema_id = REGISTRY.register(f"{uuid4()}-value", schema)
    header = {"nulledFields": ["0x650004E0"], "changedFields": ["0x650004E0"]}
    [read] = rows(packed(schema_id, change("UPDATE", header), schema))
    assert [fields[bit]["name"] for bit in (7, 10)] == ["PersonBirthdate", "SiteId__c"]
    assert read == BARE | {"changed_fields": ["birth_date", "site_id"]}


@pytest.mark.parametrize(
    ("header", "fields", "column"),
    [
        ({"changedFields": [bitmap(), f"{ADDRESSES}-0x01"]}, {"BillingAddress": {"Street": "Új út 3"}}, "address"),
        ({"nulledFields": [f"{ADDRESSES}-0x04"]}, {}, "address"),
        ({"nulledFields": ["0x", f"{ADDRESSES}-0x7F"]}, {}, "address"),
        ({"nulledFields": ["1-0x02"]}, {"Name": {"LastName": "Nagy"}}, "name"),
        ({"diffFields": [bitmap("Segment__c")]}, {"Segment__c": "--- \n+++ \n@@"}, "segment"),
    ],
    ids=["changed part", "nulled part", "all parts nulled", "nulled part of a name", "difference"],
)
def test_column_is_changed_to_unknown_when_bitmaps_name_a_part_of_it(
    header: dict[str, Any], fields: dict[str, Any], column: str
) -> None:
    for name in ("BillingAddress", "Name"):
        if name in fields:
            parts = ADDRESS if name == "BillingAddress" else ("Salutation", "FirstName", "LastName")
            fields = {**fields, name: dict.fromkeys(parts) | fields[name]}
    assert row("UPDATE", header, **fields) == BARE | {"changed_fields": [column]}


def test_address_reads_when_bitmaps_name_all_of_its_parts() -> None:
    read = row("UPDATE", {"changedFields": ["0x0", f"{ADDRESSES}-0x1B"]}, BillingAddress=WHOLE)
    assert read == BARE | {"address": "Fő utca 1, 9021, Győr, HU", "changed_fields": ["address"]}


def test_compound_resolves_when_its_type_is_a_name_defined_before() -> None:
    shipping = position("ShippingAddress")
    decoded = decode(packed(ID, change("UPDATE", {"nulledFields": [f"{shipping}-0x05"]})))
    assert (decoded.rows.height, decoded.rejected, decoded.empty) == (0, [], 1)  # no column is fed by it


def test_each_record_gets_a_row_when_an_avro_event_carries_many_ids() -> None:
    header = {"recordIds": [ANNA, BELA], "changedFields": [bitmap("Plan__c")]}
    assert rows(packed(ID, change("UPDATE", header, Plan__c="flex-20"))) == [
        BARE | {"customer_id": customer, "plan": "flex-20", "changed_fields": ["plan"]} for customer in (ANNA, BELA)
    ]


def test_delete_has_no_values_when_it_is_avro() -> None:
    assert row("DELETE") == BARE | {"op": "delete", "account_type": None}


@pytest.mark.parametrize(
    ("logical_type", "number"),
    [("timestamp-millis", 1_705_276_800_000), ("timestamp-micros", 1_705_276_800_000_000), ("date", 19_737)],
)
def test_times_read_when_a_connector_gives_them_a_logical_type(logical_type: str, number: int) -> None:
    schema = copy.deepcopy(ACCOUNT)
    plain = "int" if logical_type == "date" else "long"
    schema["fields"][position("ContractStart__c")]["type"] = ["null", {"type": plain, "logicalType": logical_type}]
    schema_id = REGISTRY.register(f"{uuid4()}-value", schema)
    # fastavro takes the plain number for any of them
    [read] = rows(packed(schema_id, change("CREATE", ContractStart__c=number), schema))
    assert read == CREATED | {"contract_start": at("2024-01-15T00:00:00Z")}


def test_avro_and_json_read_alike_when_one_block_holds_both() -> None:
    json = change("UPDATE", {"changedFields": ["Plan__c"]}, Plan__c="flex-20")
    avro = packed(ID, change("UPDATE", {"changedFields": [bitmap("Plan__c")]}, Plan__c="flex-20"))
    decoded = decode(json, avro, b"{", avro[:-1], json)
    assert decoded.rows["_row"].to_list() == [0, 1, 4]
    first, second, third = decoded.rows.drop("_row").to_dicts()
    assert first == second == third
    assert [(each.row, each.reason) for each in decoded.rejected] == [(2, "malformed_json"), (3, "malformed_avro")]


def test_old_and_new_events_read_when_the_object_has_gained_a_field() -> None:
    newer = copy.deepcopy(ACCOUNT)
    newer["fields"].insert(2, {"name": "Rating", "type": ["null", "string"], "default": None})
    newer_id = REGISTRY.register("crm.changes.salesforce-value", newer)
    older_event = packed(ID, change("UPDATE", {"nulledFields": [bitmap("Plan__c")]}))
    # the same bit is another field now: the one before it
    newer_event = packed(newer_id, change("UPDATE", {"nulledFields": [bitmap("Plan__c")]}), newer)
    assert [each["changed_fields"] for each in rows(older_event, newer_event, older_event)] == [
        ["plan"],
        ["segment"],
        ["plan"],
    ]


UNFIT = "send the event with its own schema"


@pytest.mark.parametrize(
    ("header", "fields", "message"),
    [
        (
            {"nulledFields": ["0x80000000"]},
            {},
            f"ChangeEventHeader.nulledFields: expected bits of {len(ACCOUNT['fields'])} fields, came one beyond; "
            f"{UNFIT}",
        ),
        (
            {"changedFields": ["999-0x1"]},
            {},
            f"ChangeEventHeader.changedFields: expected positions of {len(ACCOUNT['fields'])} fields, came one beyond; "
            f"{UNFIT}",
        ),
        (
            {"diffFields": [f"{position('Plan__c')}-0x1"]},
            {},
            f"ChangeEventHeader.diffFields: expected bits of 0 fields, came one beyond; {UNFIT}",
        ),
        (
            {"nulledFields": [bitmap("Plan__c")]},
            {"Plan__c": "flex-20"},
            f"ChangeEventHeader.nulledFields: expected fields without a value, came one with a value; {UNFIT}",
        ),
    ],
    ids=["bit beyond", "position beyond", "parts of no compound", "nulled and given"],
)
def test_event_is_rejected_when_its_bitmaps_do_not_fit_the_schema(
    header: dict[str, Any], fields: dict[str, Any], message: str
) -> None:
    assert rejection(packed(ID, change("UPDATE", header, **fields))) == ("incompatible_schema", message)


def test_event_is_rejected_when_a_mirror_has_moved_its_fields() -> None:
    moved = {**ACCOUNT, "fields": [{"name": "_topic", "type": ["null", "string"]}, *ACCOUNT["fields"]]}
    schema_id = REGISTRY.register(f"{uuid4()}-value", moved)
    assert rejection(packed(schema_id, change("UPDATE", {"nulledFields": ["0x40"]}), moved)) == (
        "incompatible_schema",
        "ChangeEventHeader.changedFields: expected bitmaps of a schema whose first field is the header, came another; "
        f"{UNFIT}",
    )


ENDLESS = {
    "type": "record",
    "name": "Event",
    "fields": [{"name": "inner", "type": ["null", "Event"]}],
}
NOTHINGS = {"type": "record", "name": "Event", "fields": [{"name": "a", "type": {"type": "array", "items": "null"}}]}


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (ENDLESS, "field inner: expected a type that ends, came one that holds itself (Event)"),
        (NOTHINGS, "field a: expected array items that have a size, came array of null"),
    ],
    ids=["holds itself", "items without a size"],
)
def test_event_is_rejected_when_nothing_bounds_what_its_schema_allows(schema: dict[str, Any], message: str) -> None:
    schema_id = REGISTRY.register(f"{uuid4()}-value", schema)
    good = packed(ID, change("DELETE"))
    decoded = decode(good, prefixed(schema_id, b"\x02" * 100_000), good)
    assert decoded.rows["_row"].to_list() == [0, 2]
    assert [(each.reason, each.message) for each in decoded.rejected] == [
        ("incompatible_schema", f"schema id {schema_id}: writer's schema: {message}")
    ]


def test_event_is_rejected_when_its_bytes_cannot_be_read() -> None:
    good = packed(ID, change("CREATE", Plan__c="flex-20"))
    assert rejection(good + b"\0") == ("malformed_avro", "expected bytes after the writer's schema, came others")
    assert rejection(good[:4]) == (
        "malformed_avro",
        "expected a prefix of 5 bytes (magic byte, schema id), came fewer",
    )
    assert rejection(good.replace(b"flex", b"fl\xffx")) == ("invalid_utf8", "expected texts in UTF-8, came other bytes")
    assert rejection(prefixed(9_999, good[5:])) == (
        "unknown_schema",
        "expected a schema id that the registry knows, came 9999",
    )
    assert rejection(good, registry=None) == (
        "malformed_json",
        "expected JSON, came Confluent Avro's magic byte; configure a schema registry",
    )


def test_frequent_ids_are_asked_for_first_when_events_have_made_up_ones() -> None:
    asked: list[int] = []

    class Asked(Registry):
        def schema(self, schema_id: int) -> dict[str, Any] | None:
            asked.append(schema_id)
            return REGISTRY.schema(schema_id)

    good = packed(ID, change("DELETE"))
    registry = Asked(None)  # type: ignore[arg-type]
    decoded = decode(*(prefixed(5_000 + n, b"") for n in range(200)), good, good, registry=registry)
    assert decoded.rows["_row"].to_list() == [200, 201]
    assert {each.reason for each in decoded.rejected} == {"unknown_schema"}
    assert len(asked) == 17


def test_no_record_is_to_blame_when_the_registry_does_not_answer() -> None:
    class Away(Registry):
        def schema(self, schema_id: int) -> dict[str, Any] | None:
            raise TransientError("away")

    with pytest.raises(TransientError, match=r"^away$"):
        decode(packed(ID, change("DELETE")), registry=Away(None))  # type: ignore[arg-type]


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_neighbours_are_untouched_when_any_byte_of_an_avro_event_is_another(data: st.DataObject) -> None:
    good = packed(ID, change("CREATE", BillingAddress=WHOLE, Plan__c="canary", PersonBirthdate=-7_948_800_000))
    mutant = bytearray(good)
    for _ in range(data.draw(st.integers(1, 3))):
        mutant[data.draw(st.integers(5, len(good) - 1))] = data.draw(st.integers(0, 255))
    decoded = decode(good, bytes(mutant), good)
    first, last = (decoded.rows.filter(decoded.rows["_row"] == place).drop("_row") for place in (0, 2))
    assert first.height == 1
    assert first.equals(last)
    assert not any("canary" in each.message for each in decoded.rejected)
    assert "internal" not in {each.reason for each in decoded.rejected}
