"""Kafka Connect as a process of the tests: a standalone worker with its connectors, on 127.0.0.1."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from connectors.broker import free_port


class ConnectWorker:
    """A standalone worker, killed at the end of the `with` block; its offsets lie in `directory` and outlive `kill()`.

    Args:
        libraries: The folder of the connectors' and Connect's jars.
        directory: Where configuration, offsets and log go.
        worker: Settings of the worker; the address it listens on and where offsets lie are given.
        connectors: Settings of each connector, its `name` among them.
    """

    def __init__(
        self, libraries: Path, directory: Path, worker: Mapping[str, str], connectors: Sequence[Mapping[str, str]]
    ) -> None:
        self._class_path = str(libraries / "*")
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        given = {
            "listeners": f"http://127.0.0.1:{free_port()}",
            "offset.storage.file.filename": str(directory / "offsets"),
            "plugin.discovery": "service_load",
        }
        settings = {"worker": given | dict(worker)} | {each["name"]: each for each in connectors}
        self._files = [_written(directory / f"{name}.properties", each) for name, each in settings.items()]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start if it does not run, and do not wait."""
        if self._process is not None:
            return
        command = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog4j2.level=INFO"]
        command += ["-cp", self._class_path, "org.apache.kafka.connect.cli.ConnectStandalone", *self._files]
        with (self._directory / "connect.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self) -> None:
        """End it without warning (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def saved_at(self) -> int:
        """When it last saved its offsets, nanoseconds; 0 if never."""
        offsets = self._directory / "offsets"
        return offsets.stat().st_mtime_ns if offsets.exists() else 0

    def log(self) -> str:
        """What the worker has said."""
        return (self._directory / "connect.log").read_text(errors="replace")


def _written(path: Path, settings: Mapping[str, str]) -> str:
    path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    return str(path)
