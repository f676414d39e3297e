"""Debezium on PostgreSQL, both killed on the way: what we hold of the customers is what the table holds."""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import pytest

from connectors.broker import ApacheKafka
from connectors.kafka import KafkaConfig, create_topics
from connectors.segments import SegmentFiles
from flows.batch import Batch, Origin
from flows.operators.decode import DecodeSpec, decode_block
from flows.operators.profiles import FIELDS, Profiles, profile_changes, profile_versions
from flows.operators.tokenize import TokenizeSpec, tokenize_batch
from flows.operators.watermark import FOREVER
from privacy import Keyring, Tokenizer
from schemas.blocks import RecordBlock
from schemas.codec import Registry
from schemas.formats import decoder_for
from tests.contract.kafka_kit import produce
from tests.installation import FLOW, Installation, new_installation, result_of
from tests.oracles.fault_notifications import LogRow, choose, profile_at
from tests.upstream.customers import KEYS, Customers
from tests.upstream.debezium import AVRO, ENVELOPE, SENDINGS, Sending, debezium
from tests.upstream.postgres import Postgres
from tests.upstream.topic_log import TopicLog
from tests.upstream.upstream import Moment, Upstream

pytestmark = [pytest.mark.debezium, pytest.mark.kafka]

OWN, TOPIC = "crm.changes", "crm.changes.debezium"
PARTITIONS = {TOPIC: 3, OWN: 1, "network.topology": 1, "network.faults": 1, "usage.events": 1}


@pytest.fixture(scope="module")
def installation(kafka: ApacheKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    directory = tmp_path_factory.mktemp("installation")
    with new_installation(KafkaConfig(kafka.brokers), directory, PARTITIONS) as installation:
        yield installation


@pytest.fixture(scope="module")
def moments(
    installation: Installation,
    registry_url: str,
    debezium_libraries: Path,
    postgres_programs: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Moment]:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    rng = random.Random(seed)
    key, schemas = rng.choice(KEYS), rng.random() < 0.5
    kafka, own, read = installation.kafka, installation.topics[OWN], installation.topics[TOPIC]
    topics = {sending: read if sending is ENVELOPE else f"{read}.{sending.name}" for sending in SENDINGS}
    create_topics(kafka, dict.fromkeys(set(topics.values()) - {read}, PARTITIONS[TOPIC]))
    formats = {own: "canonical"} | {topic: sending.format for sending, topic in topics.items()}
    partitions = {own: PARTITIONS[OWN]} | dict.fromkeys(topics.values(), PARTITIONS[TOPIC])
    directory = tmp_path_factory.mktemp("connect")
    with (
        Postgres(postgres_programs) as database,
        debezium(
            kafka.brokers, registry_url, database, topics, debezium_libraries, directory, schemas=schemas
        ) as worker,
        closing(Customers(database, rng, key)) as customers,
        closing(TopicLog(kafka, formats, partitions, Registry.connect(registry_url))) as log,
    ):
        return Upstream(kafka, database, customers, worker, topics, own, log).live()


@pytest.fixture(params=["killed", "altered", "emptied"])
def moment(request: pytest.FixtureRequest, moments: dict[str, Moment]) -> Moment:
    return moments[request.param]


@pytest.fixture(params=SENDINGS, ids=lambda sending: sending.name)
def sending(request: pytest.FixtureRequest) -> Sending:
    found: Sending = request.param
    return found


def test_every_column_is_the_tables_when_everything_has_come(moment: Moment, sending: Sending) -> None:
    log = defaultdict(list)
    for batch in moment.batches[sending]:
        for row in batch.rows.with_columns(pl.col(pl.Datetime).cast(pl.Int64)).to_dicts():
            log[row["customer_id"]].append(LogRow(batch.stream, *batch.origin, row["_offset"], row))
    profiles = {customer: profile_at(customer, FOREVER, rows) for customer, rows in log.items()}
    known = {customer: profile for customer, profile in profiles.items() if profile and "deleted" not in profile}
    assert known.keys() == moment.table.keys()
    columns = {customer: {name: known[customer][name] for name in row} for customer, row in moment.table.items()}
    assert columns == moment.table


def test_profiles_are_those_of_the_tables_rows_when_everything_has_come(
    moment: Moment, sending: Sending, tmp_path: Path
) -> None:
    tokens = Tokenizer(Keyring.create(tmp_path / "keyring.json"))
    creates = [{"customer_id": customer, "op": "create", **row} for customer, row in moment.table.items()]
    expected = profiles_of([canonical(creates)], tokens, tmp_path / "expected")
    found = profiles_of(moment.batches[sending], tokens, tmp_path / "found")
    is_in_table = pl.col("customer").is_in(expected["customer"].implode())
    assert found.filter(is_in_table).to_dicts() == expected.to_dicts()
    assert not found.filter(~is_in_table)["active"].any()


def test_flow_tells_those_whom_the_table_held_when_an_outage_came(
    moments: dict[str, Moment], installation: Installation
) -> None:
    sites = sorted({row["site_id"] for moment in moments.values() for row in moment.table.values() if row["site_id"]})
    down = sites[::2]
    outages(installation, moments, sites, down)
    code, _, err = installation.run("run", FLOW, "--until-caught-up")
    assert code == 0, err

    tokens = Tokenizer(Keyring.load(installation.data_dir / "keyring.json"))
    result = result_of(installation)
    found = Counter(
        (each["fault_id"], each["phase"], each["customer_key"], each["channel"], opened(each["contact_token"], tokens))
        for each in result.notifications
    )
    expected = Counter(
        (f"network:{name}", phase, *told)
        for name, moment in moments.items()
        for phase in ("raised", "cleared")
        for told in told_by_definition(moment.table, down, tokens)
    )
    assert expected
    assert found == expected
    rejected = Counter()
    for (name, labels), total in installation.counters.items():
        if name == "records_rejected":
            rejected[dict(labels)["reason"]] += total
    assert rejected == Counter(each.reason for each in moments["emptied"].letters[ENVELOPE])


def test_customer_is_renamed_when_the_key_changes(moment: Moment) -> None:
    rows = pl.concat([batch.rows for batch in moment.batches[ENVELOPE]])
    place = ["event_time", "version"]
    renamed = set(rows.drop_nulls("previous_customer_id").select("previous_customer_id", *place).iter_rows())
    assert renamed
    assert renamed <= set(rows.filter(op="delete").select("customer_id", *place).iter_rows())


def test_dead_letters_tell_what_is_missing_when_a_truncate_or_a_gap_comes(
    moments: dict[str, Moment], sending: Sending
) -> None:
    found = {
        name: {(each.reason, each.message) for each in moment.letters[sending]} for name, moment in moments.items()
    }
    gap = (
        "gap",
        "after: expected every value of a customer with a new id, came placeholders of untouched ones; "
        "write those values again, and give the table REPLICA IDENTITY FULL",
    )
    truncate = (
        "gap",
        "op: expected a change of one row, came a truncate; delete the customers that do not come again",
    )
    # the unwrap transform keeps truncates to itself
    both = {gap, truncate} if sending in (ENVELOPE, AVRO) else {gap}
    assert found == {"killed": {gap}, "altered": both, "emptied": both}


def test_records_come_again_when_the_connector_was_killed(moments: dict[str, Moment]) -> None:
    once, twice = (came_again(moments[name]) for name in ("killed", "altered"))
    assert once
    assert twice - once


def came_again(moment: Moment) -> set[tuple[Any, ...]]:
    """Changes that are in the topic more than once."""
    rows = pl.concat([b.rows.select("customer_id", "op", "version", "event_time") for b in moment.batches[ENVELOPE]])
    return set(rows.filter(rows.is_duplicated()).iter_rows())


def outages(installation: Installation, moments: dict[str, Moment], sites: list[str], down: list[str]) -> None:
    """At each moment, for a microsecond, an outage of some sites."""
    before = at(min(moment.time for moment in moments.values()) - 1)
    elements = [{"element_id": site, "element_type": "site", "site_id": site} for site in sites]
    network = [{"element_id": "network", "element_type": "network"}] + [
        each | ({"parent_id": "network"} if each["site_id"] in down else {}) for each in elements
    ]
    produce(
        installation.kafka,
        installation.topics["network.topology"],
        [{"value": orjson.dumps(each | {"event_time": before})} for each in network],
    )
    fault = {"element_id": "network", "element_type": "network", "severity": "critical"}
    records = [
        {"value": orjson.dumps(fault | {"fault_id": f"network:{name}", "state": state, "event_time": at(time)})}
        for name, moment in moments.items()
        for state, time in (("raised", moment.time), ("cleared", moment.time + 1))
    ]
    produce(installation.kafka, installation.topics["network.faults"], records)


def told_by_definition(
    table: dict[str, dict[str, Any]], down: list[str], tokens: Tokenizer
) -> list[tuple[str, str, str | None]]:
    """Key, channel and contact of the customers at the sites that are down, who can be told."""
    told = []
    for customer, row in table.items():
        channel = choose(row)
        if row["status"] == "active" and row["site_id"] in down and row["services"] != [] and channel:
            kind = {"email": "email", "sms": "msisdn", "whatsapp": "msisdn"}.get(channel)
            told.append((tokens.customer_keys(pl.Series([customer]))[0], channel, row[kind] if kind else None))
    return told


def opened(token: str | None, tokens: Tokenizer) -> str | None:
    """The address to send to; none for push."""
    return None if token is None else tokens.open(token)


def at(micros: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)).isoformat()


