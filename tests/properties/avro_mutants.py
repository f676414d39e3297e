"""Damaged Confluent Avro records: good ones of a contract with fields, or bytes, that are not what they should be.

The bytes are put together here, for no library writes what is wrong. A contract's columns are strings, longs, times,
booleans and arrays of strings, nullable or not (`schemas.contracts`), and so are these.
"""

from __future__ import annotations

import copy
import struct
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

from schemas.codec import Registry
from schemas.contracts import Contract, split_nullable
from tests.properties.mutants import NOW_MS, TIMESTAMPS_MS, Mutant, damaged
from tests.properties.odd_values import CANARY


def zigzag(number: int) -> bytes:
    """A long as Avro writes it; one of more than 64 bits comes out longer than any reader may take."""
    rest, out = (number << 1) ^ (number >> 127), bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*out, rest])


def string(data: str | bytes) -> bytes:
    """A string, or bytes in its stead."""
    raw = data if isinstance(data, bytes) else data.encode()
    return zigzag(len(raw)) + raw


def array(items: Sequence[bytes], *, sized: bool = False) -> bytes:
    """An array in one block, with or without its size in bytes."""
    body = b"".join(items)
    if not items:
        return b"\0"
    return (zigzag(-len(items)) + zigzag(len(body)) if sized else zigzag(len(items))) + body + b"\0"


_LONGS = tuple(
    map(zigzag, (0, 1, -1, 2, 3, 63, 64, 300, 2**31, -(2**31) - 1, 2**53, 2**62, 2**63 - 1, -(2**63), 2**63, -(2**64)))
)
_TIMES = tuple(map(zigzag, (-1, 0, 253_402_300_799_999_999, 253_402_300_800_000_000, -(10**15), NOW_MS * 2000)))
_STRINGS = tuple(
    map(string, ("", CANARY, "a\0b", "\u202e", "\U0001f4f1", b"\xff", b"\xed\xa0\x80", b"caf\xe9", CANARY * 800))
)
_ITEM = string(CANARY)
_ARRAYS = (
    array([]),
    array([_ITEM]),
    array([_ITEM] * 300),
    array([_ITEM] * 3, sized=True),
    zigzag(1) + _ITEM + zigzag(1) + _ITEM + b"\0",  # two blocks
    zigzag(2) + _ITEM + b"\0",  # an item too few, or the end read as an empty one
    zigzag(1) + _ITEM,  # no end
    zigzag(-1) + zigzag(len(_ITEM) + 1) + _ITEM + b"\0",  # not as long as it says
    zigzag(-1) + zigzag(-1) + _ITEM + b"\0",
    zigzag(2**62) + _ITEM,
    zigzag(-(2**63)) + zigzag(0),
    zigzag(10**6) + b"\0" * 50,
)
_OTHERS = (b"", b"\0", b"\1", b"\2", b"\3", b"\4", b"\x80", b"\x80\0", b"\xff" * 9 + b"\1", b"\xff" * 10, b"\x80" * 40)
_LENGTHS = tuple(zigzag(length) + b"abc" for length in (-1, 2, 4, 10**6, 2**31, 2**62, -(2**63)))
_ODD = _LONGS + _TIMES + _STRINGS * 2 + _ARRAYS * 2 + _OTHERS + _LENGTHS
_HUGE = (string("A" * 2_000_000), string(CANARY * 20_000), array([_ITEM] * 20_000), zigzag(10**6) + b"\0" * 10**6)

# Fields that a newer writer may have added, each with values of its.
_UNKNOWN: Sequence[tuple[Any, Sequence[bytes]]] = (
    ("string", _STRINGS[:5]),
    (["null", "double"], (b"\0", zigzag(1) + struct.pack("<d", 4919131752989213.5))),
    ({"type": "map", "values": "long"}, (b"\0", array([string(CANARY) + zigzag(-1)], sized=True))),
    ({"type": "array", "items": ["string", "bytes"]}, (b"\0", array([b"\0" + _ITEM, zigzag(1) + string(b"\xff\0")]))),
    (
        {"type": "record", "name": "more", "fields": [{"name": "a", "type": "int"}, {"name": "b", "type": "boolean"}]},
        (zigzag(2**31 - 1) + b"\1", b"\0\0"),
    ),
    ({"type": "enum", "name": "kinds", "symbols": ["A", "B"]}, (zigzag(0), zigzag(1))),
    ({"type": "fixed", "name": "four", "size": 4}, (b"\xff\0\x80\1",)),
)


