"""What customers pay and say: billing events and care interactions, at a steady rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from benchmarks.workload.arrivals import Arrivals
from benchmarks.workload.clock import SECOND, Clock
from benchmarks.workload.crm import CrmPlan
from benchmarks.workload.customers import Population
from benchmarks.workload.randomness import columns, singles
from benchmarks.workload.records import Draft
from benchmarks.workload.sources import Message, deliver
from benchmarks.workload.wire import TOPICS, Wire

_DAY_US = 86_400 * SECOND
_COMPLAINTS = (
    "No signal at home since this morning.",
    "The bill is higher than we agreed.",
    "Internet is slow every evening.",
    "Please move my number to the new contract.",
    "Thank you, it works again.",
)
_CATEGORIES = ("network", "billing", "network", "contract", "praise")
Row = dict[str, Any]


class DealingSource:
    """Rows of one stream, a Poisson number for each span of time, each about one customer.

    Args:
        stream: The stream.
        per_customer_per_day: How many; none at all for 0.
        row_of: Makes kind and row, without its time, from a number, a customer's position and id.
        certain: Positions of customers who have one for sure, spread over the history.
        seed: Of the workload.
        population: Whom they are about.
        plan: What ids they have.
        wire: Encodes the rows.
        clock: Event time.
        arrivals: Delays.
    """

    def __init__(
        self,
        stream: str,
        per_customer_per_day: float,
        row_of: Callable[[int, int, str, Random], tuple[str, Row]],
        *,
        certain: Sequence[int],
        seed: int,
        population: Population,
        plan: CrmPlan,
        wire: Wire,
        clock: Clock,
        arrivals: Arrivals,
    ) -> None:
        self._stream, self._rate, self._row_of = stream, per_customer_per_day, row_of
        self._rng, self._singles = columns(seed, stream), singles(seed, stream)
        self._population, self._plan, self._wire = population, plan, wire
        self._clock, self._arrivals = clock, arrivals
        step_us = clock.history_us // (len(certain) + 1)
        self._certain = [(place * step_us, who) for place, who in enumerate(certain, start=1)]
        self._next = 0

    def between(self, start_us: int, end_us: int) -> list[Draft]:
        """See `sources.DraftSource`."""
        start_us = max(start_us, 0)
        if end_us <= start_us or not self._population.customers or not self._rate:
            return []
        rows, kinds, times = [], [], []
        for time_us, who in self._who_and_when(start_us, end_us):
            kind, row = self._row_of(self._next, who, self._plan.id_at(self._population, who, time_us), self._singles)
            due = row.pop("due_in_us", None)
            at = self._clock.at(time_us)
            rows.append({**row, "event_time": at, "due_date": None if due is None else at + due})
            kinds.append(kind)
            times.append(time_us)
            self._next += 1
        values = self._wire.rows(self._stream, rows)
        messages = [
            Message(time_us, TOPICS[self._stream], kind, [(row["customer_id"].encode(), value, ())], ())
            for time_us, kind, row, value in zip(times, kinds, rows, values, strict=True)
        ]
        return deliver(messages, self._arrivals)

    def _who_and_when(self, start_us: int, end_us: int) -> list[tuple[int, int]]:
        people = self._population.customers
        n = int(self._rng.poisson(self._rate * people * (end_us - start_us) / _DAY_US))
        times = self._rng.integers(start_us, end_us, n)
        who = self._rng.integers(0, people, n)
        here = (times >= self._population.created_us[who]) & (times < self._plan.leaves_us[who])
        drawn = zip(times[here].tolist(), who[here].tolist(), strict=True)
        return sorted([*drawn, *(item for item in self._certain if start_us <= item[0] < end_us)])


def billing_row(number: int, _person: int, customer_id: str, rng: Random) -> tuple[str, Row]:
    """Kind and row of a `billing_event`, without its time."""
    kind = rng.choice(("invoice", "payment", "top_up"))
    return kind, {
        "event_id": f"b-{number:09d}",
        "customer_id": customer_id,
        "kind": kind,
        "amount_minor": rng.randrange(500, 9_000),
        "currency": "EUR",
        "due_in_us": 14 * _DAY_US if kind == "invoice" else None,
    }


class CareRows:
    """Rows of `care_interaction`; canary people say what they must, in the order of the texts."""

    def __init__(self, population: Population, texts: dict[int, str]) -> None:
        self._population, self._texts = population, texts

    def row(self, number: int, person: int, customer_id: str, rng: Random) -> tuple[str, Row]:
        """Kind and row, without its time."""
        topic = rng.randrange(len(_COMPLAINTS))
        text = self._texts.get(person, _COMPLAINTS[topic])
        if rng.random() < 0.2:
            text = f"{text} Call me on {self._population.msisdns[person]}."
        channel = rng.choice(("call", "chat", "email", "ticket"))
        return channel, {
            "interaction_id": f"care-{number:09d}",
            "customer_id": customer_id,
            "channel": channel,
            "category": _CATEGORIES[topic],
            "text": text,
            "state": rng.choice(("open", "closed")),
        }
