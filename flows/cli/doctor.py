"""`signalbox doctor`: can a flow run here?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def doctor(
    flow: Annotated[str, typer.Option(help="The flow to check for.")] = "fault-notifications",
    config: Annotated[Path | None, typer.Option(help="The TOML file that `run` will be given.")] = None,
) -> None:
    """Check everything a flow needs, and say what to do.

    One line for each check, exit code 1 if anything failed. Checked are Python, packages, the Kafka block reader, the
    topics file, brokers, topics, how long dead letters are kept, the schema registry, the keyring, the reveal policy,
    the audit log, the data directory, the saved state, and disk space. Nothing is changed.
    """
    from connectors.settings import Settings
    from flows.doctor import examine
    from flows.topic_plan import require_flow

    require_flow(flow)
    failed = 0
    for check in examine(Settings.load(), flow, config):
        failed += not check.passed
        typer.echo(f"{'ok' if check.passed else 'FAILED':<6}  {check.name:<16}  {check.detail}")
    if failed:
        typer.echo(f"{failed} failed", err=True)
        raise typer.Exit(1)
