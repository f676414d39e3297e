"""How a contract reads what was written with another schema: Avro's schema resolution, compiled for the kernel.

Source:
    Avro 1.11 specification, "Schema Resolution". Where it leaves freedom or we differ:

    - The record's name is not compared; a field is found by its name or by an alias in the contract.
    - A writer's enum is not a string, float and double are no integers: such a field is incompatible.
    - A time must be a long that is plain or of type `timestamp-micros` (both taken as microseconds),
      `timestamp-millis` or `timestamp-nanos`; a `local-timestamp` names no moment and a date no time of day.
    - Fields the contract does not know may have any type but a recursive one, and arrays and maps any items that take
      at least a byte: what has no size could be claimed by the million in a few bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.codec.cells import BOOLEAN, NUMBER, TEXT, TEXTS, TIME, kinds, nullables
from schemas.contracts import Avro, Contract
from schemas.errors import RecordError

# kinds of node
NIL, BOOL, INT, LONG, FIXED, BYTES, ENUM, ARRAY, MAP, UNION, RECORD = range(11)

_PRIMITIVES = {"null": NIL, "boolean": BOOL, "int": INT, "long": LONG, "bytes": BYTES, "string": BYTES}
_SIZES = {"float": 4, "double": 8}
# logical type of a long: how it becomes microseconds (times, divided by)
_TIME_UNITS = {None: (1, 1), "timestamp-micros": (1, 1), "timestamp-millis": (1000, 1), "timestamp-nanos": (1, 1000)}
_TEXT_LOGICAL_TYPES = (None, "uuid")
# kind of cell wanted: the kinds of node it can be read from
_READABLE = {NUMBER: (INT, LONG), TIME: (LONG,), BOOLEAN: (BOOL,), TEXT: (BYTES,)}
_DEPTH_LIMIT = 32


@dataclass(frozen=True, slots=True)
class Program:
    """A writer's schema as arrays.

    Attributes:
        nodes: Per type in the schema: its kind and two operands. LONG: times, divided by. BOOL, INT, BYTES: 1, and 1
            unless a logical type forbids to read it. FIXED: size. ENUM: symbols. ARRAY, MAP: the item's node. UNION,
            RECORD: first child, number of children. int32, m by 3.
        children: Nodes of the branches of unions and the fields of records. int32.
        fields: Per field of the writer's record: its node, and the contract's column or -1. int32, f by 2.
        defaults: The contract's columns that the writer does not have, and what fills them.
    """

    nodes: NDArray[np.int32]
    children: NDArray[np.int32]
    fields: NDArray[np.int32]
    defaults: Mapping[int, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Layout:
    """A writer's schema as arrays, without a contract.

    Attributes:
        nodes: As in `Program`.
        children: As in `Program`.
        root: The node of the whole record.
    """

    nodes: NDArray[np.int32]
    children: NDArray[np.int32]
    root: int


def resolve(contract: Contract, writer: Avro) -> Program:
    """Compile a writer's schema for reading it as the contract.

    Raises:
        RecordError: `incompatible_schema`, and the message names the field and what differs.
    """
    _require_record(writer)
    columns = _writer_columns(contract, writer)
    wanted, nullable = kinds(contract), nullables(contract)
    builder = _Builder()
    fields: list[tuple[int, int]] = []
    builder.name(writer, writer.get("namespace"))
    for i, written in enumerate(writer["fields"]):
        column = columns.get(i, -1)
        node = builder.node(written["type"], writer.get("namespace"), written["name"])
        always_null = builder.nodes[node][0] == NIL
        if column >= 0 and not (nullable[column] if always_null else builder.readable(node, int(wanted[column]))):
            expected = _shown(contract.avro["fields"][column]["type"])
            raise _incompatible(f"field {written['name']}: expected {expected}, came {_shown(written['type'])}")
        fields.append((node, column))
    defaults = _defaults(contract, {column for _, column in fields})
    return Program(
        np.array(builder.nodes, np.int32).reshape(-1, 3),
        np.array(builder.children, np.int32),
        np.array(fields, np.int32).reshape(-1, 2),
        defaults,
    )


def lay_out(writer: Avro) -> Layout:
    """Lay out a writer's schema for walking over what was written with it.

    Raises:
        RecordError: `incompatible_schema`: it is no record, or holds a type that no bound can be given for.
    """
    _require_record(writer)
    builder = _Builder()
    namespace = writer.get("namespace")
    builder.name(writer, namespace)
    root = builder.record([builder.node(each["type"], namespace, each["name"]) for each in writer["fields"]])
    return Layout(np.array(builder.nodes, np.int32).reshape(-1, 3), np.array(builder.children, np.int32), root)


def without_logical_types(schema: Any) -> Any:
    """The same schema, whose values are what was written: a logical type cannot show every one of them."""
    match schema:
        case dict():
            return {key: without_logical_types(value) for key, value in schema.items() if key != "logicalType"}
        case list():
            return [without_logical_types(each) for each in schema]
        case _:
            return schema


def _require_record(writer: Avro) -> None:
    if writer.get("type") != "record" or not isinstance(writer.get("fields"), list):
        raise _incompatible(f"expected a record, came {_shown(writer)}")


def _writer_columns(contract: Contract, writer: Avro) -> dict[int, int]:
    """Position of each of the writer's fields that the contract has a column for, to that column."""
    places = {written["name"]: i for i, written in enumerate(writer["fields"])}
    found: dict[int, int] = {}
    for column, ours in enumerate(contract.avro["fields"]):
        for name in (ours["name"], *ours.get("aliases", ())):
            if name in places:
                found[places[name]] = column
                break
    return found


