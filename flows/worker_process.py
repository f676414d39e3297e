"""Worker processes as their supervisor sees them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import orjson

from flows.run_description import RunDescription

_STDERR = 2
WORKER_COMMAND = (sys.executable, "-m", "flows.worker")


@dataclass(frozen=True)
class Ending:
    """How a worker ended.

    Attributes:
        worker: Its index.
        kind: clean, terminal, transient, unexpected, or killed (by a signal).
        message: Why, in one line.
        step: The step that failed, empty when it is not known. Workers whose peer died end without one.
    """

    worker: int
    kind: str
    message: str
    step: str = ""

    @property
    def is_cause(self) -> bool:
        """False for a worker that merely ended because another one did."""
        return bool(self.step) or self.kind in ("terminal", "transient", "killed")


class WorkerProcess:
    """One running worker, and the pipe on which it tells why it failed."""

    def __init__(self, run: RunDescription, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.worker = run.worker
        read_end, write_end = os.pipe()
        self._report = open(read_end, "rb")  # noqa: PTH123, SIM115 (a descriptor, closed by kill)
        try:
            description = replace(run, supervisor=os.getpid(), report=write_end)
            self._process = subprocess.Popen(
                command,
                env={**environment, **description.to_environment()},
                stdin=subprocess.DEVNULL,
                stdout=_STDERR,  # Bytewax reports to stdout, which is the command's
                pass_fds=[write_end],
            )
        except BaseException:
            self._report.close()
            raise
        finally:
            os.close(write_end)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.exit_code is None

    def terminate(self) -> None:
        """Ask it to stop reading, close its epoch and end."""
        if self.running:
            self._process.terminate()

    def kill(self) -> None:
        """End it now, and wait until it is gone."""
        if self.running:
            self._process.kill()
        self._process.wait()
        self._report.close()

    def ending(self) -> Ending:
        """How it ended; call it once, when it is no longer running and before `kill`."""
        code = self._process.wait()
        told = self._report.read()
        if told:
            return Ending(self.worker, **orjson.loads(told))
        if code == 0:
            return Ending(self.worker, "clean", "ended")
        if code < 0:
            return Ending(self.worker, "killed", f"killed by {signal.Signals(-code).name}")
        return Ending(self.worker, "unexpected", f"exit code {code}")


def start_workers(
    run: RunDescription, workers: int, environment: Mapping[str, str], command: Sequence[str] = WORKER_COMMAND
) -> list[WorkerProcess]:
    """Start the workers of a run; one alone needs no address."""
    addresses = free_addresses(workers) if workers > 1 else []
    return [
        WorkerProcess(replace(run, worker=worker, addresses=addresses), command, environment)
        for worker in range(workers)
    ]


def free_addresses(count: int) -> list[str]:
    """Loopback addresses that were free a moment ago; who loses one in between fails, and is started again."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
