"""How fast everybody is told: faults of 100 and of 100,000 customers, under load, on a real Kafka.

`python -m benchmarks.fault_fanout` loads a telco (one million subscribers, a hundred to a site), lets usage flow at
20,000 events a second, and then, with the flow running as `signalbox run` does, epochs closing and all:

- raises faults of single sites, one after the other: the time from just before each is produced until its last
  notification can be read (`read_committed`);
- raises one fault of a region in which 100,000 of the subscribers live: the time until all can be read.

It prints both, and the memory that the worker holds. It needs `make kafka`, or --brokers HOST:PORT of an empty Kafka.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import orjson
import polars as pl
import psutil
from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks.apache_kafka import kafka_libraries
from connectors.broker import ApacheKafka
from connectors.kafka import KafkaConfig, create_topics
from connectors.metrics import read_counters
from connectors.topics import load_topics
from flows.topic_plan import planned_partitions
from privacy import Keyring
from schemas.codec import Encoder
from schemas.contracts import contract

FLOW = "fault-notifications"
PER_SITE = 100
CELLS_PER_SITE = 3
PARTITIONS = 4
CHUNK = 50_000
USAGE_POOL = 200_000
SLICES_PER_SECOND = 20
TIME_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"
PATIENCE_SECONDS = 900.0


@dataclass(frozen=True, kw_only=True)
class Telco:
    """Customer `i` lives on site `i // PER_SITE`; the first `region_customers` of them in one region."""

    customers: int
    region_customers: int

    @property
    def sites(self) -> int:
        """Sites in all."""
        return self.customers // PER_SITE

    def crm_rows(self, first: int, count: int) -> pl.DataFrame:
        """Rows of `crm_change` for some customers."""
        number = pl.int_range(first, first + count, eager=True)
        name = pl.Series([f"{each:09d}" for each in number])
        template = {
            "op": "create",
            "source_system": "benchmark",
            "account_type": "postpaid",
            "status": "active",
            "language": "en",
        }
        schema = contract("crm_change").polars
        known = pl.DataFrame({"customer_id": "C" + name, "email": name + "@example.org", "msisdn": "+447" + name})
        return known.with_columns(
            pl.Series("site_id", [f"S{each // PER_SITE}" for each in number]),
            pl.Series("channels", [["sms", "email"]] * count),
            pl.Series("consent", [["sms", "email", "push"]] * count),
            pl.lit(0, pl.Int64).alias("version"),
            pl.lit(_now()).alias("event_time"),
            *(pl.lit(text).alias(column) for column, text in template.items()),
        ).select(
            pl.col(column).cast(dtype) if column in _CRM_GIVEN else pl.lit(None, dtype).alias(column)
            for column, dtype in schema.items()
        )

    def usage_rows(self, random: np.random.Generator, count: int, serial: int) -> pl.DataFrame:
        """Rows of `usage_event`, each customer in a cell of their own site."""
        who = random.integers(0, self.customers, count)
        cells = who // PER_SITE * CELLS_PER_SITE + random.integers(0, CELLS_PER_SITE, count)
        schema = contract("usage_event").polars
        given = {
            "event_id": pl.Series([f"u{serial + at}" for at in range(count)]),
            "customer_id": pl.Series([f"C{each:09d}" for each in who]),
            "cell_id": pl.Series([f"K{each}" for each in cells]),
        }
        rows = pl.DataFrame(given).with_columns(pl.lit("data").alias("kind"), pl.lit(_now()).alias("event_time"))
        return rows.select(
            pl.col(column).cast(dtype)
            if column in rows.columns
            else pl.lit(0 if dtype == pl.Int64 else None, dtype).alias(column)
            for column, dtype in schema.items()
        )

    def topology(self) -> Iterator[dict[str, object]]:
        """Regions, sites and cells."""
        at = datetime.now(UTC).isoformat()
        for region in ("R0", "R1"):
            yield {"element_id": region, "element_type": "region", "region": region, "event_time": at}
        for site in range(self.sites):
            region = "R0" if site < self.region_customers // PER_SITE else "R1"
            place = {"region": region, "event_time": at}
            yield {"element_id": f"S{site}", "parent_id": region, "element_type": "site", **place}
            for cell in range(site * CELLS_PER_SITE, (site + 1) * CELLS_PER_SITE):
                yield {"element_id": f"K{cell}", "parent_id": f"S{site}", "element_type": "cell", **place}


_CRM_GIVEN = frozenset(
    {"customer_id", "email", "msisdn", "op", "source_system", "account_type", "status", "language", "site_id"}
    | {"channels", "consent", "version", "event_time"}
)


class Readable:
    """Reads the topic that the customers prefer, and waits until the notifications of one fault can be read.

    It looks for the fault's id in their bytes: to parse them would take a good part of the time that is measured.
    """

    def __init__(self, brokers: str) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": brokers,
                "group.id": "fault-fanout",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.queue.backoff.ms": 10,
                "fetch.wait.max.ms": 10,
            }
        )
        beginning = [TopicPartition("notifications.sms", partition, 0) for partition in range(PARTITIONS)]
        self._consumer.assign(beginning)

    def close(self) -> None:
        """Let the broker go."""
        self._consumer.close()

    def wait_for(self, fault: str, count: int, seconds: float) -> float:
        """When `count` notifications of the fault raised last were readable, on the monotonic clock."""
        deadline = time.monotonic() + seconds
        named = orjson.dumps({"fault_id": fault})[1:-1]
        found = 0
        while found < count:
            if time.monotonic() > deadline:
                raise SystemExit(f"{fault}: {found} of {count} notifications after {seconds} s")
            messages = self._consumer.consume(10_000, 0.002)
            found += sum(named in (message.value() or b"") for message in messages if message.error() is None)
        return time.monotonic()


def main() -> None:
    """Run the benchmark and print the table."""
    options = _options()
    telco = Telco(customers=options.customers, region_customers=options.region_customers)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fault-fanout-")))
        brokers = options.brokers
        if brokers is None:
            brokers = stack.enter_context(ApacheKafka(kafka_libraries(), heap="1g")).brokers
        kafka = KafkaConfig(brokers, {})
        create_topics(kafka, planned_partitions(load_topics(None), PARTITIONS, PARTITIONS))
        _load(telco, brokers)
        worker, counters = stack.enter_context(_flow(brokers, directory, options.workers))
        _await_records(counters, "crm.changes", telco.customers)
        _await_records(counters, "network.topology", telco.sites * (CELLS_PER_SITE + 1) + 2)
        loaded = _resident(worker)
        stack.enter_context(_usage(telco, brokers, options.rate))
        readable, producer = Readable(brokers), Producer({"bootstrap.servers": brokers, "linger.ms": 0, "log_level": 2})
        stack.callback(readable.close)
        time.sleep(options.warm_seconds)
        sites = range(telco.sites - 1, telco.sites - 1 - options.warm_faults - options.faults, -1)
        small = [_fault(producer, readable, f"F{site}", f"S{site}", PER_SITE) for site in sites][options.warm_faults :]
        large = _fault(producer, readable, "FR", "R0", telco.region_customers)
        _print(options, small, large, loaded, _resident(worker))


def _fault(producer: Producer, readable: Readable, fault: str, element: str, customers: int) -> float:
    """Raise a fault; seconds until all its customers' notifications are readable."""
    row = {"fault_id": fault, "element_id": element, "state": "raised", "severity": "critical"}
    started = time.monotonic()
    producer.produce("network.faults", orjson.dumps(row | {"event_time": datetime.now(UTC).isoformat()}), fault)
    producer.flush()
    took = readable.wait_for(fault, customers, 20.0) - started
    time.sleep(0.2)  # the next fault meets the stream at another moment of an epoch
    return took


