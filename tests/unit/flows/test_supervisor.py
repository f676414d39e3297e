"""The supervisor, with small real processes as workers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from flows.run_description import EXIT_TERMINAL, EXIT_TRANSIENT, RunDescription
from flows.supervisor import CrashLoopError, RestartPolicy, Supervisor, only_one
from schemas.errors import SignalboxError, TerminalError

QUICK = RestartPolicy(max_fast_failures=2, first_backoff_seconds=0.01, max_backoff_seconds=0.02)

PRELUDE = """
import json, os, pathlib, signal, sys, time
run = json.loads(os.environ["SIGNALBOX_RUN"])
folder = pathlib.Path(os.environ["FOLDER"])
worker = run["worker"]
(folder / f"{worker}.{os.getpid()}").touch()
starts = len(list(folder.glob(f"{worker}.*")))
def wait_for(name):
    while not (folder / name).exists():
        time.sleep(0.005)
def tell(kind, message):
    os.write(run["report"], json.dumps({"kind": kind, "message": message, "step": "flow.step"}).encode())
"""


def supervisor(folder: Path, script: str, workers: int = 1, **options: object) -> Supervisor:
    return Supervisor(
        RunDescription(flow="test"),
        workers=workers,
        environment={"FOLDER": str(folder)},
        command=(sys.executable, "-S", "-c", PRELUDE + script),
        **{"policy": QUICK, **options},
    )


def starts(folder: Path, worker: int) -> int:
    return len(list(folder.glob(f"{worker}.*")))


def wait_until(condition, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.005)


def in_background(target) -> threading.Thread:
    thread = threading.Thread(target=target)
    thread.start()
    return thread


def test_run_returns_when_all_workers_end_well(tmp_path):
    supervised = supervisor(tmp_path, "", workers=2)
    supervised.run()
    assert (starts(tmp_path, 0), starts(tmp_path, 1), supervised.restarts) == (1, 1, 0)


def test_all_workers_start_again_when_one_is_killed(tmp_path):
    script = "if worker == 1 and starts == 1: wait_for('go'); os.kill(os.getpid(), 9)\nif starts == 1: time.sleep(60)"

    def go_when_all_run() -> None:
        if all(starts(tmp_path, worker) for worker in range(3)):
            (tmp_path / "go").touch()

    supervised = supervisor(tmp_path, script, workers=3, tick=go_when_all_run)
    supervised.run()
    assert [starts(tmp_path, worker) for worker in range(3)] == [2, 2, 2]
    assert supervised.restarts == 1


def test_before_start_is_called_at_every_start(tmp_path):
    generations = iter((7, 8))
    script = "(folder / f'generation-{run[\"generation\"]}').touch(); sys.exit(3 if starts == 1 else 0)"
    supervisor(tmp_path, script, before_start=lambda run: replace(run, generation=next(generations))).run()
    assert sorted(path.name for path in tmp_path.glob("generation-*")) == ["generation-7", "generation-8"]


def test_it_gives_up_when_workers_keep_dying(tmp_path):
    with pytest.raises(CrashLoopError) as raised:
        supervisor(tmp_path, "sys.exit(3)").run()
    assert str(raised.value) == (
        "gave up after 3 failures in a row, each within 20 s of its start; the last one: worker 0: exit code 3; "
        "see the log above"
    )
    assert starts(tmp_path, 0) == 3


def test_it_does_not_give_up_when_failures_are_transient(tmp_path):
    script = f"if starts <= 6: tell('transient', 'broker away'); sys.exit({EXIT_TRANSIENT})"
    supervised = supervisor(tmp_path, script)
    supervised.run()
    assert supervised.restarts == 6


def test_it_does_not_start_again_when_a_worker_says_it_is_of_no_use(tmp_path):
    script = f"tell('terminal', 'no such topic') if worker else time.sleep(60)\nsys.exit({EXIT_TERMINAL})"
    with pytest.raises(TerminalError, match=r"^no such topic$"):
        supervisor(tmp_path, script, workers=2).run()
    assert starts(tmp_path, 1) == 1


def test_the_cause_is_told_when_a_peer_ends_first(tmp_path):
    script = (
        "if worker == 0: (folder / 'panicked').touch(); sys.exit(70)\n"
        "wait_for('panicked'); time.sleep(0.1); tell('terminal', 'the cause'); sys.exit(78)"
    )
    with pytest.raises(TerminalError, match=r"^the cause$"):
        supervisor(tmp_path, script, workers=2).run()


def test_workers_end_cleanly_when_it_is_stopped(tmp_path):
    script = (
        "signal.signal(15, lambda *_: ((folder / f'clean-{worker}').touch(), sys.exit(0)))\n"
        "(folder / f'ready-{worker}').touch()\ntime.sleep(60)"
    )
    supervised = supervisor(tmp_path, script, workers=2)
    thread = in_background(supervised.run)
    wait_until(lambda: (tmp_path / "ready-0").exists() and (tmp_path / "ready-1").exists())
    supervised.stop()
    thread.join(10)
    assert not thread.is_alive()
    assert (tmp_path / "clean-0").exists()
    assert (tmp_path / "clean-1").exists()


def test_workers_are_killed_when_they_do_not_end_in_time(tmp_path):
    script = "signal.signal(15, signal.SIG_IGN)\n(folder / 'ready').touch()\ntime.sleep(60)"
    supervised = supervisor(tmp_path, script, grace_seconds=0.2)
    raised: list[SignalboxError] = []

    def run() -> None:
        try:
            supervised.run()
        except SignalboxError as error:
            raised.append(error)

    thread = in_background(run)
    wait_until((tmp_path / "ready").exists)
    supervised.stop()
    thread.join(10)
    assert str(raised[0]) == (
        "the workers did not end within 0.2 s and were killed: nothing is lost, the next start replays their last epoch"
    )
    assert supervised.pids == []


def test_no_worker_outlives_its_supervisor_when_that_is_killed(tmp_path):
    worker = "from flows.worker import _end_with_supervisor as bind\nbind(run['supervisor'])\n"
    worker += "(folder / 'bound').touch()\ntime.sleep(60)"
    script = (
        "import sys\nfrom pathlib import Path\nfrom tests.unit.flows.test_supervisor import supervisor\n"
        "supervisor(Path(sys.argv[1]), sys.argv[2]).run()"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path), worker], cwd=Path(__file__).parents[3])
    try:
        wait_until((tmp_path / "bound").exists)
    finally:
        parent.kill()
        parent.wait()
    pid = int(next(tmp_path.glob("0.*")).suffix[1:])
    wait_until(lambda: not running(pid))


def running(pid: int) -> bool:
    try:
        state = re.search(r"^State:\s+(\w)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except FileNotFoundError:
        return False
    return state is not None and state[1] not in "ZX"


def test_a_second_start_is_refused_when_one_runs_on_the_same_directory(tmp_path):
    with only_one(tmp_path / "lock", "fault-notifications"):
        with pytest.raises(TerminalError) as raised, only_one(tmp_path / "lock", "fault-notifications"):
            pass
        assert str(raised.value) == (
            f"flow fault-notifications already runs on this data directory (process {os.getpid()}): "
            "stop it first, or set SIGNALBOX_DATA_DIR to another directory"
        )
    with only_one(tmp_path / "lock", "fault-notifications"):
        pass


def test_backoff_doubles_up_to_its_bound_when_failures_go_on():
    policy = RestartPolicy(first_backoff_seconds=0.5, max_backoff_seconds=3.0)
    assert [policy.backoff_seconds(failures) for failures in (1, 2, 3, 4, 1000)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_a_signal_is_named_when_it_kills_a_worker(tmp_path):
    with pytest.raises(CrashLoopError, match=f"killed by {signal.SIGSEGV.name}"):
        supervisor(tmp_path, "signal.signal(11, signal.SIG_DFL); os.kill(os.getpid(), 11)").run()
