"""Nested JSON in columns: where the values lie that somebody wants of each record of a block.

What is wanted is declared as a shape, which looks like the JSON it describes:

    {"id": TEXT, "alarmedObject": {"id": TEXT}, "volumes": [{"up": INTEGER, "down": INTEGER}], "place": JSON}

`scan` finds these values in all records at once. A record in which one of them is of another kind than declared, or is
there twice, or which is not plain JSON, is not `plain`, and nothing of it is noted: it is left to a parser.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from schemas.codec.kernel import Bytes, Longs
from schemas.codec.nested_scan import (
    ACCEPTS,
    ANY_CASE,
    AS_JSON,
    AT,
    BUCKET,
    CHAIN,
    FIRST,
    FIRST_NODE,
    HOLDS_ANY_CASE,
    HOW,
    IS_FALSE,
    IS_INTEGER,
    IS_LIST,
    IS_NULL,
    IS_OBJECT,
    IS_TEXT,
    IS_TRUE,
    MOST_ITEMS,
    MOST_LEVELS,
    NAME,
    NAME_BYTES,
    NEXT,
    NODE_COLUMNS,
    ROOM,
    TABLE,
    TABLE_COLUMNS,
    USED,
    WIDTH,
    hash_of,
    scan_nested,
)

_ITEMS_PER_RECORD = 32


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value that is wanted: the kinds that it may have, and whether it is noted as JSON."""

    kinds: tuple[int, ...]
    as_json: bool = False
    nullable: bool = True


TEXT = Leaf((IS_TEXT, IS_INTEGER))
"""A text, or a whole number, which stands for its digits."""
INTEGER = Leaf((IS_TEXT, IS_INTEGER))
"""A whole number, or a text, which must hold one."""
TIME = Leaf((IS_TEXT,))
FLAG = Leaf((IS_TRUE, IS_FALSE, IS_TEXT))
NOTHING = Leaf(())
"""Nothing but null: where a value is given the record is not plain."""
MISSING = Leaf((), nullable=False)
"""Not even null."""
ANY = Leaf(tuple(range(IS_NULL, IS_LIST + 1)))
"""Anything; of objects and arrays only that they are there."""
JSON = Leaf(tuple(range(IS_NULL, IS_LIST + 1)), as_json=True)
"""Anything, as the JSON text that it is written in."""

Shape = Leaf | Mapping[str, "Shape"] | list["Shape"]
"""What is wanted of a value: itself, members of an object, or something of each item of a list."""


class AnyCase(str):
    """The name of a member, in lower case, which may come in any."""


@dataclass(frozen=True, slots=True)
class Node:
    """One value of a shape.

    Attributes:
        number: Its row in the notes.
        table: The table that its values are in, 0 for that of the records.
        items: The table of its items, if it is a list; else -1.
        members: By name, what is inside; the item of a list has the name "".
    """

    number: int
    table: int
    items: int
    members: Mapping[str, Node] = field(default_factory=dict)


class Tree:
    """A shape, laid out for the kernel.

    Attributes:
        root: The record.
        nodes: What `nested_scan` says of each node. int64, n by `NODE_COLUMNS`.
        names: The names of members, back to back.
        first_nodes: The first node of each table, and the end of the last.
        table_above: The table in which each table's lists are; 0 for the first.
    """

    def __init__(self, shape: Mapping[str, Shape]) -> None:
        order = _by_tables(shape)
        names = [place.name.encode() for place in order]
        self.names: Bytes = np.frombuffer(b"".join(names), np.uint8)
        self.nodes: Longs = np.full((len(order), NODE_COLUMNS), -1, np.int64)
        self.nodes[:, NAME_BYTES] = [len(name) for name in names]
        self.nodes[:, NAME] = np.cumsum(self.nodes[:, NAME_BYTES]) - self.nodes[:, NAME_BYTES]
        tables = [place.table for place in order]
        self.first_nodes: list[int] = [tables.index(table) for table in range(max(tables) + 1)] + [len(order)]
        self.table_above: list[int] = [0] * (max(tables) + 1)
        for number, place in enumerate(order):
            place.number = number
            if place.items >= 0:
                self.table_above[place.items] = place.table
        for place in order:
            self._lay_out(place)
        self.root = order[0].node()

    def _lay_out(self, place: _Place) -> None:
        node = self.nodes[place.number]
        leaf = place.shape if isinstance(place.shape, Leaf) else None
        kinds = leaf.kinds if leaf else (IS_LIST if place.items >= 0 else IS_OBJECT,)
        # neither a record nor an array's item may be null: what that means differs from format to format
        nullable = not place.is_item and place.number > 0 and (leaf is None or leaf.nullable)
        node[ACCEPTS] = sum(1 << kind for kind in {*kinds, *((IS_NULL,) if nullable else ())})
        node[HOW] = AS_JSON * (leaf is not None and leaf.as_json) + ANY_CASE * isinstance(place.name, AnyCase)
        node[HOW] += HOLDS_ANY_CASE * any(isinstance(member.name, AnyCase) for member in place.inside)
        node[TABLE] = place.items
        if not place.inside:
            return
        node[FIRST] = place.inside[0].number
        for member, follower in zip(place.inside, [*place.inside[1:], place.inside[0]], strict=True):
            its = self.nodes[member.number]
            its[NEXT] = follower.number
            bucket = BUCKET + hash_of(self.names, its[NAME], its[NAME_BYTES])
            its[CHAIN] = node[bucket]
            node[bucket] = member.number


