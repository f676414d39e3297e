"""Nested JSON in columns against a parser: what is noted is what a parser finds there, and nothing else is plain."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import parse_json
from schemas.codec.nested import (
    ANY,
    FLAG,
    INTEGER,
    JSON,
    MISSING,
    NOTHING,
    TEXT,
    TIME,
    AnyCase,
    Leaf,
    Node,
    Notes,
    Shape,
    Tree,
    scan,
)
from schemas.codec.nested_cells import joined
from schemas.errors import RecordError
from tests.properties.mutants import damaged

SHAPE: dict[str, Shape] = {
    "id": TEXT,
    "count": INTEGER,
    "time": TIME,
    "flag": FLAG,
    "never": NOTHING,
    "gone": MISSING,
    "some": ANY,
    "part": JSON,
    "inner": {"id": TEXT, "deep": {"id": TEXT}},
    "list": [{"id": TEXT, "inner": [{"id": TEXT}]}],
    "names": [TEXT],
    AnyCase("plan"): TEXT,
}
TREE = Tree(SHAPE)

NAMES = st.sampled_from([*map(str, SHAPE), "deep", "PLAN", "Plan", "ID", "other", "", "\u212ald", 'q"'])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.sampled_from([0, 1, -1, 10**18, 0.5, -2.25, 1e300, "", "x", "true", "2026-01-31T12:00:00Z", "\n", "\\", "\x00"]),
    st.text(max_size=6),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=5)),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(NAMES, VALUES, max_size=8)
WELL_FORMED = st.fixed_dictionaries(
    {},
    optional={
        "id": st.one_of(st.text("abc \u00e9", max_size=5), st.integers(-(10**17), 10**17)),
        "count": st.integers(0, 10**17),
        "flag": st.booleans(),
        "some": st.one_of(st.booleans(), st.just({"id": 1}), st.just([1.5, "a\nb"])),
        "part": VALUES.filter(lambda value: is_simple(value)),
        "inner": st.fixed_dictionaries({}, optional={"id": st.text("ab", max_size=3), "x": st.none()}),
        "list": st.lists(
            st.fixed_dictionaries({"id": st.just("a")}, optional={"inner": st.just([{"id": 7}, {}])}), max_size=3
        ),
        "names": st.lists(st.text("ab", max_size=3), max_size=4),
        "Plan": st.text("ab", max_size=3),
        "unknown": st.sampled_from([None, 0.5, {"id": ["deep", {}]}, [], "\t"]),
    },
)


def is_simple(value: Any) -> bool:
    """Whether the kernel follows what the parser writes: no code points, no exponents, no long numbers."""
    written = orjson.dumps(value)
    return b"\\u" not in written and b"e+" not in written and not any(len(run) > 17 for run in digits(written))


def digits(written: bytes) -> list[str]:
    return "".join(chr(byte) if chr(byte) in "0123456789.-" else " " for byte in written).split()


def scanned(records: list[bytes]) -> Notes:
    ends = np.cumsum([0, *map(len, records)], dtype=np.int64)
    values = np.frombuffer(b"".join(records) or b"\0", np.uint8)
    return scan(TREE, values, ends[:-1], ends[1:])


def found(notes: Notes, node: Node, row: int) -> Any:
    """What is noted of a node's row, as a parser would give it; an object or a list with what is noted inside."""
    note = notes.of(node)[row : row + 1]
    kind = int(note[0]) & 15
    if kind < 2:
        return None
    if node.items >= 0:
        inside = np.flatnonzero(notes.parents[node.items] == row).tolist()
        return [found(notes, node.members[""], each) for each in inside]
    if node.members:
        return {name: value for name, its in node.members.items() if (value := found(notes, its, row)) is not None}
    return joined(notes.values, [note]).to_pylist()[0]


def wanted(shape: Shape, value: Any) -> Any:
    """The same of what a parser has made of the record."""
    if value is None:
        return None
    if isinstance(shape, list):
        return [wanted(shape[0], item) for item in value]
    if isinstance(shape, Leaf):
        return as_noted(shape, value)
    inside = {}
    for name, its in shape.items():
        given = [
            its for key, its in value.items() if key == name or (isinstance(name, AnyCase) and key.lower() == name)
        ]
        assert len(given) < 2
        if given and (its := wanted(its, given[0])) is not None:
            inside[str(name)] = its
    return inside


def as_noted(leaf: Leaf, value: Any) -> Any:
    if leaf.as_json:
        return value
    return None if value == "" else value if isinstance(value, str | dict | list) else orjson.dumps(value).decode()


