"""The state of one shard of match_faults: tables, incidents, counts. Data and how to keep it; no decisions."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from flows.batch import Origin
from flows.operators.folded_table import FoldedTable, FoldSpec, SegmentStore, TableState
from flows.operators.incidents import Incident
from flows.operators.presence import Presence
from flows.operators.profiles import Profiles
from flows.operators.seen_events import SeenEvents
from flows.operators.stale_profiles import StaleProfiles
from flows.operators.uses import Fingerprints, among, ranges
from flows.operators.watermark import FOREVER
from schemas.frames import stack

MOST_FORGOTTEN = 1000
_TOUCHED: dict[str, pl.DataType] = {"incident": pl.String(), "customer": pl.UInt64(), "touched_at": pl.Int64()}
TOLD: dict[str, pl.DataType] = {
    "incident": pl.String(),
    "customer": pl.UInt64(),
    "customer_key": pl.String(),
    "affected_at": pl.Int64(),
    "cause": pl.String(),
    "told_at": pl.Int64(),  # null until the incident is announced
    "outcome": pl.String(),  # the channel, or unreachable
    "contact": pl.String(),
    "language": pl.String(),
    "updated_until": pl.Int64(),  # the last update they were told of
    "cleared": pl.Boolean(),  # they were told that it is over
}
_NONE_TOLD = pl.DataFrame(schema=TOLD)
_INCIDENTS: dict[str, pl.DataType] = {"incident": pl.String(), "pickled": pl.Binary()}


@dataclass(frozen=True, slots=True)
class MatchSnapshot:
    """What a shard's successor needs; the tables name durable segments."""

    place: str
    seen: dict[Origin, int]
    evaluated_until: int
    forgotten_until: int
    recall_from: int
    recalled: pl.DataFrame | None
    next_sequence: int
    forgotten: tuple[str, ...]
    tables: dict[str, TableState]
    counts: dict[tuple[str, str], int]


