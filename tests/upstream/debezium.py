"""Debezium between a table of customers and Kafka topics: the ways in which it may send the table, and its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.upstream.connect import ConnectWorker
from tests.upstream.postgres import Postgres

_JSON = "org.apache.kafka.connect.json.JsonConverter"
_UNWRAP = "io.debezium.transforms.ExtractNewRecordState"


@dataclass(frozen=True)
class Sending:
    """A way to send the table.

    Attributes:
        name: Of the connector, and of its slot and publication in the database.
        format: What our topics file calls it.
        flattening: Settings of the unwrap transform, if it is there.
        is_avro: Confluent Avro; else JSON.
    """

    name: str
    format: str
    flattening: Mapping[str, str] | None = field(default=None, hash=False)
    is_avro: bool = False


ENVELOPE = Sending("envelope", "debezium")
MARKED = Sending(
    "marked", "debezium", {"delete.tombstone.handling.mode": "rewrite", "add.fields": "op,lsn,source.ts_us"}
)
BARE = Sending("bare", "debezium_flattened", {})
AVRO = Sending("avro", "debezium", is_avro=True)
SENDINGS = (ENVELOPE, MARKED, BARE, AVRO)
"""The change events themselves; flattened, with deletes marked; flattened as it is done by default; events as Avro."""


def debezium(
    brokers: str,
    registry_url: str,
    database: Postgres,
    topics: Mapping[Sending, str],
    libraries: Path,
    directory: Path,
    *,
    schemas: bool,
) -> ConnectWorker:
    """Debezium, set up as `docs/formats.md` says.

    Args:
        brokers: Where Kafka is.
        registry_url: Where the schema registry is.
        database: Where the table is.
        topics: Where each connector writes to.
        libraries: Where Connect and Debezium are.
        directory: Where the worker keeps its files.
        schemas: Whether each record in JSON says the types of its fields.
    """
    # the worker's own converters; each connector has others
    json = {f"{part}.converter": _JSON for part in ("key", "value")}
    worker = {"bootstrap.servers": brokers, "offset.flush.interval.ms": "1000", **json}
    connectors = []
    for sending, topic in topics.items():
        converter = _avro(registry_url) if sending.is_avro else {"": _JSON, ".schemas.enable": str(schemas).lower()}
        decimals = "precise" if schemas or sending.is_avro else "string"
        settings = {f"{part}.converter{name}": value for part in ("key", "value") for name, value in converter.items()}
        connectors.append(_connector(sending, topic, database) | {"decimal.handling.mode": decimals} | settings)
    return ConnectWorker(libraries, directory, worker, connectors)


def _avro(registry_url: str) -> dict[str, str]:
    """Settings of Apicurio's converter, to write as Confluent's does."""
    return {
        "": "io.apicurio.registry.utils.converter.AvroConverter",
        ".apicurio.registry.url": registry_url.replace("/apis/ccompat/v7", "/apis/registry/v2"),
        ".apicurio.registry.auto-register": "true",
        ".apicurio.registry.as-confluent": "true",
        ".apicurio.registry.use-id": "contentId",
        ".apicurio.registry.headers.enabled": "false",
    }


def _connector(sending: Sending, topic: str, database: Postgres) -> dict[str, str]:
    transforms = {
        "transforms.route.type": "org.apache.kafka.connect.transforms.RegexRouter",
        "transforms.route.regex": r".*\\.public\\.customers",
        "transforms.route.replacement": topic,
    }
    if sending.flattening is not None:
        settings = {f"transforms.unwrap.{name}": value for name, value in sending.flattening.items()}
        transforms |= {"transforms.unwrap.type": _UNWRAP} | settings
    return {
        "name": sending.name,
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "database.hostname": "127.0.0.1",
        "database.port": str(database.port),
        "database.user": "crm",
        "database.dbname": "crm",
        "topic.prefix": sending.name,
        "slot.name": sending.name,
        "publication.name": sending.name,
        "publication.autocreate.mode": "filtered",
        "plugin.name": "pgoutput",
        "table.include.list": "public.customers",
        "skipped.operations": "none",
        "poll.interval.ms": "10",
        "transforms": "route" if sending.flattening is None else "unwrap,route",
        **transforms,
    }
