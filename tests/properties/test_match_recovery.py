"""Whatever is lost in crashes, and in whatever order the inputs come: what was said stays said, and is said once."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from flows.batch import Origin
from flows.operators.incidents import IncidentRules
from flows.operators.match_faults import MatchSpec
from flows.operators.track_incidents import TrackSpec
from privacy import Keyring, Tokenizer
from tests import fault_flow
from tests.crashing_flow import CrashingFlow, Decision, Schedule
from tests.fault_flow import SECOND, micros
from tests.oracles.fault_notifications import (
    FOREVER,
    LogRow,
    Rules,
    choose,
    episodes,
    first_moment,
    late_usage,
    outcome,
    profile_at,
    stale_customers,
)
from tests.properties.fault_logs import CUSTOMERS, LATENESS, MAX_DELAY, PARTITIONS, logs

INPUTS = [Origin(topic, partition) for topic, count in PARTITIONS.items() for partition in range(count)]
MEMORY = 10**6 * SECOND  # a retention that forgets nothing
WINDOW = 60 * SECOND


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return Tokenizer(Keyring.create(tmp_path_factory.mktemp("keys") / "keyring.json"))


def play(
    log: list[LogRow],
    tokenizer: Tokenizer,
    schedule: Schedule,
    rules: Rules,
    *,
    retention: int,
) -> CrashingFlow:
    published = tuple(Origin("published", writer) for writer in range(schedule.writers))
    delay = MAX_DELAY * SECOND
    track = TrackSpec(
        rules=IncidentRules(hold_down=rules.hold_down, min_severity=rules.min_severity),
        delays={origin: delay for origin in INPUTS if origin.topic.startswith("network.")},
        published=published,
        retention=retention,
    )
    match = MatchSpec(
        delays={origin: delay for origin in INPUTS if not origin.topic.startswith("network.")},
        published=published,
        presence_window=rules.presence_window,
        lateness=rules.lateness,
        retention=retention,
        notify_updates=rules.notify_updates,
    )
    with TemporaryDirectory() as directory:
        flow = CrashingFlow(log, INPUTS, track, match, tokenizer, schedule, Path(directory))
        flow.play()
    return flow


def rules_of(hold_down: int, notify_updates: bool) -> Rules:
    return Rules(
        presence_window=WINDOW,
        hold_down=hold_down * SECOND,
        min_severity="minor",
        notify_updates=notify_updates,
        lateness=(MAX_DELAY + LATENESS) * SECOND,
    )


def keys_of(tokenizer: Tokenizer) -> dict[str, str]:
    return dict(zip(tokenizer.customer_keys(pl.Series(CUSTOMERS)), CUSTOMERS, strict=True))


def table(flow: CrashingFlow, name: str) -> list[dict[str, Any]]:
    return [row for frame in flow.durable.tables.get(name, []) for row in frame.to_dicts()]


def published(flow: CrashingFlow) -> list[dict[str, Any]]:
    return pl.concat(flow.outside.published).drop("customer", "sequence").to_dicts()


def final_incidents(flow: CrashingFlow) -> dict[str, dict[str, Any]]:
    newest: dict[str, dict[str, Any]] = {}
    for row in table(flow, "incidents"):
        if row["revision"] > newest.get(row["incident_id"], {"revision": -1})["revision"]:
            newest[row["incident_id"]] = row
    return newest


def check_said_once(flow: CrashingFlow) -> None:
    ids = Counter(row["notification_id"] for row in published(flow))
    assert set(ids.values()) <= {1}, "a notification was published twice"
    # nor under another id for the same outage
    known = final_incidents(flow)
    times = defaultdict(list)
    for row in published(flow):
        if row["phase"] == "raised":
            incident = known[row["incident_id"]]
            closed = incident["closed_at"] and micros(incident["closed_at"])
            times[row["customer_key"], row["fault_id"]].append((micros(incident["opened_at"]), closed or FOREVER))
    for spans in times.values():
        spans.sort()
        assert all(one[1] <= other[0] for one, other in pairwise(spans)), "told twice of one outage"


def check_all_clear(flow: CrashingFlow) -> None:
    told: dict[str, dict[str, set[str]]] = defaultdict(lambda: {"raised": set(), "updated": set(), "cleared": set()})
    for row in published(flow):
        told[row["incident_id"]][row["phase"]].add(row["customer_key"])
    known = final_incidents(flow)
    for name, phases in told.items():
        assert phases["cleared"] <= phases["raised"]
        assert phases["updated"] <= phases["raised"]
        assert known[name]["state"] in ("announced", "closed"), f"{name} was told, and is {known[name]['state']}"
        if known[name]["state"] == "closed":
            assert phases["cleared"] == phases["raised"], f"{name} is closed, and not all know"


def check_tables_agree(flow: CrashingFlow) -> None:
    by_id = {row["notification_id"]: row for row in published(flow)}
    rows = table(flow, "notifications")
    assert Counter(row["notification_id"] for row in rows) == Counter(by_id.keys())
    for row in rows:
        assert row == by_id[row["notification_id"]]
    affected = table(flow, "affected_customers")
    assert len({(row["incident_id"], row["customer_key"]) for row in affected}) == len(affected)
    reachable = {
        (r["incident_id"], r["customer_key"], r["cause"], r["outcome"], r["affected_at"], r["told_at"])
        for r in affected
        if r["outcome"] != "unreachable"
    }
    raised = {
        (r["incident_id"], r["customer_key"], r["cause"], r["channel"], r["affected_at"], r["event_time"])
        for r in by_id.values()
        if r["phase"] == "raised"
    }
    assert reachable == raised


def check_counts(flow: CrashingFlow, log: list[LogRow], rules: Rules) -> None:
    records: Counter[str] = Counter()
    notified: Counter[tuple[str, ...]] = Counter()
    for (name, first, *rest), amount in flow.durable.counts.items():
        if name == "records":
            records[first] += amount
        elif name == "notifications_published":
            notified[first, *rest] += amount
    assert records == Counter(row.topic for row in log)
    assert notified == Counter((row["channel"], row["phase"]) for row in published(flow))
    unreachable = sum(row["outcome"] == "unreachable" for row in table(flow, "affected_customers"))
    assert flow.durable.counts["customers_unreachable", "raised"] == unreachable
    assert flow.outside.late == late_usage(log, rules)


def check_complete(flow: CrashingFlow, log: list[LogRow], rules: Rules, keys: dict[str, str]) -> None:
    """Whoever is affected by the definition was told of that outage, under whatever id."""
    incidents = final_incidents(flow)
    told = defaultdict(list)
    for row in table(flow, "affected_customers"):
        incident = incidents[row["incident_id"]]
        closed = incident["closed_at"] and micros(incident["closed_at"])
        told[keys[row["customer_key"]]].append(
            (incident["element_id"], micros(incident["opened_at"]), closed or FOREVER)
        )
    usable = in_time(log, rules)
    for episode in episodes(usable, rules):
        if episode.opened + rules.hold_down >= episode.closed:
            continue
        elements = {element for _, element, _ in episode.joined}
        for customer in CUSTOMERS:
            if first_moment(customer, episode, usable, rules) is None:
                continue
            spans = [each for each in told[customer] if each[0] in elements]
            assert any(start < episode.closed and episode.opened < end for _, start, end in spans), (
                f"{customer} was not told of {episode.name}, fault {episode.fault_id}"
            )


def check_sound(flow: CrashingFlow, log: list[LogRow], rules: Rules, keys: dict[str, str]) -> None:
    """Whoever was told was affected, by the definition or by what was known when it was decided."""
    definition = outcome(log, rules)
    right = {(name, customer, at) for name, customer, _, _, at, _ in definition.affected}
    checked = set()
    for decision in flow.outside.decisions:
        row, customer = decision.row, keys[decision.row["customer_key"]]
        at = micros(row["affected_at"])
        identity = (row["incident_id"], customer, at)
        if identity in right or identity in checked:
            continue
        checked.add(identity)
        assert was_affected(decision, customer, log, rules), f"{customer} was told of {row['incident_id']}"


def was_affected(decision: Decision, customer: str, log: list[LogRow], rules: Rules) -> bool:
    at = micros(decision.row["affected_at"])
    tried = []
    for known in reversed(decision.known):
        if known in tried:
            continue
        tried.append(known)
        prefix = in_time([row for row in log if row.offset < known.get(Origin(row.topic, row.partition), 0)], rules)
        for episode in episodes(prefix, rules):
            if episode.opened <= at < episode.closed and first_moment(customer, episode, prefix, rules) is not None:
                return True
    return False


def check_channels(flow: CrashingFlow, log: list[LogRow], keys: dict[str, str]) -> None:
    seen = set()
    for decision in flow.outside.decisions:
        row, customer = decision.row, keys[decision.row["customer_key"]]
        if tuple(row.items()) in seen:
            continue
        seen.add(tuple(row.items()))
        known = decision.known[-1]
        prefix = [each for each in log if each.offset < known.get(Origin(each.topic, each.partition), 0)]
        profile = profile_at(customer, micros(row["told_at"]), prefix)
        assert row["outcome"] == (choose(profile) or "unreachable")


def in_time(log: list[LogRow], rules: Rules) -> list[LogRow]:
    late = late_usage(log, rules)
    return sorted((row for row in log if (row.topic, row.partition, row.offset) not in late), key=lambda r: r.order)


# not shrunk: a smaller log meets another schedule
PLAYED = settings(
    max_examples=40,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@PLAYED
@given(
    log=logs(outage=True, live=True),
    seed=st.integers(0, 2**32 - 1),
    crashes=st.sampled_from([0, 2, 5]),
    shards=st.sampled_from([1, 2]),
    caught_up=st.sampled_from([0.5, 0.9, 1.0]),
    hold_down=st.sampled_from([0, 0, 20]),
    notify_updates=st.booleans(),
    retention=st.sampled_from([120 * SECOND, MEMORY, MEMORY]),
)
def test_what_was_said_stays_said_when_live_runs_crash(
    tokenizer: Tokenizer,
    log: list[LogRow],
    seed: int,
    crashes: int,
    shards: int,
    caught_up: float,
    hold_down: int,
    notify_updates: bool,
    retention: int,
) -> None:
    rules = rules_of(hold_down, notify_updates)
    schedule = Schedule(random=Random(seed), caught_up=caught_up, crashes=crashes, shards=shards)
    flow = play(log, tokenizer, schedule, rules, retention=retention)
    keys = keys_of(tokenizer)

    check_tables_agree(flow)
    check_counts(flow, log, rules)
    check_said_once(flow)
    check_all_clear(flow)
    if retention == MEMORY:
        check_sound(flow, log, rules, keys)
        check_channels(flow, log, keys)
        check_complete(flow, log, rules, keys)


@PLAYED
@given(
    log=logs(outage=True),
    seed=st.integers(0, 2**32 - 1),
    crashes=st.sampled_from([2, 5]),
    shards=st.sampled_from([1, 2]),
    hold_down=st.sampled_from([0, 0, 20]),
    notify_updates=st.booleans(),
    retention=st.sampled_from([120 * SECOND, MEMORY]),
)
def test_result_equals_definition_when_replays_of_a_finished_log_crash(
    tokenizer: Tokenizer,
    log: list[LogRow],
    seed: int,
    crashes: int,
    shards: int,
    hold_down: int,
    notify_updates: bool,
    retention: int,
) -> None:
    rules = rules_of(hold_down, notify_updates)
    schedule = Schedule(random=Random(seed), caught_up=0, crashes=crashes, shards=shards)
    flow = play(log, tokenizer, schedule, rules, retention=retention)
    expected, keys = outcome(log, rules), keys_of(tokenizer)

    result = fault_flow.Result(
        notifications=published(flow),
        tables={name: pl.concat(frames) for name, frames in flow.durable.tables.items()},
    )
    told = Counter((name, keys[key], channel, *rest) for name, key, channel, _, *rest in fault_flow.told(result))
    assert told == Counter((name, who, channel, *rest) for name, who, channel, _, *rest in expected.notifications)
    affected = Counter((name, keys[key], *rest) for name, key, *rest in fault_flow.affected(result))
    assert affected == Counter(expected.affected)
    assert fault_flow.incidents(result) == expected.incidents
    if retention == MEMORY:
        assert {keys[key] for key in fault_flow.stale(result)} == stale_customers(log)
    check_tables_agree(flow)
    check_counts(flow, log, rules)
