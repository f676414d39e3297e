"""One worker process of a run: `python -m flows.worker`, started by `flows.supervisor`.

Heavy modules are imported late: a SIGTERM must find its handler from the first moment on, and Polars reads the number
of its threads when it is imported.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from flows.run_description import EXIT_TERMINAL, EXIT_TRANSIENT, EXIT_UNEXPECTED, RunDescription

if TYPE_CHECKING:
    from flows.failures import Failure, FailureLog

_PR_SET_PDEATHSIG = 1  # prctl(2)
_SWITCH_SECONDS = 0.0005
"""How long the dataflow may keep a writer's thread waiting; Python's 5 ms, several times in a transaction, add up."""
_EXIT_CODES = {"terminal": EXIT_TERMINAL, "transient": EXIT_TRANSIENT, "unexpected": EXIT_UNEXPECTED}


def main() -> int:
    """Run this worker to its end.

    Returns:
        The exit code: 0 after a clean end, else one of `flows.run_description`.
    """
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    # Ctrl-C reaches the whole process group; the supervisor decides what it means and sends SIGTERM
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    run = RunDescription.from_environment()
    _end_with_supervisor(run.supervisor)
    os.environ["POLARS_MAX_THREADS"] = "1"  # scaling is by workers

    from flows.failures import Failure, FailureLog
    from flows.logs import configure_logs

    configure_logs(worker=run.worker)
    log = FailureLog()
    try:
        _run(run, stop, log)
    except BaseException as error:  # Polars and Bytewax panics are no Exceptions
        return _tell(log.first or Failure.of(error), run.report)
    return 0


def _run(run: RunDescription, stop: threading.Event, log: FailureLog) -> None:
    from datetime import timedelta

    from bytewax.recovery import RecoveryConfig
    from bytewax.testing import cluster_main

    from connectors.epoch_pace import SLACK_SECONDS
    from connectors.settings import Settings
    from flows.wiring import wire

    with log.watch("wiring"):
        wired = wire(Settings(), run, stop)
    log.attach(wired.flow)
    _spare_the_collector()
    sys.setswitchinterval(_SWITCH_SECONDS)
    recovery = RecoveryConfig(wired.recovery, timedelta(0))  # type: ignore[no-untyped-call]
    cluster_main(  # type: ignore[no-untyped-call]
        wired.flow,
        run.addresses,
        run.worker,
        epoch_interval=timedelta(seconds=max(run.epoch_milliseconds / 1000 - SLACK_SECONDS, 0)),
        recovery_config=recovery,
    )
    with log.watch("finalize"):
        for finalize in wired.finalizers:
            finalize()


def _spare_the_collector() -> None:
    """Let the garbage collector look at what is new only, and seldom: large batches of records are no garbage.

    With the defaults it took a third of the time it takes to address 100,000 notifications.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)


def _end_with_supervisor(supervisor: int) -> None:
    """Ask the kernel to kill this process when its supervisor dies, however it dies."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:  # it died before the call above
        os._exit(EXIT_TRANSIENT)


def _tell(failure: Failure, report: int) -> int:
    """Log a failure and hand it to the supervisor."""
    import orjson
    import structlog

    log = structlog.get_logger()
    if failure.kind == "unexpected":
        log.error(failure.message, step=failure.step, exception="\n".join(failure.trace))
    else:
        log.error(failure.message, step=failure.step)
    if report >= 0:
        os.write(report, orjson.dumps({"kind": failure.kind, "message": failure.message, "step": failure.step}))
    return _EXIT_CODES[failure.kind]


if __name__ == "__main__":
    sys.exit(main())
