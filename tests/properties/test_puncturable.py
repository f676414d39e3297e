"""The function of customer numbers equals its definition, stays what it is for all others when some are forgotten, and
holds nothing from which a forgotten value could be had."""

from __future__ import annotations

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.puncturable import NODE_BYTES, PuncturablePrf

DEPTH = 64
LAST = 2**DEPTH - 1
NUMBERS = st.integers(0, LAST) | st.integers(0, 7) | st.integers(LAST - 7, LAST)
NEAR = st.builds(lambda number, bit: number ^ 1 << bit, NUMBERS, st.integers(0, DEPTH - 1))
ROOT = bytes(range(16))
AES = Cipher(algorithms.AES(b"signalbox/tree/1"), modes.ECB()).encryptor()
ROWS = 300
"""More than are worked on by the compiled loop."""


def path(root: bytes, turns: str) -> list[bytes]:
    """The definition: the nodes on the way down, 0 to the left and 1 to the right."""
    nodes = [root]
    for bit in turns:
        asked = nodes[-1][:-1] + bytes([nodes[-1][-1] ^ int(bit)])
        hashed = int.from_bytes(AES.update(asked)) ^ int.from_bytes(asked)
        nodes.append(hashed.to_bytes(NODE_BYTES))
    return nodes


def bits(number: int) -> str:
    return f"{number:064b}"


def value(function: PuncturablePrf, number: int) -> bytes | None:
    values, known = function.values(np.array([number], np.uint64))
    return values[0].tobytes() if known[0] else None


def forgetting(numbers: list[int]) -> PuncturablePrf:
    function = PuncturablePrf((), ROOT)
    for number in numbers:
        function = function.without(number)
    return function


def intervals(function: PuncturablePrf) -> list[tuple[int, int]]:
    """The leaves below each node, as the oracle has it: the largest aligned blocks without a forgotten number."""

    def split(first: int, depth: int) -> list[tuple[int, int]]:
        size = 1 << DEPTH - depth
        if not any(first <= number < first + size for number in function.forgotten):
            return [(first, first + size)]
        return [] if size == 1 else split(first, depth + 1) + split(first + size // 2, depth + 1)

    return split(0, 0)


def test_values_stay_the_same_when_the_root_is_the_same() -> None:
    """Tokens rest on them: these literals are a persisted format."""
    function = PuncturablePrf((), ROOT)
    assert value(function, 0).hex() == "9b8e868b8f276545f45649fe98fca186"
    assert value(function, 0xBC43F37C8CAFBDE9).hex() == "e3590c04847e8975fee08b4a6c6c782f"


@settings(deadline=None, max_examples=50)
@given(numbers=st.lists(NUMBERS, min_size=1, max_size=10))
def test_values_equal_the_definition_when_few_or_many_are_asked_for(numbers: list[int]) -> None:
    expected = [path(ROOT, bits(number))[-1] for number in numbers]
    function = PuncturablePrf((), ROOT)
    for repeat in (1, ROWS):
        values, known = function.values(np.array(numbers * repeat, np.uint64))
        assert known.all()
        assert [row.tobytes() for row in values] == expected * repeat


@settings(deadline=None, max_examples=50)
@given(forgotten=st.lists(NUMBERS | NEAR, max_size=8), others=st.lists(NUMBERS | NEAR, min_size=1, max_size=8))
def test_others_keep_their_values_when_some_are_forgotten(forgotten: list[int], others: list[int]) -> None:
    whole, punctured = PuncturablePrf((), ROOT), forgetting(forgotten)
    asked = [*others, *forgotten, *(number ^ 1 for number in forgotten)]
    for repeat in (1, ROWS):
        values, known = punctured.values(np.array(asked * repeat, np.uint64))
        expected, _ = whole.values(np.array(asked * repeat, np.uint64))
        assert known.tolist() == [number not in forgotten for number in asked] * repeat
        assert (values[known] == expected[known]).all()
        assert not (values[~known] == expected[~known]).all(axis=1).any()


@settings(deadline=None, max_examples=50)
@given(forgotten=st.lists(NUMBERS | NEAR, min_size=1, max_size=8, unique=True))
def test_no_node_leads_to_a_forgotten_leaf_when_it_is_stored(forgotten: list[int]) -> None:
    function = forgetting(forgotten)
    nodes = [function.nodes[at : at + NODE_BYTES] for at in range(0, len(function.nodes), NODE_BYTES)]
    below = intervals(function)
    assert len(nodes) == len(below) <= DEPTH * len(forgotten)
    # they are those of the blocks that hold no forgotten number, and none on the way to one
    depths = [DEPTH + 1 - (end - first).bit_length() for first, end in below]
    assert nodes == [path(ROOT, bits(first))[depth] for (first, _), depth in zip(below, depths, strict=True)]
    for number in forgotten:
        way = path(ROOT, bits(number))
        assert not set(way) & set(nodes)
        # nor is anything of that way below them
        for node, depth in zip(nodes, depths, strict=True):
            assert not set(path(node, bits(number)[depth:])) & set(way)


@settings(deadline=None, max_examples=50)
@given(forgotten=st.permutations([0, 1, 5, 2**63, LAST]), again=st.sampled_from([0, LAST]))
def test_the_function_is_the_same_when_numbers_are_forgotten_in_another_order_or_twice(
    forgotten: list[int], again: int
) -> None:
    assert forgetting([*forgotten, again]) == forgetting(sorted(forgotten))


@pytest.mark.parametrize(
    ("forgotten", "nodes", "expected"),
    [
        ((), b"", "1 nodes of 16 bytes"),
        ((), ROOT * 2, "1 nodes of 16 bytes"),
        ((5,), ROOT * 63, "64 nodes of 16 bytes"),
        ((5, 4), ROOT * 63, "forgotten numbers in ascending order, each once"),
        ((5, 5), ROOT * 64, "forgotten numbers in ascending order, each once"),
    ],
)
def test_function_is_refused_when_its_nodes_do_not_fit(forgotten: tuple[int, ...], nodes: bytes, expected: str) -> None:
    with pytest.raises(ValueError, match=f"^expected {expected}$"):
        PuncturablePrf(forgotten, nodes)


def test_nothing_is_shown_when_a_function_is_printed() -> None:
    function = PuncturablePrf((), ROOT)
    assert ROOT.hex() not in repr(function)
    assert repr(ROOT) not in repr(function)
    assert PuncturablePrf.create() != PuncturablePrf.create()


def test_no_rows_come_when_none_are_asked_for() -> None:
    values, known = forgetting([5]).values(np.zeros(0, np.uint64))
    assert (values.shape, known.shape) == ((0, NODE_BYTES), (0,))
