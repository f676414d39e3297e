"""The population: who there is, where they live, and what the CRM knows of them at first."""

from __future__ import annotations

import string
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.workload import names
from benchmarks.workload.clock import CUSTOMERS_BEGIN_US, CUSTOMERS_END_US, SECOND, Clock
from benchmarks.workload.randomness import columns
from benchmarks.workload.spec import WorkloadSpec
from benchmarks.workload.topology import Topology

SALESFORCE, DEBEZIUM, CANONICAL, VISITOR = range(4)
ALWAYS = np.iinfo(np.int64).max
CHANNELS: tuple[list[str] | None, ...] = (
    ["email", "sms"], ["sms", "email"], ["whatsapp", "sms", "email"], ["push", "email"], ["sms"], ["email"],
    ["push", "whatsapp", "sms"], None,
)  # fmt: skip
SERVICES: tuple[list[str] | None, ...] = (None, ["voice", "sms", "data"], ["voice", "sms"], ["data"], ["voice"])
PLANS = ("start", "flex-10", "flex-30", "unlimited", "family", "sensor")
SEGMENTS = ("consumer", "youth", "senior", "small_business", "enterprise")
STATUSES = ("active", "suspended", "left")
_CHANNEL_WEIGHTS = (0.27, 0.25, 0.12, 0.1, 0.11, 0.09, 0.05, 0.01)
_SERVICE_WEIGHTS = (0.7, 0.14, 0.06, 0.07, 0.03)
_CONSENT_WEIGHTS = (0.6, 0.2, 0.09, 0.08, 0.03)  # every channel asked for, all four, the first, the last, none
_STATUS_WEIGHTS = (0.94, 0.03, 0.03)
_WITHOUT_EMAIL, _WITHOUT_MSISDN = 0.12, 0.01
_DAY_US = 86_400 * SECOND
_BASE62 = np.frombuffer((string.digits + string.ascii_uppercase + string.ascii_lowercase).encode(), np.uint8)
_SUFFIX = np.frombuffer((string.ascii_uppercase + "012345").encode(), np.uint8)


