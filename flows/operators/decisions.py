"""Decisions: who is told what of an incident, made once and remembered.

`find_affected` says who is affected; here each of them gets a channel, by their profile at the moment they are told,
and what was told is noted in the shard's state: nobody is told twice, and the all-clear goes to exactly those who were
told. Only what the watermark has passed is decided.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from flows.operators.find_affected import all_sites, find_affected
from flows.operators.incidents import Incident
from flows.operators.match_state import TOLD, MatchState
from flows.operators.messages import Counted, TableOutput, Told
from flows.operators.profiles import choose_channels, profile_versions, version_at
from flows.operators.recall import told_by, told_later
from flows.operators.uses import Fingerprints
from flows.operators.watermark import NEVER
from flows.operators.wording import affected_output, count_published
from schemas.contracts import contract

Emitted = Told | TableOutput | Counted


@dataclass(frozen=True, slots=True)
class Decisions:
    """Decides for one shard, on its state.

    Attributes:
        state: The shard's.
        notify_updates: Whether a change of severity or expected end is told.
    """

    state: MatchState
    notify_updates: bool

    def look_at(self, incident: Incident, customers: Fingerprints, until: int, ingested_ms: int) -> list[Told]:
        """Find out whether some customers are affected, and tell them.

        Args:
            incident: It has opened by `until`.
            customers: Of whom something new is known; ascending.
            until: The watermark.
            ingested_ms: Kafka's time of what is new.
        """
        unknown = self._unknown(incident, customers)
        if not len(unknown):
            return []
        found, versions = self._affected(incident, unknown, until)
        return self._tell(incident, found, versions, until, ingested_ms) if found.height else []

    def look_at_all(self, incident: Incident, until: int) -> list[Told]:
        """Find everybody an incident affects that nobody has found yet, and tell all who are to be told something."""
        name, ingested_ms = incident.incident_id, incident.ingested_ms
        if incident.part_of is not None:
            return self._tell_later(incident, self.state.told_of(name), until, ingested_ms)
        at_site = self.state.profiles.at_sites(all_sites(incident))
        touched = np.fromiter(self.state.touched.get(name, {}), np.uint64)
        customers = np.unique(np.concatenate([at_site, touched]))
        known = self.state.told_of(name)
        waiting = known["told_at"].is_null() if known["told_at"].null_count() else None
        found, versions = self._affected(incident, self._unknown(incident, customers), until)
        if waiting is not None and incident.announced_at <= until:
            found = pl.concat([known.filter(waiting).select(found.columns), found])
            versions = profile_versions(self.state.profiles.of(np.sort(found["customer"].to_numpy())), until)
            known = known.filter(~waiting)
        out = self._tell(incident, found, versions, until, ingested_ms) if found.height else []
        return out + self._tell_later(incident, known, until, ingested_ms)

    def recall(self, rows: pl.DataFrame) -> list[Emitted]:
        """Take what was published for decided: `notification` rows and `sequence`; the tables get it too."""
        out: list[Emitted] = []
        for (name,), part in rows.partition_by("incident_id", as_dict=True, maintain_order=True).items():
            raised = told_by(part, str(name))
            out += affected_output(str(name), raised)
            self.state.put_told(str(name), raised)
            merged = self.state.told_of(str(name)).join(told_later(part), on="customer")
            update = pl.max_horizontal("updated_until", "update").alias("updated_until")
            cleared = (pl.col("cleared") | pl.col("clear")).alias("cleared")
            self.state.put_told(str(name), merged.with_columns(update, cleared).select(*TOLD))
        self.state.next_sequence = max(self.state.next_sequence, int(rows["sequence"].max()) + 1)  # type: ignore[arg-type]
        out.append(TableOutput("notifications", rows.select(*contract("notification").polars)))
        for (phase,), part in rows.partition_by("phase", as_dict=True).items():
            out += count_published(part["channel"], str(phase))
        return out

    def _unknown(self, incident: Incident, customers: Fingerprints) -> Fingerprints:
        """Who of some customers was told neither of an incident nor of a part of it. Of a part nobody else is told."""
        if incident.part_of is not None:
            return customers[:0]
        for name in (incident.incident_id, *incident.parts):
            customers = customers[~self.state.is_told(name, customers)]
        return customers

    def _affected(self, incident: Incident, customers: Fingerprints, until: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Who of some customers is affected, and their versions."""
        versions = profile_versions(self.state.profiles.of(customers), until)
        touched_at = self.state.touched_at(incident.incident_id, versions["customer"].to_numpy())
        return find_affected(incident, versions, touched_at, until), versions

    def _tell(
        self, incident: Incident, found: pl.DataFrame, versions: pl.DataFrame, until: int, ingested_ms: int
    ) -> list[Told]:
        """Tell customers that they are affected, and what came after; before the incident is announced they wait."""
        if incident.announced_at > until:
            self.state.put_told(incident.incident_id, _undecided(incident, found))
            return []
        told = _decided(incident, found, versions)
        self.state.put_told(incident.incident_id, told)
        raised = self._numbered(incident, "raised", None, told, told["told_at"], ingested_ms)
        return [raised, *self._tell_later(incident, told, until, ingested_ms)]

    def _tell_later(self, incident: Incident, told: pl.DataFrame, until: int, ingested_ms: int) -> list[Told]:
        """Tell what came after `raised` to those of `told` who were reached and have not heard of it."""
        out: list[Told] = []
        updates = self._updates(incident, until)
        if not updates and incident.closed_at > until:
            return out
        reached = told.filter(pl.col("told_at").is_not_null() & (pl.col("outcome") != "unreachable"))
        for wording in updates:
            due = (pl.col("told_at") < wording) & (pl.col("updated_until").fill_null(NEVER) < wording)
            hears = reached.filter(due).with_columns(pl.lit(wording).alias("updated_until"))
            if hears.height:
                out.append(self._tell_again(incident, "updated", wording, hears, ingested_ms))
                reached = pl.concat([reached.filter(~due), hears])
        if incident.closed_at <= until:
            hears = reached.filter(~pl.col("cleared")).with_columns(pl.lit(value=True).alias("cleared"))
            if hears.height:
                out.append(self._tell_again(incident, "cleared", None, hears, ingested_ms))
        return out

    def _tell_again(
        self, incident: Incident, phase: str, update: int | None, hears: pl.DataFrame, ingested_ms: int
    ) -> Told:
        self.state.put_told(incident.incident_id, hears)
        moment = pl.Series("moment", np.full(hears.height, incident.closed_at if update is None else update))
        return self._numbered(incident, phase, update, hears, moment, ingested_ms)

    def _updates(self, incident: Incident, until: int) -> list[int]:
        """The moments from which an incident is told of otherwise."""
        if not self.notify_updates:
            return []
        last = min(until, incident.closed_at - 1)
        return [
            wording.start
            for before, wording in zip(incident.wordings, incident.wordings[1:], strict=False)
            if before[1:3] != wording[1:3] and incident.announced_at < wording.start <= last
        ]

    def _numbered(
        self,
        incident: Incident,
        phase: str,
        update: int | None,
        told: pl.DataFrame,
        moment: pl.Series,
        ingested_ms: int,
    ) -> Told:
        reached = (told["outcome"] != "unreachable").to_numpy()
        first = self.state.next_sequence
        self.state.next_sequence += int(reached.sum())
        sequence = pl.Series("sequence", np.cumsum(reached) - 1 + first).zip_with(
            pl.Series(reached), pl.Series([None], dtype=pl.Int64).new_from_index(0, told.height)
        )
        ingested = pl.Series("ingested_ms", np.full(told.height, ingested_ms))
        rows = told.hstack([moment.alias("moment"), ingested, sequence])
        return Told(replace(incident, periods=()), phase, update, rows)


def _decided(incident: Incident, found: pl.DataFrame, versions: pl.DataFrame) -> pl.DataFrame:
    """Choose each customer's channel, by the profile at the moment they are told. Shape: TOLD, the rows of `found`."""
    told_at = np.maximum(found["affected_at"].to_numpy(), incident.announced_at)
    then = version_at(versions, found["customer"].to_numpy(), told_at)
    outcome, contact = choose_channels(then)
    given = {
        **{column.name: column for column in found.get_columns()},
        "told_at": pl.Series("told_at", told_at),
        "outcome": outcome,
        "contact": contact,
        "language": then["language"],
    }
    return _told_rows(incident, found.height, given)


def _undecided(incident: Incident, found: pl.DataFrame) -> pl.DataFrame:
    return _told_rows(incident, found.height, {column.name: column for column in found.get_columns()})


def _told_rows(incident: Incident, count: int, given: dict[str, pl.Series]) -> pl.DataFrame:
    constant = {"incident": incident.incident_id, "cleared": False}
    return pl.DataFrame(
        [
            given[name] if name in given else pl.Series(name, [constant.get(name)], dtype).new_from_index(0, count)
            for name, dtype in TOLD.items()
        ]
    )
