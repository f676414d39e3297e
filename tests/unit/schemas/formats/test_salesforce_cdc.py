from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.unit.schemas.formats import reading
from tests.unit.schemas.formats.reading import at, change

rows = partial(reading.rows, "crm_change", "salesforce_cdc")
row = partial(reading.row, "crm_change", "salesforce_cdc")
rejection = partial(reading.rejection, "crm_change", "salesforce_cdc")
nothing = partial(reading.nothing, "crm_change", "salesforce_cdc")

ANNA, BELA = "0015f00002JUXA8AAP", "0015f00002JUXA9AAP"
COMMIT = 1_100_670_838_951


def event(kind: str, /, header: dict[str, Any] | None = None, **body: Any) -> dict[str, Any]:
    """A change event as the Streaming API has it in `payload`; a header field that is None is taken away."""
    filled = {
        "entityName": "Account",
        "recordIds": [ANNA],
        "changeType": kind,
        "changeOrigin": "com/salesforce/api/soap/60.0",
        "transactionKey": "00006bec-ce66-0611-9018-30a98446c9f2",
        "sequenceNumber": 1,
        "commitTimestamp": 1_777_377_600_250,
        "commitNumber": COMMIT,
        "commitUser": "0055f000005mc66AAA",
    } | (header or {})
    return {"ChangeEventHeader": {name: value for name, value in filled.items() if value is not None}, **body}


def update(header: dict[str, Any], **body: Any) -> dict[str, Any]:
    return event("UPDATE", {"nulledFields": [], "diffFields": []} | header, **body)


BARE = change(
    customer_id=ANNA,
    op="update",
    source_system="salesforce",
    account_type="prepaid",
    version=COMMIT * 10_000 + 1,
    event_time=at("2026-04-28T12:00:00.25Z"),
)
CREATED = BARE | {"op": "create"}
WHOLE_BODY = {
    "Name": {"FirstName": "Ánna", "LastName": "Kovács"},
    "PersonEmail": "anna@example.org",
    "MSISDN__c": "+36201234567",
    "BillingAddress": {
        "Street": "Fő utca 1",
        "City": "Győr",
        "State": None,
        "PostalCode": "9021",
        "Country": "HU",
        "Latitude": 47.6,
    },
    "PersonBirthdate": "1990-05-01",
    "SiteId__c": "site-7",
    "Segment__c": "consumer",
    "Plan__c": "flex-10",
    "Services__c": "voice;sms;data",
    "Language__c": "hu",
    "Channels__c": "SMS;Email;Fax",
    "Consent__c": "Email",
    "Status__c": "Active",
    "ContractStart__c": "2024-01-15",
    "ContractEnd__c": "2027-01-15T00:00:00.000Z",
    "OwnerId": "0055f000005mc66AAA",
    "LastModifiedDate": "2026-04-28T12:00:00.000Z",
}
WHOLE_ROW = CREATED | {
    "name": "Ánna Kovács",
    "email": "anna@example.org",
    "msisdn": "+36201234567",
    "address": "Fő utca 1, 9021, Győr, HU",
    "birth_date": "1990-05-01",
    "site_id": "site-7",
    "segment": "consumer",
    "plan": "flex-10",
    "services": ["voice", "sms", "data"],
    "language": "hu",
    "channels": ["sms", "email"],
    "consent": ["email"],
    "status": "active",
    "contract_start": at("2024-01-15T00:00:00Z"),
    "contract_end": at("2027-01-15T00:00:00Z"),
}


@pytest.mark.parametrize("kind", ["CREATE", "UNDELETE"])
def test_every_field_reads_when_the_whole_record_comes(kind: str) -> None:
    assert row(event(kind, **WHOLE_BODY)) == WHOLE_ROW


@pytest.mark.parametrize(
    "wrap",
    [
        lambda payload: {"schema": "Jx8Hz9", "payload": payload, "event": {"replayId": 1}},
        lambda payload: {"channel": "/data/AccountChangeEvent", "data": {"schema": "Jx8Hz9", "payload": payload}},
    ],
    ids=["message", "message with its channel"],
)
def test_event_reads_when_it_is_wrapped(wrap: Any) -> None:
    assert row(wrap(event("CREATE", **WHOLE_BODY))) == WHOLE_ROW


def test_fields_of_a_contact_read_when_the_entity_is_contact() -> None:
    contact = event(
        "CREATE",
        {"entityName": "Contact"},
        Name={"Salutation": "Mr.", "FirstName": "Béla", "LastName": "Nagy", "Suffix": "Jr."},
        Email="bela@example.org",
        Birthdate="1985-12-24",
        MailingAddress={"Street": "Kossuth 2", "City": "Pécs"},
    )
    assert row(contact) == CREATED | {
        "name": "Béla Nagy Jr.",
        "email": "bela@example.org",
        "birth_date": "1985-12-24",
        "address": "Kossuth 2, Pécs",
    }


