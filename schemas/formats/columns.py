"""Reading the fields of many records at once: `Fields`, a column at a time.

An adapter's `adapt` reads one record and is the definition of its format. Beside it an adapter may have `forms`, which
read what its records mostly look like in columns. A form may leave any record to `adapt`, and must leave whatever it
does not understand as `adapt` does: it has no errors of its own, it can only agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.blocks import RecordBlock
from schemas.codec import nested_cells
from schemas.codec.kernel import Longs
from schemas.codec.nested import Node, Notes, Shape, Tree
from schemas.codec.nested_cells import Numbers
from schemas.codec.times import MAXIMUM_MICROSECONDS
from schemas.errors import RecordError
from schemas.formats.adapter import Adapter

TEXTUAL = pa.large_string()
LISTS = pa.large_list(TEXTUAL)
Bools = NDArray[np.bool_]
Scalar = str | int | bool | None
Meaning = TypeVar("Meaning")

Field = str | Longs
"""A field by its name, or where its values lie (`ManyFields.notes`)."""

# Larger numbers are left to `adapt`, so that sums and products have room.
MOST_SECONDS = 2**40
_MOST = 2**53
_MOST_SUMMED = 2**46


class ManyFields:
    """The fields of one JSON object in each of many records.

    As with `Fields`, a field that is missing, null or the empty string reads as null. What `Fields` refuses makes its
    record be left to `adapt`.

    Args:
        notes: What was found.
        node: The object.
        records: For each row the record it belongs to.
        left: Where to note that a record is left to `adapt`.
        block: What the records came in.
        positions: Of each record, its position in the block.
        above: Of the rows of an array's items, how many rows the object has that holds the array.
    """

    def __init__(
        self,
        notes: Notes,
        node: Node,
        records: Longs,
        left: Bools,
        block: RecordBlock,
        positions: Longs,
        above: int = 0,
    ) -> None:
        self.records = records
        self._notes, self._node, self._left, self._above = notes, node, left, above
        self._block, self._positions = block, positions

    def __len__(self) -> int:
        return len(self.records)

    @property
    def kafka_times_ms(self) -> Longs:
        """The Kafka timestamp of each row's record, in milliseconds since the epoch; -1 where there is none."""
        return self._block.timestamps_ms[self._positions[self.records]]

    def kafka_time(self) -> Numbers:
        """The Kafka timestamps in microseconds; null where there is none, or one that is no time."""
        millis = self.kafka_times_ms
        null = (millis < 0) | (millis > MAXIMUM_MICROSECONDS // 1000)
        return Numbers(np.where(null, 0, millis) * 1000, null, np.zeros(len(null), np.bool_))

    def key(self, row: int) -> bytes | None:
        """The key of a row's record."""
        return self._block.key(int(self._positions[self.records[row]]))

    @property
    def ordinals(self) -> Longs:
        """Of the rows of an array's items, the places in the array, from 0."""
        parents, rows = self.parents, np.arange(len(self))
        first = np.ones(len(parents), np.bool_)
        first[1:] = parents[1:] != parents[:-1]
        return rows - np.maximum.accumulate(np.where(first, rows, 0))

    @property
    def parents(self) -> Longs:
        """Of the rows of an array's items, the rows of the object that holds the array. Ascending."""
        return self._notes.parents[self._node.table]

    def leave(self, where: Bools) -> None:
        """Leave records to `adapt`: those of the rows where it is true."""
        if where.any():
            self._left[self.records[where]] = True

    def inner(self, name: str) -> ManyFields:
        """The fields of an object within; all of them are null where there is none."""
        return self._within(self._node.members[name], self.records, self._above)

    def objects(self, name: str) -> ManyFields:
        """The fields of the objects in an array, a row for each."""
        item = self._node.members[name].members[""]
        records = self.records[self._notes.parents[item.table]]
        return self._within(item, records, len(self))

    def notes(self, *names: str) -> Longs:
        """Where the values of a field lie; of several fields, of the first that is given in each record."""
        found, *others = (self._notes.of(self._node.members[name]) for name in names)
        return first_given(found, *others)

    def either(self, *names: str) -> Longs:
        """As `notes`, of the first that is not null: the empty string hides the fields that come after it."""
        found, *others = (self._notes.of(self._node.members[name]) for name in names)
        for other in others:
            found = np.where(nested_cells.is_there(found), found, other)
        return found

    def spread(self, texts: pa.Array) -> pa.Array:
        """Texts of the records' own fields for the rows of an array's items."""
        return texts.take(pa.array(self.records))

    def is_there(self, name: str) -> Bools:
        """Where something is given, also the empty string."""
        return nested_cells.is_there(self.notes(name))

    def plain_texts(self, field: Field) -> Longs:
        """Where the values of a field lie that may be anything; what is neither text nor whole number is left."""
        notes = self._at(field)
        self.leave(nested_cells.is_there(notes) & ~nested_cells.has_text_or_digits(notes))
        return notes

    def text(self, field: Field) -> pa.Array:
        """Strings; an integer becomes its digits."""
        return self.joined(field)

    def required_text(self, *names: str) -> pa.Array:
        """The first of several fields that is given, as `text`."""
        return self.text(self.required(*names))

    def required(self, *names: str) -> Longs:
        """As `notes`; records without are left."""
        found = self.notes(*names)
        self.leave(~nested_cells.has_text(found))
        return found

    def joined(self, *pieces: Field, prefix: str = "", separator: str = "") -> pa.Array:
        """Texts of several fields with something before them and between; null where one of them is."""
        parts: list[str | Longs] = [prefix]
        for piece in pieces:
            parts += [self._at(piece), separator]
        return nested_cells.joined(self._notes.values, parts[:-1])

    def integer(self, field: Field, least: int = -_MOST, most: int = _MOST) -> Numbers:
        """Whole numbers; smaller and larger ones than these are left."""
        numbers = nested_cells.whole_numbers(self._notes.values, self._at(field))
        self.leave(numbers.unfit | (numbers.values < least) | (numbers.values > most))
        return numbers

    def count(self, field: Field, most: int = _MOST) -> Numbers:
        """Whole numbers of at least 0."""
        return self.integer(field, 0, most)

    def flag(self, field: Field, default: bool) -> Bools:
        """Booleans."""
        numbers = nested_cells.flags(self._notes.values, self._at(field))
        self.leave(numbers.unfit)
        return numbers.filled(int(default)).astype(np.bool_)

    def instant(self, field: Field) -> Numbers:
        """Times, in microseconds since the epoch."""
        numbers = nested_cells.moments(self._notes.values, self._at(field))
        self.leave(numbers.unfit)
        return numbers

    def itself(self) -> Longs:
        """Where an array's items lie, of an array whose items are no objects."""
        return self._notes.of(self._node)

    def any_text(self, *names: str) -> Bools:
        """Where one of several fields is given."""
        return nested_cells.has_text(self.notes(*names))

    def equals(self, field: Field, text: str) -> Bools:
        """Where a field is this text."""
        rest = nested_cells.without_prefix(self._notes.values, self._at(field), text)
        return nested_cells.is_there(rest) & ~nested_cells.has_text(rest)

    def without_prefix(self, field: Field, prefix: str) -> Longs:
        """Where the rest of a text lies, of those that begin so; those that end there, too, are left."""
        rest = nested_cells.without_prefix(self._notes.values, self._at(field), prefix)
        self.leave(nested_cells.is_there(rest) & ~nested_cells.has_text(rest))
        return rest

    def e164(self, field: Field) -> pa.Array:
        """Telephone numbers, which networks write as digits; others are left. See `usage.e164`."""
        notes = self._at(field)
        self.leave(nested_cells.has_text(notes) & ~nested_cells.are_digits(self._notes.values, notes))
        return self.joined(notes, prefix="+")

    def meaning(
        self,
        field: Field,
        means: Callable[[str], str | list[str] | None],
        dtype: pa.DataType = TEXTUAL,
        otherwise: str | list[str] | None = None,
    ) -> pa.Array:
        """What the texts of a field mean, found out once for each distinct text.

        Args:
            field: The field. If its shape is `JSON` its texts are that, else they are what `text` gives.
            means: What one text means, by the code that `adapt` uses, too. What it raises leaves the record.
            dtype: The type of what it gives.
            otherwise: What stands where the field is null.
        """
        distinct, places = self._meanings(field, means)
        return pa.array([*distinct, otherwise], dtype).take(pa.array(places))

    def number_meaning(self, field: Field, means: Callable[[str], int | None], otherwise: int) -> Longs:
        """As `meaning`, of numbers; the last argument stands for null."""
        distinct, places = self._meanings(field, means)
        numbers = [otherwise if each is None else each for each in distinct]
        return np.array([*numbers, otherwise], np.int64)[places]

    def flag_meaning(self, field: Field, means: Callable[[str], bool], otherwise: bool) -> Bools:
        """As `meaning`, of booleans; the last argument stands for null."""
        return self.number_meaning(field, means, otherwise).astype(np.bool_)

    def check(self, field: Field, means: Callable[[str], object]) -> None:
        """Leave the records in which the field has a text that has no meaning."""
        self._meanings(field, means)

    def _meanings(self, field: Field, means: Callable[[str], Meaning | None]) -> tuple[list[Meaning | None], Longs]:
        """What each distinct text means, and where in that list the meaning is of each row's; past its end for null."""
        texts, places = nested_cells.distinct_texts(self._notes.values, self._at(field))
        distinct: list[Meaning | None] = []
        refused: list[int] = []
        for place, text in enumerate(texts):
            try:
                distinct.append(means(text))
            except RecordError:
                distinct.append(None)
                refused.append(place)
        if refused:
            self.leave(np.isin(places, refused))
        return distinct, places

    def total(self, field: Field) -> Longs:
        """Of an array's items: the sums of a count, one for each row of the object that holds the array."""
        counts = self.count(field, _MOST_SUMMED).filled(0)
        # exact, in floats of 53 bits: an array that was noted has at most 64 items
        return np.bincount(self.parents, counts, self._above).astype(np.int64)

    def only(self, where: Bools, field: Field) -> Longs:
        """Of an array's items: where the value of the one lies for which `where` is true, by row of the object above.

        Records with several such items, or a value that is neither text nor whole number, are left.
        """
        notes = self.plain_texts(np.where(where, self._at(field), 0))
        parents = self.parents[where]
        self.leave(where & (np.bincount(parents, minlength=self._above) > 1)[self.parents])
        found = np.zeros(self._above, np.int64)
        found[parents] = notes[where]
        return found

    def first(self, texts: pa.Array) -> pa.Array:
        """Of texts that belong to an array's items: that of the first item, for each row of the object above."""
        rows = np.flatnonzero(self.ordinals == 0)
        places = np.full(self._above, -1, np.int64)
        places[self.parents[rows]] = rows
        return texts.take(pa.array(places, mask=places < 0))

    def last(self, field: Field) -> Longs:
        """Of an array's items: where the last value lies that is given, for each row of the object above."""
        notes = self._at(field)
        given = nested_cells.has_text(notes)
        found = np.zeros(self._above, np.int64)
        found[self.parents[given]] = notes[given]  # of several the last one stays
        return found

    def _within(self, node: Node, records: Longs, above: int) -> ManyFields:
        return ManyFields(self._notes, node, records, self._left, self._block, self._positions, above)

    def _at(self, field: Field) -> Longs:
        return self.notes(field) if isinstance(field, str) else field


def first_given(notes: Longs, *others: Longs) -> Longs:
    """Where the first of several values lies that is given."""
    for other in others:
        notes = np.where(nested_cells.has_text(notes), notes, other)
    return notes


def named(names: Sequence[str], places: Longs) -> pa.Array:
    """Which of some names stands in each row; null for -1."""
    return pa.array([*names, None], TEXTUAL).take(pa.array(np.where(places < 0, len(names), places)))


Columns = dict[str, pa.Array | Longs | Bools | Numbers | Scalar]
"""By column of the contract, a cell for each row, or what is in every cell."""


@dataclass(frozen=True, slots=True)
class ManyRows:
    """Canonical rows, in columns.

    Attributes:
        fields: What the rows come of, one each.
        columns: By column of the contract, a cell for each row, or what is in every cell. What is left out takes the
            contract's default.
        carried: Where there is a row; None for everywhere. A record without any is understood and carries none.
    """

    fields: ManyFields
    columns: Columns
    carried: Bools | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """One of the forms in which a format's records come.

    Attributes:
        tree: The fields that are read. A record that has others of those it names, or these in another way, is left.
        rows: Reads them.
    """

    tree: Tree
    rows: Callable[[ManyFields], ManyRows]

    @classmethod
    def of(cls, shape: Mapping[str, Shape], rows: Callable[[ManyFields], ManyRows]) -> Form:
        """Lay a form's shape out."""
        return cls(Tree(shape), rows)


@runtime_checkable
class ColumnarAdapter(Adapter, Protocol):
    """An adapter that can read many records at once."""

    @property
    def forms(self) -> tuple[Form, ...]:
        """The forms that it knows, the most frequent first."""
        ...

    @property
    def headers_read(self) -> frozenset[str]:
        """The headers that `adapt` reads, in lower case; a record that has one is left to it."""
        ...
