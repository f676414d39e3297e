"""Reads vendor records as the flow does: bytes in a block, through the decoder of the format, to rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from schemas.blocks import RecordBlock
from schemas.codec import Decoded
from schemas.contracts import contract
from schemas.formats import decoder_for

RECEIVED_MS = 1_780_000_000_123
RECEIVED = datetime.fromtimestamp(RECEIVED_MS // 1000, UTC).replace(microsecond=123_000)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def block(
    *values: Any,
    keys: Sequence[Any] = (),
    headers: dict[int, list[tuple[str, bytes | None]]] | None = None,
    timestamp_ms: int = RECEIVED_MS,
) -> RecordBlock:
    """A block of values and keys: bytes and None as they are, anything else as JSON."""
    filled = [*keys, *[None] * (len(values) - len(keys))]
    records = [(_bytes(key), _bytes(value)) for key, value in zip(filled, values, strict=True)]
    return RecordBlock.from_records("topic", 0, records, timestamps_ms=timestamp_ms, headers=headers)


def decode(stream: str, form: str, *values: Any, **rest: Any) -> Decoded:
    return decoder_for(stream, form, None).decode(block(*values, **rest))


def rows(stream: str, form: str, *values: Any, **rest: Any) -> list[dict[str, Any]]:
    """The rows of records that can all be read, without `_row`."""
    decoded = decode(stream, form, *values, **rest)
    assert decoded.rejected == []
    assert list(decoded.rows.schema) == [*contract(stream).polars, "_row"]
    return decoded.rows.drop("_row").to_dicts()


def row(stream: str, form: str, value: Any, key: Any = None, **rest: Any) -> dict[str, Any]:
    """The row of a record that gives exactly one."""
    [only] = rows(stream, form, value, keys=[key], **rest)
    return only


def rejection(stream: str, form: str, value: Any, key: Any = None, **rest: Any) -> tuple[str, str]:
    """Reason and message of a record that is rejected and gives no row."""
    decoded = decode(stream, form, value, keys=[key], **rest)
    assert decoded.rows.height == 0
    assert decoded.empty == 0
    [only] = decoded.rejected
    assert only.row == 0
    return only.reason, only.message


def nothing(stream: str, form: str, value: Any, key: Any = None) -> bool:
    """The record is understood and carries no row."""
    decoded = decode(stream, form, value, keys=[key])
    return decoded.rows.height == 0 and decoded.rejected == [] and decoded.empty == 1


def fault(**columns: Any) -> dict[str, Any]:
    """A whole row of network_fault: what is not given has the contract's default."""
    defaults = {
        "element_type": None,
        "probable_cause": None,
        "services": [],
        "parent_fault_id": None,
        "planned": False,
        "service_affecting": True,
        "expected_clear_time": None,
    }
    return _whole("network_fault", defaults | columns)


def change(**columns: Any) -> dict[str, Any]:
    """A whole row of crm_change: what is not given is null."""
    return _whole("crm_change", dict.fromkeys(contract("crm_change").polars) | columns)


def usage(**columns: Any) -> dict[str, Any]:
    """A whole row of usage_event: what is not given has the contract's default."""
    defaults = {
        "msisdn": None,
        "cell_id": None,
        "duration_seconds": 0,
        "bytes_up": 0,
        "bytes_down": 0,
        "charge_minor": 0,
        "currency": None,
    }
    return _whole("usage_event", defaults | columns)


def element(**columns: Any) -> dict[str, Any]:
    """A whole row of network_topology: what is not given has the contract's default."""
    return _whole("network_topology", {"parent_id": None, "site_id": None, "region": None, "removed": False} | columns)


def interaction(**columns: Any) -> dict[str, Any]:
    """A whole row of care_interaction: what is not given is null."""
    return _whole("care_interaction", dict.fromkeys(contract("care_interaction").polars) | columns)


def bill(**columns: Any) -> dict[str, Any]:
    """A whole row of billing_event: what is not given has the contract's default."""
    return _whole("billing_event", {"due_date": None} | columns)


def _whole(stream: str, columns: dict[str, Any]) -> dict[str, Any]:
    assert columns.keys() == contract(stream).polars.keys()
    return columns


def _bytes(value: Any) -> bytes | None:
    return value if value is None or isinstance(value, bytes) else orjson.dumps(value)
