"""Running a flow under supervision: lock, checks, metrics, workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from connectors.metrics import MetricsServer, prepare_metrics
from connectors.settings import Settings
from connectors.tables import claim_generation
from flows.data_directory import DataDirectory
from flows.flow_config import load_flow_table
from flows.lost_epochs import forget_lost_epochs
from flows.preparation import prepare
from flows.run_description import RunDescription
from flows.supervisor import RestartPolicy, Supervisor, only_one
from flows.topic_plan import require_flow


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What a user may choose of a run.

    Attributes:
        flow: The flow's name.
        workers: Worker processes.
        until_caught_up: End when every input is read.
        epoch_milliseconds: Time between two snapshots.
        config: The `--config` file.
        policy: When to start workers again.
    """

    flow: str
    workers: int = 1
    until_caught_up: bool = False
    epoch_milliseconds: int = 800
    config: Path | None = None
    policy: RestartPolicy = field(default_factory=RestartPolicy)


@dataclass(frozen=True)
class Supervised:
    """A flow that is ready to run.

    Attributes:
        supervisor: Runs it.
        metrics_address: Where its metrics are served.
    """

    supervisor: Supervisor
    metrics_address: str


@contextmanager
def supervised(
    settings: Settings,
    options: RunOptions,
    *,
    environment: Mapping[str, str] = os.environ,
    tick: Callable[[], None] = lambda: None,
) -> Iterator[Supervised]:
    """Make a flow ready to run; its lock and metrics server are held inside the `with` block.

    Args:
        settings: Where everything is.
        options: What to run.
        environment: The workers' environment; `settings` is written over it.
        tick: Called about every 50 ms while the workers run.

    Raises:
        TerminalError: Another supervisor runs this flow here, or something does not fit; see `prepare`.
        KeyringError: There is no keyring that can be used.
        TransientError: Kafka does not answer.
    """
    require_flow(options.flow)
    directory = DataDirectory(settings.data_dir)
    directory.prepare(options.flow)
    with only_one(directory.lock(options.flow), options.flow):
        asked = RunDescription(
            flow=options.flow,
            epoch_milliseconds=options.epoch_milliseconds,
            until_caught_up=options.until_caught_up,
            config=load_flow_table(options.config, options.flow),
        )
        run = prepare(settings, asked)
        metrics = directory.metrics(options.flow)

        def before_start(run: RunDescription) -> RunDescription:
            forget_lost_epochs(directory.recovery(options.flow))
            return replace(run, generation=claim_generation(settings.data_dir, options.flow))

        measured = prepare_metrics(metrics)
        with MetricsServer(settings.metrics_address, metrics, settings.data_dir, directory.audit) as server:
            supervisor = Supervisor(
                run,
                workers=options.workers,
                environment={**environment, **_settings_environment(settings), **measured},
                policy=options.policy,
                before_start=before_start,
                tick=tick,
            )
            yield Supervised(supervisor, server.address)


def _settings_environment(settings: Settings) -> dict[str, str]:
    """Settings as a worker reads them; paths absolute, so that nobody's working directory matters."""
    variables = {
        "SIGNALBOX_BROKERS": settings.brokers,
        "SIGNALBOX_DATA_DIR": str(settings.data_dir.absolute()),
        "SIGNALBOX_KEYRING": str(settings.keyring_path.absolute()),
    }
    if settings.topics is not None:
        variables["SIGNALBOX_TOPICS"] = str(settings.topics.absolute())
    return variables
