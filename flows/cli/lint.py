"""`signalbox lint`: what would become of records, before they are sent."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

if TYPE_CHECKING:
    from connectors.settings import Settings
    from flows.lint import Samples


def lint(
    topic: Annotated[str | None, typer.Option(help="Examine the newest records of this topic.")] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="Examine this file: JSON lines, a JSON document or array, or Avro."
        ),
    ] = None,
    format: Annotated[  # noqa: A002 - as in topics.toml
        str | None, typer.Option("--format", help="Their format. Default: as in topics.toml, else canonical.")
    ] = None,
    stream: Annotated[
        str | None, typer.Option(help="The stream they are for. Default: as in topics.toml, else the format's own.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Examine at most so many.")] = 100_000,
    as_json: Annotated[bool, typer.Option("--json", help="Tell it to a machine.")] = False,
) -> None:
    """Say what of your records we would refuse, ignore or misread.

    Nothing is sent or kept, and no value is shown: only fields, columns and places. A file's records are read as if
    Kafka received them now.

    Exit codes: 0 all would be accepted, 1 some would be refused, 2 they could not be examined.
    """
    if (topic is None) == (file is None):
        raise typer.BadParameter("expected either --topic or --file")
    from connectors.settings import Settings
    from flows.lint import examine
    from flows.progress import Progress

    settings = Settings.load()
    stream, format = _carried(settings, topic, stream, format)  # noqa: A001
    with Progress("records read") as progress:
        report = examine(_samples(settings, topic, file, limit), stream, format, progress.update)
    if as_json:
        typer.echo(orjson.dumps(report.as_dict(), option=orjson.OPT_INDENT_2).decode())
    else:
        for line in report.lines():
            typer.echo(line)
    if report.rejected:
        raise typer.Exit(1)


def _samples(settings: Settings, topic: str | None, file: Path | None, limit: int) -> Samples:
    from flows.lint import from_file, from_topic
    from schemas.codec import Registry

    if file is not None:
        return from_file(file, limit)
    assert topic is not None
    url = settings.schema_registry_url
    return from_topic(settings.kafka_config(), topic, limit, Registry.connect(url) if url else None)


def _carried(settings: Settings, topic: str | None, stream: str | None, form: str | None) -> tuple[str, str]:
    """The stream and the format: as they are given, as the topics file says, or as one follows from the other."""
    from schemas.formats import known_formats
    from schemas.formats.catalog import CANONICAL, STREAMS

    if topic is not None and stream is None and form is None:
        for known in settings.load_topics():
            if known.topic == topic:
                return known.stream, known.format
    if stream is not None:
        return stream, form or CANONICAL
    if form is None:
        where = f"{topic} is not in topics.toml" if topic is not None else "a file does not say what it holds"
        raise typer.BadParameter(f"{where}: give --stream ({', '.join(STREAMS)}), or --format")
    return _only(form, [each for each in STREAMS if form in known_formats(each)]), form


def _only(form: str, streams: Iterable[str]) -> str:
    found = list(streams)
    if len(found) != 1:
        known = f"{', '.join(found)} come in it" if found else "no stream comes in it"
        raise typer.BadParameter(f"format {form}: {known}; give --stream too")
    return found[0]
