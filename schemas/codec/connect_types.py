"""What Kafka Connect's Avro converters write, as its JSON converter would have written it: one adapter reads both.

Bytes are base64, a decimal is `{"scale", "value"}` (in JSON its scale stands in the schema beside it), and times are
the numbers they are. fastavro is told so by logical types of ours. Its own reader of decimals is not used: it takes
minutes for one of a mebibyte.

Source:
    fastavro, "Custom Logical Types"; Kafka Connect, `JsonConverter`; Debezium, `VariableScaleDecimal`.
"""

from __future__ import annotations

import base64
from typing import Any

import fastavro

from schemas.contracts import Avro

_BASE64, _DECIMAL = "signalbox-base64", "signalbox-decimal"


def record_of(schema: Avro) -> Avro:
    """The schema of a record; of any other type a record with it alone, which is written in the same way.

    A key may be of a primitive type.
    """
    if schema.get("type") == "record":
        return schema
    return {"type": "record", "name": "signalbox.Alone", "fields": [{"name": "value", "type": schema}]}


def as_json(schema: Any) -> Any:
    """The same schema, whose values fastavro reads as this module says."""
    if isinstance(schema, list):
        return [as_json(branch) for branch in schema]
    if schema == "bytes":
        return {"type": "bytes", "logicalType": _BASE64}
    if not isinstance(schema, dict):
        return schema
    found = {name: value for name, value in schema.items() if name not in ("logicalType", "default")}
    match schema["type"]:
        case "bytes" | "fixed":
            return found | {"logicalType": _DECIMAL if schema.get("logicalType") == "decimal" else _BASE64}
        case "record" | "error":
            fields = [{"name": each["name"], "type": as_json(each["type"])} for each in schema["fields"]]
            return found | {"fields": fields}
        case "array":
            return found | {"items": as_json(schema["items"])}
        case "map":
            return found | {"values": as_json(schema["values"])}
        case str():
            return found
    return as_json(schema["type"])


def _base64(value: bytes, *_: Any) -> str:
    return base64.b64encode(value).decode()


def _decimal(value: bytes, schema: Any, *_: Any) -> dict[str, object]:
    return {"scale": schema.get("scale", 0), "value": _base64(value)}


for _kind in ("bytes", "fixed"):
    fastavro.read.LOGICAL_READERS[f"{_kind}-{_BASE64}"] = _base64
    fastavro.read.LOGICAL_READERS[f"{_kind}-{_DECIMAL}"] = _decimal
