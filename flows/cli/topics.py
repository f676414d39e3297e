"""`signalbox topics`: the Kafka topics."""

from __future__ import annotations

from typing import Annotated

import typer

group = typer.Typer(
    help="The Kafka topics that flows read and write.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


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
) -> None:
    """Create all topics that are missing.

    These are the topics of topics.toml, notifications.*, and a *.dlq and *.late for each input. Existing ones are left
    as they are.
    """
    from connectors.kafka import create_topics
    from connectors.settings import Settings
    from flows.topic_plan import planned_partitions
    from schemas.errors import TerminalError

    settings = Settings.load()
    plan = planned_partitions(settings.load_topics(), partitions, output_partitions)
    extra = {} if retention_hours is None else {"retention.ms": str(retention_hours * 3_600_000)}
    report = create_topics(settings.kafka_config(), plan, replication=replication, settings=extra)
    for topic in report.created:
        typer.echo(f"created  {topic} ({plan[topic]} partitions)")
    typer.echo(f"{len(report.created)} created, {len(report.existing) + len(report.different)} were there already")
    if report.different:
        found = ", ".join(f"{topic} has {count} instead of {plan[topic]}" for topic, count in report.different.items())
        raise TerminalError(f"topics with another number of partitions were left as they are: {found}")
