"""The command line with a Kafka: topics, dead letters, generate, doctor."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from connectors.broker import EmbeddedBroker, free_port
from flows.cli import main
from flows.dead_letters import EXPLANATIONS
from flows.topic_plan import NOTIFICATION_TOPICS
from privacy import Keyring, Sealer
from schemas.blocks import RecordBlock
from schemas.codec import REASONS, Rejected
from schemas.dead_letters import error_headers, seal_record


@pytest.fixture(scope="module")
def brokers() -> Iterator[str]:
    with EmbeddedBroker() as broker:
        yield broker.brokers


@pytest.fixture(autouse=True)
def settings(monkeypatch, tmp_path, request):
    monkeypatch.setenv("SIGNALBOX_DATA_DIR", str(tmp_path / "data"))
    if "brokers" in request.fixturenames:
        monkeypatch.setenv("SIGNALBOX_BROKERS", request.getfixturevalue("brokers"))
    for name in ("KEYRING", "SCHEMA_REGISTRY_URL"):
        monkeypatch.delenv(f"SIGNALBOX_{name}", raising=False)


def use_topics(monkeypatch, folder: Path, *names: str) -> None:
    """Topics of this test only."""
    path = folder / "topics.toml"
    path.write_text("".join(f'["{name}"]\nstream = "usage_event"\nformat = "canonical"\n' for name in names))
    monkeypatch.setenv("SIGNALBOX_TOPICS", str(path))


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    said = capsys.readouterr()
    return code, said.out, said.err


def test_topics_are_made_once(capsys, brokers, monkeypatch, tmp_path):
    use_topics(monkeypatch, tmp_path, "made.once")
    code, out, err = run(capsys, "topics", "create", "--partitions", "3", "--output-partitions", "1")
    assert (code, err) == (0, "")
    assert "created  made.once (3 partitions)\n" in out
    assert "created  made.once.dlq (1 partitions)\n" in out
    assert "created  made.once.late (1 partitions)\n" in out
    code, out, err = run(capsys, "topics", "create", "--partitions", "3", "--output-partitions", "1")
    already = 3 + len(NOTIFICATION_TOPICS)
    assert (code, out, err) == (0, f"0 created, {already} were there already\n", "")


def test_topics_are_left_as_they_are_when_their_partitions_differ(capsys, brokers, monkeypatch, tmp_path):
    use_topics(monkeypatch, tmp_path, "left.alone")
    assert run(capsys, "topics", "create", "--partitions", "2", "--output-partitions", "1")[0] == 0
    code, _, err = run(capsys, "topics", "create", "--partitions", "5", "--output-partitions", "1")
    assert code == 2
    assert err == (
        "signalbox: topics with another number of partitions were left as they are: left.alone has 2 instead of 5\n"
    )


@pytest.fixture
def letters(capsys, brokers, monkeypatch, tmp_path) -> str:
    """A topic with three dead letters, written as a flow writes them."""
    topic = f"refused.{tmp_path.name.replace('_', '-')}"
    use_topics(monkeypatch, tmp_path, topic)
    assert run(capsys, "topics", "create", "--partitions", "1", "--output-partitions", "1")[0] == 0
    keyring = Keyring.create(tmp_path / "data" / "keyring.json")
    records = [(b"Ada", b"{\x1b"), (None, b"Lovelace"), (b"", None)]
    block = RecordBlock.from_records(topic, 7, records, first_offset=100, headers={0: [("h", b"v")]})
    producer = Producer({"bootstrap.servers": brokers})
    for row, reason in enumerate(("malformed_json", "malformed_json", "null_value")):
        headers = error_headers(block, Rejected(row, reason, f"what is wrong {row}"), flow="f", step="decode")
        producer.produce(f"{topic}.dlq", seal_record(block, row, Sealer(keyring)), headers=headers)
    assert producer.flush(10) == 0
    return topic


def test_dead_letters_are_counted_and_listed(capsys, letters):
    code, out, err = run(capsys, "dlq", "list", "--topic", letters)
    assert (code, err) == (0, "")
    counts, _, listed = out.partition("\n\n")
    assert [line.split() for line in counts.splitlines()] == [
        ["2", f"{letters}.dlq", "malformed_json"],
        ["1", f"{letters}.dlq", "null_value"],
    ]
    assert [line.split("  ")[0] for line in listed.splitlines()] == [f"{letters}.dlq 0 {row}" for row in range(3)]
    assert listed.splitlines()[2].endswith("decode  null_value: what is wrong 2")


def test_dead_letters_are_chosen_by_reason_and_limit(capsys, letters):
    code, out, _ = run(capsys, "dlq", "list", "--reason", "malformed_json", "--limit", "1")
    assert code == 0
    assert "null_value" not in out
    assert out.split()[0] == "2"
    assert out.count("what is wrong") == 1


def test_nothing_is_listed_when_there_are_no_dead_letters(capsys, letters):
    assert run(capsys, "dlq", "list", "--reason", "unknown_schema") == (0, "no dead letters\n", "")


def test_a_dead_letter_stays_sealed_when_it_is_shown(capsys, letters):
    code, out, err = run(capsys, "dlq", "show", letters, "0", "0")
    assert (code, err) == (0, "")
    assert f"original     {letters}[7]@100\n" in out
    assert EXPLANATIONS["malformed_json"] in out
    assert "--reveal opens them" in out
    assert "Ada" not in out


def test_a_dead_letter_is_opened_and_that_is_noted_when_it_is_revealed(capsys, letters, tmp_path):
    code, out, _ = run(capsys, "dlq", "show", letters, "0", "0", "--reveal")
    assert code == 0
    assert "header       h = v\nkey          Ada\nvalue        {\\x1b\n" in out
    noted = json.loads((tmp_path / "data" / "audit" / "reveals.jsonl").read_bytes())
    assert (noted["n"], noted["event"], noted["dead_letter"]) == (1, "unseal", f"{letters}.dlq[0]@0")


def test_a_dead_letter_is_not_opened_when_that_cannot_be_noted(capsys, letters, tmp_path):
    (tmp_path / "data" / "audit").write_text("")
    code, out, err = run(capsys, "dlq", "show", letters, "0", "0", "--reveal")
    assert code == 2
    assert "Ada" not in out
    assert "cannot be written (Not a directory), and nothing is revealed without it" in err


def test_a_dead_letter_is_not_opened_when_the_keyring_is_another(capsys, letters, monkeypatch, tmp_path):
    Keyring.create(tmp_path / "other.json")
    monkeypatch.setenv("SIGNALBOX_KEYRING", str(tmp_path / "other.json"))
    code, _, err = run(capsys, "dlq", "show", letters, "0", "0", "--reveal")
    assert code == 2
    assert err.startswith("signalbox: the sealed bytes do not open with ")
    assert err.count("\n") == 1


def test_a_dead_letter_is_missed_when_there_is_none(capsys, letters):
    code, _, err = run(capsys, "dlq", "show", letters, "0", "3")
    assert (code, err) == (2, f"signalbox: there is no record at {letters}.dlq[0]@3: see `signalbox dlq list`\n")
    code, _, err = run(capsys, "dlq", "show", letters, "4", "0")
    assert (code, err) == (2, f"signalbox: expected a partition of {letters}.dlq below 1, got 4\n")


def test_every_reason_is_explained():
    assert set(EXPLANATIONS) == REASONS


def test_a_workload_is_sent_and_told_in_a_manifest(capsys, brokers, monkeypatch, tmp_path):
    monkeypatch.delenv("SIGNALBOX_TOPICS", raising=False)
    assert run(capsys, "topics", "create", "--output-partitions", "1")[0] == 0
    code, out, err = run(capsys, "generate", "--customers", "200", "--hours", "0.2", "--faults", "2", "--poison", "0")
    assert (code, err) == (0, "")
    manifest = json.loads((tmp_path / "data" / "workload-manifest.json").read_text())
    assert f"sent {manifest['total']:,} records to {brokers}; " in out


def test_the_doctor_is_content_when_all_is_there(capsys, brokers, monkeypatch, tmp_path):
    monkeypatch.delenv("SIGNALBOX_TOPICS", raising=False)
    assert run(capsys, "topics", "create", "--output-partitions", "1")[0] == 0
    assert run(capsys, "keys", "create")[0] == 0
    code, out, err = run(capsys, "doctor")
    assert (code, err) == (0, ""), out
    assert {line.split()[0] for line in out.splitlines()} == {"ok"}


def test_the_doctor_says_what_to_do_when_things_are_missing(capsys, brokers, monkeypatch, tmp_path):
    use_topics(monkeypatch, tmp_path, "never.made")
    monkeypatch.setenv("SIGNALBOX_SCHEMA_REGISTRY_URL", f"http://127.0.0.1:{free_port()}")
    code, out, err = run(capsys, "doctor")
    assert (code, err) == (1, "4 failed\n")
    failed = [line.split("  ", 1)[1] for line in out.splitlines() if line.startswith("FAILED")]
    assert [line[:15].strip() for line in failed] == ["input topics", "output topics", "schema registry", "keyring"]
    assert "signalbox topics create" in failed[0]
    assert "signalbox keys create" in failed[3]
