"""The flow equals its definition, however the log is cut, ordered, sharded and spread over workers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from flows.fault_notifications import FaultConfig
from privacy import Keyring, Sealer, Tokenizer
from tests import fault_flow
from tests.oracles.fault_notifications import LogRow, Rules, outcome, stale_customers
from tests.properties.fault_logs import LATENESS, MAX_DELAY, cuts, logs, pauses

SECOND = fault_flow.SECOND
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
"""Without shrinking: each example runs a whole dataflow, so that takes longer than reading the first failure."""


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    return Keyring.create(tmp_path_factory.mktemp("keys") / "keyring.json")


@pytest.mark.timeout(1200)
@settings(
    max_examples=500,
    phases=_PHASES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    log=logs(),
    cuts=cuts(),
    pauses=pauses(),
    shards=st.sampled_from([1, 4, 16]),
    workers=st.sampled_from([1, 2]),
    hold_down=st.sampled_from([0, 0, 20]),
    notify_updates=st.booleans(),
)
def test_flow_equals_definition_when_log_is_finished(
    keyring: Keyring,
    log: list[LogRow],
    cuts: dict[tuple[str, int], list[int]],
    pauses: dict[tuple[str, int], list[int]],
    shards: int,
    workers: int,
    hold_down: int,
    notify_updates: bool,
) -> None:
    config = FaultConfig(
        shards=shards,
        writers=2,
        presence_window_seconds=60,
        hold_down_seconds=hold_down,
        notify_updates=notify_updates,
        max_delay_seconds=dict.fromkeys(fault_flow.TOPICS.values(), MAX_DELAY),
        allowed_lateness_seconds=LATENESS,
        retention_seconds=120,
    )
    rules = Rules(
        presence_window=60 * SECOND,
        hold_down=hold_down * SECOND,
        min_severity="minor",
        notify_updates=notify_updates,
        lateness=(MAX_DELAY + LATENESS) * SECOND,
    )
    tokenizer = Tokenizer(keyring)
    with TemporaryDirectory() as directory:
        result = fault_flow.run_flow(
            fault_flow.blocks_of(log, cuts, pauses),
            config,
            tokenizer,
            Sealer(keyring),
            Path(directory),
            workers=workers,
        )
    expected = outcome(log, rules)

    assert Counter(fault_flow.told(result)) == Counter(_keyed(each, tokenizer) for each in expected.notifications)
    customers = {(name, _key(who, tokenizer), *rest) for name, who, *rest in expected.affected}
    assert Counter(fault_flow.affected(result)) == Counter(customers)
    assert fault_flow.incidents(result) == expected.incidents
    stale = {_key(customer, tokenizer) for customer in stale_customers(log)}
    assert fault_flow.stale(result) == stale
    counted = Counter[str]()
    for (name, _), amount in result.counts.items():
        counted[name] += amount
    assert counted["profiles_stale"] - counted["profiles_refreshed"] == len(stale)
    assert result.late == expected.late
    assert result.rejects == []
    ids = [each["notification_id"] for each in result.notifications]
    assert len(ids) == len(set(ids))
    table = result.tables.get("notifications")
    assert sorted(ids) == sorted([] if table is None else table["notification_id"])
    assert counted["records"] == len(log)


def _key(customer: str, tokenizer: Tokenizer) -> str:
    return str(tokenizer.customer_keys(pl.Series([customer]))[0])


def _keyed(row: tuple[object, ...], tokenizer: Tokenizer) -> tuple[object, ...]:
    name, customer, channel, contact, *rest = row
    if contact is not None:
        owner = tokenizer.owners(tokenizer.customer_numbers(pl.Series([customer])))
        contact = tokenizer.tokens(pl.Series([contact]), "email" if channel == "email" else "msisdn", owner)[0]
    return (name, _key(str(customer), tokenizer), channel, contact, *rest)
