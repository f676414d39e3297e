"""A gap in Salesforce's changes, as Avro through a real registry: stale for all to see, until the record comes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from confluent_kafka import Producer

from connectors.broker import ApacheKafka
from connectors.kafka import KafkaConfig
from privacy import Keyring, Tokenizer
from schemas.codec import Registry
from tests.installation import FLOW, PATIENCE_SECONDS, Installation, new_installation
from tests.integration.generated import READ
from tests.unit.schemas.formats.salesforce_avro import ACCOUNT, packed
from tests.unit.schemas.formats.test_salesforce_avro import change
from tests.unit.schemas.formats.test_salesforce_cdc import ANNA, BELA, COMMIT

pytestmark = pytest.mark.kafka

SALESFORCE = "crm.changes.salesforce"
NOON_MS = 1_777_377_600_000


def send(installation: Installation, *events: tuple[str, dict[str, Any]]) -> None:
    """Send events, one a second, under the schema that Salesforce has for them."""
    schema_id = Registry.connect(installation.registry_url).register(f"{SALESFORCE}-value", ACCOUNT)
    producer = Producer(installation.kafka.producer())
    for kind, header in events:
        stamp = NOON_MS + 1000 * header["commitNumber"]
        header = {**header, "commitNumber": COMMIT + header["commitNumber"], "commitTimestamp": stamp}
        value = packed(schema_id, change(kind, header))
        producer.produce(installation.topics[SALESFORCE], value, header["recordIds"][0], 0, timestamp=stamp)
    assert producer.flush(PATIENCE_SECONDS) == 0


def stale(installation: Installation) -> list[tuple[str, bool, str, int]]:
    """What readers of the view see."""
    with duckdb.connect(installation.data_dir / "features.duckdb", read_only=True) as database:
        query = "SELECT customer_key, stale, source_system, revision FROM stale_profiles ORDER BY ALL"
        return database.execute(query).fetchall()


def counted(installation: Installation) -> dict[str, int]:
    topic = installation.topics[SALESFORCE]
    names = ("profiles_stale", "profiles_refreshed")
    return {
        name: total
        for (name, labels), total in installation.counters.items()
        if name in names and dict(labels)["topic"] == topic
    }


def test_profile_is_stale_until_the_whole_record_comes_when_its_source_tells_of_a_gap(
    kafka: ApacheKafka, registry_url: str, tmp_path: Path
) -> None:
    with new_installation(KafkaConfig(kafka.brokers), tmp_path, READ, registry_url=registry_url) as installation:
        send(
            installation,
            ("CREATE", {"recordIds": [ANNA], "commitNumber": 1}),
            ("CREATE", {"recordIds": [BELA], "commitNumber": 2}),
            ("GAP_UPDATE", {"recordIds": [ANNA], "commitNumber": 3}),
            ("GAP_OVERFLOW", {"recordIds": ["000000000000000AAA"], "commitNumber": 4}),
        )
        assert installation.run("run", FLOW, "--until-caught-up")[0] == 0
        keyring = Keyring.load(installation.data_dir / "keyring.json")
        [anna] = Tokenizer(keyring).customer_keys(pl.Series([ANNA])).to_list()
        assert stale(installation) == [(anna, True, "salesforce", 1)]
        assert counted(installation) == {"profiles_stale": 1, "profiles_refreshed": 0}
        listed = installation.run("dlq", "list", "--reason", "gap")[1].splitlines()
        assert listed[0].split() == ["2", f"{installation.topics[SALESFORCE]}.dlq", "gap"]

        send(installation, ("UNDELETE", {"recordIds": [ANNA], "commitNumber": 5}))
        assert installation.run("run", FLOW, "--until-caught-up")[0] == 0
        assert stale(installation) == [(anna, False, "salesforce", 2)]
        assert counted(installation) == {"profiles_stale": 1, "profiles_refreshed": 1}
