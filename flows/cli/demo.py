"""`signalbox demo`: the whole thing on this machine, in seconds."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer


def demo(
    data_dir: Annotated[
        Path | None, typer.Option(help="Where to keep the data; must be empty. Default: a new temporary directory.")
    ] = None,
    customers: Annotated[int, typer.Option(min=200, max=200_000, help="Customers of the telco.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Another seed, another telco.")] = 1,
    keep_running: Annotated[
        bool, typer.Option("--keep-running", help="Go on with broker and flow until Ctrl-C, to look around.")
    ] = False,
) -> None:
    """Tell a made-up telco of its faults: nothing to set up.

    The demo starts a broker of its own on this machine, makes keys and topics, and runs the flow fault-notifications.

    Two hours of history with a dozen outages go through first; then faults are raised live, so that the time to notify
    is real. The data is kept to look at; the broker ends with the demo, unless --keep-running.
    """
    began = time.monotonic()
    typer.echo("starting", err=True)
    from flows.demo import run_demo  # takes a second or two

    run_demo(data_dir, customers=customers, seed=seed, keep_running=keep_running, began=began)
