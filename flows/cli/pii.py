"""`signalbox pii`: personal data behind tokens, and the log of who saw it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from flows.cli.reveals import audit_log, user_name
from flows.cli.terminal import printable

group = typer.Typer(
    help="Personal data behind tokens, and who saw it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
audit = typer.Typer(
    help="The log of what was revealed.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
group.add_typer(audit, name="audit")


@group.callback()
def pii() -> None:
    """Personal data behind tokens: open it for a purpose, and see to it that the log of that is whole."""


@group.command("reveal")
def reveal(
    tokens: Annotated[list[str], typer.Argument(metavar="TOKEN", help="Tokens as they are stored.")],
    role: Annotated[str, typer.Option("--role", help="Your role, as the policy names it.")],
    purpose: Annotated[str, typer.Option("--purpose", help="What you need the values for, as the policy names it.")],
) -> None:
    """Open tokens, if the policy lets the role.

    The policy is SIGNALBOX_POLICY, else policy.toml in the data directory, else the packaged one. It must let the role
    open the class of every token for the purpose, or none is opened. Granted or refused, the request is in the audit
    log before anything is printed: one line for each token, control characters as escapes.
    """
    from connectors.settings import Settings
    from privacy import Keyring, Policy, RevealRequest
    from privacy import reveal as opened

    settings = Settings.load()
    policy = Policy.load(settings.policy_path)
    keyring = Keyring.load(settings.keyring_path)
    request = RevealRequest(tokens=tuple(tokens), role=role, purpose=purpose, user=user_name())
    for value in opened(request, policy=policy, keyring=keyring, log=audit_log(settings, keyring)):
        typer.echo(printable(value))


@group.command("forget")
def forget(
    customer: Annotated[
        str, typer.Argument(metavar="CUSTOMER_ID", help="As the CRM knows them; - reads it from standard input.")
    ],
    by_key: Annotated[
        bool, typer.Option("--key", help="What is given is no id but a customer key, as the audit log has it.")
    ] = False,
) -> None:
    """Make a customer's tokens unreadable, for ever and for everybody.

    The customer's keys are taken out of the keyring; nothing brings them back but an older copy of it: destroy those.
    A running flow takes it up within seconds and makes no more tokens for this customer. The customer key stays, and
    the rows under it. The audit log says by that key who was forgotten, when and by whom.
    """
    import polars as pl

    from connectors.settings import Settings
    from privacy import Keyring, Tokenizer
    from privacy import forget as lose

    settings = Settings.load()
    keyring = Keyring.load(settings.keyring_path)
    name = (sys.stdin.readline() if customer == "-" else customer).strip()
    if not name:
        raise typer.BadParameter("expected a customer's id, got none")
    key = name if by_key else str(Tokenizer(keyring).customer_keys(pl.Series([name]))[0])
    knew = lose(key, user=user_name(), keyring=keyring, log=audit_log(settings, keyring))
    typer.echo(
        f"forgot the customer of key {key}: keep a new copy of the keyring, and destroy the old ones"
        if knew
        else f"the customer of key {key} had been forgotten before"
    )


@audit.callback()
def audited() -> None:
    """The log of what was revealed: audit/reveals.jsonl in the data directory, each entry chained to the one before."""


@audit.command("verify")
def verify(
    anchor: Annotated[
        str | None,
        typer.Option("--anchor", help="What an earlier verification printed: it must still be there."),
    ] = None,
) -> None:
    """Find whatever was changed, removed or cut off.

    Needs the keyring. Exit code 1 if the log is not what was written; the message names the line. Keep the anchor that
    is printed where nobody who can write the data directory can change it: with --anchor it shows if the whole log was
    put back to an earlier one.
    """
    from connectors.settings import Settings
    from privacy import Keyring

    settings = Settings.load()
    head = audit_log(settings, Keyring.load(settings.keyring_path)).verify(anchor)
    counted = "1 entry" if head.entries == 1 else f"{head.entries} entries"
    typer.echo(f"whole, {counted}" + (f"; anchor {head.anchor}" if head.entries else ""))
