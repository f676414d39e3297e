"""Records to examine: the newest of a topic, or those of a file as if Kafka received them now."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import orjson

from connectors.kafka import KafkaConfig, partition_counts
from connectors.kafka.admin import admin_client, beginnings, stable_ends
from connectors.kafka.recall import Recall
from flows.lint.avro_file import MAGIC, AvroFile
from flows.record_files import LineRecord, read_line
from schemas.blocks import RecordBlock
from schemas.codec import Registry, parse_json
from schemas.codec.confluent import MAGIC_BYTE
from schemas.dead_letters import record_id
from schemas.errors import RecordError

_BLOCK_ROWS = 1000
_WAIT_MS = 50
_LARGEST_DOCUMENT = 64 * 1024 * 1024
_AVRO_REGISTRY = "mock://signalbox-lint"


@dataclass(frozen=True, slots=True)
class Samples:
    """Records to examine.

    Attributes:
        source: Where they come from, for people.
        blocks: The records; they can be read once. A file's have their line or number as offset.
        place: Names where the record of a block at an offset is, for people.
        registry: Knows the Avro schemas of the records; None if all is JSON.
        is_avro: They come from an Avro file.
    """

    source: str
    blocks: Iterator[RecordBlock]
    place: Callable[[RecordBlock, int], str]
    registry: Registry | None
    is_avro: bool = False


def from_topic(config: KafkaConfig, topic: str, limit: int, registry: Registry | None) -> Samples:
    """The newest records of a topic, of each partition alike.

    Args:
        config: How to reach Kafka.
        topic: The topic.
        limit: At most so many records, but one of each partition.
        registry: Knows the Avro schemas of canonical records; None if all is JSON.

    Raises:
        TransientError: Kafka does not answer.
        TerminalError: The topic does not exist.
    """
    count = partition_counts(config, [topic])[topic]
    origins = [(topic, partition) for partition in range(count)]
    admin = admin_client(config)
    first, ends = beginnings(admin, origins), stable_ends(admin, origins)
    each = max(1, limit // count)
    starts = {f"{topic}/{part}": max(first[topic, part], ends[topic, part] - each) for _, part in origins}
    return Samples(
        source=f"topic {topic}",
        blocks=_up_to(limit, _topic_blocks(Recall(config, origins, starts))),
        place=lambda block, offset: record_id(block.topic, block.partition, offset),
        registry=registry,
    )


def from_file(path: Path, limit: int) -> Samples:
    """The first records of a file.

    Read are a JSON value on each line, one JSON document, an array of them, and an Avro container file. A line may also
    hold a whole record, as `signalbox generate --out` writes it: an object of `key`, `value` and, if need be,
    `timestamp_ms` and `headers`.

    Args:
        path: The file.
        limit: At most so many records.

    Raises:
        TerminalError: It is an Avro file that cannot be read.
        OSError: It cannot be opened.
    """
    with path.open("rb") as file:
        is_avro = file.read(len(MAGIC)) == MAGIC
    if is_avro:
        registry = Registry.connect(_AVRO_REGISTRY)
        return Samples(
            str(path), _blocks(islice(_avro(path, registry), limit)), _numbered("record"), registry, is_avro=True
        )
    items = _document_items(path)
    unit, records = ("line", _lines(path)) if items is None else ("item", enumerate(map(_record_of, items), 1))
    return Samples(str(path), _blocks(islice(records, limit)), _numbered(unit), None)


def _numbered(unit: str) -> Callable[[RecordBlock, int], str]:
    return lambda _, offset: f"{unit} {offset}"


def _up_to(limit: int, blocks: Iterator[RecordBlock]) -> Iterator[RecordBlock]:
    """Whole blocks until there are enough."""
    read = 0
    for block in blocks:
        yield block
        read += len(block)
        if read >= limit:
            return


def _topic_blocks(recall: Recall) -> Iterator[RecordBlock]:
    try:
        while not recall.finished:
            yield from recall.read(_WAIT_MS)
    finally:
        recall.close()


def _avro(path: Path, registry: Registry) -> Iterator[tuple[int, LineRecord]]:
    """Records in Confluent's framing, as they would be sent."""
    with path.open("rb") as file:
        container = AvroFile(path, file)
        prefix = bytes([MAGIC_BYTE]) + registry.register("lint", container.schema).to_bytes(4, "big")
        for number, record in enumerate(container.records(), 1):
            yield number, LineRecord(prefix + record)


def _document_items(path: Path) -> list[object] | None:
    """The items of a file that is one JSON document, or an array; None where every line stands for itself."""
    with path.open("rb") as file:
        first = next((line for line in file if line.strip()), b"")
    try:
        if isinstance(parse_json(first), dict):
            return None
    except RecordError:
        pass  # a document of many lines, or a line that is no JSON
    if path.stat().st_size > _LARGEST_DOCUMENT:
        return None
    try:
        document = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, list) else [document]


def _lines(path: Path) -> Iterator[tuple[int, LineRecord]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield number, read_line(line)


def _record_of(item: object) -> LineRecord:
    return read_line(orjson.dumps(item))


def _blocks(records: Iterator[tuple[int, LineRecord]]) -> Iterator[RecordBlock]:
    while some := list(islice(records, _BLOCK_ROWS)):
        now_ms = time.time_ns() // 1_000_000
        yield RecordBlock.from_records(
            "file",
            0,
            [(record.key, record.value) for _, record in some],
            offsets=[number for number, _ in some],
            timestamps_ms=[now_ms if record.timestamp_ms is None else record.timestamp_ms for _, record in some],
            headers={row: record.headers for row, (_, record) in enumerate(some) if record.headers},
        )
