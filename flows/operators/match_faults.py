"""match_faults: finds every customer an incident affects, and decides once what each is told. One logic per shard.

CRM changes and usage of the shard's customers come in, and every incident. What arrived is joined by `find_affected`,
whatever the order it came in; a decision is made when the watermark has passed the moments it rests on, and is then
remembered: nobody is told twice, and the all-clear goes to exactly those who were told.

**Watermark.** Over the CRM and usage origins, the network's own watermark, and the recall of what was published
before. **Lateness.** A CRM change or incident is never too late. Usage later than `lateness` behind its origin goes
to the late rows. **Eviction.** Closed incidents and presence older than `retention` go. **Bound.** See the tables in
`match_state`. How a batch is cut changes no result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from flows.batch import Batch, Origin
from flows.operators.decisions import Decisions
from flows.operators.find_affected import periods
from flows.operators.folded_table import SegmentStore
from flows.operators.incidents import Incident
from flows.operators.match_state import MatchSnapshot, MatchState
from flows.operators.messages import Counted, IncidentUpdate, LateRows, Recalled, TableOutput, Told
from flows.operators.profiles import profile_changes
from flows.operators.recall import Recall
from flows.operators.uses import Fingerprints, Uses, among
from flows.operators.watermark import FOREVER, NEVER, Watermarks
from schemas.frames import pick, stack, take

INCIDENTS = Origin("incidents", 0)
_MOST_UNSETTLED = 1000
"""Uses that are kept before they are settled: a thousand together cost little more than one."""
_NOBODY = np.zeros(0, np.uint64)


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchSpec:
    """What the step needs to know. Times in microseconds.

    Attributes:
        delays: For each CRM and usage origin, how far its rows may be out of order.
        published: The origins of the recall.
        presence_window: How long before an incident a use of a cell counts.
        lateness: How far behind its origin's newest row a usage row may come and still count.
        retention: How long closed incidents, and presence beyond the window, are kept for rows that come late.
        notify_updates: Whether a change of severity or expected end is told.
    """

    delays: Mapping[Origin, int]
    published: tuple[Origin, ...]
    presence_window: int
    lateness: int
    retention: int
    notify_updates: bool = False

    def __post_init__(self) -> None:
        if self.presence_window <= 0:
            raise ValueError("expected presence_window of more than 0 microseconds")
        if self.lateness < 0 or self.retention < 0:
            raise ValueError("expected lateness and retention of at least 0 microseconds")


Received = Batch | IncidentUpdate | Recalled
Emitted = Told | TableOutput | LateRows | Counted


@dataclass(slots=True)
class MatchFaults:
    """The step's logic: no clock, and no I/O but its segment stores'.

    `place` names where those lie, for the successor.
    """

    spec: MatchSpec
    stores: Callable[[str], SegmentStore]
    place: str
    resume: MatchSnapshot | None = None
    state: MatchState = field(init=False)
    _decisions: Decisions = field(init=False)
    _marks: Watermarks = field(init=False)
    _origins: dict[Origin, int] = field(init=False)
    _recalling: Recall = field(init=False)
    _looks: dict[str, list[int]] = field(init=False, default_factory=dict)
    _dirty: list[pl.DataFrame] = field(init=False, default_factory=list)  # event_time and customer of CRM changes
    _hits: dict[str, list[tuple[int, int]]] = field(init=False, default_factory=dict)  # incident → touched_at, customer
    _unsettled: int = field(init=False, default=0)  # uses taken in since:
    _unplaced: list[Uses] = field(init=False, default_factory=list)  # not in the state's presence yet
    _uncounted: dict[str, list[Uses]] = field(init=False, default_factory=dict)  # by topic; repeated ones among them
    _evaluated_until: int = field(init=False, default=NEVER)
    _waited_until: int = field(init=False, default=NEVER)
    _forgotten_until: int = field(init=False, default=NEVER)
    _newest_ms: int = field(init=False, default=-1)  # Kafka's time of the newest row that was taken in
    _out: list[Emitted] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        resume = self.resume
        self.state = MatchState(self.stores, self.spec.presence_window, resume)
        self._decisions = Decisions(self.state, notify_updates=self.spec.notify_updates)
        announced = (INCIDENTS, *self.spec.published)
        self._marks = Watermarks(self.spec.delays, announced, resume.seen if resume else None)
        self._origins = {origin: rank for rank, origin in enumerate(sorted(self.spec.delays))}
        first, waiting = (resume.recall_from, resume.recalled) if resume else (0, None)
        self._recalling = Recall(self.spec.published, first, waiting)
        if resume is not None:
            self._evaluated_until, self._forgotten_until = resume.evaluated_until, resume.forgotten_until
            self._waited_until = min(self._evaluated_until, self._marks.latest)
            self._resume_looks(resume.evaluated_until)

    def on_batch(self, values: Iterable[Received]) -> list[Emitted]:
        """Take in rows, incidents and progress, and decide what can be decided."""
        for value in values:
            if isinstance(value, Batch):
                self._take_rows(value)
            elif isinstance(value, IncidentUpdate):
                self._take_incidents(value)
            else:
                self._recall(value)
        self._advance()
        if self._marks.finished:
            self._count()
            self._report()
        out, self._out = self._out, []
        return out

    def snapshot(self) -> MatchSnapshot:
        """Everything that a successor needs."""
        self._place()
        self._count()
        progress = (dict(self._marks.seen), self._evaluated_until, self._forgotten_until)
        return self.state.snapshot(self.place, *progress, *self._recalling.snapshot(self.state.next_sequence))

    # Taking in

    def _take_rows(self, batch: Batch) -> None:
        if batch.rows.height:
            self._newest_ms = max(self._newest_ms, int(batch.rows["_timestamp"].max()))  # type: ignore[arg-type]
            if batch.stream == "crm_change":
                self._take_crm_changes(batch)
            else:
                self._take_usage(batch)
        self._marks.observe(batch.origin, batch.max_event_time, caught_up=batch.caught_up, finished=batch.finished)

    def _take_crm_changes(self, batch: Batch) -> None:
        self.state.counts[batch.origin.topic, "used"] += batch.rows.height
        is_gap = (batch.rows["op"] == "stale").to_numpy()
        news = self.state.stale.take(batch.rows, is_gap, self.state.profiles)
        if news.height:
            self._out.append(TableOutput("stale_profiles", news))
            stale, topic = int(news["stale"].sum()), (("topic", batch.origin.topic),)
            self._out.append(Counted("profiles_stale", topic, stale))
            self._out.append(Counted("profiles_refreshed", topic, news.height - stale))
        if is_gap.any():
            batch = replace(batch, rows=take(batch.rows, ~is_gap))
        changes = profile_changes(batch, self._origins)
        self.state.profiles.table.append(changes)
        self._dirty.append(pick(changes, ("event_time", "customer")))

    def _take_usage(self, batch: Batch) -> None:
        """Set late rows aside and keep the others for `_place` and `_count`."""
        rows, uses = batch.rows, Uses.of(batch.rows)
        newest = np.maximum(rows["_seen"].to_numpy(), self._marks.seen.get(batch.origin, NEVER))
        late = uses.time < newest - self.spec.lateness
        if late.any():
            self._out.append(LateRows(batch.origin, take(rows, late)))
            self.state.counts[batch.origin.topic, "late"] += int(late.sum())
            uses = uses.take(~late)
        self._unplaced.append(uses)
        self._uncounted.setdefault(batch.origin.topic, []).append(uses)
        self._unsettled += len(uses)
        hits = self.state.in_a_footprint(uses.cell)
        if hits.any():
            self._hit(uses.take(hits))
        if self._unsettled >= _MOST_UNSETTLED:
            # the close of the epoch should have little left to do
            self._place()
            self._count()
            self._unsettled = 0

    def _hit(self, uses: Uses) -> None:
        """Note uses of the footprints that are known."""
        for incident in self.state.incidents_over(uses.cell):
            for period, end in periods(incident):
                counts = among(uses.cell, period.cells)
                counts &= (uses.time >= period.start - self.spec.presence_window) & (uses.time < end)
                self._touch(incident.incident_id, uses.customer[counts], np.maximum(uses.time[counts], period.start))

    def _touch(self, name: str, customers: Fingerprints, since: NDArray[np.int64]) -> None:
        # some may lie ahead of the watermark, so even a new incident's have to be looked at again later
        if news := self.state.touch(name, customers, since):
            self._hits.setdefault(name, []).extend(news)

    def _take_incidents(self, update: IncidentUpdate) -> None:
        # the network may have come less far than we have: what was forgotten must not be told once more
        incidents = [each for each in update.incidents if each.incident_id not in self.state.forgotten]
        if incidents:
            self._place()
            for incident in incidents:
                # usage may be ahead of the network: what it touched may not have been in the footprint by then
                before = self.state.incidents.get(incident.incident_id)
                if before is not None:
                    self.state.untouch(incident.incident_id, _changes_at(before, incident))
                if incident.part_of is not None:
                    self.state.undecide(incident.incident_id)
            self.state.put_incidents(incidents)
        for incident in incidents:
            # CRM changes up to there no longer wait for the watermark, which may have gone back since
            self._looks[incident.incident_id] = sorted({*_moments(incident), self._waited_until})
            for period, end in periods(incident):
                self._touch(incident.incident_id, *self.state.presence.touched(period.cells, period.start, end))
        self._marks.announce(INCIDENTS, update.watermark, caught_up=update.caught_up, finished=update.finished)

    def _recall(self, recalled: Recalled) -> None:
        """Take what was published for said: it counts as our own decision, and the tables get it too."""
        rows = self._recalling.take(recalled)
        if rows is not None:
            self._out += self._decisions.recall(rows)
        if recalled.complete:
            self._marks.announce(recalled.origin, FOREVER, caught_up=True, finished=True)
            self._report()

    # Deciding

    def _advance(self) -> None:
        until = self._marks.value
        # not the highest so far: after a restart, what this run had not decided is found by this time
        self._evaluated_until = until
        self._waited_until = max(self._waited_until, min(until, self._marks.latest))
        changed = self._take_changed(until)
        due = {name for name, times in self._looks.items() if times and times[0] <= until}
        hit = {name: self._take_hits(name, until) for name in sorted(self._hits)}
        for name, incident in self.state.incidents.items():
            if incident.opened_at > until:
                continue
            if name in due:
                self._looks[name] = [time for time in self._looks[name] if time > until]
                self._out += self._decisions.look_at_all(incident, until)
            elif name in hit or len(changed):
                customers = np.union1d(hit.get(name, _NOBODY), changed)
                self._out += self._decisions.look_at(incident, customers, until, self._newest_ms)
        self._forget()

    def _take_changed(self, until: int) -> Fingerprints:
        """Take the customers out of `_dirty` whose time has come."""
        if not self._dirty:
            return _NOBODY
        rows, self._dirty = stack(self._dirty), []
        ready = rows["event_time"].to_numpy() <= until
        if not ready.all():
            self._dirty.append(take(rows, ~ready))
        if not self.state.incidents:
            # whatever incident is still to come will be looked at with all customers
            return _NOBODY
        return np.unique(rows["customer"].to_numpy()[ready])

    def _take_hits(self, name: str, until: int) -> Fingerprints:
        """Take the customers out of an incident's hits whose time has come."""
        hits = self._hits.pop(name)
        if later := [hit for hit in hits if hit[0] > until]:
            self._hits[name] = later
        return np.array([customer for touched_at, customer in hits if touched_at <= until], np.uint64)

    # Keeping house

    def _place(self) -> None:
        """Take usage that was kept into presence; also when an incident asks who was where."""
        pending, self._unplaced = self._unplaced, []
        if pending:
            self.state.presence.add(Uses.together(pending))

    def _count(self) -> None:
        """Find out which of the usage events that were kept repeat others."""
        pending, self._uncounted = self._uncounted, {}
        for topic, parts in pending.items():
            uses = Uses.together(parts)
            repeated = self.state.events.add(uses)
            self.state.counts[topic, "used"] += len(uses) - repeated
            self.state.counts[topic, "duplicate"] += repeated

    def _report(self) -> None:
        for (topic, outcome), amount in sorted(self.state.counts.items()):
            if amount:
                self._out.append(Counted("records", (("topic", topic), ("outcome", outcome)), amount))
        self.state.counts.clear()

    def _forget(self) -> None:
        clock = self._marks.clock
        # seldom, for it writes segments anew
        if clock - self._forgotten_until <= max(self.spec.retention, self.spec.presence_window) // 8:
            return
        self._forgotten_until = clock
        self.state.profiles.horizon = clock - self.spec.retention
        self.state.expire(clock - self.spec.retention)
        self.state.presence.forget(clock - self.spec.retention - self.spec.presence_window)
        self.state.events.forget(clock - self.spec.lateness)
        self._looks = {name: times for name, times in self._looks.items() if name in self.state.incidents}
        self._hits = {name: found for name, found in self._hits.items() if name in self.state.incidents}

    def _resume_looks(self, evaluated_until: int) -> None:
        """What was known but not yet decided when the snapshot was made follows from the state."""
        for name, incident in self.state.incidents.items():
            self._looks[name] = [time for time in _moments(incident) if time > evaluated_until]
            waiting = [(at, each) for each, at in self.state.touched.get(name, {}).items() if at > evaluated_until]
            if waiting:
                self._hits[name] = waiting
        self._dirty = [self.state.profiles.after(evaluated_until)]


def _moments(incident: Incident) -> list[int]:
    """When an incident has to be looked at with all customers."""
    starts = [period.start for period in incident.periods] + [wording.start for wording in incident.wordings]
    ends = [time for time in (incident.announced_at, incident.closed_at) if time < FOREVER]
    return sorted({incident.opened_at, *starts, *ends})


def _changes_at(before: Incident, after: Incident) -> int:
    """The first moment at which an incident is now known to touch other cells."""
    if not after.periods:
        return before.opened_at
    for (one, one_end), (other, other_end) in zip(periods(before), periods(after), strict=False):
        if one.start != other.start or not np.array_equal(one.cells, other.cells):
            return min(one.start, other.start)
        if one_end != other_end:
            return min(one_end, other_end)
    return FOREVER
