"""What decoding costs: our block decoder beside the usual ways, in one run on one machine.

`python -m benchmarks.decode` prints two tables of Avro usage events.

From memory: the decoders alone, on clean blocks and on blocks in which one record of 10,000 is damaged.

- `fastavro`: `schemaless_reader` per record.
- `guarded read_avro`: bodies joined with a random guard after each, one `polars.read_avro` per block; when the
  guard, the row count or Polars objects, the block is read by fastavro.
- `signalbox`: `CanonicalDecoder`.

From a broker: `consume(10000)` and fastavro per message, and our block reader with `CanonicalDecoder`.

The last column compares each with the first of its kind, by CPU seconds. These count every thread of the process, the
Kafka client's too; they are what compares on a busy machine.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import secrets
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import fastavro
import numpy as np
import polars as pl
from confluent_kafka import Consumer, Producer, TopicPartition

from connectors.broker import EmbeddedBroker
from connectors.kafka import KafkaConfig, create_topics
from connectors.kafka.reader import BEGINNING, open_client
from schemas.blocks import RecordBlock
from schemas.codec import CanonicalDecoder, Encoder, Registry, warm_up
from schemas.contracts import Avro, contract

BLOCK_ROWS = 10_000
REPEATS = 3
PREFIX_BYTES = 5
TOPIC = "benchmark.decode"
SYNC = b"s" * 16
USAGE = contract("usage_event")
SCHEMA = fastavro.parse_schema(json.loads(json.dumps(USAGE.avro)))


def usage_events(count: int, seed: int) -> pl.DataFrame:
    """Usage events of 100,000 customers in 2,000 cells."""
    random = np.random.default_rng(seed)
    customers = random.integers(0, 100_000, count)
    columns = {
        "event_id": pl.Series([f"u-{i:010d}" for i in range(count)]),
        "customer_id": pl.Series([f"C{i:08d}" for i in customers.tolist()]),
        "msisdn": pl.Series([f"+4477009{i:06d}" for i in customers.tolist()]),
        "cell_id": pl.Series([f"cell-{i:05d}" for i in random.integers(0, 2_000, count).tolist()]),
        "kind": pl.Series(random.choice(["voice", "sms", "data"], count).tolist()),
        "duration_seconds": pl.Series(random.integers(0, 3_600, count)),
        "bytes_up": pl.Series(random.integers(0, 10**7, count)),
        "bytes_down": pl.Series(random.integers(0, 10**9, count)),
        "charge_minor": pl.Series(random.integers(0, 500, count)),
        "currency": pl.Series(["EUR"] * count),
        "event_time": pl.Series(1_780_315_200_000_000 + np.arange(count) * 1000),
    }
    return pl.DataFrame(columns).cast(pl.Schema(USAGE.polars))


def read_one_by_one(bodies: list[bytes]) -> int:
    """Rows that fastavro can read, one by one, each to its last byte."""
    good = 0
    for body in bodies:
        stream = io.BytesIO(body)
        try:
            fastavro.schemaless_reader(stream, SCHEMA)
            good += stream.tell() == len(body)
        except (EOFError, ValueError, IndexError, UnicodeDecodeError, OverflowError):
            continue
    return good


class GuardedReader:
    """The peer: `polars.read_avro` over joined bodies, with a guard after each."""

    def __init__(self, schema: Avro) -> None:
        self._value = secrets.randbits(62)
        plain = [{"name": field["name"], "type": field["type"]} for field in schema["fields"]]
        guarded = {"type": "record", "name": "r", "fields": [*plain, {"name": "guard", "type": "long"}]}
        header = io.BytesIO()
        fastavro.writer(header, fastavro.parse_schema(json.loads(json.dumps(guarded))), [], sync_marker=SYNC)
        self._header = header.getvalue()
        self._guard = _varint(self._value)

    def read(self, bodies: list[bytes]) -> int:
        """Rows of the block, by fastavro if anything is in doubt."""
        joined = self._guard.join(bodies) + self._guard
        container = b"".join([self._header, _varint(len(bodies)), _varint(len(joined)), joined, SYNC])
        try:
            frame = pl.read_avro(io.BytesIO(container))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # Polars' panics are no `Exception`
            return read_one_by_one(bodies)
        if frame.height != len(bodies) or not (frame["guard"] == self._value).all():
            return read_one_by_one(bodies)
        return frame.height


@contextmanager
def quiet() -> Iterator[None]:
    """Polars writes a backtrace to standard error for each panic."""
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _varint(number: int) -> bytes:
    rest, out = number << 1, bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*out, rest])


class Cost(NamedTuple):
    """What some work costs at best: its rows, seconds of the clock, and seconds of CPU, those of all threads."""

    rows: int
    wall: float
    cpu: float


def cost(work: Callable[[], int]) -> Cost:
    """Work three times, and take the best of each."""
    best_wall = best_cpu = float("inf")
    rows = 0
    for _ in range(REPEATS):
        wall, cpu = time.perf_counter(), time.process_time()
        rows = work()
        best_cpu = min(best_cpu, time.process_time() - cpu)
        best_wall = min(best_wall, time.perf_counter() - wall)
    return Cost(rows, best_wall, best_cpu)


def measure(title: str, records: int, work: Callable[[], int], usual: float | None = None) -> float:
    """Print what it costs; gives the records per CPU second, which `usual` is compared with."""
    rows, wall, cpu = cost(work)
    rate = records / cpu
    print(f"{title:<44}{rows:>12,}{records / wall:>14,.0f}{rate:>16,.0f}{rate / (usual or rate):>9.1f} x")
    return rate


def from_memory(records: list[bytes], registry: Registry) -> None:
    """The decoders alone."""
    head(f"from memory, {len(records):,} records of {sum(map(len, records)) // len(records)} bytes")
    damaged = list(records)
    for at in range(BLOCK_ROWS // 2, len(records), BLOCK_ROWS):
        damaged[at] += b"\0"
    decoder, guarded = CanonicalDecoder(USAGE, registry), GuardedReader(USAGE.avro)
    for state, given in (("clean", records), ("one damaged in 10,000", damaged)):
        cuts = [given[at : at + BLOCK_ROWS] for at in range(0, len(given), BLOCK_ROWS)]
        blocks = [RecordBlock.from_records(TOPIC, 0, [(None, value) for value in cut]) for cut in cuts]
        bodies = [[value[PREFIX_BYTES:] for value in cut] for cut in cuts]
        _compare(
            len(given),
            {
                f"fastavro, {state}": partial(_rows, read_one_by_one, bodies),
                f"guarded read_avro, {state}": partial(_rows, guarded.read, bodies),
                f"signalbox, {state}": partial(_rows, lambda block: decoder.decode(block).rows.height, blocks),
            },
        )


def from_broker(records: list[bytes], registry: Registry, config: KafkaConfig) -> None:
    """Reading and decoding."""
    head(f"from a broker, {len(records):,} records")
    create_topics(config, {TOPIC: 1})
    producer = Producer({**config.producer(), "linger.ms": "50"})
    for record in records:
        producer.produce(TOPIC, record)
        producer.poll(0)
    producer.flush()

    def usual() -> int:
        consumer = Consumer({**config.consumer(), "group.id": "benchmark", "enable.partition.eof": "false"})
        consumer.assign([TopicPartition(TOPIC, 0, 0)])
        rows = read = 0
        while read < len(records):
            values = [message.value() or b"" for message in consumer.consume(BLOCK_ROWS, timeout=1)]
            read += len(values)
            rows += read_one_by_one([value[PREFIX_BYTES:] for value in values])
        consumer.close()
        return rows

    def ours() -> int:
        decoder = CanonicalDecoder(USAGE, registry)
        reader = open_client(config).reader(TOPIC, 0, BEGINNING, BLOCK_ROWS)
        rows = read = 0
        while read < len(records):
            block = reader.read(100)
            read += len(block)
            rows += decoder.decode(block).rows.height
        reader.close()
        return rows

    _compare(len(records), {"consume() and fastavro": usual, "block reader and signalbox": ours})


def _compare(records: int, ways: Mapping[str, Callable[[], int]]) -> None:
    """Measure some ways to do the same; the first is the usual one."""
    usual = None
    for title, work in ways.items():
        with quiet():
            rate = measure(title, records, work, usual)
        usual = usual or rate


def _rows(read: Callable[[Any], int], parts: Iterable[Any]) -> int:
    return sum(map(read, parts))


def head(title: str) -> None:
    """Print a table's head."""
    print(f"\n{title:<44}{'rows':>12}{'records/s':>14}{'per CPU second':>16}{'of usual':>11}")


@contextmanager
def brokers(given: str | None) -> Iterator[str]:
    """The brokers given, or an embedded one."""
    if given:
        yield given
        return
    with EmbeddedBroker() as broker:
        yield broker.brokers


def main() -> None:
    """Run both tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decode", description=__doc__.split("\n")[0])
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--brokers", help="HOST:PORT of a Kafka; an embedded broker if left out")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    warm_up()
    registry = Registry.connect("mock://benchmark")
    records = Encoder(USAGE, registry, f"{TOPIC}-value").encode(usage_events(options.records, options.seed))
    assert struct.unpack(">BI", records[0][:PREFIX_BYTES])[0] == 0
    from_memory(records, registry)
    with brokers(options.brokers) as address:
        from_broker(records, registry, KafkaConfig(address))


if __name__ == "__main__":
    main()
