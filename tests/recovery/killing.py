"""What the recovery tests do to a flow: start it, kill it, and see that it goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from threading import Event, Thread

from confluent_kafka import Producer

from connectors.kafka import partition_counts
from connectors.kafka.admin import admin_client, stable_ends
from tests.fault_flow import record
from tests.installation import FLOW, PATIENCE_SECONDS, Command, Installation, signal_process, wait_until
from tests.oracles.fault_notifications import LogRow, Rules
from tests.recovery.random_logs import ALLOWED_LATENESS_SECONDS, MAX_DELAY_SECONDS, place_of

_ROWS_PER_FETCH = 8
PACED = {"fetch.message.max.bytes": "4000", "queued.min.messages": "1", "fetch.queue.backoff.ms": "200"}
"""Kafka settings that let a short log take seconds to read, so that there is something to interrupt."""


@dataclass
class Killed:
    """A flow that is killed at random moments while it makes progress.

    Args:
        installation: Where it runs.
        random: Decides how and when.
        arguments: Further ones of `signalbox run`.
    """

    installation: Installation
    random: Random
    arguments: tuple[str, ...]
    kills: int = 0
    _command: Command | None = None
    _progress: Progress = field(init=False)

    def __post_init__(self) -> None:
        self._progress = Progress(self.installation)

    def kill(self) -> bool:
        """Let it make progress, then kill a worker, or the supervisor with all of them; False if it has ended."""
        command = self.command()
        moves = self._progress.watch()
        wait_until(lambda: moves() or command.ended, "progress")
        time.sleep(self.random.uniform(0.05, 0.9))  # the moment is what is random here
        if command.ended:
            return False
        workers = command.workers
        if workers and self.random.random() < 0.5:
            if not signal_process(self.random.choice(workers), signal.SIGKILL):
                return False
        else:
            command.kill()
            self._command = None
        self.kills += 1
        return True

    def command(self) -> Command:
        """The running command; with one worker and with two by turns."""
        if self._command is None:
            self._command = start_flow(self.installation, *self.arguments, workers=1 + self.kills % 2)
        return self._command

    def end(self) -> int:
        """Wait until it has ended by itself; the exit code."""
        return self.command().wait()

    def stop(self) -> int:
        """Ask it to end; the exit code."""
        command = self.command()
        # before it has workers it has no handler either
        wait_until(lambda: bool(command.workers), "the start of the workers")
        command.process.terminate()
        return self.end()

    def __enter__(self) -> Killed:
        return self

    def __exit__(self, *_: object) -> None:
        if self._command is not None:
            self._command.kill()


class Progress:
    """Whether a flow gets on: it publishes, or an epoch has become durable."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._admin = admin_client(installation.kafka)
        counts = partition_counts(installation.kafka, installation.outputs)
        self._origins = [(topic, partition) for topic, count in counts.items() for partition in range(count)]

    def watch(self) -> Callable[[], bool]:
        """Tells whether there was progress since now."""
        before = self._now()
        return lambda: self._now() != before

    def _now(self) -> tuple[int, int]:
        return sum(stable_ends(self._admin, self._origins).values()), sum(self._installation.counters.values())


class Sender(Thread):
    """Produces rows in their order, a part at a time; `sent_ms` tells when each was handed over.

    Args:
        installation: Where to.
        rows: In the order of production; within a partition, of the offsets.
        per_second: Rows a second.
    """

    def __init__(self, installation: Installation, rows: list[LogRow], per_second: float) -> None:
        super().__init__(name="sender", daemon=True)
        self.sent_ms: dict[tuple[str, int, int], int] = {}
        self._producer = _producer(installation)
        self._rows, self._per_second = rows, per_second
        self._allowed = 0
        self._more = Event()

    def allow(self, share: float) -> None:
        """Let it send up to this share of the rows."""
        self._allowed = round(len(self._rows) * share)
        self._more.set()

    def run(self) -> None:
        while len(self.sent_ms) < len(self._rows):
            if len(self.sent_ms) >= self._allowed:
                self._more.wait(PATIENCE_SECONDS)
                self._more.clear()
                continue
            row = self._rows[len(self.sent_ms)]
            self.sent_ms[place_of(row)] = time.time_ns() // 1_000_000
            _send(self._producer, row)
            time.sleep(1 / self._per_second)
        assert self._producer.flush(PATIENCE_SECONDS) == 0


def send_all(installation: Installation, rows: list[LogRow]) -> None:
    """Produce a finished log, in batches that a paced reader gets one by one."""
    producer = _producer(installation)
    for row in sorted(rows, key=place_of):
        _send(producer, row)
    assert producer.flush(PATIENCE_SECONDS) == 0


def start_flow(installation: Installation, *arguments: str, workers: int) -> Command:
    """Start `signalbox run`, with an end to its patience that no test reaches."""
    fixed = ("run", FLOW, "--epoch-milliseconds", "100", "--max-fast-failures", "1000", "--workers", str(workers))
    return installation.start(*fixed, "--config", str(installation.directory / "config.toml"), *arguments)


def configure_flow(installation: Installation, rules: Rules, *, retention_seconds: int) -> None:
    """Write the flow's configuration."""
    delays = dict.fromkeys(("network_fault", "network_topology", "crm_change", "usage_event"), MAX_DELAY_SECONDS)
    values = {
        "shards": 2,
        "writers": 2,
        "presence_window_seconds": rules.presence_window // 1_000_000,
        "hold_down_seconds": rules.hold_down // 1_000_000,
        "min_severity": f'"{rules.min_severity}"',
        "notify_updates": str(rules.notify_updates).lower(),
        "allowed_lateness_seconds": ALLOWED_LATENESS_SECONDS,
        "retention_seconds": retention_seconds,
        "max_delay_seconds": "{ " + ", ".join(f"{stream} = {delay}" for stream, delay in delays.items()) + " }",
    }
    lines = [f"[{FLOW}]", *(f"{name} = {value}" for name, value in values.items())]
    (installation.directory / "config.toml").write_text("\n".join(lines) + "\n")


@contextmanager
def table_reader(installation: Installation) -> Iterator[Callable[[], tuple[int, int]]]:
    """A process that reads the tables all the time; ends it when called, and gives its looks and the rows it saw."""
    command = [sys.executable, "-m", "tests.recovery.table_reader", str(installation.data_dir)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as reader:

        def end() -> tuple[int, int]:
            out, err = reader.communicate(timeout=PATIENCE_SECONDS)
            assert reader.returncode == 0, err
            looks, rows = out.split()
            return int(looks), int(rows)

        try:
            yield end
        finally:
            reader.kill()


def _producer(installation: Installation) -> Producer:
    return Producer(
        installation.kafka.producer() | {"batch.num.messages": str(_ROWS_PER_FETCH), "compression.type": "none"}
    )


def _send(producer: Producer, row: LogRow) -> None:
    key, value = record(row)
    producer.produce(row.topic, value, key, row.partition, timestamp=row.time // 1000)
