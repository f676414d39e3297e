"""Customer changes as Salesforce Change Data Capture sends them (Streaming API, JSON).

Unchanged and null fields are left out; what became null is named in `nulledFields`.

Source:
    Salesforce, "Change Data Capture Developer Guide": change event message structure and header fields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from benchmarks.workload.clock import Clock, rfc3339
from benchmarks.workload.crm import CrmChange

TOPIC = "crm.changes.salesforce"
_FIELDS = {
    "account_type": "AccountType__c",
    "name": "Name",
    "email": "PersonEmail",
    "msisdn": "MSISDN__c",
    "address": "BillingAddress",
    "birth_date": "PersonBirthdate",
    "site_id": "SiteId__c",
    "segment": "Segment__c",
    "plan": "Plan__c",
    "services": "Services__c",
    "language": "Language__c",
    "channels": "Channels__c",
    "consent": "Consent__c",
    "status": "Status__c",
    "contract_start": "ContractStart__c",
    "contract_end": "ContractEnd__c",
}
_FIRST_COMMIT = 11_000_000_000_000


def salesforce_records(change: CrmChange, clock: Clock) -> list[tuple[bytes, bytes | None]]:
    """Key and value of the one record of a change."""
    body = _body(change)
    nulled = [name for name, value in body.items() if value is None]
    commit_ms = clock.at(change.time_us) // 1000
    header = {
        "entityName": "Account",
        "recordIds": [change.customer_id],
        "changeType": change.op.upper(),
        "changeOrigin": "com/salesforce/api/soap/58.0;client=SfdcInternalAPI/",
        "transactionKey": f"{change.number:08x}-0000-4000-8000-{change.number * 7919 % (1 << 48):012x}",
        "sequenceNumber": 1,
        "commitTimestamp": commit_ms,
        "commitNumber": _FIRST_COMMIT + change.number,
        "commitUser": "0055g000001crm0AAA",
        "changedFields": [*body, "LastModifiedDate"] if change.op == "update" else [],
        "nulledFields": nulled if change.op == "update" else [],
        "diffFields": [],
    }
    present = {name: value for name, value in body.items() if value is not None}
    modified = {} if change.op == "delete" else {"LastModifiedDate": clock.iso(change.time_us)}
    value = orjson.dumps({"ChangeEventHeader": header, **present, **modified})
    return [(change.customer_id.encode(), value)]


def _list(value: list[str]) -> str | None:
    return ";".join(value) or None


def _compound(value: str) -> dict[str, str]:
    street, _, place = value.rpartition(", ")
    code, _, town = place.partition(" ")
    return {"Street": street, "PostalCode": code, "City": town, "Country": "XA"}


_CONVERTERS: Mapping[str, Callable[[Any], Any]] = {
    "services": _list,
    "channels": _list,
    "consent": _list,
    "address": _compound,
    "contract_start": rfc3339,
    "contract_end": rfc3339,
}


def _body(change: CrmChange) -> dict[str, Any]:
    """The fields the event speaks of, None for those that are null now."""
    columns = change.changed if change.op == "update" else () if change.op == "delete" else _FIELDS
    body = {}
    for column in columns:
        value, convert = change.row[column], _CONVERTERS.get(column)
        body[_FIELDS[column]] = value if value is None or convert is None else convert(value)
    return body