@dataclass(slots=True)
class MatchState:
    """Everything one shard knows.

    Attributes:
        profiles: Every customer's profile over time.
        stale: Whose profile is stale.
        presence: Who used which cell when.
        events: Ids of usage events, to find repeated ones.
        touched: Incident → customer who used its footprint → since when that counts.
        told: Incident → what became of each affected customer (TOLD).
        incidents: By id.
        forgotten: Ids of incidents that were told and forgotten, the newest `MOST_FORGOTTEN`, oldest first.
        next_sequence: The number of the shard's next notification.
        counts: (topic, outcome) → records, not yet reported.
    """

    stores: Callable[[str], SegmentStore]
    window: int
    resume: MatchSnapshot | None = None
    profiles: Profiles = field(init=False)
    stale: StaleProfiles = field(init=False)
    presence: Presence = field(init=False)
    events: SeenEvents = field(init=False)
    told: dict[str, pl.DataFrame] = field(init=False, default_factory=dict)
    touched: dict[str, dict[int, int]] = field(init=False, default_factory=dict)
    incidents: dict[str, Incident] = field(init=False, default_factory=dict)
    forgotten: dict[str, None] = field(init=False, default_factory=dict)
    next_sequence: int = field(init=False, default=0)
    counts: Counter[tuple[str, str]] = field(init=False, default_factory=Counter)
    _told_table: FoldedTable = field(init=False)
    _touched_table: FoldedTable = field(init=False)
    _incident_table: FoldedTable = field(init=False)
    _told_customers: dict[str, set[int]] = field(init=False, default_factory=dict)
    _cells: NDArray[np.uint64] = field(init=False)  # of all footprints, sorted; a cell occurs once for each incident
    _owners: NDArray[np.intp] = field(init=False)  # the incident of each, by its place in:
    _owner_names: list[str] = field(init=False)

    def __post_init__(self) -> None:
        tables: Mapping[str, TableState | None] = self.resume.tables if self.resume else {}

        def table(
            name: str, schema: dict[str, pl.DataType], fold: Callable[[pl.DataFrame], pl.DataFrame]
        ) -> FoldedTable:
            return FoldedTable(FoldSpec(schema=schema, fold=fold), self.stores(name), tables.get(name))

        self.profiles = Profiles(self.stores("profiles"), tables.get("profiles"))
        self.stale = StaleProfiles(self.stores("stale"), tables.get("stale"))
        self.presence = Presence(self.window, self.stores("presence"), tables.get("presence"))
        self.events = SeenEvents(self.stores("events"), tables.get("events"))
        self._told_table = table("told", TOLD, _newest("incident", "customer"))
        self._touched_table = table("touched", _TOUCHED, _earliest)
        self._incident_table = table("incidents", _INCIDENTS, _newest("incident"))
        if self.resume:
            self.counts.update(self.resume.counts)
            self.next_sequence = self.resume.next_sequence
            self.forgotten = dict.fromkeys(self.resume.forgotten)
        for name, pickled in self._incident_table.folded().iter_rows():
            self.incidents[name] = pickle.loads(pickled)  # noqa: S301  our own snapshot, in a directory of mode 0700
        for name, customer, touched_at in self._touched_table.folded().select(*_TOUCHED).iter_rows():
            self.touched.setdefault(name, {})[customer] = touched_at
        told = self._told_table.folded().partition_by("incident", as_dict=True)
        self.told = {str(name): rows for (name,), rows in told.items()}
        self._told_customers = {name: set(rows["customer"]) for name, rows in self.told.items()}
        self._index_cells()

    def put_incidents(self, incidents: Iterable[Incident]) -> None:
        """Take in incidents, new or changed."""
        for incident in incidents:
            self.incidents[incident.incident_id] = incident
            row = {"incident": [incident.incident_id], "pickled": [pickle.dumps(incident)]}
            self._incident_table.append(pl.DataFrame(row, schema=_INCIDENTS))
        self._index_cells()

    def touch(self, incident_id: str, customers: Fingerprints, since: NDArray[np.int64]) -> list[tuple[int, int]]:
        """Note since when uses count; returns what is news, as (touched_at, customer)."""
        known = self.touched.setdefault(incident_id, {})
        news = []
        for customer, touched_at in zip(customers.tolist(), since.tolist(), strict=True):
            if touched_at < known.get(customer, FOREVER):
                known[customer] = touched_at
                news.append((touched_at, customer))
        if news:
            self._touched_table.append(
                pl.DataFrame(
                    [
                        pl.Series("incident", [incident_id], pl.String).new_from_index(0, len(news)),
                        pl.Series("customer", [customer for _, customer in news], pl.UInt64),
                        pl.Series("touched_at", [touched_at for touched_at, _ in news], pl.Int64),
                    ]
                )
            )
        return news

    def untouch(self, incident_id: str, since: int) -> None:
        """Forget uses of an incident's footprint that count since `since` or later."""
        known = self.touched.get(incident_id, {})
        kept = {customer: touched_at for customer, touched_at in known.items() if touched_at < since}
        if len(kept) < len(known):
            self.touched[incident_id] = kept
            self._touched_table.prune((pl.col("incident") != incident_id) | (pl.col("touched_at") < since))

    def undecide(self, incident_id: str) -> None:
        """Forget who is affected by an incident and was not told yet."""
        known = self.told_of(incident_id)
        if known["told_at"].null_count():
            self.told[incident_id] = known.filter(pl.col("told_at").is_not_null())
            self._told_customers[incident_id] = set(self.told[incident_id]["customer"])
            self._told_table.prune((pl.col("incident") != incident_id) | pl.col("told_at").is_not_null())

    def touched_at(self, incident_id: str, customers: Fingerprints) -> NDArray[np.int64]:
        """Since when uses of each customer count for an incident; FOREVER for who used no cell of it."""
        known = self.touched.get(incident_id, {})
        return np.fromiter((known.get(each, FOREVER) for each in customers.tolist()), np.int64, len(customers))

    def told_of(self, incident_id: str) -> pl.DataFrame:
        """The affected customers of one incident, TOLD."""
        return self.told.get(incident_id, _NONE_TOLD)

    def is_told(self, incident_id: str, customers: Fingerprints) -> NDArray[np.bool_]:
        """Which customers are known to be affected by an incident."""
        known: frozenset[int] | set[int] = self._told_customers.get(incident_id, frozenset())
        return np.fromiter((each in known for each in customers.tolist()), np.bool_, len(customers))

    def put_told(self, incident_id: str, rows: pl.DataFrame) -> None:
        """Note what became of affected customers, in place of what was known of them."""
        if not rows.height:
            return
        before = self.told_of(incident_id)
        known = self._told_customers.setdefault(incident_id, set())
        if not known.isdisjoint(rows["customer"]):
            before = before.join(rows, on="customer", how="anti")
        self.told[incident_id] = stack([before, rows])
        known.update(rows["customer"])
        self._told_table.append(rows)

    def in_a_footprint(self, cells: Fingerprints) -> NDArray[np.bool_]:
        """Which of these cells were ever in the footprint of an incident we know."""
        return among(cells, self._cells)

    def incidents_over(self, cells: Fingerprints) -> list[Incident]:
        """The incidents in whose footprint one of these cells ever was."""
        wanted = np.unique(cells)
        at = ranges(np.searchsorted(self._cells, wanted), np.searchsorted(self._cells, wanted, side="right"))
        names = {self._owner_names[owner] for owner in self._owners[at].tolist()}
        return [self.incidents[name] for name in sorted(names)]

    def expire(self, before: int) -> None:
        """Forget incidents closed before a time, with their parts, and all that belongs to them but their names."""
        gone = [name for name, incident in self.incidents.items() if self._whole(incident).closed_at < before]
        if not gone:
            return
        self.forgotten = dict.fromkeys([*self.forgotten, *gone][-MOST_FORGOTTEN:])
        for name in gone:
            del self.incidents[name]
            self.touched.pop(name, None)
            self.told.pop(name, None)
            self._told_customers.pop(name, None)
        kept = ~pl.col("incident").is_in(gone)
        for table in (self._told_table, self._touched_table, self._incident_table):
            table.prune(kept)
        self._index_cells()

    def any_customer(self) -> int | None:
        """One of the shard's customers, None while it knows none."""
        parts = self.profiles.table.parts() or self.presence.table.parts()
        return int(parts[0]["customer"][0]) if parts else None

    @property
    def nbytes(self) -> int:
        """Bytes of memory the tables take."""
        return sum(table.nbytes for table in self._tables().values())

    def snapshot(
        self,
        place: str,
        seen: dict[Origin, int],
        evaluated_until: int,
        forgotten_until: int,
        recall_from: int,
        recalled: pl.DataFrame | None,
    ) -> MatchSnapshot:
        """Make every table durable and name its parts."""
        tables = {name: table.snapshot() for name, table in self._tables().items()}
        progress = (seen, evaluated_until, forgotten_until, recall_from, recalled, self.next_sequence)
        forgotten = tuple(self.forgotten)
        return MatchSnapshot(place, *progress, forgotten, tables, dict(self.counts))

    def _whole(self, incident: Incident) -> Incident:
        return self.incidents.get(incident.part_of or incident.incident_id, incident)

    def _tables(self) -> dict[str, FoldedTable]:
        return {
            "profiles": self.profiles.table,
            "stale": self.stale.table,
            "presence": self.presence.table,
            "events": self.events.table,
            "told": self._told_table,
            "touched": self._touched_table,
            "incidents": self._incident_table,
        }

    def _index_cells(self) -> None:
        found = [(each.cells, name) for name, incident in self.incidents.items() for each in incident.periods]
        cells = np.concatenate([np.zeros(0, np.uint64), *(cells for cells, _ in found)])
        owners = np.repeat(np.arange(len(found)), [len(cells) for cells, _ in found])
        order = np.argsort(cells)
        self._cells, self._owners = cells[order], owners[order]
        self._owner_names = [name for _, name in found]


def _newest(*keys: str) -> Callable[[pl.DataFrame], pl.DataFrame]:
    return lambda rows: rows.unique(keys, keep="last", maintain_order=True)


def _earliest(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.group_by("incident", "customer").agg(pl.col("touched_at").min())
