"""`signalbox run` on Apache Kafka: killed again and again, paused, replaced while it lives."""

from __future__ import annotations

import re
import shutil
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random, SystemRandom

import polars as pl
import pytest

from connectors.broker import ApacheKafka
from connectors.kafka import KafkaConfig
from flows.topic_plan import NOTIFICATION_TOPICS
from privacy import Keyring, Tokenizer
from tests import fault_flow
from tests.fault_flow import SECOND
from tests.installation import FLOW, PATIENCE_SECONDS, Installation, new_installation, result_of, wait_until
from tests.oracles.fault_notifications import LogRow, Rules
from tests.recovery.killing import (
    PACED,
    Killed,
    Progress,
    Sender,
    configure_flow,
    send_all,
    start_flow,
    table_reader,
)
from tests.recovery.live_properties import (
    LiveRun,
    check_all_clear_goes_to_those_told,
    check_nobody_is_told_twice,
    check_topics_and_tables_agree,
    check_whoever_is_affected_is_told,
    check_whoever_was_told_was_affected,
)
from tests.recovery.random_logs import (
    ALLOWED_LATENESS_SECONDS,
    MAX_DELAY_SECONDS,
    PARTITIONS,
    RandomLog,
    random_log,
)

pytestmark = pytest.mark.kafka

RULES = Rules(
    presence_window=60 * SECOND,
    hold_down=0,
    min_severity="minor",
    notify_updates=True,
    lateness=(MAX_DELAY_SECONDS + ALLOWED_LATENESS_SECONDS) * SECOND,
)
WORLDS, LIVE_WORLDS = 8, 6
FORGETS_NOTHING = 10**6
USAGE_FIRST = ("usage.events", "crm.changes", "network.faults", "network.topology")


@pytest.fixture
def random() -> Random:
    seed = SystemRandom().getrandbits(32)
    print(f"seed {seed}")  # noqa: T201
    return Random(seed)


@pytest.fixture
def installation(kafka: ApacheKafka, tmp_path: Path) -> Iterator[Installation]:
    with new_installation(KafkaConfig(kafka.brokers), tmp_path, PARTITIONS, paced=PACED) as made:
        yield made


@pytest.fixture
def live_installation(kafka: ApacheKafka, tmp_path: Path) -> Iterator[Installation]:
    with new_installation(KafkaConfig(kafka.brokers), tmp_path, PARTITIONS) as made:
        yield made


@pytest.mark.parametrize(("kills", "hold_down", "notify_updates"), [(8, 0, True), (7, 20, False)])
def test_result_equals_definition_when_a_replay_is_killed_again_and_again(
    installation, random, kills, hold_down, notify_updates
):
    rules = replace(RULES, hold_down=hold_down * SECOND, notify_updates=notify_updates)
    log = random_log(random, WORLDS, rules, installation.topics)
    configure_flow(installation, rules, retention_seconds=120)
    send_all(installation, log.rows)
    killed = Killed(installation, random, ("--until-caught-up",))
    with killed, table_reader(installation) as end_reader:
        while killed.kills < kills and killed.kill():
            pass
        assert killed.end() == 0, installation.said
        looks, rows = end_reader()
    assert killed.kills == kills, "the flow had ended before"
    assert looks > 0
    check_equals_definition(installation, log)
    assert rows <= visible_rows(installation)


@pytest.mark.parametrize("order", [USAGE_FIRST, USAGE_FIRST[::-1]], ids=["usage first", "usage last"])
def test_what_was_said_stays_said_when_a_live_flow_is_killed_again_and_again(live_installation, random, order):
    installation, kills = live_installation, 6
    log = random_log(random, LIVE_WORLDS, RULES, installation.topics, live=True)
    configure_flow(installation, RULES, retention_seconds=FORGETS_NOTHING)
    rows = stream_by_stream(log, [installation.topics[topic] for topic in order])
    sender = Sender(installation, rows, per_second=40)
    sender.start()
    killed = Killed(installation, random, ())
    with killed, table_reader(installation) as end_reader:
        while killed.kills < kills:
            sender.allow((killed.kills + 1) / (kills + 1))
            assert killed.kill()
            assert sender.is_alive()
        sender.allow(1)
        sender.join(PATIENCE_SECONDS)
        assert not sender.is_alive()
        assert killed.stop() == 0, installation.said
        with start_flow(installation, "--until-caught-up", workers=1) as last:
            assert last.wait() == 0, last.said
        looks, rows_seen = end_reader()
    assert looks > 0
    run = live_run(installation, log, sender)
    check_nobody_is_told_twice(run)
    check_all_clear_goes_to_those_told(run)
    check_topics_and_tables_agree(run)
    check_counters(installation, log, run.result)
    check_whoever_is_affected_is_told(run)
    early = check_whoever_was_told_was_affected(run)
    print(f"{early} were told by what was known then")  # noqa: T201
    assert 0 < rows_seen <= visible_rows(installation)


