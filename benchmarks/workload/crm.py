"""What happens to customers: the plan of the whole run, drawn at once, and the rows that come of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.workload import names
from benchmarks.workload.clock import Clock
from benchmarks.workload.customers import ALWAYS, CHANNELS, DEBEZIUM, PLANS, SERVICES, Population, consent_to
from benchmarks.workload.randomness import columns, singles
from benchmarks.workload.spec import WorkloadSpec
from benchmarks.workload.topology import Topology

_KINDS = {
    "move": 0.3,
    "consent": 0.14,
    "channels": 0.1,
    "plan": 0.12,
    "services": 0.06,
    "email": 0.06,
    "language": 0.03,
    "suspend": 0.04,
    "resume": 0.04,
    "leave": 0.03,
    "delete": 0.03,
    "rename": 0.05,
}
_DAY_US = 86_400 * 1_000_000


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """Something that will happen to one customer; `cell` is the new home of a move, else -1."""

    time_us: int
    who: int
    kind: str
    cell: int = -1


@dataclass(frozen=True, slots=True)
class CrmChange:
    """One change as the CRM sees it.

    Attributes:
        time_us: When it is committed, time of the run, whole milliseconds.
        who: Position of the customer.
        kind: "load", "join" or one of the planned kinds.
        op: create, update or delete.
        customer_id: Its id after the change.
        previous_id: Its id before, when it was renamed.
        row: The whole row after the change (before it, for a delete); canonical columns.
        changed: Columns that differ from the row before; empty unless an update.
        number: Counts the changes, 1 and up; every source's own order follows it.
    """

    time_us: int
    who: int
    kind: str
    op: str
    customer_id: str
    previous_id: str | None
    row: dict[str, Any]
    changed: tuple[str, ...]
    number: int


class CrmPlan:
    """All changes of the run, and what follows from them for usage.

    Attributes:
        changes: In the order of time; never before the customer is created nor after it has left.
        moves: Those that change the home.
        leaves_us: When each person stops using the network, ALWAYS for never. int64.
        renamed_us: When each person has another id, ALWAYS for never. int64.
        new_ids: The ids after a rename, by position.
    """

    def __init__(self, spec: WorkloadSpec, topology: Topology, population: Population, clock: Clock) -> None:
        self.changes: list[PlannedChange] = []
        self.leaves_us: NDArray[np.int64] = np.full(population.size, ALWAYS, np.int64)
        self.renamed_us: NDArray[np.int64] = np.full(population.size, ALWAYS, np.int64)
        self.new_ids: dict[int, str] = {}
        rng = columns(spec.seed, "crm/plan")
        mean = spec.customers * spec.crm_changes_per_customer_per_day * clock.end_us / _DAY_US
        n = int(rng.poisson(mean)) if spec.customers else 0
        times = np.sort(rng.integers(0, clock.end_us // 1000, n) * 1000).tolist()
        people = rng.integers(0, max(spec.customers, 1), n).tolist()
        kinds = rng.choice(list(_KINDS), n, p=np.array(list(_KINDS.values()))).tolist()
        cells = rng.integers(0, len(topology.cells), n).tolist()
        for time_us, who, kind, cell in zip(times, people, kinds, cells, strict=True):
            self._add(population, time_us, who, kind, cell)
        self.moves = [change for change in self.changes if change.kind == "move"]

    def id_at(self, population: Population, who: int, time_us: int) -> str:
        """The customer id of somebody at a time."""
        if time_us >= self.renamed_us[who]:
            return self.new_ids[who]
        return population.ids[who]

    def _add(self, population: Population, time_us: int, who: int, kind: str, cell: int) -> None:
        if time_us <= population.created_us[who] or time_us > self.leaves_us[who]:
            return
        if kind == "rename":
            if population.source[who] != DEBEZIUM or who in self.new_ids:
                return
            self.new_ids[who] = f"B{who:09d}"
            self.renamed_us[who] = time_us
        if kind in ("leave", "delete"):
            self.leaves_us[who] = time_us
        self.changes.append(PlannedChange(time_us, who, kind, cell if kind == "move" else -1))


class CrmLife:
    """Plays the plan: `between` must be called with consecutive spans of time, and each row follows from the last."""

    def __init__(
        self, spec: WorkloadSpec, topology: Topology, population: Population, plan: CrmPlan, clock: Clock
    ) -> None:
        self._rng = singles(spec.seed, "crm/life")
        self._topology, self._population, self._plan, self._clock = topology, population, plan, clock
        self._creations = np.argsort(population.created_us[: population.customers], kind="stable")
        self._created = 0
        self._planned = 0
        self._rows: dict[int, dict[str, Any]] = {}
        self._number = 0

    def between(self, start_us: int, end_us: int) -> list[CrmChange]:
        """The changes of `[start_us, end_us)`, in the order of time."""
        happened = [*self._new(start_us, end_us), *self._planned_until(end_us)]
        happened.sort(key=lambda change: change.time_us)
        return [self._change(change) for change in happened]

    def _new(self, start_us: int, end_us: int) -> Iterator[PlannedChange]:
        times = self._population.created_us[self._creations]
        first, last = np.searchsorted(times, [start_us, end_us])
        for who in self._creations[first:last].tolist():
            at = int(self._population.created_us[who])
            yield PlannedChange(at, who, "load" if at < 0 else "join")

    def _planned_until(self, end_us: int) -> Iterator[PlannedChange]:
        changes = self._plan.changes
        while self._planned < len(changes) and changes[self._planned].time_us < end_us:
            yield changes[self._planned]
            self._planned += 1

    def _change(self, planned: PlannedChange) -> CrmChange:
        who = planned.who
        self._number += 1
        customer_id = self._plan.id_at(self._population, who, planned.time_us)
        if planned.kind in ("load", "join"):
            row = self._population.profile(who)
            return CrmChange(planned.time_us, who, planned.kind, "create", customer_id, None, row, (), self._number)
        before = self._rows.get(who) or self._population.profile(who)
        news = {} if planned.kind in ("delete", "rename") else self._news(planned, before)
        row = {**before, **news}
        self._rows[who] = row
        changed = tuple(name for name in news if news[name] != before[name])
        previous = self._population.ids[who] if planned.kind == "rename" else None
        op = "delete" if planned.kind == "delete" else "update"
        return CrmChange(planned.time_us, who, planned.kind, op, customer_id, previous, row, changed, self._number)

    def _news(self, planned: PlannedChange, before: dict[str, Any]) -> dict[str, Any]:
        match planned.kind:
            case "move":
                site = self._topology.sites[self._topology.site_of_cell[planned.cell]].element_id
                locale = names.LOCALES[names.LANGUAGES.index(before["language"])]
                return {"site_id": site, "address": names.address(locale, self._rng.randrange(1 << 30))}
            case "email":
                return {"email": names.email(before["name"], self._rng.randrange(1 << 40))}
            case "leave":
                return {"status": "left", "contract_end": self._clock.at(planned.time_us)}
            case _:
                return _preference(planned.kind, before, self._rng)


def _preference(kind: str, before: dict[str, Any], rng: Random) -> dict[str, Any]:
    match kind:
        case "consent":
            return {"consent": consent_to(before["channels"], rng.randrange(5))}
        case "channels":
            return {"channels": rng.choice(CHANNELS)}
        case "plan":
            return {"plan": rng.choice(PLANS)}
        case "services":
            return {"services": rng.choice(SERVICES)}
        case "language":
            return {"language": rng.choice(names.LANGUAGES)}
        case "suspend":
            return {"status": "suspended"}
        case _:
            return {"status": "active"}