class Population:
    """Customers first, then visitors (usage, but no CRM row); everybody is a position in these columns.

    Attributes:
        source: SALESFORCE, DEBEZIUM, CANONICAL or VISITOR. int8.
        ids: Customer ids at the start.
        msisdns: Telephone numbers.
        home_cell: Position of the cell at home; the CRM's `site_id` is its site. int32.
        work_cell: Position of the cell at work. int32.
        created_us: When the CRM row is made, time of the run; ALWAYS for visitors. int64.
        active_from_us: When usage begins. int64.
    """

    def __init__(self, spec: WorkloadSpec, topology: Topology, clock: Clock) -> None:
        rng = columns(spec.seed, "population")
        self._clock, self._topology = clock, topology
        self._prepaid_count = spec.prepaid
        n = spec.customers + round(spec.customers * spec.visitor_share)
        self.customers, self.size = spec.customers, n
        at = np.arange(n)
        self.source = np.where(at < spec.prepaid, SALESFORCE, DEBEZIUM).astype(np.int8)
        self.source[rng.random(n) < spec.canonical_share] = CANONICAL
        self.source[spec.customers :] = VISITOR
        self._locale = rng.choice(len(names.LOCALES), n, p=names.LANGUAGE_WEIGHTS).astype(np.int8)
        self._person = rng.integers(0, 1 << 30, n, dtype=np.int32)
        self._channels = _choose(rng, _CHANNEL_WEIGHTS, n)
        self._consent = _choose(rng, _CONSENT_WEIGHTS, n)
        self._services = _choose(rng, _SERVICE_WEIGHTS, n)
        self._status = _choose(rng, _STATUS_WEIGHTS, n)
        self._without_email = rng.random(n) < _WITHOUT_EMAIL
        self._without_msisdn = rng.random(n) < _WITHOUT_MSISDN
        self.home_cell = rng.integers(0, len(topology.cells), n, dtype=np.int32)
        self.work_cell = np.where(
            rng.random(n) < 0.6, rng.integers(0, len(topology.cells), n, dtype=np.int32), self.home_cell
        )
        self.ids: list[str] = _ids(self.source).to_list()
        prefixes = pl.Series([locale.dial_prefix for locale in names.LOCALES])
        numbers = prefixes.gather(self._locale) + pl.Series(at).cast(pl.String).str.zfill(7)
        self.msisdns: list[str] = numbers.to_list()
        self.created_us, self.active_from_us = self._life(rng, spec)
        self._canaries: dict[int, dict[str, str]] = {}

    def _life(self, rng: np.random.Generator, spec: WorkloadSpec) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        span = CUSTOMERS_END_US - CUSTOMERS_BEGIN_US
        created = np.full(self.size, ALWAYS, np.int64)
        for source in (SALESFORCE, DEBEZIUM, CANONICAL):
            members = np.flatnonzero(self.source == source)
            created[members] = CUSTOMERS_BEGIN_US + np.arange(len(members)) * span // max(len(members), 1)
        joins = np.flatnonzero(rng.random(self.customers) < spec.join_share)
        created[joins] = rng.integers(0, max(round(self._clock.history_us * 0.9), 1), len(joins))
        created[: self.customers] -= created[: self.customers] % 1000  # sources tell milliseconds
        active_from = np.full(self.size, -ALWAYS, np.int64)
        strangers = joins[rng.random(len(joins)) < 0.5]
        active_from[strangers] = created[strangers]
        return created, active_from

    def place_canaries(self, people: dict[int, dict[str, str]]) -> None:
        """Give the people at these positions other personal values, by column."""
        self._canaries = people

    def profile(self, who: int) -> dict[str, Any]:
        """The CRM row of a customer as it is first created: canonical columns, personal values in clear.

        Contract times are microseconds since 1970.
        """
        locale, person = names.LOCALES[self._locale[who]], int(self._person[who])
        prepaid = who < self._prepaid_count
        name = names.full_name(locale, person)
        channels = CHANNELS[self._channels[who]]
        today = self._clock.start_us // _DAY_US
        begins = today - 30 - person % 2900
        ends = None if prepaid else today + 1 + person // 13 % 730
        return {
            "account_type": "prepaid" if prepaid else "postpaid",
            "name": name,
            "email": None if self._without_email[who] else names.email(name, who),
            "msisdn": None if self._without_msisdn[who] else self.msisdns[who],
            "address": names.address(locale, person),
            "birth_date": (date(1940, 1, 1) + timedelta(days=person % 24_500)).isoformat(),
            "site_id": self._topology.sites[self._topology.site_of_cell[self.home_cell[who]]].element_id,
            "segment": SEGMENTS[person % len(SEGMENTS)],
            "plan": PLANS[person // 5 % len(PLANS)],
            "services": SERVICES[self._services[who]],
            "language": locale.language,
            "channels": channels,
            "consent": consent_to(channels, int(self._consent[who])),
            "status": STATUSES[self._status[who]],
            "contract_start": begins * _DAY_US,
            "contract_end": None if ends is None else ends * _DAY_US,
            **self._canaries.get(who, {}),
        }


def consent_to(channels: list[str] | None, choice: int) -> list[str]:
    """The channels consented to: 0 those asked for, 1 all four, 2 the first, 3 the last, 4 none."""
    wanted = channels or []
    return [wanted, ["email", "sms", "whatsapp", "push"], wanted[:1], wanted[-1:], []][choice]


def _choose(rng: np.random.Generator, weights: tuple[float, ...], n: int) -> NDArray[np.int8]:
    return rng.choice(len(weights), n, p=weights).astype(np.int8)


def _ids(source: NDArray[np.int8]) -> pl.Series:
    at = np.arange(len(source))
    digits = pl.Series(at).cast(pl.String).str.zfill(9)
    ids = pl.Series(["", "A", "C-", "V-"]).gather(source) + digits
    salesforce = np.flatnonzero(source == SALESFORCE)
    return ids.scatter(salesforce, _salesforce_ids(salesforce)) if len(salesforce) else ids


def _salesforce_ids(numbers: NDArray[np.int64]) -> pl.Series:
    """18-character record ids: 15 case-sensitive characters, then a checksum of which of them are upper case."""
    chars = np.empty((len(numbers), 18), np.uint8)
    chars[:, :9] = np.frombuffer(b"0015g0000", np.uint8)
    for place in range(6):
        chars[:, 14 - place] = _BASE62[numbers * 7 // 62**place % 62]
    upper = (chars[:, :15] >= ord("A")) & (chars[:, :15] <= ord("Z"))
    for group in range(3):
        chars[:, 15 + group] = _SUFFIX[upper[:, group * 5 : group * 5 + 5] @ (1 << np.arange(5))]
    return pl.Series(chars.reshape(-1).view("S18").astype("U18").tolist())
