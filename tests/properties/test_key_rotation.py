"""Nothing joins on tokens: the flow equals its definition when the same value has two of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from flows.fault_notifications import FaultConfig
from privacy import Keyring, RowKeys, Sealer, Tokenizer
from tests import fault_flow
from tests.oracles.fault_notifications import LogRow, Rules, outcome
from tests.properties.fault_logs import LATENESS, MAX_DELAY, cuts, logs

SECOND = fault_flow.SECOND


class Alternating(Tokenizer):
    """Works with the keyring as it was before a rotation and as it is after, by turns: the worst a restart can do."""

    def __init__(self, before: Keyring, after: Keyring) -> None:
        super().__init__(after)
        self._tokenizers = (Tokenizer(before), Tokenizer(after))
        self._calls: Counter[str] = Counter()

    def _next(self, what: str) -> Tokenizer:
        self._calls[what] += 1
        return self._tokenizers[self._calls[what] % 2]

    def tokens(self, column: pl.Series, pii_class: str, owners: RowKeys | None = None) -> pl.Series:
        return self._next(pii_class).tokens(column, pii_class, owners)

    def owners(self, numbers: pl.Series) -> RowKeys | None:
        return self._next("owners").owners(numbers)

    def customers(self, column: pl.Series) -> tuple[pl.Series, pl.Series]:
        return self._next("customers").customers(column)

    def fingerprints(self, column: pl.Series) -> pl.Series:
        return self._next("fingerprints").fingerprints(column)


@pytest.fixture(scope="module")
def keyrings(tmp_path_factory: pytest.TempPathFactory) -> tuple[Keyring, Keyring]:
    before = Keyring.create(tmp_path_factory.mktemp("keys") / "keyring.json")
    return before, before.rotate()


@pytest.mark.timeout(600)
@settings(
    max_examples=60,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(log=logs(outage=True), cuts=cuts(), shards=st.sampled_from([1, 4]), notify_updates=st.booleans())
def test_flow_equals_definition_when_keys_rotate_under_it(
    keyrings: tuple[Keyring, Keyring],
    log: list[LogRow],
    cuts: dict[tuple[str, int], list[int]],
    shards: int,
    notify_updates: bool,
) -> None:
    config = FaultConfig(
        shards=shards,
        writers=2,
        presence_window_seconds=60,
        notify_updates=notify_updates,
        max_delay_seconds=dict.fromkeys(fault_flow.TOPICS.values(), MAX_DELAY),
        allowed_lateness_seconds=LATENESS,
        retention_seconds=120,
    )
    rules = Rules(
        presence_window=60 * SECOND,
        hold_down=0,
        min_severity="minor",
        notify_updates=notify_updates,
        lateness=(MAX_DELAY + LATENESS) * SECOND,
    )
    tokenizer = Alternating(*keyrings)
    with TemporaryDirectory() as directory:
        blocks = fault_flow.blocks_of(log, cuts, {})
        result = fault_flow.run_flow(blocks, config, tokenizer, Sealer(keyrings[1]), Path(directory))
    expected = outcome(log, rules)

    told = [
        (name, key, channel, contact and tokenizer.open(contact), *rest)
        for name, key, channel, contact, *rest in fault_flow.told(result)
    ]
    assert Counter(told) == Counter(
        (name, _key(str(who), keyrings[0]), *rest) for name, who, *rest in expected.notifications
    )
    customers = {(name, _key(who, keyrings[0]), *rest) for name, who, *rest in expected.affected}
    assert Counter(fault_flow.affected(result)) == Counter(customers)


def _key(customer: str, keyring: Keyring) -> str:
    return str(Tokenizer(keyring).customer_keys(pl.Series([customer]))[0])
