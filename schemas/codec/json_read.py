"""JSON records to rows: a quick path for plain records, an exact one for the rest.

The quick path is a kernel that knows the JSON nearly every producer writes: one flat object of texts without escapes,
whole numbers, booleans, nulls and lists of such texts, in valid UTF-8. Whatever else it meets, in syntax or in type,
it does not judge: that record, and only that one, goes to the exact path (orjson, then `rows_to_frame`). So there is
one definition of what is accepted, and a block path that can only agree with it.

Accepted:

- Unknown members are ignored. Of a name given twice the last counts, as in RFC 8259's common practice.
- Numbers are whole: 1.0 and 1e3 are no integers. Texts are never numbers, numbers never texts or booleans.
- A time is a text after ISO 8601 with offset (`2026-01-31T12:00:00.5Z`, see `parse_time`) or whole microseconds since
  the epoch, UTC.
- A member left out takes the contract's default; null is a value, and only nullable columns take it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import orjson
import polars as pl
from numpy.typing import NDArray

from schemas.codec import cells as cell
from schemas.codec.cells import Cells
from schemas.codec.json_scan import ABSENT, DEFAULT_NULL, DEFAULT_VALUE, NO_DEFAULT, scan
from schemas.codec.json_tokens import depth_of
from schemas.codec.kernel import Bytes, Longs
from schemas.codec.rows import rows_to_frame
from schemas.codec.types import Rejected
from schemas.contracts import Contract
from schemas.errors import RecordError

DEPTH_LIMIT = 64


@dataclass(frozen=True, slots=True)
class JsonColumns:
    """A contract's columns as the kernel needs them: names in one buffer, kinds, and what fills absent members."""

    names: Bytes
    name_ends: Longs
    kinds: Longs
    nullable: NDArray[np.bool_]
    default_kinds: Longs
    defaults: Longs

    @classmethod
    def of(cls, contract: Contract) -> JsonColumns:
        """Lay out a contract."""
        names = [name.encode() for name in contract.polars]
        found = [_default(contract, name) for name in contract.polars]
        return cls(
            np.frombuffer(b"".join(names), np.uint8),
            np.cumsum([0, *map(len, names)], dtype=np.int64),
            cell.kinds(contract),
            cell.nullables(contract),
            np.array([kind for kind, _ in found], np.int64),
            np.array([value for _, value in found], np.int64),
        )


def read_json(
    contract: Contract, columns: JsonColumns, values: Bytes, starts: Longs, ends: Longs, positions: Longs
) -> tuple[list[pl.DataFrame], list[Rejected]]:
    """Read JSON records.

    Args:
        contract: What the rows become.
        columns: The same contract, laid out.
        values: The block's bytes.
        starts: First byte of each record.
        ends: Where each record ends.
        positions: The record's position in its block.

    Returns:
        Frames with the rows of the good records, and the others with a reason.
    """
    n = len(starts)
    found = Cells.empty(contract, values, n, int((ends - starts).sum()))
    found.lengths[:] = ABSENT
    plain = np.zeros(n, np.bool_)
    scan(
        values,
        starts,
        ends,
        columns.names,
        columns.name_ends,
        columns.kinds,
        columns.nullable,
        columns.default_kinds,
        columns.defaults,
        found.numbers,
        found.lengths,
        found.items,
        plain,
    )
    good = np.flatnonzero(plain)
    frames = [cell.to_frame(contract, found, good, positions[good])]
    doubtful = np.flatnonzero(~plain)
    if not len(doubtful):
        return frames, []
    records = [values[starts[i] : ends[i]].tobytes() for i in doubtful.tolist()]
    frame, rejected = read_json_exactly(contract, records, positions[doubtful].tolist())
    return [*frames, frame], rejected


def read_json_exactly(
    contract: Contract, records: list[bytes], positions: list[int]
) -> tuple[pl.DataFrame, list[Rejected]]:
    """Read JSON records one by one. This is the definition of what is accepted."""
    rows: list[dict[str, object]] = []
    kept: list[int] = []
    rejected: list[Rejected] = []
    for record, position in zip(records, positions, strict=True):
        try:
            rows.append(parse_object(record))
            kept.append(position)
        except RecordError as error:
            rejected.append(Rejected(position, error.reason, str(error)))
    frame, refused = rows_to_frame(contract, rows, kept)
    return frame, rejected + refused


def parse_object(record: bytes) -> dict[str, object]:
    """Parse one JSON object.

    Raises:
        RecordError: `invalid_utf8`, `nested_too_deep`, `malformed_json`, or `wrong_type` for another value than an
            object.
    """
    parsed = parse_json(record)
    if not isinstance(parsed, dict):
        raise RecordError("wrong_type", f"expected a JSON object, came {type(parsed).__name__}")
    return parsed


def parse_json(record: bytes) -> object:
    """Parse one JSON text of any kind; `RecordError` as in `parse_object`."""
    if not record.isascii():
        try:
            record.decode()
        except UnicodeDecodeError as error:
            raise RecordError("invalid_utf8", f"expected UTF-8, came other bytes at byte {error.start}") from None
    if depth_of(np.frombuffer(record, np.uint8)) > DEPTH_LIMIT:
        raise RecordError("nested_too_deep", f"expected at most {DEPTH_LIMIT} levels of nesting, came more")
    if record.startswith(b"\xef\xbb\xbf"):
        raise RecordError("malformed_json", "expected JSON, came a byte order mark; send UTF-8 without one")
    try:
        return orjson.loads(record)
    except orjson.JSONDecodeError as error:
        # `from None`: the parser's message and its `doc` hold the record itself
        raise RecordError("malformed_json", f"expected JSON, came something else at character {error.pos}") from None


def _default(contract: Contract, name: str) -> tuple[int, int]:
    if name not in contract.defaults:
        return NO_DEFAULT, 0
    value = contract.defaults[name]
    if value is None:
        return DEFAULT_NULL, 0
    if isinstance(value, int):
        return DEFAULT_VALUE, int(value)
    # an empty list is no items; a text has no place in the block, so the exact path fills it in
    return (DEFAULT_VALUE, 0) if value == [] else (NO_DEFAULT, 0)
