"""Customer changes as Debezium 3 sends them from a PostgreSQL table `customers`.

With the default replica identity: no `before` on updates, and deletes whose `before` holds invented values in NOT NULL
columns. A key change is three records: a delete, a tombstone and a create.

Source:
    Debezium, "PostgreSQL connector": data change events; captured from Debezium 3.7 on PostgreSQL 15.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import orjson

from benchmarks.workload.clock import Clock, rfc3339
from benchmarks.workload.crm import CrmChange
from benchmarks.workload.records import Headers

TOPIC = "crm.changes.debezium"
UNAVAILABLE = "__debezium_unavailable_value"
_NOT_NULL = {"name": "", "status": "active"}
_FIRST_LSN = 26_000_000
_EPOCH = date(1970, 1, 1)


def debezium_records(change: CrmChange, clock: Clock) -> list[tuple[bytes, bytes | None, Headers]]:
    """Keys, values and headers of the records of a change, in order."""
    key = _key(change.customer_id)
    if change.previous_id is not None:
        old = _key(change.previous_id)
        gone = _envelope(change, clock, "d", _invented(change.previous_id), None)
        made = _envelope(change, clock, "c", None, _row(change))
        return [
            (old, gone, (("__debezium.newkey", key),)),
            (old, None, ()),
            (key, made, (("__debezium.oldkey", old),)),
        ]
    if change.op == "delete":
        return [(key, _envelope(change, clock, "d", _invented(change.customer_id), None), ()), (key, None, ())]
    op = {"load": "r", "join": "c"}.get(change.kind, "u")
    return [(key, _envelope(change, clock, op, None, _row(change)), ())]


def _key(customer_id: str) -> bytes:
    return orjson.dumps({"customer_id": customer_id})


def _invented(customer_id: str) -> dict[str, Any]:
    return {"customer_id": customer_id, **_NOT_NULL}


def _row(change: CrmChange) -> dict[str, Any]:
    row = {"customer_id": change.customer_id, **change.row}
    if row["birth_date"] is not None:
        row["birth_date"] = (date.fromisoformat(row["birth_date"]) - _EPOCH).days
    for column in ("contract_start", "contract_end"):
        if row[column] is not None:
            row[column] = rfc3339(row[column], 6)
    # Long values live outside the row and are not sent with an update that leaves them alone (TOAST).
    if change.op == "update" and "address" not in change.changed and change.number % 5 == 0 and not change.previous_id:
        row["address"] = UNAVAILABLE
    return row


def _envelope(
    change: CrmChange, clock: Clock, op: str, before: dict[str, Any] | None, after: dict[str, Any] | None
) -> bytes:
    commit_ms = clock.at(change.time_us) // 1000
    lsn = _FIRST_LSN + change.number * 56
    source = {
        "version": "3.7.0.Final",
        "connector": "postgresql",
        "name": "amdocs",
        "ts_ms": commit_ms,
        "snapshot": "true" if op == "r" else "false",
        "db": "crm",
        "sequence": f'["{lsn - 56}","{lsn}"]',
        "schema": "public",
        "table": "customers",
        "txId": 700 + change.number,
        "lsn": lsn,
        "xmin": None,
    }
    return orjson.dumps(
        {"before": before, "after": after, "source": source, "op": op, "ts_ms": commit_ms + 12, "transaction": None}
    )
