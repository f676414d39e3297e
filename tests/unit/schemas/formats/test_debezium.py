from __future__ import annotations

from functools import partial
from typing import Any

import orjson
import pytest

from tests.unit.schemas.formats import reading
from tests.unit.schemas.formats.debezium_events import (
    COLUMNS,
    CREATED,
    DELETED,
    INVENTED,
    KEY,
    SNAPSHOT,
    UNAVAILABLE,
    UPDATED,
    envelope,
    wrapped,
)
from tests.unit.schemas.formats.reading import RECEIVED, at

row = partial(reading.row, "crm_change", "debezium")
rejection = partial(reading.rejection, "crm_change", "debezium")
nothing = partial(reading.nothing, "crm_change", "debezium")


@pytest.mark.parametrize(
    ("op", "read"), [("c", CREATED), ("r", SNAPSHOT), ("u", UPDATED)], ids=["insert", "snapshot", "update"]
)
@pytest.mark.parametrize("wrap", [lambda value: value, wrapped], ids=["bare", "wrapped"])
def test_every_column_reads_when_a_row_comes(op: str, read: dict[str, Any], wrap: Any) -> None:
    assert row(wrap(envelope(op, COLUMNS)), wrap(KEY)) == read


def test_row_reads_when_the_connector_sends_it_again_after_a_crash() -> None:
    runs: dict[int, Any] = {0: [("runId", b"1")], 1: [("runId", b"2")]}
    again = envelope("u", COLUMNS)
    first, second = reading.rows("crm_change", "debezium", again, again, keys=[KEY, KEY], headers=runs)
    assert first == second == UPDATED


def test_snapshot_is_older_when_a_row_changes_before_the_time_the_snapshot_tells() -> None:
    # seen: the snapshot tells when its transaction began, later than the place in the log that it shows
    snapshot = envelope("r", COLUMNS, ts_us=1_795_309_101_020_101, lsn=39_899_360)
    changed = envelope("u", COLUMNS, ts_us=1_795_309_100_957_395, lsn=39_899_512)
    before, after = reading.rows("crm_change", "debezium", snapshot, changed, keys=[KEY, KEY])
    assert before["event_time"] < after["event_time"]
    assert before["version"] < after["version"]


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


def test_renamed_customer_is_a_gap_when_a_long_value_was_not_touched() -> None:
    decoded = reading.decode(
        "crm_change",
        "debezium",
        envelope("c", COLUMNS | {"address": UNAVAILABLE}),
        keys=[KEY],
        headers={0: [("__debezium.oldkey", b'{"customer_id":"C-0"}')]},
    )
    known = [name for name in COLUMNS if name in CREATED and name not in ("customer_id", "address")]
    assert decoded.rows.drop("_row").to_dicts() == [
        CREATED | {"address": None, "changed_fields": known, "previous_customer_id": "C-0"}
    ]
    [gap] = decoded.rejected
    assert (gap.reason, gap.message) == (
        "gap",
        "after: expected every value of a customer with a new id, came placeholders of untouched ones; "
        "write those values again, and give the table REPLICA IDENTITY FULL",
    )


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


def test_truncate_is_a_gap_when_it_names_no_customer() -> None:
    assert rejection(envelope("t")) == (
        "gap",
        "op: expected a change of one row, came a truncate; delete the customers that do not come again",
    )


@pytest.mark.parametrize(
    ("added", "read"),
    [
        ({}, UPDATED | {"version": 0, "event_time": RECEIVED}),
        ({"__op": "c", "__lsn": 26_463_840, "__source_ts_ms": 1_777_377_600_250}, CREATED),
        ({"__op": "r", "__source_lsn": 26_463_840, "__source_ts_us": 1_777_377_600_250_000}, SNAPSHOT),
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
        "crm_change",
        "debezium_flattened",
        stamped,
        COLUMNS,
        None,
        b"null",
        INVENTED | {"__deleted": True},
        keys=[KEY] * 5,
    )
    order = {"version": 0, "event_time": RECEIVED}
    assert read == [CREATED | order, UPDATED | order, *[DELETED | order] * 3]


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
            {"customer_id": {"scale": None, "value": "Kg=="}},
            "wrong_type",
            "key: expected a numeric of integer scale and short base64 value, came an object",
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
