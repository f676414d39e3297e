"""An installation of Signalbox on a broker: topics of its own, a data directory, and the command as processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from uuid import uuid4

import orjson
import psutil

from connectors.kafka import ID_HEADER, KafkaConfig, create_topics, end_offsets, partition_counts
from connectors.kafka.admin import admin_client
from connectors.kafka.reader import BEGINNING, open_client
from connectors.metrics import read_counters
from connectors.metrics.counters import Series
from connectors.tables import read_table
from connectors.topics import load_topics
from flows.topic_plan import NOTIFICATION_TOPICS, inputs_of, reject_topics
from privacy import Keyring
from schemas.blocks import RecordBlock
from schemas.codec import CanonicalDecoder, Encoder, Registry
from schemas.contracts import contract
from schemas.errors import TransientError
from tests.contract.kafka_kit import read_all, rows
from tests.fault_flow import Result

FLOW = "fault-notifications"
PATIENCE_SECONDS = 120.0
_COMMAND = (sys.executable, "-c", "import sys; from flows.cli import main; sys.exit(main())")


@dataclass(frozen=True)
class Installation:
    """Where everything is.

    Attributes:
        kafka: The broker.
        paced: Kafka settings of the processes, over their own.
        directory: Settings and what the processes said.
        data_dir: The data directory.
        topics: The names that this installation has for the topics of the packaged topics file.
        registry_url: The schema registry; empty for none.
    """

    kafka: KafkaConfig
    paced: Mapping[str, str]
    directory: Path
    data_dir: Path
    topics: Mapping[str, str]
    registry_url: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """For the command; without what this process was given."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SIGNALBOX_")}
        own = {
            "SIGNALBOX_BROKERS": self.kafka.brokers,
            "SIGNALBOX_DATA_DIR": str(self.data_dir),
            "SIGNALBOX_TOPICS": str(self.directory / "topics.toml"),
            "SIGNALBOX_METRICS_ADDRESS": "127.0.0.1:0",
        }
        if self.registry_url:
            own["SIGNALBOX_SCHEMA_REGISTRY_URL"] = self.registry_url
        extra = {f"SIGNALBOX_KAFKA_{key.upper().replace('.', '_')}": value for key, value in self.paced.items()}
        return inherited | own | extra

    @property
    def outputs(self) -> list[str]:
        """Every topic that is written."""
        inputs = inputs_of(FLOW, load_topics(self.directory / "topics.toml"))
        return [*NOTIFICATION_TOPICS, *reject_topics(each.topic for each in inputs)]

    @property
    def said(self) -> str:
        """What all processes wrote to stderr."""
        return "".join(path.read_text() for path in sorted(self.directory.glob("*.stderr")))

    @property
    def counters(self) -> dict[Series, int]:
        """The exact counters."""
        return read_counters(self.data_dir / "metrics" / FLOW)

    def start(self, *arguments: str, **environment: str) -> Command:
        """Start the command."""
        log = self.directory / f"{time.monotonic_ns()}.stderr"
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                [*_COMMAND, *arguments],
                env=self.environment | environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        return Command(process, log)

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run the command to its end: exit code, output, errors."""
        command = self.start(*arguments)
        out, _ = command.process.communicate(timeout=PATIENCE_SECONDS)
        return command.process.returncode, out, command.said

    @property
    def progress(self) -> int:
        """Grows with every epoch in which something happened, as soon as the next one begins."""
        return sum(self.counters.values())

    def published(self, topics: Iterable[str]) -> list[Published]:
        """The committed records of some topics, by topic, partition and offset."""
        counts = partition_counts(self.kafka, topics)
        client = open_client(self.kafka)
        readers = [
            (topic, partition, client.reader(topic, partition, BEGINNING, 1000))
            for topic, count in counts.items()
            for partition in range(count)
        ]
        return [
            Published((topic, partition, offset), key, value, dict(headers), timestamp_ms)
            for topic, partition, reader in readers
            for offset, key, value, headers, timestamp_ms in rows(read_all(reader))
        ]


@dataclass(frozen=True)
class Published:
    """A committed record; `place` is topic, partition and offset."""

    place: tuple[str, int, int]
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes | None]
    timestamp_ms: int

    @property
    def identity(self) -> str:
        """What makes it the same record after a replay."""
        return (self.headers[ID_HEADER] or b"").decode()


class Command:
    """A running command and its workers."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    @property
    def said(self) -> str:
        """What it and its workers wrote to stderr."""
        return self._log.read_text()

    @property
    def workers(self) -> list[psutil.Process]:
        """The worker processes that are there now."""
        try:
            return psutil.Process(self.process.pid).children()
        except psutil.NoSuchProcess:
            return []

    def wait(self) -> int:
        """Wait for the end; the exit code."""
        return self.process.wait(PATIENCE_SECONDS)

    def kill(self) -> None:
        """Kill the supervisor and its workers without warning."""
        tree = [*self.workers]
        self.process.kill()
        self.process.communicate()
        for worker in tree:
            signal_process(worker, signal.SIGKILL)
        psutil.wait_procs(tree, timeout=PATIENCE_SECONDS)

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to the supervisor, then to its workers."""
        self.process.send_signal(number)
        for worker in self.workers:
            signal_process(worker, number)

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def signal_process(process: psutil.Process, number: signal.Signals) -> bool:
    """Send a signal; False if the process has gone."""
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return False
    return True


def wait_until(condition: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait for a condition; fail if it does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen in {seconds} s"
        time.sleep(0.02)


@contextmanager
def new_installation(
    kafka: KafkaConfig,
    directory: Path,
    partitions: Mapping[str, int],
    *,
    output_partitions: int = 2,
    paced: Mapping[str, str] = MappingProxyType({}),
    registry_url: str = "",
) -> Iterator[Installation]:
    """Make topics, a topics file and a keyring.

    Input topics have names of their own. The notification topics' names are fixed, so they are made anew.

    Args:
        kafka: The broker.
        directory: Where to put everything.
        partitions: Of each input topic, by its name in the packaged topics file.
        output_partitions: Of each output topic.
        paced: Kafka settings of the processes, over their own.
        registry_url: The schema registry; empty for none.
    """
    mark = f"t{uuid4().hex[:8]}"
    topics = {topic: f"{mark}.{topic}" for topic in partitions}
    packaged = {each.topic: each for each in load_topics()}
    lines = [
        f'["{name}"]\nstream = "{packaged[topic].stream}"\nformat = "{packaged[topic].format}"\n'
        for topic, name in topics.items()
    ]
    (directory / "topics.toml").write_text("\n".join(lines))
    installation = Installation(kafka, paced, directory, directory / "data", topics, registry_url)
    Keyring.create(installation.data_dir / "keyring.json")
    _delete_topics(kafka, NOTIFICATION_TOPICS)
    wanted = {topics[topic]: count for topic, count in partitions.items()}
    wanted |= dict.fromkeys(installation.outputs, output_partitions)
    created: set[str] = set()

    def all_are_new() -> bool:
        created.update(create_topics(kafka, wanted, settings={"retention.ms": "-1"}).created)
        return created == set(wanted)

    wait_until(all_are_new, "making the topics")
    wait_until(lambda: _have_leaders(kafka, wanted), "electing leaders")
    yield installation
    _delete_topics(kafka, wanted)


def _have_leaders(kafka: KafkaConfig, partitions: Mapping[str, int]) -> bool:
    try:
        end_offsets(kafka, [(topic, number) for topic, count in partitions.items() for number in range(count)])
    except TransientError:
        return False
    return True


def _delete_topics(kafka: KafkaConfig, topics: Iterable[str]) -> None:
    admin = admin_client(kafka)
    known = admin.list_topics(timeout=15).topics
    there = [topic for topic in topics if topic in known]
    for future in (admin.delete_topics(there) if there else {}).values():
        future.result(15)


def result_of(installation: Installation) -> Result:
    """What readers of committed records and of tables see, in the terms of the oracle."""
    result = Result()
    result.notifications += _notifications(installation)
    for table in ("incidents", "affected_customers", "notifications", "stale_profiles"):
        result.tables[table] = read_table(installation.data_dir, table)
    return result


def _notifications(installation: Installation) -> list[dict[str, object]]:
    values = [each.value for each in installation.published(NOTIFICATION_TOPICS)]
    if installation.registry_url:
        decoder = CanonicalDecoder(contract("notification"), Registry.connect(installation.registry_url))
        decoded = decoder.decode(RecordBlock.from_records("", 0, [(None, value) for value in values]))
        assert not decoded.rejected
        values = [*Encoder(contract("notification"), None, "").encode(decoded.rows)]
    return [orjson.loads(value or b"") for value in values]
