"""Usage in columns: who uses what, where and when. People walk between home, work and elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.workload.arrivals import Arrivals
from benchmarks.workload.clock import SECOND, Clock
from benchmarks.workload.crm import CrmPlan
from benchmarks.workload.customers import Population
from benchmarks.workload.randomness import columns
from benchmarks.workload.spec import WorkloadSpec
from benchmarks.workload.topology import Topology

KINDS = ("voice", "sms", "data")
_KIND_EDGES = (0.12, 0.2)  # below the first voice, below the second SMS, data above
_WITHOUT_CELL = 0.01
_HOUR_US = 3600 * SECOND
# Relative to the mean, by hour of the day (UTC).
_NIGHT_AND_MORNING = (0.3, 0.2, 0.15, 0.1, 0.15, 0.3, 0.6, 1.0, 1.3, 1.3, 1.3, 1.3)
_AFTERNOON_AND_EVENING = (1.4, 1.3, 1.3, 1.3, 1.4, 1.5, 1.6, 1.6, 1.5, 1.2, 0.9, 0.5)
_DIURNAL = np.array(_NIGHT_AND_MORNING + _AFTERNOON_AND_EVENING)


@dataclass(frozen=True, slots=True)
class UsageColumns:
    """Usage events, one row each; `copy` and `late` rows are those the manifest counts apart.

    Attributes:
        number: Identity of the event. int64.
        who: Position of the customer. int32.
        cell: Position of the cell, -1 where it is unknown. int32.
        time_us: Event time, time of the run. int64.
        arrival_us: Arrival, time of the run. int64.
        late: Arrives long after its time.
        copy: Was sent before.
    """

    number: NDArray[np.int64]
    who: NDArray[np.int32]
    cell: NDArray[np.int32]
    time_us: NDArray[np.int64]
    arrival_us: NDArray[np.int64]
    late: NDArray[np.bool_]
    copy: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.number)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> UsageColumns:
        """Some of the rows."""
        return UsageColumns(
            self.number[rows], self.who[rows], self.cell[rows], self.time_us[rows],
            self.arrival_us[rows], self.late[rows], self.copy[rows],
        )  # fmt: skip

    @classmethod
    def concat(cls, parts: list[UsageColumns]) -> UsageColumns:
        """All rows of all parts."""
        return cls(
            np.concatenate([part.number for part in parts]),
            np.concatenate([part.who for part in parts]),
            np.concatenate([part.cell for part in parts]),
            np.concatenate([part.time_us for part in parts]),
            np.concatenate([part.arrival_us for part in parts]),
            np.concatenate([part.late for part in parts]),
            np.concatenate([part.copy for part in parts]),
        )


class UsageSource:
    """Draws usage step by step; `step` must be called with consecutive spans of time."""

    def __init__(
        self, spec: WorkloadSpec, topology: Topology, population: Population, plan: CrmPlan, clock: Clock
    ) -> None:
        self._rng = columns(spec.seed, "usage")
        self._spec, self._topology, self._population, self._plan = spec, topology, population, plan
        self._arrivals = Arrivals(spec, "usage_event", clock)
        self._hour_offset_us = clock.start_us % (24 * _HOUR_US)
        self._order = self._rng.permutation(population.size)
        self._home = population.home_cell.copy()
        self._place = self._home.copy()
        self._moves_done = 0
        self._next = 0

    def step(self, start_us: int, end_us: int) -> UsageColumns:
        """The usage of `[start_us, end_us)`, in the order of event time, with repeated events at the end."""
        self._walk(start_us, end_us)
        hours = (end_us - start_us) / _HOUR_US
        hour_of_day = (start_us + self._hour_offset_us) // _HOUR_US % 24
        mean = self._spec.usage_per_customer_per_hour * self._population.size * hours * _DIURNAL[hour_of_day]
        n = int(self._rng.poisson(mean)) if self._population.size else 0
        time = np.sort(self._rng.integers(start_us, end_us, n))
        # A few people make most of the traffic.
        who = self._order[(self._rng.random(n) ** 1.5 * self._population.size).astype(np.int64)].astype(np.int32)
        there = (time >= self._population.active_from_us[who]) & (time < self._plan.leaves_us[who])
        time, who = time[there], who[there]
        cell = np.where(self._rng.random(len(who)) < _WITHOUT_CELL, -1, self._place[who]).astype(np.int32)
        number = np.arange(self._next, self._next + len(who))
        self._next += len(who)
        arrival, late = self._arrivals.first(time)
        rows = UsageColumns(number, who, cell, time, arrival, late, np.zeros(len(who), np.bool_))
        again, again_at = self._arrivals.second(time, arrival, late)
        if not len(again):
            return rows
        copies = rows.take(again)
        resent = UsageColumns(
            copies.number, copies.who, copies.cell, copies.time_us, again_at, copies.late, np.ones(len(again), np.bool_)
        )
        return UsageColumns.concat([rows, resent])

    def _walk(self, start_us: int, end_us: int) -> None:
        """Move people: home, work, a cell nearby, or anywhere; those who moved house have another home."""
        moves = self._plan.moves
        while self._moves_done < len(moves) and moves[self._moves_done].time_us < end_us:
            move = moves[self._moves_done]
            self._home[move.who] = move.cell
            self._moves_done += 1
        chance = 1.0 - np.exp(-self._spec.mobility * (end_us - start_us) / _HOUR_US)
        movers = np.flatnonzero(self._rng.random(self._population.size) < chance)
        if not len(movers):
            return
        where = self._rng.random(len(movers))
        cells, per_site = len(self._topology.cells), self._spec.cells_per_site
        hop = self._rng.integers(-per_site, per_site + 1, len(movers))
        nearby = np.clip(self._place[movers] + hop, 0, cells - 1)
        anywhere = self._rng.integers(0, cells, len(movers))
        self._place[movers] = np.select(
            [where < 0.4, where < 0.65, where < 0.92],
            [self._home[movers], self._population.work_cell[movers], nearby],
            anywhere,
        )


class UsageRows:
    """Turns columns of positions and numbers into rows of the `usage_event` contract."""

    def __init__(self, spec: WorkloadSpec, topology: Topology, population: Population, plan: CrmPlan) -> None:
        self._rename_us, self._renamed = plan.renamed_us, len(plan.new_ids) > 0
        self._new_id = np.arange(population.size)
        self._new_id[list(plan.new_ids)] = population.size + np.arange(len(plan.new_ids))
        self.ids = pl.Series([*population.ids, *plan.new_ids.values()], dtype=pl.String)
        self._msisdns = pl.Series(population.msisdns, dtype=pl.String)
        self._cells = pl.Series([cell.element_id for cell in topology.cells] + [None], dtype=pl.String)
        self._kinds = pl.Series(KINDS)
        self._prefix = f"u{spec.seed}-"

    def id_positions(self, usage: UsageColumns) -> NDArray[np.int64]:
        """Positions in `ids`: customers who were renamed use their new id from then on."""
        who = usage.who.astype(np.int64)
        if not self._renamed:
            return who
        return np.where(usage.time_us >= self._rename_us[who], self._new_id[who], who)

    def frame(self, usage: UsageColumns, clock: Clock) -> pl.DataFrame:
        """Rows of the contract.

        What an event holds besides is a function of its number, so that one sent twice is the same twice.
        """
        noise = _noise(usage.number)
        share = (noise & 0xFFFF) / 65536.0
        kind = np.searchsorted(_KIND_EDGES, share, side="right")
        seconds = np.where(kind == 1, 0, 1 + (noise >> np.uint64(16)) % np.uint64(900)).astype(np.int64)
        volume = np.where(kind == 2, (noise >> np.uint64(32)) % np.uint64(1 << 26), 0).astype(np.int64)
        charge = np.where(kind == 2, 0, (noise >> np.uint64(40)) % np.uint64(40)).astype(np.int64)
        number = pl.Series(usage.number).cast(pl.String).str.zfill(10)
        n = len(usage)
        return pl.DataFrame(
            {
                "event_id": pl.Series([self._prefix]).new_from_index(0, n) + number if n else number,
                "customer_id": self.ids.gather(self.id_positions(usage)),
                "msisdn": self._msisdns.gather(usage.who),
                "cell_id": self._cells.gather(usage.cell % len(self._cells)),
                "kind": self._kinds.gather(kind),
                "duration_seconds": seconds,
                "bytes_up": volume // 8,
                "bytes_down": volume,
                "charge_minor": charge,
                "currency": pl.Series(["EUR"]).new_from_index(0, n) if n else pl.Series([], dtype=pl.String),
                "event_time": pl.Series(clock.column(usage.time_us)).cast(pl.Datetime("us", "UTC")),
            }
        )


def _noise(number: NDArray[np.int64]) -> NDArray[np.uint64]:
    """SplitMix64 of each number (Steele, Lea, Flood 2014)."""
    with np.errstate(over="ignore"):
        z = number.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15) * np.uint64(3)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(z ^ (z >> np.uint64(31)), np.uint64)
