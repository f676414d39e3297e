"""Damaged JSON records, from a seed and in some microseconds each.

A mutant is made from a good record by one to three changes of what it says (a field dropped, replaced, nested,
repeated, swapped), by damage to its bytes, or by both; its key, headers and timestamp may be others too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import orjson

from tests.properties.odd_values import CANARY, HUGE_VALUES, ODD_VALUES, UNKNOWN_NAMES, UNKNOWN_VALUES

NOW_MS = 1_780_000_000_123
TIMESTAMPS_MS = (-1, 0, 1, NOW_MS - 10**9, NOW_MS + 10**9, 253_402_300_800_000, 2**53, 2**62, -(2**62))
# Objects that by their definition have these members and no other: Kafka Connect's wrapping, Debezium's numeric.
_CLOSED = ({"schema", "payload"}, {"scale", "value"})
_HEADER_NAMES = ("__debezium.newkey", "__debezium.oldkey", CANARY, "", "traceparent")
_KEY_NAMES = (b"customer_id", b"CUSTOMER_ID", b"id")

Path = tuple[Any, ...]
Headers = tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A record to decode.

    Attributes:
        like: The good record whose rows it must give: it is that record, or has fields besides that nobody knows. None
            where any verdict is right.
    """

    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int
    like: int | None = None


def damaged(data: bytes, other: bytes, random: Random) -> bytes:
    """Bytes with one to three things wrong with them; `other` is a record to splice with."""
    body = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 3))):
        _BYTE_CHANGES[random.randrange(len(_BYTE_CHANGES))](body, other, random)
    return bytes(body)


def _flip(body: bytearray, _: bytes, random: Random) -> None:
    if body:
        body[random.randrange(len(body))] ^= 1 << random.randrange(8)


def _set(body: bytearray, _: bytes, random: Random) -> None:
    if body:
        body[random.randrange(len(body))] = random.choice(b'\0\1\2\x7f\x80\xff"\\{}[]:,0- ')


def _insert(body: bytearray, _: bytes, random: Random) -> None:
    at = random.randint(0, len(body))
    body[at:at] = random.randbytes(random.randint(1, 9))


def _delete(body: bytearray, _: bytes, random: Random) -> None:
    at = random.randint(0, len(body))
    del body[at : at + random.randint(1, 9)]


def _repeat_slice(body: bytearray, _: bytes, random: Random) -> None:
    at = random.randint(0, len(body))
    body[at:at] = body[at : at + random.randint(1, 99)] * random.choice((1, 1, 1, 9))


def _truncate(body: bytearray, _: bytes, random: Random) -> None:
    del body[random.randint(0, len(body)) :]


def _splice(body: bytearray, other: bytes, random: Random) -> None:
    body[random.randint(0, len(body)) :] = other[random.randint(0, len(other)) :]


def _append(body: bytearray, _: bytes, random: Random) -> None:
    body += random.randbytes(random.randint(1, 9))


def _replace_all(body: bytearray, _: bytes, random: Random) -> None:
    body[:] = random.randbytes(random.choice((0, 1, 5, 50, 500)))


_BYTE_CHANGES: Sequence[Callable[[bytearray, bytes, Random], None]] = (
    *(_flip, _set, _insert, _delete, _repeat_slice, _truncate, _splice) * 3,
    _append,
    _replace_all,
)