def test_an_old_process_adds_nothing_when_another_has_taken_over(installation, random, tmp_path):
    log = random_log(random, WORLDS, RULES, installation.topics)
    configure_flow(installation, RULES, retention_seconds=120)
    send_all(installation, log.rows)
    successor = replace(installation, data_dir=tmp_path / "copy")
    progress = Progress(installation).watch()
    with start_flow(installation, "--until-caught-up", workers=2) as old:
        wait_until(progress, "progress")
        old.signal_all(signal.SIGSTOP)
        code, out, err = installation.run("run", FLOW)
        assert (code, out) == (2, "")
        assert err == (
            f"signalbox: flow {FLOW} already runs on this data directory (process {old.process.pid}): "
            "stop it first, or set SIGNALBOX_DATA_DIR to another directory\n"
        )
        shutil.copytree(installation.data_dir, successor.data_dir)
        with start_flow(successor, "--until-caught-up", workers=1) as new:
            assert new.wait() == 0, new.said
        check_equals_definition(successor, log)
        before = successor.published(successor.outputs)
        old.signal_all(signal.SIGCONT)
        assert old.wait() == 2, old.said
        assert old.said.splitlines()[-1].startswith(f"signalbox: writer {FLOW}/"), old.said
        assert ": another process has taken over; stop one of the two (Kafka error " in old.said.splitlines()[-1]
    assert successor.published(successor.outputs) == before


def stream_by_stream(log: RandomLog, topics: Sequence[str]) -> list[LogRow]:
    return sorted(log.rows, key=lambda row: (topics.index(row.topic), row.offset, row.partition))


def check_equals_definition(installation: Installation, log: RandomLog) -> None:
    result, expected = result_of(installation), log.outcome()
    tokenizer = Tokenizer(Keyring.load(installation.data_dir / "keyring.json"))
    keys = {customer: key for key, customer in customers_by_key(tokenizer, log).items()}
    contacts = Contacts(tokenizer)
    assert Counter(fault_flow.told(result)) == Counter(
        (name, keys[who], channel, contacts.token(who, channel, contact), *rest)
        for name, who, channel, contact, *rest in expected.notifications
    )
    affected = Counter((name, keys[who], *rest) for name, who, *rest in expected.affected)
    assert Counter(fault_flow.affected(result)) == affected
    assert fault_flow.incidents(result) == expected.incidents
    assert sorted(row["notification_id"] for row in result.notifications) == sorted(
        result.tables["notifications"]["notification_id"]
    )
    assert late_places(installation) == Counter(log.late)
    check_counters(installation, log, result)


def check_counters(installation: Installation, log: RandomLog, result: fault_flow.Result) -> None:
    counted: dict[str, Counter[tuple[str, ...]]] = {}
    for (name, labels), total in installation.counters.items():
        counted.setdefault(name, Counter())[tuple(value for _, value in labels)] += total
    topics = Counter((row.topic,) for row in log.rows)
    used = Counter[tuple[str, ...]]()
    for (_, topic), total in counted["records"].items():
        used[topic,] += total
    assert counted["records_consumed"] == topics == used
    assert counted["notifications_published"] == Counter((r["channel"], r["phase"]) for r in result.notifications)
    unreachable = (result.tables["affected_customers"]["outcome"] == "unreachable").sum()
    assert counted["customers_unreachable"].total() == unreachable


def late_places(installation: Installation) -> Counter[tuple[str, int, int]]:
    found = Counter[tuple[str, int, int]]()
    for each in installation.published(topic for topic in installation.outputs if topic.endswith(".late")):
        source, partition, offset = re.fullmatch(r"(.+)\[(\d+)\]@(\d+)#0", each.identity).groups()
        found[source, int(partition), int(offset)] += 1
    return found


def live_run(installation: Installation, log: RandomLog, sender: Sender) -> LiveRun:
    times = {each.identity: each.timestamp_ms for each in installation.published(NOTIFICATION_TOPICS)}
    tokenizer = Tokenizer(Keyring.load(installation.data_dir / "keyring.json"))
    return LiveRun(log, sender.sent_ms, result_of(installation), times, customers_by_key(tokenizer, log))


def customers_by_key(tokenizer: Tokenizer, log: RandomLog) -> dict[str, str]:
    customers = pl.Series(sorted({row.row["customer_id"] for row in log.rows if "customer_id" in row.row}))
    return dict(zip(tokenizer.customer_keys(customers), customers, strict=True))


class Contacts:
    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def token(self, customer: str, channel: str, contact: str | None) -> str | None:
        kind = "email" if channel == "email" else "msisdn"
        owner = self._tokenizer.owners(self._tokenizer.customer_numbers(pl.Series([customer])))
        return None if contact is None else str(self._tokenizer.tokens(pl.Series([contact]), kind, owner)[0])


def visible_rows(installation: Installation) -> int:
    """As the table reader counts them: in views and in tables."""
    tables = result_of(installation).tables
    incidents = tables["incidents"]["incident_id"].n_unique()
    others = sum(frame.height for name, frame in tables.items() if name != "incidents")
    return 2 * others + 2 * tables["incidents"].height + incidents