@dataclass(slots=True)
class _Place:
    """A node while the tree grows."""

    name: str
    shape: Shape
    table: int
    items: int = -1
    number: int = -1
    is_item: bool = False
    inside: list[_Place] = field(default_factory=list)

    def node(self) -> Node:
        return Node(self.number, self.table, self.items, {str(place.name): place.node() for place in self.inside})


def _by_tables(shape: Mapping[str, Shape]) -> list[_Place]:
    """All nodes, those of one table together, the root first."""
    tables: list[list[_Place]] = [[]]

    def grow(name: str, shape: Shape, table: int) -> _Place:
        place = _Place(name, shape, table)
        tables[table].append(place)
        if isinstance(shape, list):
            place.items = len(tables)
            tables.append([])
            place.inside = [grow("", shape[0], place.items)]
            place.inside[0].is_item = True
        elif isinstance(shape, Mapping):
            place.inside = [grow(inner, its, table) for inner, its in shape.items()]
        return place

    grow("", shape, 0)
    return [place for table in tables for place in table]


@dataclass(frozen=True, slots=True)
class Notes:
    """Where the values of a tree lie in a block's records.

    Attributes:
        values: The block's bytes.
        plain: The records whose values are noted, those of the first table. bool, one per record that was scanned.
        tables: By table, a note for each row and node. int64.
        parents: By table, for each row the row that its list belongs to. int64.
        first_nodes: By table, its first node.
    """

    values: Bytes
    plain: NDArray[np.bool_]
    tables: list[Longs]
    parents: list[Longs]
    first_nodes: list[int]

    def of(self, node: Node) -> Longs:
        """What is noted of a node, by row of its table: first byte, bytes and kind, see `nested_scan`."""
        return np.ascontiguousarray(self.tables[node.table][:, node.number - self.first_nodes[node.table]])


def scan(tree: Tree, values: Bytes, starts: Longs, ends: Longs) -> Notes:
    """Find the values of a tree.

    Args:
        tree: What is wanted.
        values: The block's bytes.
        starts: First byte of each record.
        ends: Where each record ends.
    """
    n = len(starts)
    count = len(tree.first_nodes) - 1
    tables = np.zeros((count, TABLE_COLUMNS), np.int64)
    tables[:, FIRST_NODE] = tree.first_nodes[:-1]
    tables[:, WIDTH] = np.diff(tree.first_nodes)
    room = _ITEMS_PER_RECORD * n + MOST_ITEMS
    tables[:, ROOM] = [n] + [room] * (count - 1)
    sizes = tables[:, WIDTH] * tables[:, ROOM]
    tables[:, AT] = np.cumsum(sizes) - sizes
    notes = np.zeros(int(sizes.sum()), np.int64)
    parents = np.empty((count, room if count > 1 else 0), np.int64)
    plain = np.zeros(n, np.bool_)
    levels = np.zeros((MOST_LEVELS, 4), np.int64)
    scan_nested(values, starts, ends, tree.names, tree.nodes, tables, notes, parents, levels, plain)
    tables[0, USED] = n
    extents = tables[:, [AT, USED, WIDTH]].tolist()
    found = [notes[at : at + used * width].reshape(used, width) for at, used, width in extents]
    rows = [_rows(parents[table, :used], tables, tree, table) for table, (_, used, _) in enumerate(extents)]
    if not plain.all():
        found[0] = found[0][plain]
        places = np.cumsum(plain) - 1
        rows = [places[above] if tree.table_above[table] == 0 else above for table, above in enumerate(rows)]
    return Notes(values, plain, found, rows, tree.first_nodes)


def _rows(places: Longs, tables: Longs, tree: Tree, table: int) -> Longs:
    """Rows of the table that a table's lists are in, of the places where the notes of these rows begin."""
    if table == 0:
        return np.empty(0, np.int64)
    above = tables[tree.table_above[table]]
    rows: Longs = (places + above[FIRST_NODE] - above[AT]) // above[WIDTH]
    return rows
