"""`signalbox dlq`: the records that could not be read."""

from __future__ import annotations

from collections import Counter, deque
from typing import Annotated

import typer

from flows.cli.reveals import audit_log, user_name
from flows.cli.terminal import printable

group = typer.Typer(
    help="Dead letters: the records that could not be read.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_SHOWN_BYTES = 4096


@group.callback()
def dead_letters() -> None:
    """Dead letters: the records that could not be read. Their originals are sealed with the keyring."""


@group.command("list")
def list_dead_letters(
    topic: Annotated[str | None, typer.Option(help="Only those of this input topic.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only those with this reason, such as malformed_json.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="How many to list, the newest of each topic.")] = 20,
) -> None:
    """Count them by topic and reason, and list the newest.

    A line tells where and when a record was refused, by which step, and why.
    """
    from connectors.settings import Settings
    from flows.dead_letters import DeadLetter, dead_letter_topic, read_dead_letters

    settings = Settings.load()
    inputs = [topic] if topic else [each.topic for each in settings.load_topics()]
    counts: Counter[tuple[str, str]] = Counter()
    newest: dict[str, deque[DeadLetter]] = {}
    for letter in read_dead_letters(settings.kafka_config(), [dead_letter_topic(each) for each in inputs]):
        if reason in (None, letter.reason):
            counts[letter.topic, letter.reason] += 1
            newest.setdefault(letter.topic, deque(maxlen=limit)).append(letter)
    if not counts:
        typer.echo("no dead letters")
        return
    for (name, why), count in sorted(counts.items()):
        typer.echo(f"{count:>8}  {name:<32}  {why}")
    for name in sorted(newest):
        typer.echo("")
        for letter in newest[name]:
            typer.echo(
                f"{name} {letter.partition} {letter.offset}  {letter.refused_at:%Y-%m-%d %H:%M:%S}  "
                f"{letter.told.get('step', '?')}  {letter.reason}: {letter.told.get('message', '')}"
            )


@group.command("show")
def show(
    topic: Annotated[str, typer.Argument(help="The topic, as `dlq list` shows it; `.dlq` may be left out.")],
    partition: Annotated[int, typer.Argument(min=0, help="The partition, as `dlq list` shows it.")],
    offset: Annotated[int, typer.Argument(min=0, help="The offset, as `dlq list` shows it.")],
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Unseal the original key, value and headers with the keyring.")
    ] = False,
) -> None:
    """Show one dead letter and explain it.

    The original stays sealed without --reveal: it may be personal. With it the audit log says who opened which.
    """
    from connectors.settings import Settings
    from flows.dead_letters import dead_letter_topic, read_dead_letter
    from privacy import Keyring, Sealer

    settings = Settings.load()
    keyring = Keyring.load(settings.keyring_path) if reveal else None
    letter = read_dead_letter(settings.kafka_config(), dead_letter_topic(topic), partition, offset)
    typer.echo(f"dead letter  {letter.topic}[{letter.partition}]@{letter.offset}")
    typer.echo(f"original     {letter.origin}")
    typer.echo(f"refused at   {letter.refused_at:%Y-%m-%d %H:%M:%S.%f} UTC")
    for name in ("flow", "step", "reason", "message"):
        typer.echo(f"{name:<11}  {letter.told.get(name, '?')}")
    typer.echo(f"meaning      {letter.explanation}")
    if keyring is None:
        typer.echo(f"sealed       {len(letter.sealed)} bytes; --reveal opens them")
        return
    original = letter.reveal(Sealer(keyring))
    place = f"{letter.topic}[{letter.partition}]@{letter.offset}"
    audit_log(settings, keyring).append([{"event": "unseal", "user": user_name(), "dead_letter": place}])
    typer.echo(f"timestamp    {original.timestamp_ms} ms")
    for name, value in original.headers:
        typer.echo(f"header       {_printable(name.encode())} = {_printable(value)}")
    typer.echo(f"key          {_printable(original.key)}")
    typer.echo(f"value        {_printable(original.value)}")


def _printable(data: bytes | None) -> str:
    """Text without control characters (they could command a terminal), other bytes as Python escapes."""
    if data is None:
        return "null"
    shown = data[:_SHOWN_BYTES]
    text = shown.decode("utf-8", "backslashreplace")
    safe = printable(text)
    more = len(data) - len(shown)
    return f"{safe} … and {more} bytes more" if more else safe
