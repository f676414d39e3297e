"""track_incidents: faults and topology in, incidents out. One key, for the network is one.

**Watermark.** Over the network's own origins and the recall of what was published. In live operation nothing waits.
**Lateness.** No row is ever too late: one that belongs before what was processed makes the step fold its events
again, from the state `retention` ago, and the incidents that differ are sent anew. **Eviction.** Incidents go
`retention` after they closed. **Bound.** Open faults, and the fault rows of one `retention`.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from flows.batch import Batch, Origin
from flows.operators.folded_table import FoldedTable, FoldSpec, SegmentStore, TableState
from flows.operators.incident_table import IncidentTable
from flows.operators.incidents import FaultEvent, Fingerprint, Incident, IncidentRules, Incidents
from flows.operators.messages import Counted, IncidentUpdate, Recalled, TableOutput
from flows.operators.told_names import ToldNames
from flows.operators.topology import Topology, TopologyVersion
from flows.operators.watermark import FOREVER, NEVER, Watermarks

TOPOLOGY_COLUMNS = {
    "element_id": pl.String(),
    "parent_id": pl.String(),
    "element_type": pl.String(),
    "site_id": pl.String(),
    "region": pl.String(),
    "removed": pl.Boolean(),
    "event_time": pl.Int64(),
    "topic": pl.String(),
    "partition": pl.Int64(),
    "offset": pl.Int64(),
}
FAULT_COLUMNS = (
    "fault_id",
    "element_id",
    "element_type",
    "state",
    "severity",
    "probable_cause",
    "services",
    "parent_fault_id",
    "planned",
    "service_affecting",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackSpec:
    """What the step needs to know. Times in microseconds.

    Attributes:
        rules: When an incident is announced.
        delays: For each network origin, how far its rows may be out of order.
        published: The origins of the recall.
        retention: How long closed incidents and processed rows are kept for rows that come late.
    """

    rules: IncidentRules
    delays: Mapping[Origin, int]
    published: tuple[Origin, ...]
    retention: int

    def __post_init__(self) -> None:
        if self.retention < 0:
            raise ValueError(f"expected retention of at least 0 microseconds, got {self.retention}")


@dataclass(slots=True)
class TrackState:
    """The step's snapshot."""

    place: str
    seen: dict[Origin, int]
    base: bytes  # the incidents as of base_time, pickled
    base_time: int
    names: ToldNames
    events: list[FaultEvent]
    waiting: list[FaultEvent]
    waiting_topology: list[tuple[str, TopologyVersion]]
    topology: TableState
    incident_table: IncidentTable
    folded_until: int


Emitted = IncidentUpdate | TableOutput | Counted


