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
from flows.operators.profiles import PROFILE_COLUMNS, fold_profiles
from flows.operators.seen_events import SeenEvents
from flows.operators.watermark import NEVER

FORMAT = 1
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
_NONE_TOUCHED = pl.DataFrame(schema={"customer": pl.UInt64, "touched_at": pl.Int64})
_NONE_TOLD = pl.DataFrame(schema=TOLD)
_INCIDENTS: dict[str, pl.DataType] = {"incident": pl.String(), "pickled": pl.Binary()}


@dataclass(frozen=True, slots=True)
class MatchSnapshot:
    """What a shard's successor needs; the tables name durable segments."""

    format: int
    place: str
    seen: dict[Origin, int]
    evaluated_until: int
    forgotten_until: int
    recall_from: int
    recalled: pl.DataFrame | None
    next_sequence: int
    tables: dict[str, TableState]
    counts: dict[tuple[str, str], int]


@dataclass(slots=True)
class MatchState:
    """Everything one shard knows.

    Attributes:
        profiles: PROFILE_COLUMNS, one row per CRM change that is not folded yet.
        presence: Who used which cell when.
        events: Ids of usage events, to find repeated ones.
        touched: For each incident, which customers used its footprint, and since when that counts.
        told: For each incident and affected customer, what became of it (TOLD).
        incidents: By id.
        next_sequence: The number of the shard's next notification.
        counts: (topic, outcome) → records, not yet reported.
    """

    stores: Callable[[str], SegmentStore]
    window: int
    resume: MatchSnapshot | None = None
    horizon: int = NEVER
    profiles: FoldedTable = field(init=False)
    presence: Presence = field(init=False)
    events: SeenEvents = field(init=False)
    told: dict[str, pl.DataFrame] = field(init=False, default_factory=dict)
    touched: dict[str, pl.DataFrame] = field(init=False, default_factory=dict)
    incidents: dict[str, Incident] = field(init=False, default_factory=dict)
    next_sequence: int = field(init=False, default=0)
    counts: Counter[tuple[str, str]] = field(init=False, default_factory=Counter)
    _told_table: FoldedTable = field(init=False)
    _touched_table: FoldedTable = field(init=False)
    _incident_table: FoldedTable = field(init=False)
    _cells: NDArray[np.uint64] = field(init=False)

    def __post_init__(self) -> None:
        tables: Mapping[str, TableState | None] = self.resume.tables if self.resume else {}

        def table(
            name: str, schema: dict[str, pl.DataType], fold: Callable[[pl.DataFrame], pl.DataFrame]
        ) -> FoldedTable:
            return FoldedTable(FoldSpec(schema=schema, fold=fold), self.stores(name), tables.get(name))

        self.profiles = table("profiles", PROFILE_COLUMNS, lambda rows: fold_profiles(rows, self.horizon))
        self.presence = Presence(self.window, self.stores("presence"), tables.get("presence"))
        self.events = SeenEvents(self.stores("events"), tables.get("events"))
        self._told_table = table("told", TOLD, _newest("incident", "customer"))
        self._touched_table = table("touched", _TOUCHED, _earliest)
        self._incident_table = table("incidents", _INCIDENTS, _newest("incident"))
        if self.resume:
            self.counts.update(self.resume.counts)
            self.next_sequence = self.resume.next_sequence
        for name, pickled in self._incident_table.folded().iter_rows():
            self.incidents[name] = pickle.loads(pickled)  # noqa: S301  our own snapshot, in a directory of mode 0700
        self.touched = _by_incident(self._touched_table.folded().select(*_TOUCHED), keep=False)
        self.told = _by_incident(self._told_table.folded(), keep=True)
        self._index_cells()

    def put_incidents(self, incidents: Iterable[Incident]) -> None:
        """Take in incidents, new or changed."""
        for incident in incidents:
            self.incidents[incident.incident_id] = incident
            row = {"incident": [incident.incident_id], "pickled": [pickle.dumps(incident)]}
            self._incident_table.append(pl.DataFrame(row, schema=_INCIDENTS))
        self._index_cells()

    def touch(self, incident_id: str, uses: pl.DataFrame) -> pl.DataFrame:
        """Note since when uses count (`customer`, `touched_at`); returns the rows that are news."""
        known = self.touched.get(incident_id, _NONE_TOUCHED)
        news = uses
        if known.height:
            # a customer may occur more than once in what is known: news must be earlier than all of it
            later = uses.join(known, on="customer").filter(pl.col("touched_at") >= pl.col("touched_at_right"))
            news = uses.join(later, on=["customer", "touched_at"], how="anti")
        if news.height:
            self.touched[incident_id] = pl.concat([known, news])
            self._touched_table.append(news.select(pl.lit(incident_id).alias("incident"), "customer", "touched_at"))
        return news

    def untouch(self, incident_id: str, since: int) -> None:
        """Forget uses of an incident's footprint that count since `since` or later."""
        known = self.touched_by(incident_id)
        kept = known.filter(pl.col("touched_at") < since)
        if kept.height < known.height:
            self.touched[incident_id] = kept
            self._touched_table.prune((pl.col("incident") != incident_id) | (pl.col("touched_at") < since))

    def touched_by(self, incident_id: str) -> pl.DataFrame:
        """`customer` and `touched_at` of one incident; a customer may occur again, and then the earliest counts."""
        return self.touched.get(incident_id, _NONE_TOUCHED)

    def told_of(self, incident_id: str) -> pl.DataFrame:
        """The affected customers of one incident, TOLD."""
        return self.told.get(incident_id, _NONE_TOLD)

    def put_told(self, incident_id: str, rows: pl.DataFrame) -> None:
        """Note what became of affected customers, in place of what was known of them."""
        if rows.height:
            before = self.told_of(incident_id)
            kept = before.join(rows, on="customer", how="anti") if before.height else before
            self.told[incident_id] = pl.concat([kept, rows])
            self._told_table.append(rows)

    def in_a_footprint(self, cells: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which of these cells were ever in the footprint of an incident we know."""
        if not len(self._cells):
            return np.zeros(len(cells), np.bool_)
        at = np.minimum(np.searchsorted(self._cells, cells), len(self._cells) - 1)
        result: NDArray[np.bool_] = self._cells[at] == cells
        return result

    def expire(self, before: int) -> None:
        """Forget incidents closed before a time, and all that belongs to them."""
        gone = [name for name, incident in self.incidents.items() if incident.closed_at < before]
        if not gone:
            return
        for name in gone:
            del self.incidents[name]
            self.touched.pop(name, None)
            self.told.pop(name, None)
        kept = ~pl.col("incident").is_in(gone)
        for table in (self._told_table, self._touched_table, self._incident_table):
            table.prune(kept)
        self._index_cells()

    def any_customer(self) -> int | None:
        """One of the shard's customers, None while it knows none."""
        parts = self.profiles.parts() or self.presence.table.parts()
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
        return MatchSnapshot(FORMAT, place, *progress, tables, dict(self.counts))

    def _tables(self) -> dict[str, FoldedTable]:
        return {
            "profiles": self.profiles,
            "presence": self.presence.table,
            "events": self.events.table,
            "told": self._told_table,
            "touched": self._touched_table,
            "incidents": self._incident_table,
        }

    def _index_cells(self) -> None:
        cells = [period.cells for incident in self.incidents.values() for period in incident.periods]
        self._cells = np.unique(np.concatenate(cells)) if cells else np.zeros(0, np.uint64)


def _by_incident(rows: pl.DataFrame, *, keep: bool) -> dict[str, pl.DataFrame]:
    parts = rows.partition_by("incident", as_dict=True, include_key=keep)
    return {str(name): part for (name,), part in parts.items()}


def _newest(*keys: str) -> Callable[[pl.DataFrame], pl.DataFrame]:
    return lambda rows: rows.unique(keys, keep="last", maintain_order=True)


def _earliest(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.group_by("incident", "customer").agg(pl.col("touched_at").min())
