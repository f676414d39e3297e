"""A pseudorandom function of customer numbers that can be made to forget single customers.

The function is a binary tree over the 2^64 numbers. A node is 16 bytes; each makes its two children and cannot be got
back from them. Whoever holds the root can walk to every leaf, which is the function's value. To forget a number, a node
above its leaf gives way to the nodes beside the path from there: every other leaf can be reached from these, and of
that one nothing is left. So a customer who is forgotten costs 1 kB, and one who is not costs nothing.

The children of a node are H(node) and H(node ⊕ 1), with H(x) = AES(x) ⊕ x under a key that everybody knows: so a column
needs one call of the cipher for each level.

Source: Goldreich, Goldwasser, Micali, How to construct random functions, J. ACM 33 (1986), for the tree; Boyle,
Goldwasser, Ivan, Functional signatures and pseudorandom functions, PKC 2014, for puncturing it; Guo, Katz, Wang, Yu,
Efficient and secure multiparty computation from fixed-key block ciphers, IEEE S&P 2020, for H.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from numpy.typing import NDArray

from privacy.ragged import Bytes

NODE_BYTES = 16
_DEPTH = 64
_PUBLIC_KEY = b"signalbox/tree/1"
_SLICE = 8192
"""Rows that are walked down together: what is worked on fits the processor's cache."""
_FEW = 256
"""Up to here a compiled loop is quicker: 1 µs a row, where the calls of the cipher take 0.3 ms together."""

Numbers = NDArray[np.uint64]


@dataclass(frozen=True)
class PuncturablePrf:
    """The function, as far as it is remembered.

    Attributes:
        forgotten: The numbers it was made to forget, ascending.
        nodes: What it is calculated from, 16 bytes each, from left to right: the nodes beside the paths to those
            numbers that lie above none of them; the root alone when nothing is forgotten.

    Raises:
        ValueError: These are not the nodes of such a function.
    """

    forgotten: tuple[int, ...]
    nodes: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if list(self.forgotten) != sorted(set(self.forgotten)):
            raise ValueError("expected forgotten numbers in ascending order, each once")
        if len(self.nodes) != NODE_BYTES * len(self._cover[0]):
            raise ValueError(f"expected {len(self._cover[0])} nodes of {NODE_BYTES} bytes")

    @classmethod
    def create(cls) -> PuncturablePrf:
        """A random function that has forgotten nobody."""
        return cls((), secrets.token_bytes(NODE_BYTES))

    def values(self, numbers: Numbers) -> tuple[Bytes, NDArray[np.bool_]]:
        """The values of numbers.

        Returns:
            uint8, (n, 16); and which of them are remembered: the other rows mean nothing.
        """
        begins, depths = self._cover
        at = np.searchsorted(begins, numbers, "right") - 1
        known = ~np.isin(numbers, self._forgotten)
        # the shallowest first: at each level, those that walk are the first ones
        order = np.argsort(np.where(known, depths[at], _DEPTH), kind="stable")
        start = np.where(known, depths[at], _DEPTH)[order]
        values = np.frombuffer(self.nodes, np.uint8).reshape(-1, NODE_BYTES)[at[order]]
        for first in range(0, len(numbers), _SLICE):
            part = slice(first, first + _SLICE)
            _walk_down(values[part], start[part], numbers[order[part]])
        unordered = np.empty_like(values)
        unordered[order] = values
        return unordered, known

    def without(self, number: int) -> PuncturablePrf:
        """The function when it has forgotten one number more."""
        if number in self.forgotten:
            return self
        begins, depths = self._cover
        at = int(np.searchsorted(begins, np.uint64(number), "right")) - 1
        node = self.nodes[at * NODE_BYTES : (at + 1) * NODE_BYTES]
        left, right = self.nodes[: at * NODE_BYTES], self.nodes[(at + 1) * NODE_BYTES :]
        for level in range(int(depths[at]), _DEPTH):
            children = _children(node)
            turn = number >> (_DEPTH - 1 - level) & 1
            if turn:
                left += children[0]
            else:
                right = children[1] + right
            node = children[turn]
        return PuncturablePrf(tuple(sorted({*self.forgotten, number})), left + right)

    @cached_property
    def _forgotten(self) -> Numbers:
        return np.array(self.forgotten, np.uint64)

    @cached_property
    def _cover(self) -> tuple[Numbers, NDArray[np.int64]]:
        """The first leaf below each node, ascending, and how deep it is."""
        if not self.forgotten:
            return np.zeros(1, np.uint64), np.zeros(1, np.int64)
        found, deep = [], []
        for depth in range(1, _DEPTH + 1):
            below = np.uint64(_DEPTH - depth)
            on_path = np.unique(self._forgotten >> below)
            beside = on_path ^ np.uint64(1)
            beside = beside[~np.isin(beside, on_path)]
            found.append(beside << below)
            deep.append(np.full(len(beside), depth))
        begins, depths = np.concatenate(found), np.concatenate(deep)
        order = np.argsort(begins)
        return begins[order], depths[order]


def _walk_down(nodes: Bytes, depths: NDArray[np.int64], numbers: Numbers) -> None:
    """Turn nodes into the leaves of `numbers` below them; `depths` ascends."""
    if len(numbers) <= _FEW:
        from privacy import kernels  # loads numba, which most commands do without

        if kernels.AVAILABLE:
            schedule = np.empty(kernels.SCHEDULE_WORDS, np.uint64)
            kernels.walk_down(nodes, depths, numbers, np.frombuffer(_PUBLIC_KEY, np.uint8).copy(), schedule, _DEPTH)
            return
    encryptor = _cipher()
    hashed = np.zeros(nodes.size + NODE_BYTES - 1, np.uint8)
    words, hashed_words = nodes.view(np.uint64), hashed[: nodes.size].view(np.uint64).reshape(-1, 2)
    walking = np.searchsorted(depths, np.arange(_DEPTH), "right")
    last_bit = np.uint64(int.from_bytes(bytes(7) + b"\1", "little"))
    for level in range(_DEPTH):
        count = walking[level]
        if not count:
            continue
        turns = numbers[:count] >> np.uint64(_DEPTH - 1 - level) & np.uint64(1)
        words[:count, 1] ^= turns * last_bit
        encryptor.update_into(nodes[:count].data, hashed[: count * NODE_BYTES + NODE_BYTES - 1].data)
        words[:count] ^= hashed_words[:count]


def _children(node: bytes) -> tuple[bytes, bytes]:
    return _hash(node), _hash(node[:-1] + bytes([node[-1] ^ 1]))


def _hash(node: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(_cipher().update(node), node, strict=True))


def _cipher() -> CipherContext:
    # ECB is the bare block cipher, which H is made of
    return Cipher(algorithms.AES(_PUBLIC_KEY), modes.ECB()).encryptor()  # noqa: S305
