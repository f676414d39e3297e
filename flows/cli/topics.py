"""`signalbox topics`: the Kafka topics."""

from __future__ import annotations

from typing import Annotated

import typer

group = typer.Typer(
    help="The Kafka topics that flows read and write.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

DEAD_LETTER_HOURS = 14 * 24
_SEGMENT_HOURS = 24  # Kafka deletes whole segments: the first dead letter of one stays so much longer


@group.callback()
def topics() -> None:
    """The Kafka topics that flows read and write."""


@group.command("create")
def create(
    partitions: Annotated[int, typer.Option(min=1, max=10_000, help="Partitions of each input topic.")] = 4,
    output_partitions: Annotated[
        int, typer.Option(min=1, max=10_000, help="Partitions of each notification, dead-letter and late topic.")
    ] = 4,
    replication: Annotated[
        int, typer.Option(min=-1, max=100, help="Replication factor; -1 for the brokers' default.")
    ] = -1,
    retention_hours: Annotated[
        int | None, typer.Option(min=1, help="How long records are kept. Default: the brokers' default.")
    ] = None,
    dead_letter_hours: Annotated[
        int, typer.Option(min=1, help="How long dead letters are kept, sealed: the time to correct and replay.")
    ] = DEAD_LETTER_HOURS,
) -> None:
    """Create all topics that are missing.

    These are the topics of topics.toml, notifications.*, and a *.dlq and *.late for each input. Existing ones are left
    as they are. Dead letters have a retention of their own, for their originals may be personal.
    """
    from connectors.kafka import create_topics
    from connectors.settings import Settings
    from flows.topic_plan import planned_partitions
    from schemas.errors import TerminalError

    settings = Settings.load()
    plan = planned_partitions(settings.load_topics(), partitions, output_partitions)
    kafka = settings.kafka_config()
    extra = {} if retention_hours is None else {"retention.ms": _milliseconds(retention_hours)}
    letters = {topic: count for topic, count in plan.items() if topic.endswith(".dlq")}
    others = {topic: count for topic, count in plan.items() if topic not in letters}
    kept = {"retention.ms": _milliseconds(dead_letter_hours), "segment.ms": _milliseconds(_SEGMENT_HOURS)}
    reports = [
        create_topics(kafka, others, replication=replication, settings=extra),
        create_topics(kafka, letters, replication=replication, settings=kept),
    ]
    created = [topic for report in reports for topic in report.created]
    for topic in created:
        typer.echo(f"created  {topic} ({plan[topic]} partitions)")
    typer.echo(f"{len(created)} created, {len(plan) - len(created)} were there already")
    different = {topic: count for report in reports for topic, count in report.different.items()}
    if different:
        found = ", ".join(f"{topic} has {count} instead of {plan[topic]}" for topic, count in different.items())
        raise TerminalError(f"topics with another number of partitions were left as they are: {found}")


def _milliseconds(hours: int) -> str:
    return str(hours * 3_600_000)
