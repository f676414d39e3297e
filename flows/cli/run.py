"""`signalbox run`: a flow under supervision."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer


def run(
    flow: Annotated[str, typer.Argument(help="The flow: fault-notifications.")],
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes; may differ between starts.")] = 1,
    until_caught_up: Annotated[
        bool, typer.Option("--until-caught-up", help="End when every input is read to its end.")
    ] = False,
    epoch_milliseconds: Annotated[
        int, typer.Option(min=50, max=600_000, help="Time between two snapshots of the state.")
    ] = 800,
    config: Annotated[
        Path | None, typer.Option(help="TOML file with a table [fault-notifications] of the flow's settings.")
    ] = None,
    max_fast_failures: Annotated[
        int, typer.Option(min=0, help="Give up after so many failures in a row, each within 20 s of its start.")
    ] = 5,
) -> None:
    """Run a flow, and start its workers again when one dies.

    What it had done before is in the data directory, and it goes on from there. SIGTERM and Ctrl-C end it
    cleanly. Exit codes: 0 ended well, 1 the workers
    keep dying, 2 something has to be changed first. Metrics are served at SIGNALBOX_METRICS_ADDRESS.
    """
    from connectors.settings import Settings
    from flows.data_directory import DataDirectory
    from flows.logs import configure_logs
    from flows.running import RunOptions, supervised
    from flows.status import StatusLine
    from flows.supervisor import RestartPolicy

    configure_logs()
    settings = Settings.load()
    options = RunOptions(
        flow=flow,
        workers=workers,
        until_caught_up=until_caught_up,
        epoch_milliseconds=epoch_milliseconds,
        config=config,
        policy=RestartPolicy(max_fast_failures=max_fast_failures),
    )
    with (
        StatusLine(DataDirectory(settings.data_dir).metrics(flow)) as status,
        supervised(settings, options, tick=status.tick) as ready,
    ):
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ready.supervisor.stop())
        ready.supervisor.run()
