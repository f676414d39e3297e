"""`signalbox keys`: the keyring."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

group = typer.Typer(
    help="The keyring that tokenizes personal data.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@group.callback()
def keys() -> None:
    """The keyring that tokenizes personal data. Keep a copy: without it no token can be read back."""


@group.command("create")
def create(
    path: Annotated[
        Path | None,
        typer.Argument(help="Where to write it. Default: SIGNALBOX_KEYRING, else keyring.json in the data directory."),
    ] = None,
) -> None:
    """Make a keyring with fresh random keys.

    Its mode is 0600. An existing file is never overwritten.
    """
    from connectors.settings import Settings
    from privacy import Keyring

    keyring = Keyring.create(path or Settings.load().keyring_path)
    typer.echo(f"made the keyring {keyring.path}, primary key {keyring.primary_id}: keep a copy in a safe place")


@group.command("rotate")
def rotate(
    path: Annotated[
        Path | None,
        typer.Argument(help="The keyring. Default: SIGNALBOX_KEYRING, else keyring.json in the data directory."),
    ] = None,
) -> None:
    """Add a token key, which makes all new tokens.

    Old tokens stay readable, and customer keys stay the same: what was written before joins with what comes. A running
    flow takes the new key up within seconds.
    """
    from connectors.settings import Settings
    from privacy import Keyring

    keyring = Keyring.load(path or Settings.load().keyring_path).rotate()
    typer.echo(
        f"added primary key {keyring.primary_id} to the keyring {keyring.path}: a running flow takes it up within "
        "seconds; keep a new copy in a safe place"
    )
