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
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from flows.batch import Batch, Origin
from flows.operators.find_affected import AFFECTED_COLUMNS, all_sites, find_affected, periods
from flows.operators.folded_table import SegmentStore
from flows.operators.incidents import Incident
from flows.operators.match_state import TOLD, MatchSnapshot, MatchState
from flows.operators.messages import Counted, IncidentUpdate, LateRows, Notifications, Recalled, TableOutput
from flows.operators.notification_rows import notification_rows
from flows.operators.profiles import contact_of, profile_changes, profile_versions, reachable_channel
from flows.operators.recall import Recall, told_by, told_later
from flows.operators.watermark import FOREVER, NEVER, Watermarks
from schemas.contracts import contract

INCIDENTS = Origin("incidents", 0)
# large expressions cost more to build than to run on a few rows
_OUTCOME = reachable_channel().fill_null("unreachable").alias("outcome")
_NOTHING_TOLD = [
    pl.lit(value=False).alias(column) if column == "cleared" else pl.lit(None, dtype).alias(column)
    for column, dtype in TOLD.items()
    if column not in ("incident", *AFFECTED_COLUMNS)
]
_CONTACT = contact_of(pl.col("outcome")).alias("contact")
_TIME = pl.Datetime("us", "UTC")


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
Emitted = Notifications | TableOutput | LateRows | Counted


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
    _marks: Watermarks = field(init=False)
    _origins: dict[Origin, int] = field(init=False)
    _recalling: Recall = field(init=False)
    _looks: dict[str, list[int]] = field(init=False, default_factory=dict)
    _dirty: list[pl.DataFrame] = field(init=False, default_factory=list)  # event_time and customer of CRM changes
    _hits: dict[str, list[pl.DataFrame]] = field(init=False, default_factory=dict)  # incident → customer, touched_at
    _unsettled: dict[str, list[pl.DataFrame]] = field(init=False, default_factory=dict)  # by topic
    _evaluated_until: int = field(init=False, default=NEVER)
    _forgotten_until: int = field(init=False, default=NEVER)
    _ingested_ms: int = field(init=False, default=-1)
    _out: list[Emitted] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        resume = self.resume
        self.state = MatchState(self.stores, self.spec.presence_window, resume)
        announced = (INCIDENTS, *self.spec.published)
        self._marks = Watermarks(self.spec.delays, announced, resume.seen if resume else None)
        self._origins = {origin: rank for rank, origin in enumerate(sorted(self.spec.delays))}
        first, waiting = (resume.recall_from, resume.recalled) if resume else (0, None)
        self._recalling = Recall(self.spec.published, first, waiting)
        if resume is not None:
            self._evaluated_until, self._forgotten_until = resume.evaluated_until, resume.forgotten_until
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
            self._settle()
            self._report()
        out, self._out = self._out, []
        return out

    def snapshot(self) -> MatchSnapshot:
        """Everything that a successor needs."""
        self._settle()
        progress = (dict(self._marks.seen), self._evaluated_until, self._forgotten_until)
        return self.state.snapshot(self.place, *progress, *self._recalling.snapshot(self.state.next_sequence))

    # Taking in

    def _take_rows(self, batch: Batch) -> None:
        if batch.rows.height:
            self._ingested_ms = max(self._ingested_ms, int(batch.rows["_timestamp"].max()))  # type: ignore[arg-type]
            if batch.stream == "crm_change":
                changes = profile_changes(batch, self._origins)
                self.state.profiles.append(changes)
                self._dirty.append(changes.select("event_time", "customer"))
                self.state.counts[batch.origin.topic, "used"] += changes.height
            else:
                self._take_usage(batch)
        self._marks.observe(batch.origin, batch.max_event_time, caught_up=batch.caught_up, finished=batch.finished)

    def _take_usage(self, batch: Batch) -> None:
        """Set late rows aside and keep the others for `_settle`. Numpy, for it runs for every slice of every batch."""
        rows = batch.rows
        times = rows["event_time"].to_physical().to_numpy()
        newest = rows["_seen"].fill_null(NEVER).to_numpy()
        newest = np.maximum(newest, self._marks.seen.get(batch.origin, NEVER))
        late = times < newest - self.spec.lateness
        if late.any():
            mask = pl.Series(late)
            self._out.append(LateRows(batch.origin, rows.filter(mask)))
            self.state.counts[batch.origin.topic, "late"] += int(late.sum())
            rows = rows.filter(~mask)
        self._unsettled.setdefault(batch.origin.topic, []).append(rows)
        if self.state.in_a_footprint(rows["cell"].fill_null(0).to_numpy()).any():
            self._hit(_uses(rows))

    def _hit(self, uses: pl.DataFrame) -> None:
        """Note uses of the footprints that are known."""
        for name, incident in self.state.incidents.items():
            for period, end in periods(incident):
                found = uses.lazy().filter(
                    pl.col("cell").is_in(pl.Series(period.cells).implode())
                    & (pl.col("time") >= period.start - self.spec.presence_window)
                    & (pl.col("time") < end)
                )
                at = pl.max_horizontal("time", pl.lit(period.start)).alias("touched_at")
                news = found.select("customer", at).collect()
                self._touch(name, news)

    def _touch(self, name: str, uses: pl.DataFrame) -> None:
        # some may lie ahead of the watermark, so even a new incident's have to be looked at again later
        if uses.height:
            self._hits.setdefault(name, []).append(self.state.touch(name, uses))

    def _take_incidents(self, update: IncidentUpdate) -> None:
        if update.incidents:
            self._settle()
            for incident in update.incidents:
                # usage may be ahead of the network: what it touched may not have been in the footprint by then
                before = self.state.incidents.get(incident.incident_id)
                if before is not None:
                    self.state.untouch(incident.incident_id, _changes_at(before, incident))
            self.state.put_incidents(update.incidents)
        for incident in update.incidents:
            self._ingested_ms = max(self._ingested_ms, incident.ingested_ms)
            self._looks[incident.incident_id] = _moments(incident)
            for period, end in periods(incident):
                uses = self.state.presence.touched(period.cells, period.start, end)
                self._touch(incident.incident_id, uses)
        self._marks.announce(INCIDENTS, update.watermark, caught_up=update.caught_up, finished=update.finished)

    def _recall(self, recalled: Recalled) -> None:
        """Take what was published for said: it counts as our own decision, and the tables get it too."""
        rows = self._recalling.take(recalled)
        if rows is not None:
            for (name,), part in rows.partition_by("incident_id", as_dict=True, maintain_order=True).items():
                self._recall_incident(str(name), part)
            self.state.next_sequence = max(self.state.next_sequence, int(rows["sequence"].max()) + 1)  # type: ignore[arg-type]
            self._out.append(TableOutput("notifications", rows.select(*contract("notification").polars)))
            self._count_published(rows)
        if recalled.complete:
            self._marks.announce(recalled.origin, FOREVER, caught_up=True, finished=True)
            self._report()

    def _recall_incident(self, name: str, rows: pl.DataFrame) -> None:
        raised = told_by(rows, name)
        self._write_affected(name, raised)
        self.state.put_told(name, raised)
        merged = self.state.told_of(name).join(told_later(rows), on="customer")
        update = pl.max_horizontal("updated_until", "update").alias("updated_until")
        cleared = (pl.col("cleared") | pl.col("clear")).alias("cleared")
        self.state.put_told(name, merged.with_columns(update, cleared).select(*TOLD))

    # Deciding

    def _advance(self) -> None:
        until = self._marks.value
        # not the highest so far: after a restart, what this run had not decided is found by this time
        self._evaluated_until = until
        looks = {name for name, times in self._looks.items() if times and times[0] <= until}
        changed = _take_until(self._dirty, "event_time", until)
        for name, incident in self.state.incidents.items():
            hit = _take_until(self._hits.get(name, []), "touched_at", until)
            if incident.opened_at > until:
                continue
            if name in looks:
                self._looks[name] = [time for time in self._looks[name] if time > until]
                self._evaluate(incident, None, until)
            elif len(changed) or len(hit):
                self._evaluate(incident, pl.concat([changed, hit]), until)
        self._forget()

    def _evaluate(self, incident: Incident, customers: pl.Series | None, until: int) -> None:
        """Find who is affected (among some customers, or all), and tell what is due."""
        known = self.state.told_of(incident.incident_id)
        touched = self.state.touched_by(incident.incident_id)
        entire = customers is None
        if customers is None:
            at_site = self.state.profiles.scan(pl.col("site").is_in(pl.Series(all_sites(incident)).implode()))
            customers = pl.concat([at_site["customer"], touched["customer"]])
        candidates = customers.unique()
        if known.height:
            candidates = candidates.filter(~candidates.is_in(known["customer"].implode()))
        if not (entire or len(candidates)):
            return
        versions = profile_versions(self._profiles_of(candidates), until)
        touched = touched.filter(pl.col("customer").is_in(candidates.implode()))
        found = _untold(incident.incident_id, find_affected(incident, versions, touched, until))
        if incident.announced_at > until:
            self.state.put_told(incident.incident_id, found)
            return
        undecided = known["told_at"].is_null()
        if undecided.any():
            found = pl.concat([known.filter(undecided), found])
            versions = profile_versions(self._profiles_of(found["customer"]), until)
        told = self._tell_raised(incident, found, versions)
        if entire and known.height:
            told = pl.concat([known.filter(~undecided), told])
        told = self._tell_updates(incident, told, until)
        told = self._tell_cleared(incident, told, until)
        if entire and known.height:
            told = told.join(known, on=told.columns, how="anti", nulls_equal=True)
        self.state.put_told(incident.incident_id, told)

    def _profiles_of(self, customers: pl.Series) -> pl.DataFrame:
        return self.state.profiles.scan(pl.col("customer").is_in(customers.implode()))

    def _tell_raised(self, incident: Incident, waiting: pl.DataFrame, versions: pl.DataFrame) -> pl.DataFrame:
        if not waiting.height:
            return waiting
        told = _decide(incident, waiting, versions)
        self._write_affected(incident.incident_id, told)
        self._publish(incident, told, "raised", pl.col("told_at"))
        return told

    def _tell_updates(self, incident: Incident, told: pl.DataFrame, until: int) -> pl.DataFrame:
        if not self.spec.notify_updates:
            return told
        for before, wording in zip(incident.wordings, incident.wordings[1:], strict=False):
            same = before[1:3] == wording[1:3]
            if same or not incident.announced_at < wording.start <= min(until, incident.closed_at - 1):
                continue
            due = (
                (pl.col("told_at") < wording.start)
                & (pl.col("updated_until").fill_null(NEVER) < wording.start)
                & (pl.col("outcome") != "unreachable")
            ).fill_null(value=False)
            moment = pl.lit(wording.start)
            self._publish(incident, told.filter(due), "updated", moment, update=wording.start)
            told = told.with_columns(pl.when(due).then(moment).otherwise("updated_until").alias("updated_until"))
        return told

    def _tell_cleared(self, incident: Incident, told: pl.DataFrame, until: int) -> pl.DataFrame:
        if incident.closed_at > until:
            return told
        due = (pl.col("told_at").is_not_null() & ~pl.col("cleared") & (pl.col("outcome") != "unreachable")).fill_null(
            value=False
        )
        self._publish(incident, told.filter(due), "cleared", pl.lit(incident.closed_at))
        return told.with_columns((pl.col("cleared") | due).alias("cleared"))

    # Giving out

    def _publish(
        self, incident: Incident, told: pl.DataFrame, phase: str, moment: pl.Expr, update: int | None = None
    ) -> None:
        reachable = told.filter(pl.col("outcome") != "unreachable")
        if not reachable.height:
            return
        rows = notification_rows(incident, reachable, phase, moment, self._ingested_ms, update)
        first = self.state.next_sequence
        self.state.next_sequence += rows.height
        numbered = rows.with_columns(pl.int_range(first, first + rows.height, dtype=pl.Int64).alias("sequence"))
        self._out.append(Notifications(numbered))
        self._count_published(rows)
        self._out.append(TableOutput("notifications", rows.drop("ingested_ms")))

    def _count_published(self, rows: pl.DataFrame) -> None:
        for channel, phase, amount in rows.group_by("channel", "phase").len().iter_rows():
            self._out.append(Counted("notifications_published", (("channel", channel), ("phase", phase)), amount))

    def _write_affected(self, name: str, told: pl.DataFrame) -> None:
        if not told.height:
            return
        rows = told.select(
            pl.lit(name).alias("incident_id"),
            "customer_key",
            "cause",
            "outcome",
            pl.col("affected_at").cast(_TIME),
            pl.col("told_at").cast(_TIME),
        )
        self._out.append(TableOutput("affected_customers", rows))
        unreachable = int((rows["outcome"] == "unreachable").sum())
        if unreachable:
            self._out.append(Counted("customers_unreachable", (("phase", "raised"),), unreachable))

    def _settle(self) -> None:
        """Take usage that was kept into presence, and find repeated events; once an epoch, or when it is asked for."""
        pending, self._unsettled = self._unsettled, {}
        for topic, slices in pending.items():
            uses = _uses(pl.concat(slices))
            self.state.presence.add(uses)
            repeated = int(self.state.events.add(uses.select("event", "time")).sum())
            self.state.counts[topic, "used"] += uses.height - repeated
            self.state.counts[topic, "duplicate"] += repeated

    def _report(self) -> None:
        for (topic, outcome), amount in sorted(self.state.counts.items()):
            if amount:
                self._out.append(Counted("records", (("topic", topic), ("outcome", outcome)), amount))
        self.state.counts.clear()

    # Keeping house

    def _forget(self) -> None:
        clock = self._marks.clock
        # seldom, for it writes segments anew
        if clock - self._forgotten_until <= max(self.spec.retention, self.spec.presence_window) // 8:
            return
        self._forgotten_until = clock
        self.state.horizon = clock - self.spec.retention
        self.state.expire(clock - self.spec.retention)
        self.state.presence.forget(clock - self.spec.retention - self.spec.presence_window)
        self.state.events.forget(clock - self.spec.lateness)
        self._looks = {name: times for name, times in self._looks.items() if name in self.state.incidents}
        self._hits = {name: found for name, found in self._hits.items() if name in self.state.incidents}

    def _resume_looks(self, evaluated_until: int) -> None:
        """What was known but not yet decided when the snapshot was made follows from the state."""
        for name, incident in self.state.incidents.items():
            self._looks[name] = [time for time in _moments(incident) if time > evaluated_until]
            self._hits[name] = [self.state.touched_by(name).filter(pl.col("touched_at") > evaluated_until)]
        waiting = self.state.profiles.scan(pl.col("event_time") > evaluated_until)
        self._dirty = [waiting.select("event_time", "customer")]


