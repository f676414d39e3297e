"""Debezium's records of a customer table, and the rows that they stand for."""

from __future__ import annotations

from typing import Any

from tests.unit.schemas.formats.reading import at, change

KEY = {"customer_id": "C-1"}
COLUMNS: dict[str, Any] = {
    "customer_id": "C-1",
    "account_type": "postpaid",
    "name": "Ánna Kovács",
    "email": "anna@example.org",
    "msisdn": "+36201234567",
    "address": "Fő utca 1, Győr",
    "birth_date": 7425,  # date
    "site_id": "site-7",
    "segment": "business",
    "plan": "max",
    "services": ["voice", "data"],
    "language": "hu",
    "channels": ["whatsapp", "sms"],
    "consent": ["sms"],
    "status": "active",
    "contract_start": 1_705_276_800_000_000,  # timestamp
    "contract_end": "2027-01-15T01:00:00+01:00",  # timestamptz
    "updated_at": "2026-04-28T11:59:59.9Z",
    "credit": {"scale": 2, "value": "Jw8="},
    "extra": '{"a": 1}',  # jsonb
}
CREATED = change(
    customer_id="C-1",
    op="create",
    source_system="amdocs",
    account_type="postpaid",
    name="Ánna Kovács",
    email="anna@example.org",
    msisdn="+36201234567",
    address="Fő utca 1, Győr",
    birth_date="1990-05-01",
    site_id="site-7",
    segment="business",
    plan="max",
    services=["voice", "data"],
    language="hu",
    channels=["whatsapp", "sms"],
    consent=["sms"],
    status="active",
    contract_start=at("2024-01-15T00:00:00Z"),
    contract_end=at("2027-01-15T00:00:00Z"),
    version=26_463_840,
    event_time=at("2026-04-28T12:00:00.25Z"),
)
UPDATED = CREATED | {"op": "update"}
SNAPSHOT = CREATED | {"event_time": at("2026-04-28T11:59:50.25Z")}
DELETED = change(
    customer_id="C-1",
    op="delete",
    source_system="amdocs",
    version=26_463_840,
    event_time=at("2026-04-28T12:00:00.25Z"),
)
# What a delete has in `before` with the default replica identity: only the key is true.
INVENTED = {"customer_id": "C-1", "name": "", "status": "active", "updated_at": "1970-01-01T00:00:00Z"}
UNAVAILABLE = "__debezium_unavailable_value"


def envelope(op: str, after: object = None, before: object = None, **source: Any) -> dict[str, Any]:
    return {
        "before": before,
        "after": after,
        "source": {
            "version": "3.7.0.Final",
            "connector": "postgresql",
            "name": "amdocs",
            "ts_ms": 1_777_377_600_250,
            "snapshot": "false",
            "db": "crm",
            "sequence": '["26463800","26463840"]',
            "schema": "public",
            "table": "customers",
            "txId": 746,
            "lsn": 26_463_840,
            "xmin": None,
        }
        | source,
        "transaction": None,
        "op": op,
        "ts_ms": 1_777_377_600_268,
    }


def wrapped(payload: object) -> dict[str, Any]:
    return {"schema": {"type": "struct", "fields": []}, "payload": payload}
