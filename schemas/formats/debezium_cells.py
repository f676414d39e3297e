"""Cells and keys as Debezium writes them; see `debezium`."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from types import MappingProxyType

from schemas.errors import RecordError
from schemas.formats.fields import Fields, text, wrong_type
from schemas.formats.times import MICROSECONDS_PER_DAY

UNAVAILABLE = "__debezium_unavailable_value"
ID = "customer_id"
OPS: Mapping[str, str] = MappingProxyType({"c": "create", "r": "create", "u": "update"})
PREFIXES = ("__source_", "__")
"""What stands before the names of the source's fields in flattened rows."""
SNAPSHOT_LEAD = 10_000_000
"""Microseconds that a snapshot's rows are dated earlier; changes 0.06 s older than the time they tell were seen."""
_DECIMAL = "org.apache.kafka.connect.data.Decimal"
_OF_AVRO = frozenset(("unknown_schema", "incompatible_schema", "malformed_avro"))
_LONGEST_NUMERIC = 64  # characters of base64; an id has far fewer


def unwrapped(value: object) -> object:
    """What the JSON converter wraps in `{"schema", "payload"}`, decimals with their scale."""
    if not isinstance(value, dict) or value.keys() != {"schema", "payload"}:
        return value
    return _with_scales(value["payload"], value["schema"])


def _with_scales(value: object, schema: object) -> object:
    """Decimals in the form that tells its scale, which is otherwise told by their schema alone."""
    if not isinstance(schema, dict):
        return value
    if isinstance(value, str) and schema.get("name") == _DECIMAL:
        parameters = schema.get("parameters")
        return {"scale": parameters.get("scale") if isinstance(parameters, dict) else None, "value": value}
    fields = schema.get("fields")
    if isinstance(value, dict) and isinstance(fields, list):
        named = [(field.get("field"), field) for field in fields if isinstance(field, dict)]
        schemas = {name: field for name, field in named if isinstance(name, str)}
        return {name: _with_scales(cell, schemas.get(name)) for name, cell in value.items()}
    return value


def customer_of_key(key: bytes | None, place: str, parse: Callable[[bytes], object]) -> str:
    """The customer's id in a record's key: an object, wrapped or not, or the id alone.

    Raises:
        RecordError: There is no key, or none with a customer in it.
    """
    if not key:
        raise RecordError("missing_key", f"{place}: expected the customer's key, came none")
    try:
        value = unwrapped(parse(key))
    except RecordError as error:
        if error.reason in _OF_AVRO:
            raise RecordError(error.reason, f"{place}: {error}") from error
        value = _bare_id(key, place)
    if isinstance(value, dict):
        cells = {name.lower(): cell for name, cell in value.items()}
        value = next(iter(cells.values())) if len(cells) == 1 else cells.get(ID)
    customer = text(whole_numeric(value, place), place)
    if customer is None:
        raise RecordError("missing_key", f"{place}: expected {ID}, came none")
    return customer


def _bare_id(key: bytes, place: str) -> str:
    """A key that is no JSON: the id alone, as the string converter writes it."""
    try:
        found = key.decode()
    except UnicodeDecodeError:
        found = ""
    if not found.isprintable() or not found or any(mark in found for mark in '{["'):
        raise RecordError("wrong_type", f"{place}: expected JSON or an id, came other bytes")
    return found


def is_untouched(value: object) -> bool:
    """Whether a value stands for one that was not touched."""
    return value in (UNAVAILABLE, [UNAVAILABLE])


def whole_numeric(value: object, place: str) -> object:
    """A `numeric` that tells its scale (`{"scale", "value"}`) as an integer; anything else as it came.

    Raises:
        RecordError: It has a fraction, which no column here has.
    """
    if not isinstance(value, dict) or value.keys() != {"scale", "value"}:
        return value
    numeric = Fields.of(value, place)
    scale, unscaled = numeric.integer("scale"), value["value"]
    if scale is None or not isinstance(unscaled, str) or len(unscaled) > _LONGEST_NUMERIC:
        raise wrong_type(place, "a numeric of integer scale and short base64 value", value)
    try:
        number = int.from_bytes(base64.b64decode(unscaled, validate=True), "big", signed=True)
    except ValueError:
        raise RecordError("wrong_type", f"{place}: expected base64, came another string") from None
    if not -18 <= scale <= 18 or number % 10 ** max(scale, 0):
        raise RecordError("wrong_type", f"{place}: expected a whole number, came a fraction or a larger one")
    return number * 10**-scale if scale <= 0 else number // 10**scale


def micros_of(number: int) -> int:
    """Epoch days, milliseconds or microseconds, told apart by size; see the module."""
    if -(2**31) <= number < 2**31:
        return number * MICROSECONDS_PER_DAY
    return number * 1000 if abs(number) < 10**13 else number
