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
from flows.operators.watermark import FOREVER, NEVER, Watermarks
from schemas.contracts import contract

INCIDENTS = Origin("incidents", 0)
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
    _looks: dict[str, list[int]] = field(init=False, default_factory=dict)
    _dirty: list[pl.DataFrame] = field(init=False, default_factory=list)  # event_time and customer of CRM changes
    _hits: dict[str, list[tuple[int, int]]] = field(init=False, default_factory=dict)  # incident → (time, customer)
    _unresolved: list[tuple[str, pl.DataFrame]] = field(init=False, default_factory=list)
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
            self._report()
        out, self._out = self._out, []
        return out

    def snapshot(self) -> MatchSnapshot:
        """Everything that a successor needs."""
        self._resolve()
        return self.state.snapshot(self.place, dict(self._marks.seen), self._evaluated_until, self._forgotten_until)

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
        newest = pl.max_horizontal("_seen", pl.lit(self._marks.seen.get(batch.origin), pl.Int64))
        rows = batch.rows.with_columns(pl.col("event_time").cast(pl.Int64).alias("time"))
        late = rows.select(pl.col("time") < newest - self.spec.lateness).to_series().fill_null(value=False)
        if late.any():
            self._out.append(LateRows(batch.origin, batch.rows.filter(late)))
            self.state.counts[batch.origin.topic, "late"] += int(late.sum())
            rows = rows.filter(~late)
        self._unresolved.append((batch.origin.topic, rows.select("event", "time")))
        uses = rows.filter(pl.col("cell").is_not_null()).select("customer", "cell", "time")
        self.state.presence.add(uses)
        self._hit(uses)

    def _hit(self, uses: pl.DataFrame) -> None:
        """Note uses of the footprints that are known."""
        inside = self.state.in_a_footprint(uses["cell"].to_numpy())
        if not inside.any():
            return
        hits = uses.filter(pl.Series(inside))
        for name, incident in self.state.incidents.items():
            for period, end in periods(incident):
                found = hits.filter(
                    pl.col("cell").is_in(pl.Series(period.cells).implode())
                    & (pl.col("time") >= period.start - self.spec.presence_window)
                    & (pl.col("time") < end)
                )
                at = found.select("customer", pl.max_horizontal("time", pl.lit(period.start)))
                news = self.state.touch(name, at.iter_rows())
                self._hits.setdefault(name, []).extend((time, customer) for customer, time in news)

    def _take_incidents(self, update: IncidentUpdate) -> None:
        self.state.put_incidents(update.incidents)
        for incident in update.incidents:
            self._ingested_ms = max(self._ingested_ms, incident.ingested_ms)
            self._looks[incident.incident_id] = _moments(incident)
            for period, end in periods(incident):
                uses = self.state.presence.touched(period.cells, period.start, end)
                self.state.touch(incident.incident_id, uses.iter_rows())
        self._marks.announce(INCIDENTS, update.watermark, caught_up=update.caught_up, finished=update.finished)

    def _recall(self, recalled: Recalled) -> None:
        """Take what was published for said: it counts as our own decision, and the tables get it too."""
        if recalled.rows.height:
            for (name,), rows in recalled.rows.partition_by("incident_id", as_dict=True, maintain_order=True).items():
                self._recall_incident(str(name), rows)
        if recalled.complete:
            self._marks.announce(recalled.origin, FOREVER, caught_up=True, finished=True)
            self._report()

    def _recall_incident(self, name: str, rows: pl.DataFrame) -> None:
        known = self.state.told_of(name).filter(pl.col("told_at").is_not_null())
        raised = rows.filter(pl.col("phase") == "raised").unique("customer", keep="first", maintain_order=True)
        news = raised.join(known, on="customer", how="anti")
        told = news.select(
            pl.lit(name).alias("incident"),
            "customer",
            "customer_key",
            pl.col("affected_at").cast(pl.Int64),
            "cause",
            pl.col("event_time").cast(pl.Int64).alias("told_at"),
            pl.col("channel").alias("outcome"),
            pl.col("contact_token").alias("contact"),
            "language",
            pl.lit(None, pl.Int64).alias("updated_until"),
            pl.lit(value=False).alias("cleared"),
        )
        self._write_affected(name, told)
        later = rows.filter(pl.col("phase") != "raised").select(
            "customer",
            pl.when(pl.col("phase") == "updated").then(pl.col("event_time").cast(pl.Int64)).alias("update"),
            (pl.col("phase") == "cleared").alias("clear"),
        )
        sums = later.group_by("customer").agg(pl.col("update").max(), pl.col("clear").any())
        everyone = pl.concat([known, told])
        fresh = rows.join(news, on="notification_id", how="semi")
        for phase in ("updated", "cleared"):
            fresh = pl.concat([fresh, self._unknown(rows.filter(pl.col("phase") == phase), everyone, phase)])
        self._out.append(TableOutput("notifications", fresh.select(*contract("notification").polars)))
        self._count_published(fresh)
        merged = everyone.join(sums, on="customer", how="left").with_columns(
            pl.max_horizontal("updated_until", "update").alias("updated_until"),
            (pl.col("cleared") | pl.col("clear").fill_null(value=False)).alias("cleared"),
        )
        self.state.told.append(merged.select(*TOLD))

    def _unknown(self, rows: pl.DataFrame, told: pl.DataFrame, phase: str) -> pl.DataFrame:
        marked = rows.join(told.select("customer", "updated_until", "cleared"), on="customer", how="left")
        if phase == "cleared":
            done = pl.col("cleared").fill_null(value=False)
        else:
            done = (pl.col("event_time").cast(pl.Int64) <= pl.col("updated_until")).fill_null(value=False)
        return marked.filter(~done).select(rows.columns).unique("notification_id", maintain_order=True)

    # Deciding

    def _advance(self) -> None:
        until = self._marks.value
        # not the highest so far: after a restart, what this run had not decided is found by this time
        self._evaluated_until = until
        looks = {name for name, times in self._looks.items() if times and times[0] <= until}
        hits = {name: {customer for time, customer in found if time <= until} for name, found in self._hits.items()}
        changed = self._changed_customers(until)
        for name, incident in self.state.incidents.items():
            customers = None if name in looks else changed | hits.get(name, set())
            if incident.opened_at <= until and (customers is None or customers):
                self._evaluate(incident, customers, until)
        for name in looks:
            self._looks[name] = [time for time in self._looks[name] if time > until]
        for name in [name for name, found in hits.items() if found]:
            self._hits[name] = [hit for hit in self._hits[name] if hit[0] > until]
        self._forget()

    def _changed_customers(self, until: int) -> set[int]:
        if not self._dirty:
            return set()
        dirty = pl.concat(self._dirty)
        later = dirty.filter(pl.col("event_time") > until)
        self._dirty = [later] if later.height else []
        if later.height == dirty.height or not self.state.incidents:
            return set()
        return set(dirty.filter(pl.col("event_time") <= until)["customer"])

    def _evaluate(self, incident: Incident, customers: set[int] | None, until: int) -> None:
        """Find who is affected (among some customers, or all), and tell what is due."""
        touched = self.state.touched_frame(incident.incident_id, customers)
        at_site = pl.col("site").is_in(pl.Series(all_sites(incident)).implode())
        nearby = at_site if customers is None else at_site & _among(customers)
        candidates = set(self.state.profiles.scan(nearby)["customer"]) | set(touched["customer"])
        known = self.state.told_of(incident.incident_id)
        candidates -= set(known["customer"])
        found = _untold(incident.incident_id, pl.DataFrame(schema=AFFECTED_COLUMNS))
        if candidates:
            versions = profile_versions(self.state.profiles.scan(_among(candidates)), until)
            found = _untold(incident.incident_id, find_affected(incident, versions, touched, until))
        if incident.announced_at > until:
            self.state.told.append(found)
            return
        waiting = pl.concat([known.filter(pl.col("told_at").is_null()), found])
        told = self._tell_raised(incident, waiting, until)
        if customers is None:
            told = pl.concat([known.filter(pl.col("told_at").is_not_null()), told])
        told = self._tell_updates(incident, told, until)
        told = self._tell_cleared(incident, told, until)
        self.state.told.append(told.join(known, on=told.columns, how="anti", nulls_equal=True))

    def _tell_raised(self, incident: Incident, waiting: pl.DataFrame, until: int) -> pl.DataFrame:
        if not waiting.height:
            return waiting
        told = self._decide(incident, waiting, until)
        self._write_affected(incident.incident_id, told)
        self._publish(incident, told, "raised", pl.col("told_at"))
        return told

    def _decide(self, incident: Incident, news: pl.DataFrame, until: int) -> pl.DataFrame:
        """Choose each customer's channel, by the profile at the moment they are told."""
        moment = pl.max_horizontal("affected_at", pl.lit(incident.announced_at))
        timed = news.drop("outcome", "contact", "language", "told_at").with_columns(moment.alias("told_at"))
        versions = profile_versions(self.state.profiles.scan(_among(set(news["customer"]))), until)
        channel = reachable_channel()
        then = (
            timed.join(versions.drop("customer_key"), on="customer")
            .filter((pl.col("event_time") <= pl.col("told_at")) & (pl.col("told_at") < pl.col("end")))
            .with_columns(channel.alias("channel"))
            .with_columns(pl.col("channel").fill_null("unreachable").alias("outcome"))
            .with_columns(contact_of(pl.col("outcome")).alias("contact"))
        )
        return then.select(*TOLD)

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
        self._out.append(Notifications(rows))
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

    def _resolve(self) -> None:
        """Find repeated usage events; done once an epoch, for it changes no decision."""
        pending, self._unresolved = self._unresolved, []
        if not pending:
            return
        events = pl.concat([rows.with_columns(pl.lit(topic).alias("topic")) for topic, rows in pending])
        repeated = self.state.events.add(events.select("event", "time"))
        marked = events.with_columns(pl.Series("repeated", repeated)).group_by("topic", "repeated").len()
        for topic, is_repeated, amount in marked.iter_rows():
            self.state.counts[topic, "duplicate" if is_repeated else "used"] += amount

    def _report(self) -> None:
        self._resolve()
        for (topic, outcome), amount in sorted(self.state.counts.items()):
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
            later = [(at, each) for each, at in self.state.touched.get(name, {}).items() if at > evaluated_until]
            if later:
                self._hits[name] = later
        waiting = self.state.profiles.scan(pl.col("event_time") > evaluated_until)
        self._dirty = [waiting.select("event_time", "customer")]


def _moments(incident: Incident) -> list[int]:
    """When an incident has to be looked at with all customers."""
    starts = [period.start for period in incident.periods] + [wording.start for wording in incident.wordings]
    ends = [time for time in (incident.announced_at, incident.closed_at) if time < FOREVER]
    return sorted({incident.opened_at, *starts, *ends})


def _among(customers: Iterable[int]) -> pl.Expr:
    wanted = pl.Series(np.fromiter(customers, np.uint64))
    return pl.col("customer").is_in(wanted.implode())


def _untold(name: str, found: pl.DataFrame) -> pl.DataFrame:
    empty = {column: dtype for column, dtype in TOLD.items() if column not in found.columns}
    return (
        found.with_columns(
            *(pl.lit(None, dtype).alias(column) for column, dtype in empty.items()),
        )
        .with_columns(pl.lit(name).alias("incident"), pl.lit(value=False).alias("cleared"))
        .select(*TOLD)
    )