class AvroMutants:
    """Draws mutants of the Confluent Avro records of a contract.

    Args:
        contract: Its schema is the writer's, and so is a newer one, with further fields and all of them nullable.
        rows: Good rows, each with every column.
        registry: Where both schemas are registered.
        random: Decides everything.
    """

    def __init__(
        self, contract: Contract, rows: Sequence[Mapping[str, Any]], registry: Registry, random: Random
    ) -> None:
        self._random = random
        columns = contract.avro["fields"]
        self._fields = [[_cell(field["type"], row[field["name"]]) for field in columns] for row in rows]
        newer = copy.deepcopy(contract.avro)
        for field in newer["fields"]:
            field["type"] = field["type"] if split_nullable(field["type"])[0] else [field["type"], "null"]
        self._newer_fields = [[_cell(field["type"], row[field["name"]]) for field in newer["fields"]] for row in rows]
        self._added = [random.randint(0, len(columns)) for _ in _UNKNOWN]
        for i, (at, (avro, _)) in enumerate(zip(self._added, _UNKNOWN, strict=True)):
            newer["fields"].insert(at, {"name": f"unknown_{i}", "type": avro})
        subject = f"{contract.name}-value"
        self._prefix = struct.pack(">BI", 0, registry.register(subject, contract.avro))
        self._newer_prefix = struct.pack(">BI", 0, registry.register(subject, newer))
        self.intact = [
            Mutant(None, self._prefix + b"".join(fields), (), NOW_MS, like) for like, fields in enumerate(self._fields)
        ]

    def draw(self) -> Mutant:
        """A mutant; one in ten is an intact record, to have good neighbours for the others."""
        random = self._random
        which = random.randrange(len(self.intact))
        intact = self.intact[which]
        dice = random.random()
        if dice < 0.1:
            return intact
        if dice < 0.2:
            return Mutant(None, self._with_unknown_fields(list(self._newer_fields[which])), (), NOW_MS, which)
        value = self._restated(which, newer=random.random() < 0.3) if dice < 0.85 else intact.value or b""
        if dice >= 0.7:
            other = random.choice(self.intact).value or b""
            kept = 0 if random.random() < 0.1 else len(self._prefix)
            value = value[:kept] + damaged(value[kept:], other[kept:], random)
        timestamp_ms = random.choice(TIMESTAMPS_MS) if random.random() < 0.1 else NOW_MS
        return Mutant(random.choice((None, CANARY.encode())), value, (), timestamp_ms)

    def huge(self) -> Iterator[Mutant]:
        """The first good record with each of the huge values as each of its fields."""
        for at, field in enumerate(self._fields[0]):
            for value in _HUGE:
                fields = [*self._fields[0][:at], value, *self._fields[0][at + 1 :]]
                yield Mutant(None, self._prefix + b"".join(fields), (), NOW_MS)
                fields[at] = field[:1] + value  # in the branch of a union
                yield Mutant(None, self._prefix + b"".join(fields), (), NOW_MS)

    def _restated(self, which: int, *, newer: bool) -> bytes:
        """The record, as either writer writes it, with one to three changes of its fields."""
        random = self._random
        fields = list((self._newer_fields if newer else self._fields)[which])
        for _ in range(random.choice((1, 1, 2, 3))):
            at, other = random.randrange(len(fields)), random.randrange(len(fields))
            match random.randrange(6):
                case 0:
                    fields[at] = b""
                case 1:
                    fields[at] *= random.choice((2, 2, 100))
                case 2:
                    fields[at], fields[other] = fields[other], fields[at]
                case 3:  # another branch of the union, or what is none
                    fields[at] = zigzag(random.choice((0, 1, 2, -1, 2**40))) + fields[at][1:]
                case 4 if fields[at]:  # the branch stays
                    fields[at] = fields[at][:1] + random.choice(_ODD)
                case _:
                    fields[at] = random.choice(_ODD)
        return self._with_unknown_fields(fields) if newer else self._prefix + b"".join(fields)

    def _with_unknown_fields(self, fields: list[bytes]) -> bytes:
        """The record as the newer writer writes it."""
        for at, (_, values) in zip(self._added, _UNKNOWN, strict=True):
            fields.insert(at, self._random.choice(values))
        return self._newer_prefix + b"".join(fields)


def _cell(avro: Any, value: Any) -> bytes:
    """A good value of a column."""
    nullable, kind = split_nullable(avro)
    branch = b""
    if nullable:
        branch = zigzag(avro.index("null" if value is None else kind))
        if value is None:
            return branch
    if isinstance(value, bool):
        return branch + bytes([value])
    if isinstance(value, int):
        return branch + zigzag(value)
    return branch + (string(value) if isinstance(value, str) else array([string(item) for item in value]))