class JsonMutants:
    """Draws mutants of JSON records.

    Args:
        good: The records to change: parsed key and value, and headers. There is at least one with a value.
        random: Decides everything.
    """

    def __init__(self, good: Sequence[tuple[Any, Any, Headers]], random: Random) -> None:
        self._random = random
        self.intact = [
            Mutant(_dumped(key), _dumped(value), headers, NOW_MS, like)
            for like, (key, value, headers) in enumerate(good)
        ]
        self._places = [_places([value])[1:] for _, value, _ in good]
        self._open = [
            [path for path in paths if isinstance(found := _at([value], path), dict) and found.keys() not in _CLOSED]
            for paths, (_, value, _) in zip(self._places, good, strict=True)
        ]

    def draw(self) -> Mutant:
        """A mutant; one in ten is an intact record, to have good neighbours for the others."""
        random = self._random
        which = random.randrange(len(self.intact))
        intact = self.intact[which]
        dice = random.random()
        if dice < 0.1:
            return intact
        if dice < 0.2 and self._open[which]:
            return self._with_unknown_fields(which)
        value = intact.value
        if dice < 0.85:
            value = self._restated(which)
        if dice >= 0.7:
            value = damaged(value or b"", random.choice(self.intact).value or b"", random)
        if random.random() < 0.002:
            value = None
        key, headers = self._key_and_headers(intact)
        timestamp_ms = random.choice(TIMESTAMPS_MS) if random.random() < 0.1 else NOW_MS
        return Mutant(key, value, headers, timestamp_ms)

    def huge(self) -> Iterator[Mutant]:
        """The first good record with each of the huge values in each of its places."""
        first = self.intact[0]
        for path in self._places[0]:
            for value in HUGE_VALUES:
                tree = [orjson.loads(first.value or b"")]
                _put(tree, path, orjson.Fragment(value))
                yield Mutant(first.key, orjson.dumps(tree[0]), first.headers, NOW_MS)

    def _with_unknown_fields(self, which: int) -> Mutant:
        random, intact = self._random, self.intact[which]
        tree = [orjson.loads(intact.value or b"")]
        outer, inner = sorted((random.choice(self._open[which]) for _ in range(2)), key=len)
        for path in dict.fromkeys((inner, outer)):  # what has been written out cannot be gone into any more
            name, value = random.choice(UNKNOWN_NAMES), random.choice(UNKNOWN_VALUES)
            _put(tree, path, _with_member(_at(tree, path), name, value, random))
        return Mutant(intact.key, orjson.dumps(tree[0]), intact.headers, NOW_MS, which)

    def _restated(self, which: int) -> bytes:
        """The record with one to three changes of what it says."""
        random = self._random
        tree = [orjson.loads(self.intact[which].value or b"null")]
        for _ in range(random.choice((1, 1, 2, 3))):
            path = random.choice(self._places[which])
            try:
                self._change(tree, path, random.choice(self._places[which]))
            except (KeyError, IndexError, TypeError):
                continue  # an earlier change has taken the place away
        return orjson.dumps(tree[0])

    def _change(self, tree: list[Any], path: Path, other: Path) -> None:
        random = self._random
        inner, name = _at(tree, path[:-1]), path[-1]
        value = inner[name]
        match random.randrange(9):
            case 0 if len(path) > 1:
                del inner[name]
            case 1:
                inner[name] = None
            case 2:
                inner[name] = _nested(value, random)
            case 3:
                inner[name] = _repeated(value, random)
            case 4 if path != other[: len(path)] and other != path[: len(other)]:
                found = _at(tree, other)
                _put(tree, other, value)
                inner[name] = found
            case 5 | 6:
                inner[name] = _twisted(value, random)
            case _:
                inner[name] = orjson.Fragment(random.choice(ODD_VALUES))

    def _key_and_headers(self, intact: Mutant) -> tuple[bytes | None, Headers]:
        random, key, headers = self._random, intact.key, intact.headers
        odd = random.choice(ODD_VALUES)
        match random.randrange(20):
            case 0:
                key = damaged(key or b"", intact.value or b"", random)
            case 1:
                key = random.choice((None, b"", odd, CANARY.encode(), random.randbytes(9)))
            case 2:
                key = b'{"' + random.choice(_KEY_NAMES) + b'":' + odd + b"}"
            case 3 | 4:
                new = (random.choice(_HEADER_NAMES), random.choice((None, key, odd, CANARY.encode())))
                headers = random.choice(((*headers, new), (new,), headers * 2, ()))
        return key, headers


def _dumped(value: Any) -> bytes | None:
    return None if value is None else orjson.dumps(value)


def _places(value: Any, path: Path = ()) -> list[Path]:
    """The paths of all values within a value, its own first."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, inner in items for place in _places(inner, (*path, key)))]


def _at(tree: Any, path: Path) -> Any:
    for name in path:
        tree = tree[name]
    return tree


def _put(tree: Any, path: Path, value: Any) -> None:
    _at(tree, path[:-1])[path[-1]] = value


def _with_member(inner: Mapping[str, Any], name: bytes, value: bytes, random: Random) -> orjson.Fragment:
    """An object with one more member at one of its ends; the name may be there already."""
    text, member = orjson.dumps(inner), name + b":" + value
    if not inner:
        return orjson.Fragment(b"{" + member + b"}")
    if random.random() < 0.5:
        return orjson.Fragment(b"{" + member + b"," + text[1:])
    return orjson.Fragment(text[:-1] + b"," + member + b"}")


def _nested(value: Any, random: Random) -> Any:
    match random.randrange(6):
        case 0:
            return [value]
        case 1:
            return [[value]]
        case 2:
            return {"value": value}
        case 3:
            return {CANARY: value}
        case 4:
            return {"schema": None, "payload": value}
        case _:
            return orjson.dumps(value).decode()


def _repeated(value: Any, random: Random) -> Any:
    if isinstance(value, list):
        return value * random.choice((2, 3, 20))
    if isinstance(value, dict) and value and random.random() < 0.5:
        return _with_member(value, orjson.dumps(random.choice(list(value))), random.choice(ODD_VALUES), random)
    return [value] * random.choice((1, 2, 20))


def _twisted(value: Any, random: Random) -> Any:
    """Nearly the same: another spelling, sign, size or type."""
    if isinstance(value, bool):
        return random.choice((not value, str(value), int(value)))
    if isinstance(value, int | float):
        moved = random.choice((-value, value + 1, value * 1000, value // 1000, value * 2**40, value + 0.5))
        return orjson.Fragment(str(moved).encode()) if random.random() < 0.7 else str(moved)
    if isinstance(value, str):
        return random.choice(
            (value + CANARY, CANARY + value, value.upper(), value.lower(), value[:-1], value[1:], value * 2,
             f" {value}", value + "\u0000", "\u202e" + value, value.replace("1", "\u0661"), value[::-1], [value], 0)
        )  # fmt: skip
    if isinstance(value, list):
        return random.choice((value[::-1], value[:1], [*value, None], [*value, CANARY], {"0": value}))
    if isinstance(value, dict):
        return random.choice((list(value.values()), list(value), dict(reversed(value.items())), dict.fromkeys(value)))
    return random.choice((0, "", [], {}, False))
