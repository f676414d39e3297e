"""`signalbox run` and `signalbox demo` from end to end, as processes, on the embedded broker."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import psutil
import pytest

from benchmarks.workload import PARTITIONS, Workload, WorkloadSpec, produce
from connectors.broker import EmbeddedBroker, free_port
from connectors.kafka import KafkaConfig, create_topics
from connectors.tables import read_table
from connectors.topics import load_topics
from flows.topic_plan import planned_partitions
from privacy import Keyring

FLOW = "fault-notifications"
PATIENCE_SECONDS = 90.0


@dataclass(frozen=True)
class Installation:
    """A broker with a generated telco in it, a data directory with keys."""

    environment: dict[str, str]
    data_dir: Path
    records: int

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", "import sys; from flows.cli import main; sys.exit(main())", *arguments]
        return subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
        return process.returncode, out, err

    @property
    def records_read(self) -> int:
        """As the metrics server tells it; 0 while there is none."""
        try:
            with urllib.request.urlopen(f"http://{self.environment['SIGNALBOX_METRICS_ADDRESS']}/metrics") as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return 0
        return round(
            sum(float(line.split()[-1]) for line in lines if line.startswith("signalbox_records_consumed_total{"))
        )

    def told(self) -> pl.DataFrame:
        return read_table(self.data_dir, "notifications").sort("notification_id")


@pytest.fixture
def installation(tmp_path) -> Iterator[Installation]:
    with EmbeddedBroker() as broker:
        own = {
            "SIGNALBOX_BROKERS": broker.brokers,
            "SIGNALBOX_DATA_DIR": str(tmp_path / "data"),
            "SIGNALBOX_METRICS_ADDRESS": f"127.0.0.1:{free_port()}",
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SIGNALBOX_")}
        kafka = KafkaConfig(broker.brokers)
        plan = planned_partitions(load_topics(), 4, 4)
        create_topics(kafka, plan)
        Keyring.create(tmp_path / "data" / "keyring.json")
        partitions = {topic: plan[topic] for topic in PARTITIONS}
        manifest = produce(Workload(WorkloadSpec(faults=4, poison_share=0.001, partitions=partitions)), broker.brokers)
        yield Installation(inherited | own, tmp_path / "data", manifest.total)


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.05)


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children()


def test_a_caught_up_flow_tells_nobody_twice_when_it_runs_again(installation):
    code, _, err = installation.run("run", FLOW, "--until-caught-up", "--workers", "2")
    assert code == 0, err
    assert f"{installation.records:,} records in" in err.splitlines()[-1]
    first = installation.told()
    assert first.height > 0
    assert first["notification_id"].is_unique().all()
    code, _, err = installation.run("run", FLOW, "--until-caught-up", "--workers", "1")
    assert code == 0, err
    assert installation.told().equals(first)


def test_a_running_flow_ends_cleanly_and_goes_on_when_it_is_stopped_and_started(installation):
    running = installation.start("run", FLOW)
    try:
        wait_until(lambda: installation.records_read == installation.records, running)
        code, out, err = installation.run("run", FLOW)
        assert (code, out) == (2, "")
        assert f"signalbox: flow {FLOW} already runs on this data directory (process {running.pid}): " in err
        running.send_signal(signal.SIGTERM)
        _, err = running.communicate(timeout=PATIENCE_SECONDS)
    finally:
        running.kill()
    assert running.returncode == 0, err
    stopped = installation.told()
    code, _, err = installation.run("run", FLOW, "--until-caught-up")
    assert code == 0, err
    assert installation.told().equals(stopped)


def test_workers_start_again_when_one_is_killed(installation):
    running = installation.start("run", FLOW, "--workers", "2")
    try:
        wait_until(lambda: len(workers_of(running)) == 2, running)
        before = {worker.pid for worker in workers_of(running)}
        os.kill(min(before), signal.SIGKILL)
        wait_until(lambda: len({worker.pid for worker in workers_of(running)} - before) == 2, running)
        wait_until(lambda: installation.records_read == installation.records, running)
        running.send_signal(signal.SIGTERM)
        _, err = running.communicate(timeout=PATIENCE_SECONDS)
    finally:
        running.kill()
    assert running.returncode == 0, err
    assert "killed by SIGKILL" in err


def test_no_worker_is_left_when_the_supervisor_is_killed(installation):
    running = installation.start("run", FLOW, "--workers", "2")
    try:
        wait_until(lambda: installation.records_read == installation.records, running)
        workers = workers_of(running)
    finally:
        running.kill()
        running.communicate()
    gone, alive = psutil.wait_procs(workers, timeout=10)
    assert (len(gone), alive) == (2, [])


def test_a_flow_is_refused_when_a_topic_it_has_read_is_gone(installation, tmp_path):
    assert installation.run("run", FLOW, "--until-caught-up")[0] == 0
    topics = tmp_path / "data" / "topics.toml"
    topics.write_text('["usage.events"]\nstream = "usage_event"\nformat = "canonical"\n')
    code, out, err = installation.run("run", FLOW)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert re.match(r"signalbox: expected topic \S+ as in the saved state, got no such topic: ", err)


def test_the_demo_shows_everything_when_it_is_run(tmp_path):
    made = Installation(dict(os.environ), tmp_path / "demo", 0)
    code, out, err = made.run("demo", "--customers", "500", "--data-dir", str(tmp_path / "demo"))
    assert code == 0, err
    for line in (
        "incidents",
        "customers affected",
        "told by",
        "unreachable",
        "all-clears",
        "dead letters",
        "tokens made",
    ):
        assert re.search(rf"^{line} +\S", out, re.MULTILINE), line
    assert re.search(r"^time to notify +p50 \d+ ms, p99 [\d,]+ ms over \d+ messages told live$", out, re.MULTILINE), out
    assert (tmp_path / "demo" / "features.duckdb").exists()