def _defaults(contract: Contract, given: set[int]) -> dict[int, Any]:
    defaults: dict[int, Any] = {}
    for column, name in enumerate(contract.polars):
        if column in given:
            continue
        if name not in contract.defaults:
            raise _incompatible(f"field {name}: expected it, for it has no default, came nothing")
        defaults[column] = contract.defaults[name]
    return defaults


class _Builder:
    """Lays the types of a schema out as nodes."""

    def __init__(self) -> None:
        self.nodes: list[tuple[int, int, int]] = []
        self.children: list[int] = []
        self._named: dict[str, int | None] = {}  # None while the type is being laid out

    def name(self, avro_type: Avro, namespace: str | None, node: int | None = None) -> None:
        for name in _names(avro_type, namespace):
            self._named[name] = node

    def node(self, avro_type: Any, namespace: str | None, place: str, depth: int = 0) -> int:
        """The node of a type; its children are laid out with it."""
        if depth > _DEPTH_LIMIT:
            raise _incompatible(f"field {place}: expected a type nested {_DEPTH_LIMIT} deep at most, came a deeper one")
        if isinstance(avro_type, list):
            return self._parent(UNION, [self.node(branch, namespace, place, depth + 1) for branch in avro_type])
        if isinstance(avro_type, str):
            return self._by_name(avro_type, namespace, place)
        kind = avro_type.get("type")
        if kind in ("record", "error", "enum", "fixed"):
            self.name(avro_type, namespace)
            node = self._named_type(kind, avro_type, avro_type.get("namespace", namespace), place, depth)
            self.name(avro_type, namespace, node)
            return node
        if kind in ("array", "map"):
            item = self.node(avro_type["items" if kind == "array" else "values"], namespace, place, depth + 1)
            if kind == "array" and not self._sized(item):
                raise _incompatible(f"field {place}: expected array items that have a size, came {_shown(avro_type)}")
            return self._add(ARRAY if kind == "array" else MAP, item)
        if isinstance(kind, str) and kind in _PRIMITIVES:
            return self._primitive(kind, avro_type.get("logicalType"))
        return self.node(kind, namespace, place, depth + 1)

    def record(self, fields: list[int]) -> int:
        """The node of a record, whose fields are laid out already."""
        return self._parent(RECORD, fields)

    def readable(self, node: int, wanted: int) -> bool:
        """Whether the node, or a branch of it, can become a cell of the kind wanted (as the kernel sees it)."""
        kind, a, b = self.nodes[node]
        if kind == UNION:
            return any(self.readable(child, wanted) for child in self.children[a : a + b])
        if wanted == TEXTS:
            return kind == ARRAY and self.nodes[a][0] == BYTES and self.nodes[a][2] != 0
        return kind in _READABLE[wanted] and b != 0

    def _by_name(self, name: str, namespace: str | None, place: str) -> int:
        if name in _PRIMITIVES:
            return self._primitive(name, None)
        if name in _SIZES:
            return self._add(FIXED, _SIZES[name])
        for full in (f"{namespace}.{name}", name) if namespace and "." not in name else (name,):
            if full in self._named:
                known = self._named[full]
                if known is None:
                    raise _incompatible(
                        f"field {place}: expected a type that ends, came one that holds itself ({name})"
                    )
                return known
        raise _incompatible(f"field {place}: expected types defined in the schema itself, came the name {name}")

    def _primitive(self, name: str, logical: str | None) -> int:
        """A zero in the last operand says that the logical type makes the value something else than it seems."""
        kind = _PRIMITIVES[name]
        if kind == LONG:
            return self._add(LONG, *_TIME_UNITS.get(logical, (1, 0)))
        plain = logical in _TEXT_LOGICAL_TYPES if kind == BYTES else logical is None
        return self._add(kind, 1, int(plain))

    def _named_type(self, kind: str, avro_type: Avro, namespace: str | None, place: str, depth: int) -> int:
        if kind == "enum":
            return self._add(ENUM, len(avro_type["symbols"]))
        if kind == "fixed":
            return self._add(FIXED, avro_type["size"])
        fields = avro_type["fields"]
        return self._parent(RECORD, [self.node(inner["type"], namespace, place, depth + 1) for inner in fields])

    def _parent(self, kind: int, children: list[int]) -> int:
        self.children.extend(children)
        return self._add(kind, len(self.children) - len(children), len(children))

    def _add(self, kind: int, a: int = 0, b: int = 0) -> int:
        self.nodes.append((kind, a, b))
        return len(self.nodes) - 1

    def _sized(self, node: int) -> bool:
        kind, a, b = self.nodes[node]
        if kind == RECORD:
            return any(self._sized(child) for child in self.children[a : a + b])
        return kind != NIL and not (kind == FIXED and a == 0)


def _names(avro_type: Avro, namespace: str | None) -> list[str]:
    name = str(avro_type.get("name", ""))
    space = avro_type.get("namespace", namespace)
    return [name] if "." in name or not space else [f"{space}.{name}"]


def _shown(avro_type: Any) -> str:
    """A type in a few words: `["null", "long (timestamp-micros)"]` as `null or long (timestamp-micros)`."""
    if isinstance(avro_type, list):
        return " or ".join(_shown(branch) for branch in avro_type) or "an empty union"
    if not isinstance(avro_type, dict):
        return str(avro_type)
    kind = avro_type.get("type")
    if kind in ("array", "map"):
        return f"{kind} of {_shown(avro_type.get('items' if kind == 'array' else 'values'))}"
    logical = avro_type.get("logicalType")
    return f"{kind} ({logical})" if logical else str(kind)


def _incompatible(message: str) -> RecordError:
    return RecordError("incompatible_schema", f"writer's schema: {message}")