def canonical(changes: list[dict[str, Any]]) -> Batch:
    """Changes in our own format, made now."""
    now_ms = time.time_ns() // 1_000_000
    common = {"source_system": "crm", "event_time": at(now_ms * 1000)}
    # what profiles have no use for, and JSON another form
    unused = {"contract_start": None, "contract_end": None}
    records = [(None, orjson.dumps(change | unused | common)) for change in changes]
    spec = DecodeSpec(decoders={OWN: decoder_for("crm_change", "canonical", None)}, max_future=0)
    batch, refused, _ = decode_block(RecordBlock.from_records(OWN, 0, records, timestamps_ms=now_ms), spec)
    assert refused is None
    return batch


def profiles_of(batches: list[Batch], tokens: Tokenizer, directory: Path) -> pl.DataFrame:
    """What the flow holds of each customer after these batches."""
    personal, sites = {"crm_change": frozenset({"email", "msisdn"})}, {"crm_change": {"site": "site_id"}}
    spec = TokenizeSpec(tokens=tokens, keep=personal, fingerprints=sites)
    ranks = {origin: rank for rank, origin in enumerate(sorted({Origin(*batch.origin) for batch in batches}))}
    profiles = Profiles(SegmentFiles(directory))
    for batch in batches:
        private, _ = tokenize_batch(batch, spec)
        profiles.table.append(profile_changes(private, ranks))
    everybody = np.unique(np.concatenate([part["customer"].to_numpy() for part in profiles.table.parts()]))
    versions = profile_versions(profiles.of(everybody), FOREVER)
    return versions.filter(pl.col("end") == FOREVER).select("customer", "customer_key", *FIELDS)
