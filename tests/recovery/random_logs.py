"""Random logs for the flow fault-notifications: many small worlds that share topics and know nothing of each other.

The definition is computed naively over a whole log, so it is computed for each world alone; what is late is decided in
the partitions, which they share.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from random import Random
from typing import Any

from tests.fault_flow import SECOND, START, TOPICS, decidable
from tests.oracles.fault_notifications import LogRow, Outcome, Rules, late_usage, outcome

MAX_DELAY_SECONDS = 30
ALLOWED_LATENESS_SECONDS = 60
PARTITIONS = {"network.faults": 2, "network.topology": 1, "crm.changes": 2, "usage.events": 2}
_HORIZON_SECONDS = 300
_PARENTS = {"R": None, "A": "R", "B": "R", "A1": "A", "A2": "A", "B1": "B"}
_KINDS = {"R": "region", "A": "site", "B": "site", "A1": "cell", "A2": "cell", "B1": "cell"}
_CUSTOMERS = ("anna", "bela", "chen", "dora", "emil", "faiz", "gail", "hugo")
_PROFILE = ("site_id", "services", "channels", "consent", "status", "email", "msisdn", "language")


@dataclass(frozen=True)
class RandomLog:
    """A log.

    Attributes:
        worlds: The rows of each world.
        late: The place of each usage row that comes too late.
        rules: What the definition needs to know.
    """

    worlds: Sequence[Sequence[LogRow]]
    late: frozenset[tuple[str, int, int]]
    rules: Rules

    @property
    def rows(self) -> list[LogRow]:
        """All rows."""
        return list(chain.from_iterable(self.worlds))

    def in_time(self, world: int) -> list[LogRow]:
        """The rows of a world that are not late, in event-time order."""
        rows = [row for row in self.worlds[world] if place_of(row) not in self.late]
        return sorted(rows, key=lambda row: row.order)

    def outcome(self) -> Outcome:
        """What the finished log leads to."""
        whole = Outcome(set(), set(), set(), set(self.late))
        for world in range(len(self.worlds)):
            part = outcome(self.in_time(world), self.rules)
            whole.notifications |= part.notifications
            whole.affected |= part.affected
            whole.incidents |= part.incidents
        return whole


@dataclass(frozen=True)
class _Event:
    world: int
    topic: str
    partition: int
    arrival_seconds: float
    row: dict[str, Any]


def random_log(
    random: Random, worlds: int, rules: Rules, topics: Mapping[str, str], *, live: bool = False
) -> RandomLog:
    """Draw a log whose disorder is within `MAX_DELAY_SECONDS`, but for usage that comes too late.

    Args:
        random: Decides everything.
        worlds: Each has six elements, eight customers and about 100 rows.
        rules: Kept in the log.
        topics: The name to use for each topic of `PARTITIONS`.
        live: Some usage comes later than it is waited for and still counts. The definition of a finished log says
            nothing of it.
    """
    partitions: dict[tuple[str, int], list[_Event]] = defaultdict(list)
    for world in range(worlds):
        for event in _World(random, world).events():
            partitions[event.topic, event.partition].append(event)
    found: list[list[LogRow]] = [[] for _ in range(worlds)]
    for (topic, partition), events in sorted(partitions.items()):
        events.sort(key=lambda each: each.arrival_seconds)
        kept = events if live else decidable(events, MAX_DELAY_SECONDS * SECOND, rules.lateness)
        for offset, event in enumerate(kept):
            named = {"event_id": f"{partition}-{offset}"} if topic == "usage.events" else {}
            found[event.world].append(LogRow(TOPICS[topic], topics[topic], partition, offset, event.row | named))
    late = late_usage(list(chain.from_iterable(found)), rules)
    return RandomLog(found, frozenset(late), rules)


def place_of(row: LogRow) -> tuple[str, int, int]:
    """Where a row lies."""
    return row.topic, row.partition, row.offset


class _World:
    """Few elements, customers and minutes, and so many coincidences."""

    def __init__(self, random: Random, number: int) -> None:
        self._random = random
        self._number = number
        self._mark = f"{number:03d}"

    def events(self) -> list[_Event]:
        first = [self._topology_event(name, parent, 0.0, 0.0, removed=False) for name, parent in _PARENTS.items()]
        first += [self._crm_event(customer, "create", 0.0, 0.0) for customer in _CUSTOMERS]
        draws = (*[self._fault] * 5, *[self._crm] * 8, *[self._usage] * 10, self._topology)
        return first + [self._random.choice(draws)() for _ in range(self._random.randint(60, 120))]

    def _named(self, name: str | None) -> str | None:
        return name and f"{name}-{self._mark}"

    def _moment(self) -> float:
        # times meet now and then
        return self._random.choice([self._random.randint(0, _HORIZON_SECONDS), self._random.random() * 300])

    def _delay(self) -> float:
        return self._random.choice([0, 0, 0, 1, 5, MAX_DELAY_SECONDS])

    def _fault(self) -> _Event:
        choose, time = self._random.choice, self._moment()
        name = choose(["f1", "f2", "f3", "f4"])
        # a fault has one element, as its id names it, and so one partition
        element = {"f1": "A", "f2": "A1", "f3": "R", "f4": choose(["B1", "Z"])}[name]
        row = {
            "fault_id": self._named(name),
            "element_id": self._named(element),
            "element_type": choose([None, "cell"]) if name == "f4" else None,
            "state": choose(["raised", "raised", "updated", "cleared", "cleared"]),
            "severity": choose(["critical", "major", "minor", "warning"]),
            "probable_cause": None,
            "services": choose([[], [], ["data"], ["voice", "sms"], ["iptv"]]),
            "parent_fault_id": self._named(choose([None, None, None, "f1"])),
            "planned": False,
            "service_affecting": choose([True, True, True, False]),
            "source_system": None,
            "event_time": _micros(time),
            "expected_clear_time": choose([None, _micros(900), _micros(999)]),
        }
        return _Event(self._number, "network.faults", int(name == "f4"), time + self._delay(), row)

    def _topology(self) -> _Event:
        choose = self._random.choice
        element, parent = choose(list(_PARENTS)), choose(["A", "B", "R", None])
        removed = choose([False, False, False, True])
        return self._topology_event(element, parent, self._moment(), self._delay(), removed=removed)

    def _topology_event(self, element: str, parent: str | None, time: float, delay: float, *, removed: bool) -> _Event:
        row = {
            "element_id": self._named(element),
            "parent_id": self._named(parent),
            "element_type": _KINDS[element],
            "site_id": None,
            "region": None,
            "removed": removed,
            "event_time": _micros(time),
        }
        return _Event(self._number, "network.topology", 0, time + delay, row)

    def _crm(self) -> _Event:
        choose = self._random.choice
        op = choose(["create", "update", "update", "update", "update", "delete", "stale"])
        return self._crm_event(choose(_CUSTOMERS), op, self._moment(), self._delay())

    def _crm_event(self, customer: str, op: str, time: float, delay: float) -> _Event:
        choose, number = self._random.choice, _CUSTOMERS.index(customer)
        changed = self._random.sample(_PROFILE, self._random.randint(0, 4)) if self._random.random() < 0.7 else None
        row = {
            "customer_id": self._named(customer),
            "op": op,
            "source_system": "test",
            "account_type": None,
            "name": None,
            "email": choose([None, *[f"{customer}.{self._mark}@example.org"] * 3]),
            "msisdn": choose([None, *[f"491700{self._mark}{number}"] * 3]),
            "site_id": self._named(choose([None, "A", "A", "B"])),
            "services": choose([None, None, None, ["voice"], ["data", "sms"], ["iptv"], []]),
            "language": choose([None, "de", "sr"]),
            "channels": choose([None, ["email", "sms"], ["push"], ["whatsapp", "email"], ["pigeon", "sms"]]),
            "consent": choose([None, ["email"], ["sms", "push"], *[["email", "sms", "whatsapp", "push"]] * 3]),
            "status": choose([None, "active", "active", "suspended"]),
            "changed_fields": changed if op == "update" else None,
            "version": self._random.randint(0, 2),
            "event_time": _micros(time),
        }
        return _Event(self._number, "crm.changes", number % 2, time + delay, row)

    def _usage(self) -> _Event:
        choose, time = self._random.choice, self._moment()
        customer = choose(_CUSTOMERS)
        row = {
            "customer_id": self._named(customer),
            "msisdn": None,
            "cell_id": self._named(choose([None, "A1", "A1", "A2", "B1", "Z"])),
            "kind": "data",
            "event_time": _micros(time),
        }
        too_late = MAX_DELAY_SECONDS + ALLOWED_LATENESS_SECONDS + 40
        delay = too_late if self._random.random() < 0.1 else self._delay()
        return _Event(self._number, "usage.events", _CUSTOMERS.index(customer) % 2, time + delay, row)


def _micros(seconds: float) -> int:
    return START + round(seconds * 1000) * (SECOND // 1000)
