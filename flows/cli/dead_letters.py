"""`signalbox dlq`: the records that could not be read."""

from __future__ import annotations

from collections import Counter, deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.reveals import audit_log, user_name
from flows.cli.terminal import printable

if TYPE_CHECKING:
    from flows.dead_letters import Selection

group = typer.Typer(
    help="Dead letters: the records that could not be read.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_SHOWN_BYTES = 4096
_TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]

_Topics = Annotated[list[str] | None, typer.Option("--topic", help="Only those of this input topic; may be repeated.")]
_Reasons = Annotated[
    list[str] | None, typer.Option("--reason", help="Only those with this reason, such as wrong_type; may be repeated.")
]
_Since = Annotated[
    datetime | None, typer.Option("--since", formats=_TIMES, help="Only those refused at this time or later.")
]
_Until = Annotated[
    datetime | None, typer.Option("--until", formats=_TIMES, help="Only those refused before this time.")
]


@group.callback()
def dead_letters() -> None:
    """Dead letters: the records that could not be read. Their originals are sealed with the keyring."""


@group.command("list")
def list_dead_letters(
    topic: _Topics = None,
    reason: _Reasons = None,
    since: _Since = None,
    until: _Until = None,
    limit: Annotated[int, typer.Option(min=0, help="How many to list, the newest of each topic.")] = 20,
) -> None:
    """Count them by topic and reason, and list the newest.

    A line tells where and when a record was refused, by which step, and why. Times without an offset are UTC.
    """
    from connectors.settings import Settings
    from flows.dead_letters import DeadLetter, dead_letter_topic, read_dead_letters

    settings = Settings.load()
    inputs = topic or [each.topic for each in settings.load_topics()]
    counts: Counter[tuple[str, str]] = Counter()
    newest: dict[str, deque[DeadLetter]] = {}
    chosen = _selection(reason, since, until)
    for letter in read_dead_letters(settings.kafka_config(), [dead_letter_topic(each) for each in inputs], chosen):
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
    """Show one dead letter, and explain why it was refused and what to do.

    The original stays sealed without --reveal: it may be personal. With it the audit log says who opened which.
    """
    from connectors.settings import Settings
    from flows.dead_letters import dead_letter_topic, read_dead_letter
    from privacy import Keyring, Sealer

    settings = Settings.load()
    keyring = Keyring.load(settings.keyring_path) if reveal else None
    letter = read_dead_letter(settings.kafka_config(), dead_letter_topic(topic), partition, offset)
    typer.echo(f"dead letter  {letter.place}")
    typer.echo(f"original     {letter.origin}")
    typer.echo(f"refused at   {letter.refused_at:%Y-%m-%d %H:%M:%S.%f} UTC")
    if "replays" in letter.told:
        typer.echo(f"replays      {letter.told['replays']} before it was refused again")
    for name in ("flow", "step", "reason", "message"):
        typer.echo(f"{name:<11}  {letter.told.get(name, '?')}")
    typer.echo(f"why          {letter.explanation.why}")
    typer.echo(f"what to do   {letter.explanation.what_to_do}")
    if keyring is None:
        typer.echo(f"sealed       {len(letter.sealed)} bytes; --reveal opens them")
        return
    original = letter.reveal(Sealer(keyring))
    audit_log(settings, keyring).append([{"event": "unseal", "user": user_name(), "dead_letter": letter.place}])
    typer.echo(f"timestamp    {original.timestamp_ms} ms")
    for name, value in original.headers:
        typer.echo(f"header       {_printable(name.encode())} = {_printable(value)}")
    typer.echo(f"key          {_printable(original.key)}")
    typer.echo(f"value        {_printable(original.value)}")


@group.command("replay")
def replay(
    topic: _Topics = None,
    reason: _Reasons = None,
    since: _Since = None,
    until: _Until = None,
    everything: Annotated[bool, typer.Option("--all", help="All dead letters of all topics.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be sent.")] = False,
) -> None:
    """Send refused records to their topics again, each once.

    Do this when what refused them is corrected and the flow runs. A record that was sent is not sent again, whatever
    becomes of this command: run it as often as you like. One that is refused again is a new dead letter.

    Exit codes: 0 all of them are in their topics, 1 some cannot be opened, or are older than their topic keeps records.
    """
    from connectors.settings import Settings
    from flows.progress import Progress
    from flows.replay import replay as send_again
    from privacy import Keyring, Sealer

    if everything == bool(topic or reason or since or until):
        raise typer.BadParameter(
            "choose dead letters with --topic, --reason, --since or --until, or take --all of them"
        )
    chosen = _selection(reason, since, until)
    settings = Settings.load()
    sealer = Sealer(Keyring.load(settings.keyring_path))
    sent = skipped = unreadable = too_old = 0
    with Progress("records sent") as progress:

        def tell(count: int) -> None:
            progress.update(sent + count)

        for each in topic or [known.topic for known in settings.load_topics()]:
            done = send_again(
                settings.kafka_config(),
                each,
                chosen,
                sealer,
                dry_run=dry_run,
                progress=tell,
            )
            for why, count in sorted(done.sent.items()) if dry_run else ():
                typer.echo(f"{count:>8}  {each:<32}  {why}")
            for message in done.why_not_sent:
                typer.echo(f"not sent: {message}", err=True)
            sent, skipped = sent + done.sent.total(), skipped + done.already_sent
            unreadable, too_old = unreadable + done.unreadable, too_old + done.too_old
    result = f"{sent:,}, already sent {skipped:,}, unreadable {unreadable:,}"
    result += f", older than their topic keeps them {too_old:,}" if too_old else ""
    typer.echo(f"would send {result}" if dry_run else f"sent {result}")
    if unreadable or too_old:
        raise typer.Exit(1)


def _selection(reasons: list[str] | None, since: datetime | None, until: datetime | None) -> Selection:
    from flows.dead_letters import Selection

    return Selection(frozenset(reasons or ()), _in_utc(since), _in_utc(until))


def _in_utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _printable(data: bytes | None) -> str:
    """Text without control characters (they could command a terminal), other bytes as Python escapes."""
    if data is None:
        return "null"
    shown = data[:_SHOWN_BYTES]
    text = shown.decode("utf-8", "backslashreplace")
    safe = printable(text)
    more = len(data) - len(shown)
    return f"{safe} … and {more} bytes more" if more else safe
