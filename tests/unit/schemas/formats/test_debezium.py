from __future__ import annotations

from functools import partial
from typing import Any

import orjson
import pytest

from tests.unit.schemas.formats import reading
from tests.unit.schemas.formats.reading import RECEIVED, at, change

row = partial(reading.row, "crm_change", "debezium")
rejection = partial(reading.rejection, "crm_change", "debezium")
nothing = partial(reading.nothing, "crm_change", "debezium")

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


@pytest.mark.parametrize(
    ("op", "read"), [("c", CREATED), ("r", CREATED), ("u", UPDATED)], ids=["insert", "snapshot", "update"]
)
@pytest.mark.parametrize("wrap", [lambda value: value, wrapped], ids=["bare", "wrapped"])
def test_every_column_reads_when_a_row_comes(op: str, read: dict[str, Any], wrap: Any) -> None:
    assert row(wrap(envelope(op, COLUMNS)), wrap(KEY)) == read


def test_row_reads_when_the_connector_sends_it_again_after_a_crash() -> None:
    runs: dict[int, Any] = {0: [("runId", b"1")], 1: [("runId", b"2")]}
    again = envelope("u", COLUMNS)
    first, second = reading.rows("crm_change", "debezium", again, again, keys=[KEY, KEY], headers=runs)
    assert first == second == UPDATED


def test_columns_are_null_when_the_table_lacks_them() -> None:
    assert row(envelope("u", {"customer_id": "C-1", "plan": "max"}), KEY) == DELETED | {
        "op": "update",
        "account_type": "postpaid",
        "plan": "max",
    }


def test_columns_read_when_the_database_writes_them_in_upper_case() -> None:
    shouting = {name.upper(): value for name, value in COLUMNS.items()}
    source = {"connector": "oracle", "lsn": None, "commit_scn": "900719925474", "scn": "12"}
    read = row(envelope("c", shouting, **source), {"CUSTOMER_ID": "C-1"})
    assert read == CREATED | {"version": 900_719_925_474}


def test_account_type_is_kept_when_the_table_has_one() -> None:
    assert row(envelope("c", COLUMNS | {"account_type": "Prepaid"}), KEY)["account_type"] == "prepaid"


@pytest.mark.parametrize(
    ("source", "time"),
    [
        ({"ts_us": 1_777_377_600_250_123}, at("2026-04-28T12:00:00.250123Z")),
        ({"ts_ms": None}, RECEIVED),
    ],
    ids=["microseconds", "none"],
)
def test_time_is_the_commit_time_when_the_source_gives_it(source: dict[str, Any], time: object) -> None:
    assert row(envelope("c", COLUMNS, **source), KEY) == CREATED | {"event_time": time}


