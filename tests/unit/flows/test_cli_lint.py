"""`signalbox lint` from end to end: on files, and on a topic."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from confluent_kafka import Producer

from connectors.broker import EmbeddedBroker
from connectors.kafka import KafkaConfig, create_topics
from flows.cli import main
from schemas.codec import Registry
from tests.unit.flows.lint.test_formats import USAGE
from tests.unit.schemas.codec_kit import prefixed

RECORDS = [
    USAGE | {"tower": 7},
    USAGE | {"duration_seconds": "secret"},
    USAGE | {"tower": 8, "cell_id": "ada@example.org"},
]


@pytest.fixture(autouse=True)
def settings(monkeypatch, tmp_path):
    monkeypatch.setenv("SIGNALBOX_DATA_DIR", str(tmp_path / "data"))
    for name in ("BROKERS", "KEYRING", "TOPICS", "SCHEMA_REGISTRY_URL"):
        monkeypatch.delenv(f"SIGNALBOX_{name}", raising=False)


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "usage.jsonl"
    path.write_bytes(b"".join(orjson.dumps(record) + b"\n" for record in RECORDS))
    return path


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    code = main(("lint", *arguments))
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_table_tells_what_would_become_of_a_file(capsys, file):
    code, out, err = run(capsys, "--file", str(file), "--stream", "usage_event")
    assert (code, err) == (1, "")
    year = "over a year before Kafka received the record: such an event counts as late"
    told = [line for line in out.splitlines() if year not in line]
    assert told == [
        f"{file}, read as usage_event in format canonical",
        "3 records: 2 accepted, 0 empty, 1 rejected; 2 rows",
        "",
        "rejected",
        "       1  wrong_type  column duration_seconds: expected long, came str (line 2)",
        "",
        "ignored: no column comes from these fields",
        "       2  tower  (line 1, line 3)",
        "",
        "suspicious",
        "       1  cell_id  looks like an email address or a telephone number, and this column is kept as it comes: "
        "leave it out (line 3)",
    ]
    assert "secret" not in out
    assert "ada@" not in out


def test_a_machine_is_told_the_same_as_json(capsys, file):
    code, out, err = run(capsys, "--file", str(file), "--stream", "usage_event", "--json")
    told = orjson.loads(out)
    assert (code, err) == (1, "")
    assert {
        name: told[name] for name in ("source", "stream", "format", "records", "accepted", "empty", "rejected")
    } == {
        "source": str(file),
        "stream": "usage_event",
        "format": "canonical",
        "records": 3,
        "accepted": 2,
        "empty": 0,
        "rejected": 1,
    }
    assert told["rejections"] == [
        {
            "reason": "wrong_type",
            "message": "column duration_seconds: expected long, came str",
            "count": 1,
            "places": ["line 2"],
        }
    ]
    assert told["ignored"] == [{"name": "tower", "what": "", "count": 2, "places": ["line 1", "line 3"]}]
    assert told["never_filled"] == []


def test_the_code_is_0_when_all_would_be_accepted(capsys, tmp_path):
    path = tmp_path / "usage.json"
    path.write_bytes(orjson.dumps(USAGE, option=orjson.OPT_INDENT_2))
    assert run(capsys, "--file", str(path), "--stream", "usage_event")[0] == 0


def test_the_code_is_2_when_there_is_nothing_to_examine(capsys, tmp_path):
    path = tmp_path / "empty"
    path.touch()
    message = f"signalbox: {path}: expected records, came none: there is nothing to say of it\n"
    assert run(capsys, "--file", str(path), "--stream", "usage_event") == (2, "", message)


def test_the_stream_follows_from_the_format_when_there_is_but_one(capsys, tmp_path):
    path = tmp_path / "alarms.jsonl"
    path.write_bytes(b'{"topic":"alarms","events":[]}')
    code, out, _ = run(capsys, "--file", str(path), "--format", "mist")
    assert code == 0
    assert out.splitlines() == [
        f"{path}, read as network_fault in format mist",
        "1 records: 0 accepted, 1 empty, 0 rejected; 0 rows",
    ]


def test_generated_files_are_read_when_they_are_examined(capsys, tmp_path):
    out = tmp_path / "out"
    options = ("--customers", "200", "--hours", "0.2", "--faults", "2", "--poison", "0", "--seed", "3")
    assert main(("generate", "--out", str(out), *options)) == 0
    capsys.readouterr()
    for path, form in (("crm.changes.debezium", "debezium"), ("crm.changes.salesforce", "salesforce_cdc")):
        code, told, _ = run(capsys, "--file", str(out / path / "0.jsonl"), "--format", form)
        assert (code, "0 rejected" in told) == (0, True), told


def test_a_topic_is_examined_as_the_topics_file_says(capsys, monkeypatch, tmp_path):
    registry = Registry.connect("mock://lint-of-a-topic")
    schema_id = registry.register(
        "usage-value", {"type": "record", "name": "other", "fields": [{"name": "a", "type": "long"}]}
    )
    (tmp_path / "topics.toml").write_text('["usage.test"]\nstream = "usage_event"\nformat = "canonical"\n')
    monkeypatch.setenv("SIGNALBOX_TOPICS", str(tmp_path / "topics.toml"))
    monkeypatch.setenv("SIGNALBOX_SCHEMA_REGISTRY_URL", "mock://lint-of-a-topic")
    with EmbeddedBroker() as broker:
        monkeypatch.setenv("SIGNALBOX_BROKERS", broker.brokers)
        create_topics(KafkaConfig(broker.brokers), {"usage.test": 2})
        producer = Producer({"bootstrap.servers": broker.brokers})
        for number, record in enumerate([*RECORDS, *RECORDS]):
            producer.produce("usage.test", orjson.dumps(record), partition=number // 3)
            producer.flush(10)
        producer.produce("usage.test", prefixed(schema_id, b"\x02"), partition=1)
        assert producer.flush(10) == 0
        code, out, err = run(capsys, "--topic", "usage.test", "--json")
        told = orjson.loads(out)
        assert (code, err) == (1, "")
        assert (told["source"], told["records"], told["accepted"], told["rejected"]) == ("topic usage.test", 7, 4, 3)
        assert [(each["reason"], each["count"], each["places"]) for each in told["rejections"]] == [
            ("wrong_type", 2, ["usage.test[0]@1", "usage.test[1]@1"]),
            ("incompatible_schema", 1, ["usage.test[1]@3"]),
        ]
        code, out, _ = run(capsys, "--topic", "usage.test", "--limit", "2", "--stream", "usage_event", "--json")
        assert orjson.loads(out)["records"] == 2
