"""JsonDecoder: the records of a block through one adapter, none of them lost."""

from __future__ import annotations

from collections import Counter

from schemas.blocks import RecordBlock
from schemas.codec import AvroEvent, AvroEvents, Decoded, Rejected, parse_json, rows_to_frame
from schemas.codec.confluent import MAGIC_BYTE
from schemas.contracts import Contract, contract
from schemas.errors import RecordError
from schemas.formats.adapter import Adapter, PartlyReadError, Record, Row

MAX_RECORD_BYTES = 1_048_576


class JsonDecoder:
    """Decodes a vendor's JSON, or another text that its adapter parses; Confluent Avro too where it is told how.

    A record becomes rows, or is counted as empty, or is rejected; one that carries many events, of which some cannot
    be read, is rejected and gives the rows of the others.

    Args:
        adapter: The vendor's format.
        max_record_bytes: Larger values are rejected unread.
        avro: Reads the values that begin with Confluent's magic byte; None where the format never comes in Avro.

    Attributes:
        contract: The contract of the adapter's stream.
    """

    contract: Contract

    def __init__(
        self, adapter: Adapter, max_record_bytes: int = MAX_RECORD_BYTES, avro: AvroEvents | None = None
    ) -> None:
        self.contract = contract(adapter.stream)
        self._adapter = adapter
        self._max_record_bytes = max_record_bytes
        self._avro = avro

    def decode(self, block: RecordBlock) -> Decoded:
        """Decode all records of a block. Never raises on account of a record.

        Raises:
            TransientError: The schema registry cannot be asked.
            TerminalError: It refuses us.
        """
        if self._avro is not None:
            self._avro.prepare(block)
        rows: list[Row] = []
        positions: list[int] = []
        rejected: dict[int, Rejected] = {}
        unknown: Counter[str] = Counter()
        empty = 0
        for position in range(len(block)):
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
