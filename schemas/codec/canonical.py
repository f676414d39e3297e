"""Decoding canonical records: what each record of a block is, and which reader it goes to."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from schemas.blocks import RecordBlock
from schemas.codec.avro_read import read_avro
from schemas.codec.avro_schema import Program, resolve
from schemas.codec.confluent import MAGIC_BYTE, PREFIX_BYTES, UNKNOWN_IDS_PER_BLOCK, by_frequency, schema_ids
from schemas.codec.json_read import JsonColumns, read_json
from schemas.codec.kernel import Bytes, Longs
from schemas.codec.limits import split_by_limits
from schemas.codec.registry import Registry
from schemas.codec.rows import empty_frame
from schemas.codec.types import Decoded, Rejected
from schemas.contracts import Contract
from schemas.errors import RecordError, SignalboxError


class Slices(NamedTuple):
    """Some of a block's records: where their bytes lie, and their positions in the block."""

    starts: Longs
    ends: Longs
    positions: Longs

    def take(self, which: NDArray[np.int64] | NDArray[np.bool_]) -> Slices:
        """Some of these."""
        return Slices(self.starts[which], self.ends[which], self.positions[which])


Found = tuple[list[pl.DataFrame], list[Rejected]]


class CanonicalDecoder:
    """Reads records that follow a contract: Confluent Avro or JSON.

    A record is Avro when it starts with the magic byte 0 and a registry is configured, else JSON. Records are
    judged one by one, but read many at a time; a bad one never touches its neighbours. Null values are rejected: no
    canonical stream has tombstones.

    Args:
        contract: What the rows become.
        registry: Knows the writers' schemas; None if all is JSON.
        max_record_bytes: A longer value is `too_large`.
    """

    def __init__(self, contract: Contract, registry: Registry | None, max_record_bytes: int = 1_048_576) -> None:
        self.contract = contract
        self._registry = registry
        self._max_record_bytes = max_record_bytes
        self._columns = JsonColumns.of(contract)
        self._programs: dict[int, Program | RecordError] = {}

    def decode(self, block: RecordBlock) -> Decoded:
        """Decode all records of a block.

        Raises:
            TransientError: The registry cannot be asked; no record is to blame.
            TerminalError: The registry refuses us.
        """
        every = Slices(block.value_ends[:-1], block.value_ends[1:], np.arange(len(block), dtype=np.int64))
        values = block.values.view()
        values.flags.writeable = False  # numba compiles for writable arrays apart; one kind is enough
        frames: list[pl.DataFrame] = []
        rejected: list[Rejected] = []
        for part, read in self._parts(block, every, rejected):
            self._guarded(read, values, part, frames, rejected)
        frames = [frame for frame in frames if frame.height]
        rows = empty_frame(self.contract) if not frames else pl.concat(frames) if len(frames) > 1 else frames[0]
        if len(frames) > 1:
            rows = rows.sort("_row", maintain_order=True)
        rows, beyond = split_by_limits(self.contract, rows)
        return Decoded(rows, sorted(rejected + beyond, key=lambda one: one.row))

    def _parts(
        self, block: RecordBlock, every: Slices, rejected: list[Rejected]
    ) -> list[tuple[Slices, Callable[[Bytes, Slices], Found]]]:
        """Sort the records by who reads them; those that nobody can read are rejected at once."""
        lengths = every.ends - every.starts
        too_large = lengths > self._max_record_bytes
        readable = ~block.value_null & ~too_large
        _reject(rejected, every, block.value_null, "null_value", "expected a value, came null (a tombstone)")
        message = f"expected at most {self._max_record_bytes} bytes, came more"
        _reject(rejected, every, too_large, "too_large", message)
        magic = np.zeros(len(block), np.bool_)
        held = np.flatnonzero(readable & (lengths > 0))
        magic[held] = block.values[every.starts[held]] == MAGIC_BYTE
        if self._registry is None:
            message = "expected JSON, came Confluent Avro's magic byte; configure a schema registry"
            _reject(rejected, every, magic, "malformed_json", message)
            return [(every.take(readable & ~magic), self._read_json)]
        short = magic & (lengths < PREFIX_BYTES)
        message = f"expected a prefix of {PREFIX_BYTES} bytes (magic byte, schema id), came fewer"
        _reject(rejected, every, short, "malformed_avro", message)
        avro = self._by_schema(self._registry, block.values, every.take(magic & ~short), rejected)
        return [(every.take(readable & ~magic), self._read_json), *avro]

    def _by_schema(
        self, registry: Registry, values: Bytes, part: Slices, rejected: list[Rejected]
    ) -> list[tuple[Slices, Callable[[Bytes, Slices], Found]]]:
        ids = schema_ids(values, part.starts)
        parts: list[tuple[Slices, Callable[[Bytes, Slices], Found]]] = []
        unknown = 0
        for schema_id in by_frequency(ids):
            those = ids == schema_id
            program = self._program(registry, schema_id) if unknown < UNKNOWN_IDS_PER_BLOCK else None
            if program is None:
                unknown += 1
                message = f"expected a schema id that the registry knows, came {schema_id}"
                _reject(rejected, part, those, "unknown_schema", message)
            elif isinstance(program, RecordError):
                _reject(rejected, part, those, program.reason, f"schema id {schema_id}: {program}")
            else:
                parts.append((part.take(those), self._reader(program)))
        return parts

    def _program(self, registry: Registry, schema_id: int) -> Program | RecordError | None:
        if schema_id not in self._programs:
            schema = registry.schema(schema_id)
            if schema is None:
                return None
            try:
                self._programs[schema_id] = resolve(self.contract, schema)
            except RecordError as error:
                self._programs[schema_id] = error
        return self._programs[schema_id]

    def _reader(self, program: Program) -> Callable[[Bytes, Slices], Found]:
        def read(values: Bytes, part: Slices) -> Found:
            starts = part.starts + PREFIX_BYTES
            rows, rejected = read_avro(self.contract, program, values, starts, part.ends, part.positions)
            return [rows], rejected

        return read

    def _read_json(self, values: Bytes, part: Slices) -> Found:
        return read_json(self.contract, self._columns, values, *part)

    def _guarded(
        self,
        read: Callable[[Bytes, Slices], Found],
        values: Bytes,
        part: Slices,
        frames: list[pl.DataFrame],
        rejected: list[Rejected],
    ) -> None:
        """Read records; if our own code fails on them, find out by halves on which, and keep the others."""
        if not len(part.positions):
            return
        try:
            found, refused = read(values, part)
        except (SignalboxError, KeyboardInterrupt, SystemExit, MemoryError):
            raise
        except BaseException as error:  # Polars' panics are no `Exception`
            n = len(part.positions)
            if n == 1:
                message = f"expected to read the record, came {type(error).__name__} in our own code; report it"
                rejected.append(Rejected(int(part.positions[0]), "internal", message))
                return
            for half in (np.arange(n // 2), np.arange(n // 2, n)):
                self._guarded(read, values, part.take(half), frames, rejected)
            return
        frames.extend(found)
        rejected.extend(refused)


def _reject(rejected: list[Rejected], part: Slices, which: NDArray[np.bool_], reason: str, message: str) -> None:
    rejected.extend(Rejected(row, reason, message) for row in part.positions[which].tolist())
