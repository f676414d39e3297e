"""Records that cannot be read, each made from a good one, and the reason each must be rejected for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import orjson

Pair = tuple[bytes | None, bytes | None]

POISON: Mapping[str, str] = {
    # Avro
    "cut_avro": "malformed_avro",
    "trailing_byte": "trailing_bytes",
    "unknown_schema_id": "unknown_schema",
    # any JSON
    "not_json": "malformed_json",
    "cut_json": "malformed_json",
    "empty_value": "malformed_json",
    "invalid_utf8": "invalid_utf8",
    "deep_nesting": "nested_too_deep",
    "huge_record": "too_large",
    # canonical JSON
    "null_value": "null_value",
    "wrong_type": "wrong_type",
    "missing_field": "missing_field",
    "year_2999": "future_event_time",
    "year_minus_5291": "out_of_range",
    # vendors
    "tmf642_unknown_event": "unknown_type",
    "tmf642_no_object": "missing_field",
    "tmf642_wrong_type": "wrong_type",
    "mist_unknown_alarm": "unknown_type",
    "mist_no_site": "missing_field",
    "mist_year_2999": "future_event_time",
    "salesforce_gap": "gap",
    "salesforce_gap_overflow": "gap",
    "salesforce_unknown_change": "unknown_type",
    "salesforce_no_ids": "missing_field",
    "debezium_no_key": "missing_key",
    "debezium_unknown_op": "unknown_type",
    "debezium_wrong_type": "wrong_type",
}
AVRO_KINDS = ("cut_avro", "trailing_byte", "unknown_schema_id")
_ANY = ("not_json", "cut_json", "empty_value", "invalid_utf8", "deep_nesting", "huge_record")
_CANONICAL = ("null_value", "wrong_type", "missing_field", "year_2999", "year_minus_5291")
_VENDORS = ("tmf642", "mist", "salesforce", "debezium")
_DEPTHS = (100, 100, 100, 1_000, 1_000, 60_000)
_YEAR_2999_S = 32_472_144_000
_YEAR_MINUS_5291_US = -229_145_000_000_000_000


def kinds_of(record_format: str, *, avro: bool = False) -> tuple[str, ...]:
    """The kinds of poison that make sense in a format.

    Args:
        record_format: A format of `topics.toml`.
        avro: Good records are Confluent Avro.
    """
    vendor = record_format.partition("_")[0]
    if vendor in _VENDORS:
        return (*_ANY, *(kind for kind in POISON if kind.startswith(f"{vendor}_")))
    return (*_ANY, *_CANONICAL, *(AVRO_KINDS if avro else ()))


def poison(kind: str, good: Pair, row: Mapping[str, Any], rng: Random, *, large_bytes: int = 5_000_000) -> Pair:
    """Spoil a record.

    Args:
        kind: A member of `POISON`.
        good: Key and value of a good record of the same topic; the value counts for `AVRO_KINDS` only.
        row: The value before it is encoded; what is personal in it stays in the record where it can.
        rng: Decides where it is spoilt.
        large_bytes: Size of a "huge_record".
    """
    key, value = good
    whole = value or b"{}"
    if kind == "cut_avro":
        return key, whole[: rng.randrange(6, max(len(whole) - 2, 7))]
    if kind == "trailing_byte":
        return key, whole + bytes([rng.randrange(256)])
    if kind == "unknown_schema_id":
        return key, b"\0" + (1_000_000_000 + rng.randrange(1 << 20)).to_bytes(4, "big") + whole[5:]
    text = orjson.dumps(row)
    if kind in _SPOIL_TEXT:
        return key, _SPOIL_TEXT[kind](text, rng)
    if kind == "huge_record":
        return key, text[:-1] + b',"filler":"' + b"x" * large_bytes + b'"}'
    if kind == "null_value":
        return key, None
    if kind == "debezium_no_key":
        return None, orjson.dumps({**row, "op": "d", "after": None})
    return key, orjson.dumps(_SPOIL_ROW[kind](orjson.loads(text)))


def _deep(text: bytes, rng: Random) -> bytes:
    depth = rng.choice(_DEPTHS)
    return text[:-1] + b',"more":' + b"[" * depth + b"]" * depth + b"}"


_SPOIL_TEXT: Mapping[str, Callable[[bytes, Random], bytes]] = {
    "not_json": lambda text, _: b"from the console: " + text,
    "cut_json": lambda text, rng: text[: rng.randrange(1, len(text) - 1)],
    "empty_value": lambda _, __: b"",
    "invalid_utf8": lambda text, _: text[:-1] + b',"note":"caf\xe9"}',
    "deep_nesting": _deep,
}


def _wrong_type(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, next(iter(row)): 17}


def _without_first(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != next(iter(row))}


def _alarm(value: dict[str, Any]) -> dict[str, Any]:
    event = value.get("event", value)
    found: dict[str, Any] = event.get("alarm", event)
    return found


def _set(value: dict[str, Any], place: Callable[[dict[str, Any]], dict[str, Any]], **new: Any) -> dict[str, Any]:
    place(value).update(new)
    return value


def _without(value: dict[str, Any], place: Callable[[dict[str, Any]], dict[str, Any]], name: str) -> dict[str, Any]:
    place(value).pop(name, None)
    return value


def _header(value: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = value["ChangeEventHeader"]
    return found


def _event(value: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = value["events"][0]
    return found


def _itself(value: dict[str, Any]) -> dict[str, Any]:
    return value


_SPOIL_ROW: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "wrong_type": _wrong_type,
    "missing_field": _without_first,
    "year_2999": lambda row: {**row, "event_time": _YEAR_2999_S * 1_000_000},
    "year_minus_5291": lambda row: {**row, "event_time": _YEAR_MINUS_5291_US},
    "tmf642_unknown_event": lambda value: _set(
        {"eventType": "AlarmSingEvent", "event": _alarm(value)}, _itself, eventTime="2026-01-01T00:00:00Z"
    ),
    "tmf642_no_object": lambda value: _without(value, _alarm, "alarmedObject"),
    "tmf642_wrong_type": lambda value: _set(value, _alarm, serviceAffecting=[1, 2]),
    "mist_unknown_alarm": lambda value: _set(value, _event, type="coffee_machine_singing"),
    "mist_no_site": lambda value: _without(value, _event, "site_id"),
    "mist_year_2999": lambda value: _set(value, _event, timestamp=_YEAR_2999_S, last_seen=_YEAR_2999_S),
    "salesforce_gap": lambda value: _set(value, _header, changeType="GAP_UPDATE"),
    "salesforce_gap_overflow": lambda value: _set(
        value, _header, changeType="GAP_OVERFLOW", recordIds=["000000000000000AAA"]
    ),
    "salesforce_unknown_change": lambda value: _set(value, _header, changeType="POLISH"),
    "salesforce_no_ids": lambda value: _without(value, _header, "recordIds"),
    "debezium_unknown_op": lambda value: _set(value, _itself, op="z"),
    "debezium_wrong_type": lambda value: _set(value, _itself, after="a row"),
}