@dataclass(slots=True)
class TrackIncidents:
    """The step's logic: no clock and no I/O but its segment store's.

    `now` is given, microseconds; `place` names where the segments lie, for the successor.
    """

    spec: TrackSpec
    fingerprint: Fingerprint
    store: SegmentStore
    place: str
    resume: TrackState | None = None
    _head: Incidents = field(init=False)
    _base: Incidents = field(init=False)
    _base_time: int = field(init=False, default=NEVER)
    _folded_until: int = field(init=False, default=NEVER)
    _events: list[FaultEvent] = field(init=False, default_factory=list)
    _waiting: list[FaultEvent] = field(init=False, default_factory=list)
    _waiting_topology: list[tuple[str, TopologyVersion]] = field(init=False, default_factory=list)
    _incident_table: IncidentTable = field(init=False, default_factory=IncidentTable)
    _topology: Topology = field(init=False, default_factory=Topology)
    _topology_table: FoldedTable = field(init=False)
    _marks: Watermarks = field(init=False)
    _names: ToldNames = field(init=False)
    _shown: dict[str, dict[str, Incident]] = field(init=False, default_factory=dict)  # by incident, then by told id
    _changed: set[str] = field(init=False, default_factory=set)
    _told: tuple[int, bool, bool] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        resume = self.resume
        spec = FoldSpec(schema=dict(TOPOLOGY_COLUMNS), fold=lambda rows: rows)
        self._topology_table = FoldedTable(spec, self.store, resume.topology if resume else None)
        self._marks = Watermarks(self.spec.delays, self.spec.published, resume.seen if resume else None)
        self._base = Incidents(self.spec.rules)
        self._names = ToldNames(self.spec.rules.hold_down)
        if resume is None:
            self._head = copy.deepcopy(self._base)
            return
        for part in self._topology_table.parts():
            for element_id, version in _topology_versions(part):
                self._topology.add(element_id, version)
        self._base = pickle.loads(resume.base)  # noqa: S301  our own snapshot, in a directory of mode 0700
        self._base_time, self._folded_until = resume.base_time, resume.folded_until
        self._events, self._waiting = list(resume.events), list(resume.waiting)
        self._waiting_topology, self._incident_table = list(resume.waiting_topology), resume.incident_table
        self._names = resume.names
        self._head = self._refold()
        self._shown = {name: self._views(name, self._folded_until) for name in self._head.incidents}

    def on_batch(self, values: Iterable[Batch | Recalled], now: int) -> list[Emitted]:
        """Take in rows and progress, and go as far as the watermark allows."""
        out: list[Emitted] = []
        for value in values:
            if isinstance(value, Recalled):
                self._recall(value)
                continue
            out += self._take_faults(value) if value.stream == "network_fault" else self._take_topology(value)
            self._marks.observe(value.origin, value.max_event_time, caught_up=value.caught_up, finished=value.finished)
        return out + self.advance(now)

    def advance(self, now: int) -> list[Emitted]:
        """Process what is at or before the watermark, and announce what is due."""
        until = self._marks.value
        faults, self._waiting = _split(self._waiting, until)
        changes = self._add_topology(until)
        self._events += faults
        first = min([event.event_time for event in faults] + list(changes), default=FOREVER)
        last = max([event.event_time for event in faults] + list(changes), default=NEVER)
        out_of_order = first <= self._folded_until
        self._folded_until = max(self._folded_until, last)
        if out_of_order and (faults or self._head.incidents):
            self._fold_again()
        else:
            for touched, time in _walk(self._head, faults, changes, self._topology, self.fingerprint):
                self._note(touched, time)
        self._note(self._head.announce(self._announce_until(now)), None)
        out = self._emit()
        self._expire()
        return out

    def next_look(self) -> int:
        """The wall-clock time, microseconds, at which a waiting announcement is due; FOREVER if none waits for it."""
        return self._head.next_announcement() if self._marks.caught_up else FOREVER

    @property
    def nbytes(self) -> int:
        """Bytes of memory the topology and the pickled incidents take: nearly all there is."""
        return self._topology_table.nbytes + len(pickle.dumps(self._head))

    def snapshot(self) -> TrackState:
        """Everything that a successor needs."""
        return TrackState(
            self.place,
            dict(self._marks.seen),
            pickle.dumps(self._base),
            self._base_time,
            copy.deepcopy(self._names),
            list(self._events),
            list(self._waiting),
            list(self._waiting_topology),
            self._topology_table.snapshot(),
            self._incident_table.snapshot(),
            self._folded_until,
        )

    def _take_faults(self, batch: Batch) -> list[Emitted]:
        rows = batch.rows.select(*FAULT_COLUMNS, pl.col("expected_clear_time").cast(pl.Int64)).to_dicts()
        times, offsets, stamps = (
            batch.rows["event_time"].cast(pl.Int64),
            batch.rows["_offset"],
            batch.rows["_timestamp"],
        )
        known = {_identity(event) for event in self._events + self._waiting}
        used = 0
        for row, time, offset, stamp in zip(rows, times, offsets, stamps, strict=True):
            event = FaultEvent(time, (*batch.origin, offset), stamp, row["fault_id"], row)
            if _identity(event) not in known:
                known.add(_identity(event))
                self._waiting.append(event)
                used += 1
        return outcomes(batch.origin, used=used, duplicate=len(rows) - used)

    def _take_topology(self, batch: Batch) -> list[Emitted]:
        rows = batch.rows.select(
            "element_id",
            "parent_id",
            "element_type",
            "site_id",
            "region",
            "removed",
            pl.col("event_time").cast(pl.Int64),
            pl.lit(batch.origin.topic).alias("topic"),
            pl.lit(batch.origin.partition, pl.Int64).alias("partition"),
            pl.col("_offset").alias("offset"),
        )
        self._topology_table.append(rows)
        self._waiting_topology += _topology_versions(rows)
        return outcomes(batch.origin, used=rows.height)

    def _recall(self, recalled: Recalled) -> None:
        ended_at = pl.col("event_time").cast(pl.Int64).filter(pl.col("phase") == "cleared").max()
        told = recalled.rows.group_by("fault_id", "incident_id", pl.col("opened_at").cast(pl.Int64)).agg(ended_at)
        known = {name for views in self._shown.values() for name in views} | self._head.incidents.keys()
        for fault_id, name, opened, ended in told.iter_rows():
            # what opened before the base and is not known was forgotten, and with it when its fault was cleared
            if (opened > self._base_time or name in known) and self._names.tell(fault_id, name, opened, ended):
                self._changed |= self._head.of_fault(fault_id)
        if recalled.complete:
            self._marks.announce(recalled.origin, FOREVER, caught_up=True, finished=True)

    def _add_topology(self, until: int) -> dict[int, set[str]]:
        changes: dict[int, set[str]] = {}
        waiting, self._waiting_topology = self._waiting_topology, []
        for element_id, version in waiting:
            if version.event_time > until:
                self._waiting_topology.append((element_id, version))
                continue
            self._topology.add(element_id, version)
            changes.setdefault(version.event_time, set()).update((element_id, version.parent_id or element_id))
        return changes

    def _announce_until(self, now: int) -> int:
        if not self._marks.caught_up:
            return self._marks.value
        # the end of a finished log settles everything; in a live one the time has to come
        return self._marks.value if self._marks.finished else max(now, self._marks.latest)

    def _fold_again(self) -> None:
        before = self._head.incidents.keys()
        self._head = self._refold()
        self._note(self._head.incidents.keys() | before, self._folded_until)

    def _refold(self) -> Incidents:
        head = copy.deepcopy(self._base)
        changes = self._topology.changes_between(self._base_time, self._folded_until)
        for _ in _walk(head, sorted(self._events), changes, self._topology, self.fingerprint):
            pass
        return head

    def _note(self, touched: Iterable[str], time: int | None) -> None:
        """Note that incidents changed at a moment, or were announced; the table gets a row of each."""
        for name in sorted(touched):
            self._changed.add(name)
            incident = self._head.incidents.get(name)
            if incident is not None:
                for view in self._views(name, incident.announced_at if time is None else time).values():
                    self._incident_table.put(view, time)

    def _views(self, name: str, until: int) -> dict[str, Incident]:
        """An incident under the ids that were told of it; nothing where it proved to be none."""
        if name not in self._head.incidents:
            return {}
        incident, openings = self._head.incidents[name], self._head.openings[name]
        return {view.incident_id: view for view in self._names.views(incident, openings, self._head.clears, until)}

    def _expire(self) -> None:
        before = self._marks.clock - self.spec.retention
        # seldom: the fold's base may lag behind by a part of the retention
        if before - self._base_time <= self.spec.retention // 8:
            return
        settled, self._events = _split(self._events, before)
        changes = self._topology.changes_between(self._base_time, before)
        for _ in _walk(self._base, settled, changes, self._topology, self.fingerprint):
            pass
        self._base_time = before
        self._base.expire(before)
        self._head.expire(before)
        self._shown = {name: views for name, views in self._shown.items() if name in self._head.incidents}
        known = {told for views in self._shown.values() for told in views}
        self._names.expire(before, known)
        self._incident_table.expire(before, known)

    def _emit(self) -> list[Emitted]:
        out: list[Emitted] = []
        progress = (self._marks.value, self._marks.caught_up, self._marks.finished)
        if self._changed or progress != self._told:
            out.append(IncidentUpdate(tuple(self._show()), *progress))
        if self._incident_table.rows:
            out.append(TableOutput("incidents", self._incident_table.take()))
        self._told = progress
        return out

    def _show(self) -> list[Incident]:
        """Everything that changed, as it is now. From here on it counts as told."""
        until = self._folded_until
        before = {told: view for name in self._changed for told, view in self._shown.pop(name, {}).items()}
        self._shown |= {name: views for name in sorted(self._changed) if (views := self._views(name, until))}
        known = {told for views in self._shown.values() for told in views} if before else set()
        shown = [view for name in sorted(self._changed) for view in self._shown.get(name, {}).values()]
        gone = [view for told, view in before.items() if told not in known]
        # what it rests on may be still to come, for a run that crashed had come further
        shown += [_taken_back(view) for view in gone if self._names.opened_at(view) <= until]
        for view in shown:
            self._incident_table.put(view, until)
            if view.announced_at < FOREVER:
                ended_at = None if view.closed_at == FOREVER else view.closed_at
                self._names.tell(view.fault_id, view.incident_id, view.opened_at, ended_at)
        self._changed = set()
        return shown


