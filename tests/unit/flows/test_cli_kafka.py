"""The command line with a Kafka: topics, dead letters, generate, doctor."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, ConfigResource

from connectors.broker import EmbeddedBroker, free_port
from connectors.kafka import KafkaConfig, create_topics, end_offsets
from flows.cli import main
from flows.refusal_reasons import EXPLANATIONS
from flows.topic_plan import NOTIFICATION_TOPICS
from privacy import AuditLog, Keyring, Sealer
from schemas.blocks import RecordBlock
from schemas.codec import REASONS, Rejected
from schemas.dead_letters import error_headers, seal_record
from schemas.errors import SignalboxError
from tests.contract.kafka_kit import wait_until


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


def setting_of(brokers: str, topic: str, name: str) -> str:
    admin = AdminClient({"bootstrap.servers": brokers})
    [found] = admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, topic)]).values()
    return found.result(10)[name].value


def have_leaders(brokers: str, topic: str) -> bool:
    try:
        end_offsets(KafkaConfig(brokers), [(name, 0) for name in (topic, f"{topic}.dlq", f"{topic}.late")])
    except SignalboxError:
        return False
    return True


@pytest.mark.kafka
def test_dead_letters_have_a_retention_of_their_own_when_topics_are_made(capsys, kafka, monkeypatch, tmp_path):
    monkeypatch.setenv("SIGNALBOX_BROKERS", kafka.brokers)
    use_topics(monkeypatch, tmp_path, "kept.fortnight")
    assert run(capsys, "topics", "create", "--retention-hours", "5")[0] == 0
    wait_until(lambda: have_leaders(kafka.brokers, "kept.fortnight"), "electing leaders")
    assert setting_of(kafka.brokers, "kept.fortnight.dlq", "retention.ms") == str(14 * 24 * 3_600_000)
    assert setting_of(kafka.brokers, "kept.fortnight.dlq", "segment.ms") == str(24 * 3_600_000)
    assert setting_of(kafka.brokers, "kept.fortnight.late", "retention.ms") == str(5 * 3_600_000)
    use_topics(monkeypatch, tmp_path, "kept.briefly")
    assert run(capsys, "topics", "create", "--dead-letter-hours", "7")[0] == 0
    wait_until(lambda: have_leaders(kafka.brokers, "kept.briefly"), "electing leaders")
    assert setting_of(kafka.brokers, "kept.briefly.dlq", "retention.ms") == str(7 * 3_600_000)


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
    assert run(capsys, "topics", "create", "--partitions", "8", "--output-partitions", "1")[0] == 0
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


def test_dead_letters_are_chosen_by_many_reasons_and_topics(capsys, letters):
    both = ("--reason", "malformed_json", "--reason", "null_value", "--topic", letters, "--topic", f"{letters}.dlq")
    code, out, _ = run(capsys, "dlq", "list", *both)
    assert code == 0
    assert [line.split()[0] for line in out.partition("\n\n")[0].splitlines()] == ["2", "1"]


def test_dead_letters_are_chosen_by_the_time_they_were_refused(capsys, letters):
    assert run(capsys, "dlq", "list", "--until", "2026-01-02") == (0, "no dead letters\n", "")
    assert run(capsys, "dlq", "list", "--since", "9999-01-02T03:04:05+02:00") == (0, "no dead letters\n", "")
    assert "malformed_json" in run(capsys, "dlq", "list", "--since", "2026-01-02", "--until", "9999-01-02T03:04:05")[1]


def test_a_reason_is_refused_when_there_is_no_such(capsys, letters):
    code, out, err = run(capsys, "dlq", "list", "--reason", "malformed")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.endswith(", got another word: malformed\n")


def test_dead_letters_are_replayed_once(capsys, letters, brokers):
    counts = f"       2  {letters:<32}  malformed_json\n       1  {letters:<32}  null_value\n"
    replay = ("dlq", "replay")
    assert run(capsys, *replay, "--all", "--dry-run")[:2] == (
        0,
        f"{counts}would send 3, already sent 0, unreadable 0\n",
    )
    assert run(capsys, *replay, "--reason", "null_value")[:2] == (0, "sent 1, already sent 0, unreadable 0\n")
    assert run(capsys, *replay, "--topic", letters)[:2] == (0, "sent 2, already sent 1, unreadable 0\n")
    assert run(capsys, *replay, "--since", "2026-01-02")[:2] == (0, "sent 0, already sent 3, unreadable 0\n")


def test_dead_letters_are_not_replayed_when_the_keyring_is_another(capsys, letters, monkeypatch, tmp_path):
    Keyring.create(tmp_path / "other.json")
    monkeypatch.setenv("SIGNALBOX_KEYRING", str(tmp_path / "other.json"))
    code, out, err = run(capsys, "dlq", "replay", "--all")
    assert (code, out) == (1, "sent 0, already sent 0, unreadable 3\n")
    said = [line for line in err.splitlines() if line.startswith("not sent: ")]
    assert [line.split()[2] for line in said] == [f"{letters}.dlq[0]@{offset}:" for offset in range(3)]
    assert "Lovelace" not in err


def test_nothing_is_listed_when_there_are_no_dead_letters(capsys, letters):
    assert run(capsys, "dlq", "list", "--reason", "unknown_schema") == (0, "no dead letters\n", "")


def test_a_dead_letter_stays_sealed_when_it_is_shown(capsys, letters):
    code, out, err = run(capsys, "dlq", "show", letters, "0", "0")
    assert (code, err) == (0, "")
    assert f"original     {letters}[7]@100\n" in out
    why, what_to_do = EXPLANATIONS["malformed_json"]
    assert f"why          {why}\nwhat to do   {what_to_do}\n" in out
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
    assert all(why.endswith(".") and what_to_do.endswith(".") for why, what_to_do in EXPLANATIONS.values())


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
    assert (code, err) == (1, "5 failed\n")
    failed = [line.split("  ", 1)[1] for line in out.splitlines() if line.startswith("FAILED")]
    assert [line[:15].strip() for line in failed] == [
        "input topics",
        "output topics",
        "dead letters",
        "schema registry",
        "keyring",
    ]
    assert "signalbox topics create" in failed[0]
    assert "signalbox keys create" in failed[4]


def failures(capsys) -> dict[str, str]:
    """What the doctor finds wrong, by check."""
    code, out, err = run(capsys, "doctor")
    failed = [line.removeprefix("FAILED").strip() for line in out.splitlines() if line.startswith("FAILED")]
    assert (code, err) == ((1, f"{len(failed)} failed\n") if failed else (0, ""))
    return dict(re.split(r"\s{2,}", line, maxsplit=1) for line in failed)


def write_topics(monkeypatch, folder: Path, **tables: str) -> None:
    path = folder / "topics.toml"
    path.write_text("".join(f'["{name}"]\n{lines}\n' for name, lines in tables.items()))
    monkeypatch.setenv("SIGNALBOX_TOPICS", str(path))


MIST = 'stream = "network_fault"\nformat = "mist"\nsecret_env = "SIGNALBOX_DOCTORS_SECRET"'


def test_the_doctor_names_every_topic_when_the_topics_file_cannot_be_used(capsys, brokers, monkeypatch, tmp_path):
    monkeypatch.delenv("SIGNALBOX_DOCTORS_SECRET", raising=False)
    odd = {
        "a": 'stream = "network_fault"\nformat = "debezium"',
        "b": MIST,
        "c": 'stream = "usage_event"\nformat = "canonical"\nsecret_env = "SIGNALBOX_BROKERS"',
        "d": 'stream = "billing_event"\nformat = "paper"',
    }
    write_topics(monkeypatch, tmp_path, **odd)
    said = failures(capsys)["topics file"]
    assert "[\"a\"] stream network_fault: format 'debezium' is not known, expected canonical, tmf642" in said
    assert '["b"] expects its secret in SIGNALBOX_DOCTORS_SECRET, which is not set' in said
    assert '["c"] stream usage_event: format canonical has no signatures to check; take secret_env out' in said
    assert "[\"d\"] stream billing_event: format 'paper' is not known" in said
    write_topics(monkeypatch, tmp_path, a='stream = "weather"\nformat = "canonical"')
    assert "names the unknown stream 'weather'" in failures(capsys)["topics file"]


def test_the_doctor_is_content_again_when_the_topics_file_is_corrected(capsys, brokers, monkeypatch, tmp_path):
    write_topics(monkeypatch, tmp_path, **{"doctors.mist": MIST})
    monkeypatch.delenv("SIGNALBOX_DOCTORS_SECRET", raising=False)
    assert "topics file" in failures(capsys)
    monkeypatch.setenv("SIGNALBOX_DOCTORS_SECRET", "s3cr3t")
    assert run(capsys, "topics", "create", "--output-partitions", "1")[0] == 0
    assert run(capsys, "keys", "create")[0] == 0
    assert failures(capsys) == {}
    write_topics(monkeypatch, tmp_path, **{"doctors.mist": MIST, "doctors.new": MIST})
    assert list(failures(capsys)) == ["input topics", "output topics", "dead letters"]


def test_a_run_ends_at_once_when_the_topics_file_cannot_be_used(capsys, brokers, monkeypatch, tmp_path):
    write_topics(monkeypatch, tmp_path, a='stream = "network_fault"\nformat = "debezium"', b=MIST)
    monkeypatch.delenv("SIGNALBOX_DOCTORS_SECRET", raising=False)
    assert run(capsys, "keys", "create")[0] == 0
    code, _, err = run(capsys, "run", "fault-notifications")
    assert code == 2
    assert [line.split(" ")[1] for line in err.splitlines() if line.startswith("signalbox: [")] == ['["a"]', '["b"]']


@pytest.mark.parametrize(
    ("hours", "message"),
    [
        (-1, "keeps dead letters for ever, and they may be personal: set its cleanup.policy to delete and its"),
        (5, "keeps dead letters for 5 hours, expected 24 at least, to correct and replay them: raise its"),
    ],
)
def test_the_doctor_warns_when_dead_letters_are_kept_too_long_or_too_short(
    capsys, brokers, monkeypatch, tmp_path, hours, message
):
    topic = f"doctors.kept{hours}"
    use_topics(monkeypatch, tmp_path, topic)
    create_topics(KafkaConfig(brokers), {f"{topic}.dlq": 1}, settings={"retention.ms": str(hours * 3_600_000)})
    assert run(capsys, "topics", "create", "--output-partitions", "1")[0] == 0
    expected = f"{topic}.dlq {message} retention.ms, such as to 1209600000, with your Kafka tools"
    assert failures(capsys)["dead letters"] == expected


@pytest.mark.kafka
def test_the_doctor_tells_how_long_dead_letters_are_kept_when_the_brokers_say_so(capsys, kafka, monkeypatch, tmp_path):
    monkeypatch.setenv("SIGNALBOX_BROKERS", kafka.brokers)
    use_topics(monkeypatch, tmp_path, "doctors.fortnight")
    assert run(capsys, "topics", "create")[0] == 0
    wait_until(lambda: have_leaders(kafka.brokers, "doctors.fortnight"), "electing leaders")
    _, out, _ = run(capsys, "doctor")
    assert "ok      dead letters      kept for 14 days at least\n" in out


def test_the_doctor_says_so_when_policy_or_audit_log_are_damaged(capsys, brokers, monkeypatch, tmp_path):
    assert run(capsys, "keys", "create")[0] == 0
    policy = tmp_path / "policy.toml"
    policy.write_text('[care]\nshoe_size = ["complaint"]\n')
    monkeypatch.setenv("SIGNALBOX_POLICY", str(policy))
    assert failures(capsys)["reveal policy"].startswith(f"{policy}: [care] shoe_size is no class of personal data")
    monkeypatch.delenv("SIGNALBOX_POLICY")
    keyring = Keyring.load(tmp_path / "data" / "keyring.json")
    log = AuditLog(tmp_path / "data" / "audit", keyring)
    log.append([{"outcome": "revealed"}, {"outcome": "revealed"}])
    assert "audit log" not in failures(capsys)
    assert "ok      audit log         whole, 2 entries\n" in run(capsys, "doctor")[1]
    log.path.write_bytes(log.path.read_bytes().replace(b"revealed", b"refused", 1))
    assert failures(capsys)["audit log"].startswith(f"the audit log {log.path} is damaged: line 1 ")
