"""AdapterDecoder: the records of a block through one adapter, none of them lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import polars as pl
import structlog

from schemas.blocks import RecordBlock
from schemas.codec import AvroEvent, AvroEvents, Decoded, Rejected, empty_frame, parse_json, rows_to_frame
from schemas.codec.confluent import MAGIC_BYTE
from schemas.contracts import Contract, contract
from schemas.errors import RecordError
from schemas.formats.adapter import Adapter, PartlyReadError, Record, Row
from schemas.formats.columns import ColumnarAdapter, Form
from schemas.formats.quick import Read, read_form

MAX_RECORD_BYTES = 1_048_576
QUICK_FROM = 32
"""So many records are sooner read in columns than one by one."""

_log = structlog.get_logger()


class AdapterDecoder:
    """Decodes a vendor's JSON, or another text that its adapter parses; Confluent Avro too where it is told how.

    A record becomes rows, or is counted as empty, or is rejected; one that carries many events, of which some cannot
    be read, is rejected and gives the rows of the others.

    Where the adapter has forms, the records that have one of these are read in columns. All others are read one by one
    by `adapt`, which is the definition: it makes no difference to the outcome who has read a record.

    Args:
        adapter: The vendor's format.
        max_record_bytes: Larger values are rejected unread.
        avro: Reads the values that begin with Confluent's magic byte; None where the format never comes in Avro.
        quick_from: Fewer records are read one by one.

    Attributes:
        contract: The contract of the adapter's stream.
    """

    contract: Contract

    def __init__(
        self,
        adapter: Adapter,
        max_record_bytes: int = MAX_RECORD_BYTES,
        avro: AvroEvents | None = None,
        quick_from: float = QUICK_FROM,
    ) -> None:
        self.contract = contract(adapter.stream)
        self._adapter = adapter
        self._max_record_bytes = max_record_bytes
        self._avro = avro
        self._quick_from = quick_from
        self._forms = list(adapter.forms) if isinstance(adapter, ColumnarAdapter) else []
        self._headers_read = adapter.headers_read if isinstance(adapter, ColumnarAdapter) else frozenset()

    def decode(self, block: RecordBlock) -> Decoded:
        """Decode all records of a block. Never raises on account of a record.

        Raises:
            TransientError: The schema registry cannot be asked.
            TerminalError: It refuses us.
        """
        if self._avro is not None:
            self._avro.prepare(block)
        quick = self._read_in_columns(block)
        left = np.ones(len(block), np.bool_)
        for read in quick:
            left &= ~read.taken
        slow = self._read_one_by_one(block, np.flatnonzero(left).tolist())
        frames = [frame for frame in (*(read.rows for read in quick), slow.rows) if frame.height]
        if len(frames) < 2:
            rows = frames[0] if frames else empty_frame(self.contract)
        else:
            rows = pl.concat(frames).sort("_row", maintain_order=True)
        rejected = sorted([*slow.rejected, *(one for read in quick for one in read.rejected)], key=lambda one: one.row)
        return Decoded(rows, rejected, slow.empty + sum(read.empty for read in quick), slow.unknown)

    def _read_in_columns(self, block: RecordBlock) -> list[Read]:
        """What the forms read, each of what the ones before have left; those that read most are asked first."""
        wanted = np.ones(len(block), np.bool_)
        if self._headers_read:
            for position, headers in block.headers.items():
                wanted[position] = not any(name.lower() in self._headers_read for name, _ in headers)
        found: list[tuple[Form, Read]] = []
        for form in self._forms:
            positions = np.flatnonzero(wanted)
            if len(positions) < self._quick_from:
                break
            try:
                read = read_form(self.contract, form, block, positions)
            except Exception as error:  # our own fault; the records can still be read one by one
                _log.warning("form_failed", format=self._adapter.name, error=type(error).__name__)
                continue
            wanted &= ~read.taken
            found.append((form, read))
        if len(found) > 1:
            counts = {id(form): int(read.taken.sum()) for form, read in found}
            self._forms = sorted(self._forms, key=lambda form: -counts.get(id(form), 0))
        return [read for _, read in found]

    def _read_one_by_one(self, block: RecordBlock, wanted: Sequence[int]) -> Decoded:
        rows: list[Row] = []
        positions: list[int] = []
        rejected: dict[int, Rejected] = {}
        unknown: Counter[str] = Counter()
        empty = 0
        for position in wanted:
            try:
                found = self._adapt(block, position, unknown)
                empty += not found
            except RecordError as error:
                rejected[position] = Rejected(position, error.reason, str(error))
                found = error.rows if isinstance(error, PartlyReadError) else []
            except Exception as error:  # our own fault; the message of a foreign exception may quote the record
                message = f"{self._adapter.name}: expected no {type(error).__name__}; report it with the record"
                rejected[position] = Rejected(position, "internal", message)
                found = []
            rows += found
            positions += [position] * len(found)
        if not rows:
            return Decoded(empty_frame(self.contract), list(rejected.values()), empty, unknown)
        frame, unfit = rows_to_frame(self.contract, rows, positions)
        for record in unfit:
            rejected.setdefault(record.row, record)
        return Decoded(frame, [rejected[position] for position in sorted(rejected)], empty, unknown)

    def _adapt(self, block: RecordBlock, position: int, unknown: Counter[str]) -> list[Row]:
        size = int(block.value_ends[position + 1] - block.value_ends[position])
        if size > self._max_record_bytes:
            raise RecordError("too_large", f"value: expected at most {self._max_record_bytes} bytes, came {size}")
        value = block.value(position)
        record = Record(
            raw=value,
            key=block.key(position),
            headers=block.headers.get(position, ()),
            timestamp_ms=int(block.timestamps_ms[position]),
            unknown=unknown,
            avro=self._event(value),
            parse=self._parsed,
        )
        return self._adapter.adapt(record)

    def _event(self, value: bytes | None) -> AvroEvent | None:
        if self._avro is None or not value or value[0] != MAGIC_BYTE:
            return None
        return self._avro.read(value)

    def _parsed(self, key: bytes) -> object:
        event = self._event(key)
        return parse_json(key) if event is None else event.value