@pytest.mark.parametrize(
    ("came", "read"),
    [
        ("infinity", None),
        ("-infinity", None),
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


@pytest.mark.parametrize(
    "key",
    [KEY, wrapped(KEY), {"customer_id": "C-1", "region": 4}, {"id": "C-1"}, "C-1", b"C-1"],
    ids=["object", "wrapped", "compound", "other name", "string", "plain text"],
)
def test_delete_reads_from_the_key_alone_when_before_is_invented(key: object) -> None:
    assert row(envelope("d", before=INVENTED), key) == DELETED


@pytest.mark.parametrize("value", [None, {"schema": None, "payload": None}, b"null"])
def test_tombstone_carries_no_row_when_it_follows_a_delete(value: object) -> None:
    assert nothing(value, KEY)


def test_customer_is_renamed_when_the_key_changes() -> None:
    new = COLUMNS | {"customer_id": "C-2"}
    decoded = reading.decode(
        "crm_change",
        "debezium",
        envelope("d", before=INVENTED),
        None,
        envelope("c", new),
        keys=[KEY, KEY, {"customer_id": "C-2"}],
        headers={
            0: [("__debezium.newkey", b'{"customer_id":"C-2"}')],
            2: [("runId", b"1"), ("__debezium.oldkey", orjson.dumps(wrapped(KEY)))],
        },
    )
    assert decoded.rejected == []
    assert decoded.empty == 1
    assert decoded.rows["_row"].to_list() == [0, 2]
    assert decoded.rows.drop("_row").to_dicts() == [
        DELETED,
        CREATED | {"customer_id": "C-2", "previous_customer_id": "C-1"},
    ]


def test_untouched_columns_are_left_out_when_their_value_is_unavailable() -> None:
    read = row(envelope("u", COLUMNS | {"address": UNAVAILABLE, "consent": [UNAVAILABLE]}), KEY)
    changed = [name for name in COLUMNS if name in CREATED and name not in ("customer_id", "address", "consent")]
    assert read == UPDATED | {"address": None, "consent": None, "changed_fields": changed}


@pytest.mark.parametrize(
    "value",
    [
        envelope("m") | {"message": {"prefix": "x", "content": "eA=="}},
        {"ts_ms": 1_777_377_600_268},
        {"ts_ms": 1_777_377_600_268, "ts_us": 1_777_377_600_268_000, "ts_ns": 1_777_377_600_268_000_000},
        {"status": "BEGIN", "id": "746:26463840", "ts_ms": 1, "event_count": None, "data_collections": None},
        {"status": "END", "id": "746:26463999", "ts_ms": 1, "event_count": 2, "data_collections": []},
    ],
    ids=["message", "heartbeat", "heartbeat 3", "begin", "end"],
)
def test_record_carries_no_row_when_it_speaks_of_none(value: object) -> None:
    assert nothing(value, {"serverName": "amdocs"})


def test_truncate_is_refused_when_it_names_no_customer() -> None:
    assert rejection(envelope("t")) == (
        "unknown_type",
        "op: expected a change of one row, came a truncate; delete the customers",
    )


@pytest.mark.parametrize(
    ("added", "read"),
    [
        ({}, UPDATED | {"version": 0, "event_time": RECEIVED}),
        ({"__op": "c", "__lsn": 26_463_840, "__source_ts_ms": 1_777_377_600_250}, CREATED),
        ({"__op": "r", "__source_lsn": 26_463_840, "__source_ts_us": 1_777_377_600_250_000}, CREATED),
    ],
    ids=["no metadata", "milliseconds", "microseconds"],
)
def test_flattened_row_reads_when_deletes_are_marked(added: dict[str, Any], read: dict[str, Any]) -> None:
    assert row(COLUMNS | {"__deleted": "false"} | added, KEY) == read


def test_flattened_delete_reads_when_it_is_marked() -> None:
    marked = INVENTED | {"__deleted": "true", "__lsn": 26_463_840, "__source_ts_ms": 1_777_377_600_250}
    assert row(marked, KEY) == DELETED


def test_flattened_rows_read_in_log_order_when_deletes_are_tombstones() -> None:
    stamped = COLUMNS | {"__op": "c", "__lsn": 26_463_840, "__source_ts_ms": 1_777_377_600_250}
    read = reading.rows(
        "crm_change", "debezium_flattened", stamped, COLUMNS, None, INVENTED | {"__deleted": True}, keys=[KEY] * 4
    )
    order = {"version": 0, "event_time": RECEIVED}
    assert read == [CREATED | order, UPDATED | order, DELETED | order, DELETED | order]


@pytest.mark.parametrize(
    ("value", "key", "reason", "message"),
    [
        ([], KEY, "wrong_type", "value: expected an object, came an array"),
        (
            COLUMNS,
            KEY,
            "unknown_type",
            "value: expected op and source, or a flattened row with __deleted, came neither; "
            "for flattened rows whose deletes are tombstones the topic's format is debezium_flattened",
        ),
        (envelope("x"), KEY, "unknown_type", "op: expected c, u, d, r, t or m, came another"),
        (envelope("u"), KEY, "missing_field", "after: expected an object, came nothing"),
        (envelope("u", COLUMNS) | {"source": None}, KEY, "missing_field", "source: expected an object, came nothing"),
        (envelope("d", before=COLUMNS), None, "missing_key", "key: expected the customer's key, came none"),
        (envelope("d"), {"a": "x", "b": "y"}, "missing_key", "key: expected customer_id, came none"),
        (envelope("d"), b"\x00\x00\x00\x00\x07\x06C-1", "wrong_type", "key: expected JSON or an id, came other bytes"),
        (envelope("d"), b"Struct{customer_id=C-1}", "wrong_type", "key: expected JSON or an id, came other bytes"),
        (envelope("d"), {"customer_id": 1.5}, "wrong_type", "key: expected a string, came a fraction"),
        (
            envelope("d"),
            {"customer_id": {"scale": 1, "value": "Kg=="}},
            "wrong_type",
            "key: expected a whole number, came a fraction or a larger one",
        ),
        (
            envelope("d"),
            {"customer_id": {"scale": 0, "value": "é"}},
            "wrong_type",
            "key: expected base64, came another string",
        ),
        (
            envelope("d"),
            {"customer_id": {"scale": 0, "value": "Kg==" * 5000}},
            "wrong_type",
            "key: expected a numeric of integer scale and short base64 value, came an object",
        ),
        (
            envelope("c", COLUMNS, ts_ms=10**17),
            KEY,
            "out_of_range",
            "source.ts_ms: expected epoch milliseconds of years 1970 to 9999, came others",
        ),
        (envelope("c", COLUMNS | {"name": ["x"]}), KEY, "wrong_type", "after.name: expected a string, came an array"),
        (
            envelope("c", COLUMNS | {"contract_end": 1.5}),
            KEY,
            "wrong_type",
            "after.contract_end: expected a time or a date, came a fraction",
        ),
        (
            envelope("c", COLUMNS | {"account_type": "corporate"}),
            KEY,
            "out_of_range",
            "after.account_type: expected prepaid or postpaid, came another word",
        ),
    ],
)
def test_record_is_rejected_when_it_cannot_be_read(value: object, key: object, reason: str, message: str) -> None:
    assert rejection(value, key) == (reason, message)


def test_record_is_rejected_when_nothing_says_when() -> None:
    rejected = reading.decode("crm_change", "debezium_flattened", None, keys=[KEY], timestamp_ms=-1).rejected
    assert [(record.reason, record.message) for record in rejected] == [
        ("missing_field", "timestamp: expected the record's Kafka timestamp, came none")
    ]
