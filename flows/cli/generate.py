"""`signalbox generate`: a made-up telco, to files or to Kafka."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

_POSTPAID_SHARE = 0.4
_CUSTOMERS_PER_SITE = 250
_REGIONS = 4


def generate(
    out: Annotated[
        Path | None, typer.Option(help="Write files to this directory, which must be empty. Default: send to Kafka.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed and options give the same records.")] = 1,
    customers: Annotated[int, typer.Option(min=10, max=10_000_000, help="Customers, prepaid and postpaid.")] = 2_000,
    hours: Annotated[float, typer.Option(min=0.01, max=24 * 400, help="Event time of the history.")] = 2.0,
    start: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%dT%H:%M:%S"], help="Its beginning, UTC. Default: so that it ends now."),
    ] = None,
    faults: Annotated[int, typer.Option(min=0, help="Network incidents in the history.")] = 12,
    usage_per_hour: Annotated[float, typer.Option(min=0.0, help="Usage events per customer and hour.")] = 12.0,
    poison: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of unreadable records.")] = 0.001,
    late: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of usage events that come 20 minutes late.")] = 0,
    duplicates: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of records that are sent twice.")] = 0.01,
    canaries: Annotated[int, typer.Option(min=0, help="Personal values to place and list in the manifest.")] = 0,
    live_seconds: Annotated[float, typer.Option(min=0.0, help="A live part after the history, to Kafka only.")] = 0.0,
    live_faults: Annotated[int, typer.Option(min=0, help="Incidents in the live part.")] = 0,
    rate: Annotated[float | None, typer.Option(min=1.0, help="At most so many records per second.")] = None,
) -> None:
    """Make up a telco from a seed, into files or Kafka.

    It has a network, customers, usage, faults in every format, and bad input.

    Usage, topology and canonical faults are Confluent Avro when SIGNALBOX_SCHEMA_REGISTRY_URL is set, else JSON. A
    manifest tells what was sent: manifest.json beside the files, workload-manifest.json in the data directory.
    """
    if out is not None and (live_seconds or rate):
        raise typer.BadParameter("--live-seconds and --rate are for Kafka: leave out --out")
    begin = start.replace(tzinfo=UTC) if start else datetime.now(UTC).replace(microsecond=0) - timedelta(hours=hours)
    postpaid = round(customers * _POSTPAID_SHARE)
    fields: dict[str, Any] = {
        "seed": seed,
        "start": begin,
        "duration": timedelta(hours=hours),
        "live_seconds": live_seconds,
        "live_faults": live_faults,
        "regions": _REGIONS,
        "sites_per_region": max(2, customers // _CUSTOMERS_PER_SITE // _REGIONS),
        "prepaid": customers - postpaid,
        "postpaid": postpaid,
        "usage_per_customer_per_hour": usage_per_hour,
        "faults": faults,
        "poison_share": poison,
        "late_share": late,
        "duplicate_share": duplicates,
        "canaries": canaries,
    }
    if out is not None:
        _to_files(fields, out)
    else:
        _to_kafka(fields, rate)


def _to_files(fields: dict[str, Any], out: Path) -> None:
    from benchmarks.workload import Workload, WorkloadSpec
    from connectors.settings import Settings
    from flows.record_files import write_records
    from schemas.errors import TerminalError

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise TerminalError(f"expected {out} to be empty or not there: choose another directory")
    workload = Workload(WorkloadSpec(**fields), registry=_registry(Settings.load()))
    count = write_records(workload.records(), out)
    workload.manifest.write(out / "manifest.json")
    typer.echo(f"wrote {count:,} records and manifest.json to {out}")


def _to_kafka(fields: dict[str, Any], rate: float | None) -> None:
    from benchmarks.workload import PARTITIONS, Workload, WorkloadSpec, produce
    from connectors.kafka import partition_counts
    from connectors.settings import Settings
    from flows.progress import Progress

    settings = Settings.load()
    kafka = settings.kafka_config()
    spec = WorkloadSpec(**fields, partitions=partition_counts(kafka, PARTITIONS))
    workload = Workload(spec, registry=_registry(settings))
    with Progress("records sent") as progress:
        manifest = produce(
            workload,
            settings.brokers,
            rate=rate,
            realtime=spec.live_seconds > 0,
            progress=progress.update,
            extra=kafka.extra,
        )
    path = settings.data_dir / "workload-manifest.json"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    manifest.write(path)
    typer.echo(f"sent {manifest.total:,} records to {settings.brokers}; {path} tells what they were")


def _registry(settings: Any) -> Any:
    from schemas.codec import Registry

    return Registry.connect(settings.schema_registry_url) if settings.schema_registry_url else None