def test_nulls_stay_null_when_the_pubsub_api_sends_every_field() -> None:
    body = dict.fromkeys(WHOLE_BODY) | {"Name": "Kovács Kft.", "BillingAddress": {"Street": None, "City": None}}
    assert row(event("CREATE", **body)) == CREATED | {"name": "Kovács Kft."}


def test_times_read_when_the_pubsub_api_sends_numbers() -> None:
    read = row(event("CREATE", PersonBirthdate=-7_948_800_000, ContractStart__c=1_705_276_800_000))
    assert read == CREATED | {"birth_date": "1969-10-01", "contract_start": at("2024-01-15T00:00:00Z")}


def test_update_is_partial_when_the_streaming_api_sends_changed_fields_alone() -> None:
    read = row(event("UPDATE", SiteId__c="site-8", Status__c="Suspended", LastModifiedDate="2026-04-28T12:00:00.000Z"))
    assert read == BARE | {"site_id": "site-8", "status": "suspended", "changed_fields": ["site_id", "status"]}


def test_update_is_partial_when_changed_and_nulled_fields_are_named() -> None:
    header = {"changedFields": ["SiteId__c", "Plan__c", "LastModifiedDate"], "nulledFields": ["Plan__c"]}
    read = row(update(header, SiteId__c="site-8", Plan__c=None, Status__c=None))
    assert read == BARE | {"site_id": "site-8", "changed_fields": ["site_id", "plan"]}


def test_null_says_nothing_when_it_is_not_among_the_nulled_fields() -> None:
    read = row(update({"changedFields": ["SiteId__c", "Consent__c"]}, SiteId__c="site-8", Consent__c=None))
    assert read == BARE | {"site_id": "site-8", "changed_fields": ["site_id"]}


def test_update_reads_when_changed_fields_are_a_bitmap() -> None:
    read = row(
        update({"changedFields": ["0x650004E0", "4-0x10"]}, **dict.fromkeys(WHOLE_BODY) | {"Plan__c": "flex-20"})
    )
    assert read == BARE | {"plan": "flex-20", "changed_fields": ["plan"]}


def test_update_carries_no_row_when_none_of_our_fields_has_changed() -> None:
    assert nothing(update({"changedFields": ["Website", "LastModifiedDate"]}, Website="https://example.org"))


def test_address_reads_when_an_update_brings_the_whole_of_it() -> None:
    moved = {"Street": "Új út 3", "City": "Győr", "PostalCode": "9022", "Country": "HU"}
    read = row(update({"changedFields": [f"BillingAddress.{part}" for part in moved]}, BillingAddress=moved))
    assert read == BARE | {"address": "Új út 3, 9022, Győr, HU", "changed_fields": ["address"]}


@pytest.mark.parametrize(
    ("header", "body", "column"),
    [
        ({"changedFields": ["BillingAddress.Street"]}, {"BillingAddress": {"Street": "Új út 3"}}, "address"),
        ({"changedFields": ["Name.LastName"]}, {"Name": {"LastName": "Nagy"}}, "name"),
        ({"nulledFields": ["BillingAddress.State"]}, {"BillingAddress": {"State": None}}, "address"),
        ({"diffFields": ["Segment__c"]}, {"Segment__c": "--- \n+++ \n@@"}, "segment"),
    ],
    ids=["part of an address", "part of a name", "nulled part", "difference"],
)
def test_column_is_changed_to_unknown_when_an_update_brings_a_part_of_it(
    header: dict[str, Any], body: dict[str, Any], column: str
) -> None:
    assert row(update(header, **body)) == BARE | {"changed_fields": [column]}


def test_delete_has_no_values_when_a_record_is_deleted() -> None:
    assert row(event("DELETE")) == BARE | {"op": "delete", "account_type": None}


def test_each_record_gets_a_row_when_one_event_carries_many_ids() -> None:
    read = rows(update({"recordIds": [ANNA, BELA, ANNA]}, Plan__c="flex-20"))
    assert read == [
        BARE | {"customer_id": customer, "plan": "flex-20", "changed_fields": ["plan"]} for customer in (ANNA, BELA)
    ]


def test_version_orders_changes_when_they_share_a_commit() -> None:
    orders = [(COMMIT, 1), (COMMIT, 2), (COMMIT, 12_000), (COMMIT + 1, 1)]
    versions = [row(event("DELETE", {"commitNumber": n, "sequenceNumber": s}))["version"] for n, s in orders]
    assert versions == [COMMIT * 10_000 + 1, COMMIT * 10_000 + 2, COMMIT * 10_000 + 9_999, COMMIT * 10_000 + 10_001]


GAP = (
    "gap",
    "ChangeEventHeader.changeType: expected a change with its fields, came a gap; fetch the record again",
)
WILDCARD = ("gap", "ChangeEventHeader.recordIds: expected ids, came a wildcard; fetch the records again")
STALE = BARE | {"op": "stale", "account_type": None}


def partly(value: Any) -> tuple[list[dict[str, Any]], tuple[str, str]]:
    """The rows of a record that is refused all the same, and why it is."""
    decoded = reading.decode("crm_change", "salesforce_cdc", value)
    [refused] = decoded.rejected
    return decoded.rows.drop("_row").to_dicts(), (refused.reason, refused.message)