def outcomes(origin: Origin, **amounts: int) -> list[Emitted]:
    """Say what became of an origin's records, outcomes that did not occur left out."""
    return [
        Counted("records", (("topic", origin.topic), ("outcome", outcome)), amount)
        for outcome, amount in amounts.items()
        if amount
    ]


def _walk(
    incidents: Incidents,
    faults: Iterable[FaultEvent],
    changes: Mapping[int, set[str]],
    topology: Topology,
    fingerprint: Fingerprint,
) -> Iterator[tuple[set[str], int | None]]:
    """Fold events moment by moment; yields which incidents changed and when, None for those that were announced."""
    by_time: dict[int, list[FaultEvent]] = {}
    for event in faults:
        by_time.setdefault(event.event_time, []).append(event)
        if event.row["state"] == "cleared":
            # those to come too: what was told may lie behind them
            incidents.clears.setdefault(event.fault_id, []).append((event.event_time, event.place))
    for time in sorted(by_time.keys() | changes.keys()):
        yield incidents.announce(time - 1), None
        touched: set[str] = set()
        for event in sorted(by_time.get(time, ()), key=lambda event: event.place):
            touched |= incidents.on_fault(event, topology, fingerprint)
        yield touched | incidents.on_topology(time, changes.get(time, set()), topology, fingerprint), time


def _taken_back(incident: Incident) -> Incident:
    """An incident that proved to be none: it closed when it opened."""
    return replace(incident, closed_at=incident.opened_at, part_of=None, parts=())


def _split(events: list[FaultEvent], until: int) -> tuple[list[FaultEvent], list[FaultEvent]]:
    ready = [event for event in events if event.event_time <= until]
    return ready, [event for event in events if event.event_time > until]


def _identity(event: FaultEvent) -> tuple[Any, ...]:
    """A row that says nothing else than another is the same event, told again."""
    cells = (tuple(cell) if isinstance(cell, list) else cell for cell in event.row.values())
    return (event.event_time, *cells)


def _topology_versions(rows: pl.DataFrame) -> list[tuple[str, TopologyVersion]]:
    return [
        (row[0], TopologyVersion(row[6], (row[7], row[8], row[9]), row[1], row[2], row[3], row[4], row[5]))
        for row in rows.iter_rows()
    ]
