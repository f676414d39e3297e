"""Registry against a real schema registry."""

from __future__ import annotations

from uuid import uuid4

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient

from schemas.codec import Registry
from schemas.errors import TerminalError
from tests.unit.schemas.codec_kit import USAGE, body, decode, prefixed, usage

pytestmark = pytest.mark.kafka

SCHEMA = {"type": "record", "name": "r", "fields": [{"name": "a", "type": "string"}]}


@pytest.fixture
def subject() -> str:
    return f"{uuid4().hex}-value"


def test_schema_is_found_by_its_id_when_it_was_registered(registry_url, subject):
    schema_id = Registry.connect(registry_url).register(subject, SCHEMA)
    assert Registry.connect(registry_url).register(subject, SCHEMA) == schema_id
    assert Registry.connect(registry_url).schema(schema_id) == SCHEMA


def test_schema_is_none_when_its_id_is_unknown(registry_url):
    assert Registry.connect(registry_url).schema(1_000_000_007) is None


def test_registry_refuses_a_schema_when_it_cannot_read_the_older_one(registry_url, subject):
    ours = Registry.connect(registry_url)
    ours.register(subject, SCHEMA)
    SchemaRegistryClient({"url": registry_url}).set_compatibility(subject, "BACKWARD")
    with pytest.raises(TerminalError) as error:
        ours.register(subject, {**SCHEMA, "fields": [{"name": "b", "type": "string"}]})
    assert str(error.value) == (
        f"schema registry: registering the schema of {subject} was refused (HTTP 409, code 409); check the schema"
    )


def test_old_and_new_records_are_read_when_their_schemas_are_registered(registry_url, subject):
    fields = USAGE.avro["fields"]
    older = {**USAGE.avro, "fields": [field for field in fields if field["name"] != "bytes_up"]}
    newer = {**USAGE.avro, "fields": [*fields, {"name": "slice", "type": ["null", "string"], "default": None}]}
    producer = Registry.connect(registry_url)
    row = {**usage(), "slice": "gold"}
    records = [prefixed(producer.register(subject, each), body(each, row)) for each in (older, newer, older)]
    decoded = decode(records, Registry.connect(registry_url))
    assert decoded.rejected == []
    assert decoded.rows["bytes_up"].to_list() == [0, row["bytes_up"], 0]  # the default
