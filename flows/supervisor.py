"""The supervisor: starts the workers of a flow, starts them again when one dies, and ends them together."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from flows.run_description import RunDescription
from flows.worker_process import WORKER_COMMAND, Ending, WorkerProcess, start_workers
from schemas.errors import SignalboxError, TerminalError

_POLL_SECONDS = 0.05
_CAUSE_SECONDS = 2.0  # how long workers that lost a peer may take to end, so that the one with the cause is heard

_log = structlog.get_logger()


class CrashLoopError(SignalboxError):
    """The workers die again and again soon after their start."""


@dataclass(frozen=True, kw_only=True)
class RestartPolicy:
    """When to start again, and when to give up.

    Attributes:
        max_fast_failures: Give up at the failure after so many fast ones in a row. Failures that may go away by
            themselves (a broker is down) do not count: an outage may last.
        fast_seconds: A failure this soon after the start is a fast one.
        first_backoff_seconds: Pause before the first restart; it doubles with every failure in a row.
        max_backoff_seconds: The longest pause.
    """

    max_fast_failures: int = 5
    fast_seconds: float = 20.0
    first_backoff_seconds: float = 0.2
    max_backoff_seconds: float = 10.0

    def backoff_seconds(self, failures: int) -> float:
        """The pause after so many failures in a row, the first is 1."""
        return min(self.first_backoff_seconds * 2.0 ** min(failures - 1, 30), self.max_backoff_seconds)


class Supervisor:
    """Runs the workers of one flow until they end well, are told to stop, or cannot go on.

    Args:
        run: What to run; worker, addresses, supervisor and report are filled in per worker.
        workers: How many processes.
        environment: The workers' environment.
        policy: When to start again.
        grace_seconds: How long workers may take to end after `stop`.
        before_start: Called before every start of the workers, restarts too; gives the description to start with.
        tick: Called about every 50 ms while they run.
        command: The worker's command line.
    """

    def __init__(
        self,
        run: RunDescription,
        *,
        workers: int,
        environment: Mapping[str, str],
        policy: RestartPolicy = RestartPolicy(),
        grace_seconds: float = 30.0,
        before_start: Callable[[RunDescription], RunDescription] = lambda run: run,
        tick: Callable[[], None] = lambda: None,
        command: Sequence[str] = WORKER_COMMAND,
    ) -> None:
        self._run = run
        self._workers = workers
        self._environment = dict(environment)
        self._policy = policy
        self._grace_seconds = grace_seconds
        self._before_start = before_start
        self._tick = tick
        self._command = command
        self._stop = threading.Event()
        self._processes: list[WorkerProcess] = []
        self.restarts = 0

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers that run now."""
        return [process.pid for process in self._processes]

    def stop(self) -> None:
        """End the workers cleanly; `run` returns when they have ended. Safe in a signal handler and across threads."""
        self._stop.set()

    def run(self) -> None:
        """Run to the end. The workers die with the thread that calls this.

        Raises:
            TerminalError: A worker says that a restart will not help.
            CrashLoopError: The workers keep dying.
            SignalboxError: The workers did not end in time after `stop`, and were killed.
        """
        failures = fast = 0
        while not self._stop.is_set():
            run = self._before_start(self._run)
            started = time.monotonic()
            ending = self._run_once(run)
            if ending is None:
                return
            if ending.kind == "terminal":
                raise TerminalError(ending.message)
            lived = time.monotonic() - started
            is_fast = lived < self._policy.fast_seconds
            failures = failures + 1 if is_fast else 1
            fast = fast + (ending.kind != "transient") if is_fast else 0
            if fast > self._policy.max_fast_failures:
                raise CrashLoopError(
                    f"gave up after {fast} failures in a row, each within {self._policy.fast_seconds:g} s of its "
                    f"start; the last one: worker {ending.worker}: {ending.message}; see the log above"
                )
            pause = self._policy.backoff_seconds(failures)
            _log.warning(
                "workers start again",
                worker=ending.worker,
                cause=ending.message,
                step=ending.step,
                lived_seconds=round(lived, 1),
                pause_seconds=round(pause, 1),
            )
            self.restarts += 1
            self._stop.wait(pause)

    def _run_once(self, run: RunDescription) -> Ending | None:
        """Start the workers and wait. None after a clean end, else the cause of the failure."""
        self._processes = start_workers(run, self._workers, self._environment, self._command)
        try:
            while not self._stop.is_set():
                if self._first_failed() is not None:
                    return self._cause()
                if not any(process.running for process in self._processes):
                    break
                self._tick()
                self._stop.wait(_POLL_SECONDS)
            else:
                self._end_cleanly()
            return None
        finally:
            for process in self._processes:
                process.kill()
            self._processes = []

    def _first_failed(self) -> WorkerProcess | None:
        return next((process for process in self._processes if process.exit_code not in (None, 0)), None)

    def _cause(self) -> Ending:
        """The ending that explains the others. Peers of a failed worker end by themselves, in no order."""
        deadline = time.monotonic() + _CAUSE_SECONDS
        endings: dict[int, Ending] = {}
        while True:
            for process in self._processes:
                if process.worker not in endings and process.exit_code not in (None, 0):
                    endings[process.worker] = process.ending()
            causes = [ending for ending in endings.values() if ending.is_cause]
            if causes:
                return max(causes, key=lambda ending: ending.kind == "terminal")
            if len(endings) == len(self._processes) or time.monotonic() > deadline:
                return next(iter(endings.values()))
            time.sleep(_POLL_SECONDS)

    def _end_cleanly(self) -> None:
        for process in self._processes:
            process.terminate()
        deadline = time.monotonic() + self._grace_seconds
        while any(process.running for process in self._processes):
            if self._first_failed() is not None:
                ending = self._cause()
                if ending.kind == "killed":  # before it could listen to us, or by somebody else: nothing is lost
                    return
                raise SignalboxError(f"worker {ending.worker} failed while it ended: {ending.message}")
            if time.monotonic() > deadline:
                raise SignalboxError(
                    f"the workers did not end within {self._grace_seconds:g} s and were killed: "
                    "nothing is lost, the next start replays their last epoch"
                )
            self._tick()
            time.sleep(_POLL_SECONDS)


@contextmanager
def only_one(path: Path, flow: str) -> Iterator[None]:
    """Hold the lock of a flow on a data directory; the kernel releases it when this process ends.

    Raises:
        TerminalError: Another process holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise TerminalError(
                f"flow {flow} already runs on this data directory (process {holder}): "
                "stop it first, or set SIGNALBOX_DATA_DIR to another directory"
            ) from error
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