def _moments(incident: Incident) -> list[int]:
    """When an incident has to be looked at with all customers."""
    starts = [period.start for period in incident.periods] + [wording.start for wording in incident.wordings]
    ends = [time for time in (incident.announced_at, incident.closed_at) if time < FOREVER]
    return sorted({incident.opened_at, *starts, *ends})


def _changes_at(before: Incident, after: Incident) -> int:
    """The first moment at which an incident is now known to touch other cells."""
    for (one, one_end), (other, other_end) in zip(periods(before), periods(after), strict=False):
        if one.start != other.start or not np.array_equal(one.cells, other.cells):
            return min(one.start, other.start)
        if one_end != other_end:
            return min(one_end, other_end)
    return FOREVER


def _uses(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select("customer", "cell", "event", pl.col("event_time").to_physical().alias("time"))


def _take_until(waiting: list[pl.DataFrame], time: str, until: int) -> pl.Series:
    """Take the customers whose time has come out of `waiting`."""
    if not waiting:
        return pl.Series(dtype=pl.UInt64)
    rows = pl.concat(waiting)
    later = rows.filter(pl.col(time) > until)
    waiting[:] = [later] if later.height else []
    return rows.filter(pl.col(time) <= until)["customer"]


def _decide(incident: Incident, waiting: pl.DataFrame, versions: pl.DataFrame) -> pl.DataFrame:
    """Choose each customer's channel, by the profile at the moment they are told."""
    moment = pl.max_horizontal("affected_at", pl.lit(incident.announced_at))
    then = (
        waiting.drop("outcome", "contact", "language")
        .with_columns(moment.alias("told_at"))
        .join(versions.drop("customer_key"), on="customer")
        .filter((pl.col("event_time") <= pl.col("told_at")) & (pl.col("told_at") < pl.col("end")))
        .with_columns(_OUTCOME)
        .with_columns(_CONTACT)
    )
    return then.select(*TOLD)


def _untold(name: str, found: pl.DataFrame) -> pl.DataFrame:
    return found.select(pl.lit(name).alias("incident"), *AFFECTED_COLUMNS, *_NOTHING_TOLD).select(*TOLD)
