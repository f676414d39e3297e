"""Poison is refused for the reason it is listed with, and canaries are where they should be."""

from random import Random

import orjson
import polars as pl
import pytest

from benchmarks.workload import POISON, Workload, kinds_of, poison
from connectors.topics import load_topics
from schemas.codec import REASONS, Registry
from schemas.contracts import contract
from tests.unit.benchmarks.workload_kit import busy, decoded, honest

FORMATS = ("canonical", "tmf642", "mist", "salesforce_cdc", "debezium")


@pytest.mark.parametrize("avro", [False, True], ids=["json", "avro"])
def test_poison_is_rejected_for_the_reason_listed(avro):
    registry = Registry.connect("mock://workload-poison") if avro else None
    workload = Workload(busy(poison_share=0.6, faults=60), registry=registry)
    rows, reasons, empty = decoded(workload, registry)
    manifest = workload.manifest

    used = {kind for kinds in manifest.poison.values() for kind in kinds}
    assert used == {kind for form in FORMATS for kind in kinds_of(form, avro=avro)}
    for topic, expected in manifest.rejections().items():
        mad = expected.pop("future_event_time", 0)
        assert reasons[topic] == expected
        assert rows[topic].height - honest(rows[topic]).height == mad
        assert honest(rows[topic]).height + empty[topic] == manifest.kinds[topic].total()


def test_every_reason_is_a_known_one():
    assert set(POISON.values()) <= REASONS
    assert len(POISON) >= 12


def test_every_kind_belongs_to_a_format():
    assert {kind for form in FORMATS for kind in kinds_of(form, avro=True)} == set(POISON)


def test_poison_is_equal_when_the_seed_is_equal():
    row = {"event_id": "e", "customer_id": "c", "kind": "voice", "event_time": 1_772_000_000_000_000}
    good = (b"c", orjson.dumps(row))
    for kind in kinds_of("canonical"):
        first = poison(kind, good, row, Random(3), large_bytes=2_000_000)
        assert first == poison(kind, good, row, Random(3), large_bytes=2_000_000)
        assert first != good


def test_canaries_are_found_in_every_personal_column_and_nowhere_else():
    workload = Workload(busy(canaries=70))
    canaries = workload.manifest.canaries
    rows, _, _ = decoded(workload)
    streams = {topic.topic: topic.stream for topic in load_topics()}
    personal: dict[str, set[str]] = {}
    for topic, frame in rows.items():
        for column, pii_class in contract(streams[topic]).pii.items():
            personal.setdefault(pii_class, set()).update(frame[column].drop_nulls())

    assert len(canaries) == len({canary.value for canary in canaries}) == 70
    assert {canary.pii_class for canary in canaries} == {
        "customer", "name", "email", "msisdn", "address", "birth_date", "text",
    }  # fmt: skip
    for canary in canaries:
        assert any(canary.value in value for value in personal[canary.pii_class])
        others = (value for pii_class, found in personal.items() if pii_class != canary.pii_class for value in found)
        assert canary.pii_class == "msisdn" or not any(canary.value in value for value in others)


def test_canaries_are_in_dead_letters_when_there_is_poison():
    workload = Workload(busy(canaries=42, poison_share=0.6))
    values = [record.value or b"" for record in workload.records()]
    assert any(b"from the console: " in value and b"uillfeather" in value for value in values)


def test_usage_is_one_event_when_it_is_sent_twice():
    rows, _, _ = decoded(Workload(busy(duplicate_share=0.3)))
    usage = honest(rows["usage.events"]).drop("_row", "_offset", "_timestamp", "_partition")

    assert usage.unique().height == usage["event_id"].n_unique() < usage.height
    assert usage.filter(pl.col("kind") == "data")["bytes_down"].min() >= 0
