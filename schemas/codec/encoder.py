"""Encoding: a frame to one record per row, Confluent Avro with a registry, JSON without."""

from __future__ import annotations

import struct
from itertools import pairwise

import numpy as np
import polars as pl

from schemas.blocks import PackedCells
from schemas.codec import cells as cell
from schemas.codec.confluent import MAGIC_BYTE
from schemas.codec.registry import Registry
from schemas.codec.times import MAXIMUM_MICROSECONDS, MINIMUM_MICROSECONDS
from schemas.codec.write import avro_bound, json_bound, write_avro, write_json
from schemas.contracts import TIMESTAMP, Contract
from schemas.errors import TerminalError
from schemas.frames import integers


class Encoder:
    """Writes rows of a contract as records that `CanonicalDecoder` reads back as the same rows.

    JSON: one object per row with every column in the contract's order, nulls included; times as
    `YYYY-MM-DDTHH:MM:SS.ffffffZ`; UTF-8 is not escaped. Avro: the contract's own schema, registered under the subject
    at the first use.

    Args:
        contract: What the rows are.
        registry: Gives the schema id; None for JSON.
        subject: Where to register, mostly `<topic>-value`.
    """

    def __init__(self, contract: Contract, registry: Registry | None, subject: str) -> None:
        self.contract = contract
        self._registry = registry
        self._subject = subject
        self._prefix: bytes | None = None
        self._kinds = cell.kinds(contract)
        branches = [column["type"] for column in contract.avro["fields"]]
        self._null_branches = np.array([b.index("null") if isinstance(b, list) else -1 for b in branches], np.int64)
        names = [f'"{name}":'.encode() for name in contract.polars]
        self._names = np.frombuffer(b"".join(names), np.uint8)
        self._name_ends = np.cumsum([0, *map(len, names)], dtype=np.int64)

    def encode(self, frame: pl.DataFrame) -> list[bytes]:
        """Encode every row; see `encode_packed`."""
        packed = self.encode_packed(frame)
        data = packed.data.tobytes()
        return [data[start:end] for start, end in pairwise(packed.ends.tolist())]

    def encode_packed(self, frame: pl.DataFrame) -> PackedCells:
        """Encode every row, into one buffer.

        Args:
            frame: The contract's columns with the contract's types, in any order; further columns are left out.

        Returns:
            One record per row.

        Raises:
            TerminalError: A column is missing, has another type, holds a null where the contract has none or a time
                outside the years 1970 to 9999; or the registry refuses the schema.
            TransientError: The registry cannot be reached.
        """
        cells = cell.from_frame(self.contract, frame)
        self._check_times(frame)
        n = frame.height
        ends = np.zeros(n + 1, np.int64)
        if self._registry is None:
            out = np.empty(
                json_bound(self._name_ends, cells.numbers, cells.lengths, cells.items, self._kinds), np.uint8
            )
            write_json(
                cells.values,
                cells.numbers,
                cells.lengths,
                cells.items,
                self._kinds,
                self._names,
                self._name_ends,
                out,
                ends,
            )
        else:
            prefix = np.frombuffer(self._registered(self._registry), np.uint8)
            out = np.empty(avro_bound(prefix, cells.numbers, cells.lengths, cells.items, self._kinds), np.uint8)
            write_avro(
                cells.values,
                cells.numbers,
                cells.lengths,
                cells.items,
                self._kinds,
                self._null_branches,
                prefix,
                out,
                ends,
            )
        # a copy as long as it is: there is room for the longest form of every cell
        return PackedCells(out[: ends[-1]].copy(), ends, np.zeros(n, np.bool_))

    def _registered(self, registry: Registry) -> bytes:
        if self._prefix is None:
            schema_id = registry.register(self._subject, self.contract.avro)
            self._prefix = struct.pack(">BI", MAGIC_BYTE, schema_id)
        return self._prefix

    def _check_times(self, frame: pl.DataFrame) -> None:
        for name, dtype in self.contract.polars.items():
            if dtype == TIMESTAMP and not _believable(frame[name]):
                place = f"{self.contract.name}.{name}"
                raise TerminalError(f"{place}: expected times in the years 1970 to 9999, came one outside; correct it")


def _believable(times: pl.Series) -> bool:
    moments = integers(times)
    return not len(moments) or bool(moments.min() >= MINIMUM_MICROSECONDS and moments.max() <= MAXIMUM_MICROSECONDS)