def _load(telco: Telco, brokers: str) -> None:
    producer = _producer(brokers)
    encoder = Encoder(contract("crm_change"), None, "crm_change")
    for first in range(0, telco.customers, CHUNK):
        for value in encoder.encode(telco.crm_rows(first, min(CHUNK, telco.customers - first))):
            _produce(producer, "crm.changes", value)
    for row in telco.topology():
        _produce(producer, "network.topology", orjson.dumps(row))
    producer.flush()


@contextmanager
def _usage(telco: Telco, brokers: str, rate: int) -> Iterator[None]:
    """Produce usage at a steady rate, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    process = context.Process(target=_produce_usage, args=(telco, brokers, rate, stop), daemon=True)
    process.start()
    try:
        yield
    finally:
        stop.set()
        process.join(10)


def _produce_usage(telco: Telco, brokers: str, rate: int, stop: Event) -> None:
    # Written once and sent again with other times and ids: the machine is to be loaded with reading, not with writing.
    rows = telco.usage_rows(np.random.default_rng(1), USAGE_POOL, 0)
    written = Encoder(contract("usage_event"), None, "usage_event").encode(rows)
    written_at = rows["event_time"][0].strftime(TIME_FORMAT).encode()
    producer, sent, began = _producer(brokers), 0, time.monotonic()
    while not stop.is_set():
        now = _now().strftime(TIME_FORMAT).encode()
        for _ in range(rate // SLICES_PER_SECOND):
            turn, number = divmod(sent, USAGE_POOL)
            value = written[number].replace(written_at, now).replace(b'"u', b'"%d-u' % turn, 1)
            _produce(producer, "usage.events", value)
            sent += 1
        producer.poll(0)
        time.sleep(max(0.0, began + sent / rate - time.monotonic()))
    producer.flush(5)


@contextmanager
def _flow(brokers: str, directory: Path, workers: int) -> Iterator[tuple[psutil.Process, Path]]:
    """`signalbox run`, and the first of its workers."""
    data = directory / "data"
    keyring = directory / "keyring.json"
    Keyring.create(keyring)
    environment = os.environ | {
        "SIGNALBOX_BROKERS": brokers,
        "SIGNALBOX_DATA_DIR": str(data),
        "SIGNALBOX_KEYRING": str(keyring),
        "SIGNALBOX_METRICS_ADDRESS": "127.0.0.1:0",
    }
    command = [sys.executable, "-c", "from flows.cli import main; main()", "run", FLOW, "--workers", str(workers)]
    log = (directory / "run.log").open("wb")
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while not (children := psutil.Process(process.pid).children()):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit((directory / "run.log").read_text())
            time.sleep(0.05)
        yield children[0], data / "metrics" / FLOW
    except SystemExit:
        print((directory / "run.log").read_text()[-4000:], file=sys.stderr)
        raise
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _await_records(counters: Path, topic: str, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    series = ("records_consumed", (("topic", topic),))
    while read_counters(counters).get(series, 0) < count:
        if time.monotonic() > deadline:
            raise SystemExit(f"{topic}: {read_counters(counters).get(series, 0)} of {count} records read")
        time.sleep(0.2)


def _resident(worker: psutil.Process) -> int:
    return int(worker.memory_info().rss)


def _producer(brokers: str) -> Producer:
    return Producer(
        {
            "bootstrap.servers": brokers,
            "linger.ms": 5,
            "compression.type": "lz4",
            "queue.buffering.max.messages": 500_000,
        }
    )


def _produce(producer: Producer, topic: str, value: bytes) -> None:
    while True:
        try:
            producer.produce(topic, value)
            return
        except BufferError:
            producer.poll(0.05)


def _now() -> datetime:
    return datetime.now(UTC)


def _print(options: argparse.Namespace, small: list[float], large: float, loaded: int, at_end: int) -> None:
    milliseconds = np.array(small) * 1000
    print(f"{options.customers:,} subscribers, {options.rate:,} usage events/s, {options.workers} worker(s)")
    print(
        f"fault of {PER_SITE} customers, {len(small)} times: until the last is readable "
        f"p50 {np.percentile(milliseconds, 50):.0f} ms, p99 {np.percentile(milliseconds, 99):.0f} ms, "
        f"max {milliseconds.max():.0f} ms"
    )
    print(f"fault of {options.region_customers:,} customers: until all are readable {large:.2f} s")
    print(
        f"resident memory of the first worker: {loaded / 2**20:,.0f} MiB loaded "
        f"({loaded / options.customers:,.0f} bytes per subscriber), {at_end / 2**20:,.0f} MiB at the end"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fault_fanout", description=__doc__.split("\n\n")[0])
    parser.add_argument("--brokers", help="an empty Kafka; without it one is started from build/kafka/lib")
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--region-customers", type=int, default=100_000)
    parser.add_argument("--rate", type=int, default=20_000, help="usage events per second")
    parser.add_argument("--faults", type=int, default=200, help="small faults")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--warm-seconds", type=float, default=10.0, help="usage before the first fault")
    parser.add_argument(
        "--warm-faults", type=int, default=50, help="small faults that are not counted: a broker just started is slow"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
