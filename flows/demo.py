"""The demo: a made-up telco, an embedded broker, and the fault notifications, all on this machine.

History goes through first. When the flow has read it all, faults are raised live, and the time from each fault's
arrival in Kafka to the commit of its notifications is measured.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import typer

from benchmarks.workload import PARTITIONS, Workload, WorkloadSpec, produce
from connectors.broker import EmbeddedBroker
from connectors.kafka import create_topics
from connectors.metrics import snapshot_metrics
from connectors.settings import Settings
from connectors.topics import load_topics
from flows.data_directory import DataDirectory
from flows.demo_report import DemoReport, notify_buckets
from flows.progress import Progress
from flows.running import RunOptions, supervised
from flows.topic_plan import planned_partitions
from privacy import Keyring
from schemas.errors import TerminalError, TransientError

FLOW = "fault-notifications"
_HISTORY = timedelta(hours=2)
_LIVE_SECONDS = 3.0
# one small machine: every shard and writer adds to the work of each little batch
_CONFIG = """[fault-notifications]
shards = 4
writers = 1
"""
_OUTPUT_PARTITIONS = 1
_PATIENCE_SECONDS = 120.0


def run_demo(
    data_dir: Path | None, *, customers: int, seed: int, keep_running: bool = False, began: float | None = None
) -> None:
    """Run the demo and print what came of it.

    Args:
        data_dir: Where to keep the data; a new temporary directory if not given.
        customers: Customers of the telco.
        seed: Decides everything else about it.
        keep_running: Go on with broker and flow until Ctrl-C, to look around.
        began: When the command was started, monotonic; stages are told with the time since then.

    Raises:
        TerminalError: `data_dir` is in use, or there is no embedded broker for this machine.
        TransientError: The flow did not keep up.
    """
    root = _empty_directory(data_dir)
    stages = Stages(time.monotonic() if began is None else began)
    with ThreadPoolExecutor(2, "demo") as pool, EmbeddedBroker(directory=root / "broker") as broker:
        making = pool.submit(Workload, demo_spec(customers, seed))
        settings = _settings(root, broker.brokers)
        _prepare(settings)
        stages.tell(f"broker, topics and keys are there; making a telco of {customers:,} customers")
        with _flow_in_background(settings, pool) as flow:
            report = DemoReport(root, flow.metrics)
            _send(making.result(), broker.brokers, flow, report, stages)
            if keep_running:
                report.print()
                _look_around(settings, flow)
    if not keep_running:
        stages.tell("broker and flow have ended")
        report.print()


def demo_spec(customers: int, seed: int) -> WorkloadSpec:
    """A telco with everything that happens to one."""
    postpaid = customers * 2 // 5
    return WorkloadSpec(
        seed=seed,
        start=datetime.now(UTC) - _HISTORY,
        duration=_HISTORY,
        live_seconds=_LIVE_SECONDS,
        regions=4,
        sites_per_region=max(4, customers // 1000),
        prepaid=customers - postpaid,
        postpaid=postpaid,
        usage_per_customer_per_hour=2.0,
        faults=12,
        live_faults=4,
        duplicate_share=0.01,
        poison_share=0.0003,
        poison_large_bytes=1_500_000,
    )


class Stages:
    """What happens, one line each on stderr, with the seconds since the start."""

    def __init__(self, began: float) -> None:
        self._began = began

    def tell(self, what: str) -> None:
        """Tell that a stage is reached."""
        print(f"[{time.monotonic() - self._began:4.1f} s] {what}", file=sys.stderr, flush=True)  # noqa: T201


class RunningFlow:
    """The flow, supervised in a thread of this process."""

    def __init__(self, metrics: Path, metrics_address: str, ended: Future[None]) -> None:
        self.metrics = metrics
        self.metrics_address = metrics_address
        self.ended = ended

    def wait_until_read(self, records: int) -> None:
        """Wait until so many records are read, and what came of them is durable.

        Raises:
            TransientError: It takes too long, or the flow has ended.
            SignalboxError: The flow has failed.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while (read := snapshot_metrics(self.metrics).get("records_consumed_total", 0)) < records:
            if self.ended.done():
                self.ended.result()
                raise TransientError("expected the flow to run, it has ended: see the log above")
            if time.monotonic() > deadline:
                raise TransientError(
                    f"expected the flow to read {records:,} records within {_PATIENCE_SECONDS:.0f} s, "
                    f"it has read {read:,.0f}: try fewer --customers"
                )
            time.sleep(0.05)


def _send(workload: Workload, brokers: str, flow: RunningFlow, report: DemoReport, stages: Stages) -> None:
    sent = 0

    def count(records: int) -> None:
        nonlocal sent
        sent = records
        progress.update(records)

    def before_live() -> None:
        stages.tell(f"{sent:,} records of history are in Kafka")
        flow.wait_until_read(sent)
        stages.tell(f"the flow has read them; now faults are raised live, for {_LIVE_SECONDS:.0f} s")
        report.before_live = notify_buckets(flow.metrics)

    with Progress("records sent") as progress:
        manifest = produce(workload, brokers, realtime=True, progress=count, before_live=before_live)
    flow.wait_until_read(manifest.total)
    stages.tell(f"the flow has read all {manifest.total:,} records")


@contextmanager
def _flow_in_background(settings: Settings, pool: ThreadPoolExecutor) -> Iterator[RunningFlow]:
    # the user's own settings are for another Kafka
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SIGNALBOX_")}
    environment["SIGNALBOX_LOG_FORMAT"] = settings.log_format
    config = settings.data_dir / "demo.toml"
    config.write_text(_CONFIG)
    with supervised(settings, RunOptions(flow=FLOW, config=config), environment=environment) as ready:
        flow = RunningFlow(
            DataDirectory(settings.data_dir).metrics(FLOW), ready.metrics_address, pool.submit(ready.supervisor.run)
        )
        try:
            yield flow
        finally:
            ready.supervisor.stop()
        flow.ended.result()


def _look_around(settings: Settings, flow: RunningFlow) -> None:
    """Wait for Ctrl-C, or for the flow to fail."""
    typer.echo(
        f"Broker and flow go on until Ctrl-C. In another shell:\n"
        f"  export SIGNALBOX_BROKERS={settings.brokers} SIGNALBOX_DATA_DIR={settings.data_dir}\n"
        f"  signalbox dlq list\n"
        f"  curl http://{flow.metrics_address}/metrics"
    )
    with suppress(KeyboardInterrupt):
        flow.ended.result()


def _settings(root: Path, brokers: str) -> Settings:
    return Settings(
        brokers=brokers,
        schema_registry_url=None,
        data_dir=root,
        keyring=root / "keyring.json",
        metrics_address="127.0.0.1:0",
        topics=None,
        kafka={},
    )


def _prepare(settings: Settings) -> None:
    Keyring.create(settings.keyring_path)
    plan = planned_partitions(load_topics(), 1, _OUTPUT_PARTITIONS)
    create_topics(settings.kafka_config(), {**plan, **PARTITIONS})


def _empty_directory(data_dir: Path | None) -> Path:
    if data_dir is None:
        return Path(tempfile.mkdtemp(prefix="signalbox-demo-"))
    if data_dir.exists() and (not data_dir.is_dir() or any(data_dir.iterdir())):
        raise TerminalError(f"expected {data_dir} to be empty or not there: choose another directory for the demo")
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return data_dir.absolute()