@pytest.mark.parametrize("kind", ["GAP_CREATE", "GAP_UPDATE", "GAP_DELETE", "GAP_UNDELETE"])
def test_record_is_stale_when_its_event_is_a_gap(kind: str) -> None:
    # the Pub/Sub API sends the fields, too, all null
    assert partly(event(kind, {"recordIds": [ANNA, BELA]}, Name=None)) == ([STALE, STALE | {"customer_id": BELA}], GAP)


@pytest.mark.parametrize("entity", ["Account", None])
def test_event_is_a_gap_when_changes_overflow(entity: str | None) -> None:
    header = {"recordIds": ["000000000000000AAA"], "entityName": entity}
    assert rejection(event("GAP_OVERFLOW", header)) == GAP


@pytest.mark.parametrize("kind", ["UPDATE", "DELETE"])
def test_event_is_a_gap_when_its_ids_are_a_wildcard(kind: str) -> None:
    assert rejection(event(kind, {"recordIds": ["001*"]}, Plan__c="x")) == WILDCARD


def test_gap_is_refused_alone_when_its_ids_are_a_wildcard() -> None:
    assert rejection(event("GAP_UPDATE", {"recordIds": ["001*"]})) == GAP


def test_records_that_are_named_go_on_when_others_are_a_wildcard() -> None:
    changed = BARE | {"plan": "flex-20", "changed_fields": ["plan"]}
    assert partly(event("UPDATE", {"recordIds": [ANNA, "001*"]}, Plan__c="flex-20")) == ([changed], WILDCARD)


@pytest.mark.parametrize(
    ("value", "reason", "message"),
    [
        (None, "null_value", "value: expected an object, came null"),
        ({"Name": "x"}, "missing_field", "ChangeEventHeader: expected an object, came nothing"),
        ({"payload": 7}, "wrong_type", "payload: expected an object, came an integer"),
        (
            event("MERGE"),
            "unknown_type",
            "ChangeEventHeader.changeType: expected CREATE, UNDELETE, UPDATE, DELETE or GAP_, came another",
        ),
        (
            event("CREATE", {"entityName": "Case"}),
            "unknown_type",
            "ChangeEventHeader.entityName: expected Account or Contact, came another",
        ),
        (
            event("GAP_UPDATE", {"entityName": "Case"}),
            "unknown_type",
            "ChangeEventHeader.entityName: expected Account or Contact, came another",
        ),
        (
            event("CREATE", {"recordIds": []}),
            "missing_field",
            "ChangeEventHeader.recordIds: expected ids of records, came none",
        ),
        (
            event("CREATE", {"recordIds": ANNA}),
            "wrong_type",
            "ChangeEventHeader.recordIds: expected an array, came a string",
        ),
        (
            event("CREATE", {"commitNumber": None}),
            "missing_field",
            "ChangeEventHeader.commitNumber: expected an integer, came nothing",
        ),
        (
            event("CREATE", {"commitNumber": 2**62}),
            "out_of_range",
            "ChangeEventHeader.commitNumber: expected 0 to 922337203685476, came another",
        ),
        (
            event("CREATE", {"commitTimestamp": "noon"}),
            "wrong_type",
            "ChangeEventHeader.commitTimestamp: expected an integer, came a string",
        ),
        (
            event("CREATE", {"commitTimestamp": 10**18}),
            "out_of_range",
            "ChangeEventHeader.commitTimestamp: expected epoch milliseconds of years 1970 to 9999, came others",
        ),
        (
            update({"nulledFields": ["0x40"]}, Plan__c="x"),
            "unknown_type",
            "ChangeEventHeader.nulledFields: expected names, came a bitmap; unpack it with the event's schema",
        ),
        (
            update({"diffFields": ["4-0x10"]}, Plan__c="x"),
            "unknown_type",
            "ChangeEventHeader.diffFields: expected names, came a bitmap; unpack it with the event's schema",
        ),
        (event("CREATE", PersonEmail=["a"]), "wrong_type", "PersonEmail: expected a string, came an array"),
        (event("CREATE", PersonEmail={"a": 1}), "wrong_type", "PersonEmail: expected a string, came an object"),
        (
            event("CREATE", Services__c=7),
            "wrong_type",
            "Services__c: expected an array or a string with separators, came an integer",
        ),
        (
            event("CREATE", Status__c="gone fishing"),
            "out_of_range",
            "Status__c: expected active, suspended, barred, on hold, inactive, left, closed, cancelled, canceled, "
            "terminated or churned, came another word",
        ),
        (
            event("CREATE", ContractStart__c="2024-02-31"),
            "out_of_range",
            "ContractStart__c: expected a date, came another text",
        ),
        (
            event("CREATE", ContractStart__c="yesterday"),
            "wrong_type",
            "ContractStart__c: expected an ISO 8601 time with offset, came another text",
        ),
    ],
)
def test_event_is_rejected_when_it_cannot_be_read(value: object, reason: str, message: str) -> None:
    assert rejection(value) == (reason, message)