def agree(noted: Any, given: Any) -> bool:
    """JSON is noted as it is written, and of what is anything only that it is there."""
    if isinstance(noted, dict) and isinstance(given, dict):
        return noted.keys() == given.keys() and all(
            name in ("some", "part") or agree(noted[name], given[name]) for name in noted
        )
    return bool(noted == given)


def check(record: bytes, notes: Notes, row: int) -> None:
    value = parse_json(record)
    noted, given = found(notes, TREE.root, row), wanted(SHAPE, value)
    assert agree(noted, given)
    if "part" in noted:
        assert orjson.loads(noted["part"]) == given["part"]


def kept(records: list[bytes]) -> Iterator[int]:
    notes = scanned(records)
    for place, row in enumerate(np.flatnonzero(notes.plain).tolist()):
        check(records[row], notes, place)
        yield row


@settings(max_examples=300, deadline=None)
@given(st.lists(DOCUMENTS, min_size=1, max_size=5), st.integers(0, 2**32))
def test_notes_are_what_a_parser_finds_when_a_record_is_plain(documents: list[Any], seed: int) -> None:
    random = Random(seed)
    written = [orjson.dumps(document, option=random.choice((None, orjson.OPT_INDENT_2))) for document in documents]
    list(kept(written))
    list(kept([damaged(record, random.choice(written), random) for record in written for _ in range(4)]))


@settings(max_examples=200, deadline=None)
@given(st.lists(WELL_FORMED, min_size=1, max_size=5), st.booleans())
def test_record_is_plain_when_its_values_are_as_declared(documents: list[Any], indented: bool) -> None:
    written = [orjson.dumps(document, option=orjson.OPT_INDENT_2 if indented else None) for document in documents]
    assert list(kept(written)) == list(range(len(written)))


def is_plain(record: bytes) -> bool:
    return list(kept([record])) == [0]


@pytest.mark.parametrize(
    "record",
    [b"", b"{", b"{}x", b'{"id":}', b"{,}", b'{"id":1,}', b"[]", b"null", b"{} {}", b'{"x":[1,]}', b'{"x" 1}',
     b'{"x":01}',
     b'{"x":-}', b'{"x":1.}', b'{"x":nul}', b'{"x":tru}', b'{"x":"\t"}', b'{"x":"\\x"}', b'{"x":[}', b'{"x":{]}',
     b'{"x":"\xff"}', b"\xef\xbb\xbf{}"],
)  # fmt: skip
def test_record_is_not_plain_when_it_is_no_object(record: bytes) -> None:
    assert not is_plain(record)
    assert not is_object(record)


def is_object(record: bytes) -> bool:
    try:
        return isinstance(parse_json(record), dict)
    except RecordError:
        return False


@pytest.mark.parametrize(
    "record",
    [b'{"id":{}}', b'{"id":1.5}', b'{"id":true}', b'{"count":[]}', b'{"time":5}', b'{"never":""}', b'{"gone":null}',
     b'{"inner":[]}', b'{"list":{}}', b'{"list":[null]}', b'{"names":[null]}', b'{"id":1,"id":1}', b'{"id":"\\n"}',
     b'{"inner":{},"inner":{}}', b'{"plan":"a","PLAN":"a"}', '{"pl\u212an":1}'.encode(), b'{"id":1234567890123456789}'],
)  # fmt: skip
def test_record_is_not_plain_when_a_value_is_of_another_kind_or_there_twice(record: bytes) -> None:
    assert not is_plain(record)
    assert is_object(record)


def test_record_is_not_plain_when_it_is_long_or_deep_or_has_many_items() -> None:
    assert is_plain(b'{"x":' + b"[" * 28 + b"]" * 28 + b"}")
    assert not is_plain(b'{"x":' + b"[" * 30 + b"]" * 30 + b"}")
    assert is_plain(b'{"names":[' + b",".join([b'"a"'] * 64) + b"]}")
    assert not is_plain(b'{"names":[' + b",".join([b'"a"'] * 65) + b"]}")
    assert not is_plain(b'{"x":"' + b"a" * 16_384 + b'"}')


def test_notes_of_others_stay_when_a_record_is_not_plain() -> None:
    good = b'{"list":[{"id":"a","inner":[{"id":"b"}]}]}'
    assert list(kept([good, b'{"list":[{"id":"x"},{"id":[]}]}', good, b'{"list":[{"inner":[{"id":"y"}', good])) == [
        0,
        2,
        4,
    ]
