"""Change events as Salesforce's Pub/Sub API sends them: Avro after the object's own event schema, Confluent-framed."""

from __future__ import annotations

from typing import Any

from tests.unit.schemas.codec_kit import body, prefixed


def optional(name: str, avro_type: Any) -> dict[str, Any]:
    return {"name": name, "type": ["null", avro_type], "default": None}


def compound(name: str, parts: tuple[str, ...]) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [optional(part, "string") for part in parts]}


CHANGE_TYPES = ("CREATE", "UPDATE", "DELETE", "UNDELETE")
HEADER = {
    "type": "record",
    "name": "ChangeEventHeader",
    "fields": [
        {"name": "entityName", "type": "string"},
        {"name": "recordIds", "type": {"type": "array", "items": "string"}},
        {
            "name": "changeType",
            "type": {
                "type": "enum",
                "name": "ChangeType",
                "symbols": [*CHANGE_TYPES, *(f"GAP_{change}" for change in CHANGE_TYPES), "GAP_OVERFLOW"],
            },
        },
        {"name": "changeOrigin", "type": "string"},
        {"name": "transactionKey", "type": "string"},
        {"name": "sequenceNumber", "type": "int"},
        {"name": "commitTimestamp", "type": "long"},
        {"name": "commitNumber", "type": "long"},
        {"name": "commitUser", "type": "string"},
        *({"name": name, "type": {"type": "array", "items": "string"}} for name in ("nulledFields", "diffFields")),
        {"name": "changedFields", "type": {"type": "array", "items": "string"}},
    ],
}
ADDRESS = ("Street", "City", "State", "PostalCode", "Country", "StateCode", "Xyz")
ACCOUNT = {
    "type": "record",
    "name": "AccountChangeEvent",
    "namespace": "com.sforce.eventbus",
    "fields": [
        {"name": "ChangeEventHeader", "type": HEADER},  # position 0
        {
            "name": "Name",  # 1: text of a business, compound of a person
            "type": ["null", "string", compound("Switchable_PersonName", ("Salutation", "FirstName", "LastName"))],
        },
        optional("Type", "string"),
        optional("BillingAddress", compound("Address", ADDRESS)),  # 3
        optional("ShippingAddress", "Address"),  # 4, by name
        optional("AnnualRevenue", "double"),
        optional("LastModifiedDate", "long"),
        optional("PersonBirthdate", "long"),
        optional("PersonEmail", "string"),  # 8
        *(
            optional(f"{name}__c", "string")  # from 9
            for name in ("MSISDN", "SiteId", "Segment", "Plan", "Services", "Language", "Channels", "Consent", "Status")
        ),
        optional("ContractStart__c", "long"),
        optional("ContractEnd__c", "long"),
    ],
}


def position(field: str) -> int:
    return [each["name"] for each in ACCOUNT["fields"]].index(field)


def bitmap(*fields: str) -> str:
    """The bitmap of some of the event's fields."""
    return f"0x{sum(1 << position(field) for field in fields):08X}"


def packed(schema_id: int, event: dict[str, Any], schema: dict[str, Any] = ACCOUNT) -> bytes:
    """An event as a Kafka record's value; fields that are not given are null."""
    names = [field["name"] for field in schema["fields"]]
    assert event.keys() <= set(names)
    return prefixed(schema_id, body(schema, dict.fromkeys(names) | event))
