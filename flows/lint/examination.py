"""examine: records through the real decoder of their format, and what there is to say of each field and column."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from flows.fault_notifications import FaultConfig
from flows.lint.field_use import FieldUse, kinds_of
from flows.lint.readings import Readings
from flows.lint.report import PLACES_TOLD, Finding, Rejection, Report
from flows.lint.samples import Samples
from flows.operators.decode import DecodeSpec, decode_block
from schemas.blocks import RecordBlock
from schemas.codec import Rejected
from schemas.errors import TerminalError
from schemas.formats import decoder_for
from schemas.formats.catalog import comes_in_avro

# positions in a message, which would make a cause of every record
_POSITIONS = re.compile(r"\[\d+\]|(?<=byte )\d+|(?<=character )\d+|(?<=came )\d+")


@dataclass(slots=True)
class _Cause:
    reason: str
    message: str
    count: int = 0
    places: list[str] = field(default_factory=list)


def examine(
    samples: Samples,
    stream: str,
    format: str,  # noqa: A002 - as in topics.toml
    progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Read records as a flow would, and tell what becomes of them.

    Args:
        samples: The records.
        stream: The contract that their rows are to follow.
        format: The format they are in.
        progress: Told after each block how many records have been read.

    Raises:
        TerminalError: There is no such stream or format, it does not come in Avro, or there are no records: nothing
            would be wrong with those.
        TransientError: Kafka or the schema registry does not answer.
    """
    decoder = decoder_for(stream, format, samples.registry)
    if samples.is_avro and not comes_in_avro(stream, format):
        raise TerminalError(f"{samples.source}: expected JSON for format {format}, came an Avro file: send JSON")
    use, readings = FieldUse(decoder, samples.registry), Readings(decoder.contract)
    causes: dict[tuple[str, str], _Cause] = {}
    records = rejected = empty = rows = 0
    for block in samples.blocks:
        if not len(block):
            continue

        def place(offset: int, block: RecordBlock = block) -> str:
            return samples.place(block, offset)

        spec = DecodeSpec(decoders={block.topic: decoder}, max_future=FaultConfig().max_future_seconds * 1_000_000)
        batch, refused, _ = decode_block(block, spec)
        unread = refused.rejected if refused is not None else []
        bad = {each.row for each in unread}
        kinds = kinds_of(batch.rows, decoder.contract)
        read = {row: kinds[offset] for row, offset in enumerate(block.offsets.tolist()) if offset in kinds}
        _sort_by_cause(causes, block, unread, place)
        use.watch(block, {row: kind for row, kind in read.items() if row not in bad}, place)
        readings.watch(batch.rows, place)
        records += len(block)
        rejected += len(bad)
        empty += len(block) - len(bad | read.keys())
        rows += batch.rows.height
        progress(records)
    if not records:
        raise TerminalError(f"{samples.source}: expected records, came none: there is nothing to say of it")
    return Report(
        source=samples.source,
        stream=stream,
        format=format,
        records=records,
        accepted=records - rejected - empty,
        empty=empty,
        rejected=rejected,
        rows=rows,
        rejections=_rejections(causes),
        ignored=use.ignored(),
        never_filled=readings.never_filled(),
        suspicious=_by_count([*readings.suspicious(), *use.without_zone()]),
    )


def _sort_by_cause(
    causes: dict[tuple[str, str], _Cause], block: RecordBlock, unread: list[Rejected], place: Callable[[int], str]
) -> None:
    for each in unread:
        alike = each.reason, _POSITIONS.sub("", each.message)
        cause = causes.setdefault(alike, _Cause(each.reason, each.message))
        cause.count += 1
        if len(cause.places) < PLACES_TOLD:
            cause.places.append(place(int(block.offsets[each.row])))


def _rejections(causes: dict[tuple[str, str], _Cause]) -> list[Rejection]:
    found = [Rejection(each.reason, each.message, each.count, tuple(each.places)) for each in causes.values()]
    return sorted(found, key=lambda each: -each.count)


def _by_count(findings: list[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda each: -each.count)
