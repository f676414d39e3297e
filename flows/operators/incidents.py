"""Incidents: root faults and the faults below them, built event by event in event-time order.

A fault counts from the first moment it is open, affects the service and its severity reaches the threshold. A
counting fault joins an open incident when its element is that incident's root element or lies below it, or when its
parent fault belongs to it; otherwise it is the root of a new incident. The incident is open until all its faults are
cleared. Where its root fault is raised, cleared and raised again in one moment, the last opening stands for all. It
is announced when it has been open for `hold_down`; one that is cleared by then is discarded and tells
nobody.

What customers were told plays no part here: see `told_names`.

**State.** `Incidents` is plain data, a few hundred bytes an incident and 8 bytes an element of its footprint.
`expire` evicts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.operators.topology import Footprint, Topology
from flows.operators.watermark import FOREVER

SEVERITIES = ("cleared", "indeterminate", "warning", "minor", "major", "critical")
RANK = {severity: rank for rank, severity in enumerate(SEVERITIES)}
SERVICES = ("voice", "sms", "data")
ALL_SERVICES = 255
_SERVICE_BIT = {service: 1 << bit for bit, service in enumerate(SERVICES)}

Place = tuple[str, int, int]
"""Topic, partition and offset."""
Moment = tuple[int, Place]
"""An event time, microseconds, and the order within it."""
Fingerprint = Callable[[Iterable[str]], NDArray[np.uint64]]


def service_mask(services: Iterable[str] | None) -> int:
    """Services as bits; none named, or one we do not know, means every service."""
    names = list(services or ())
    if not names or any(name not in _SERVICE_BIT for name in names):
        return ALL_SERVICES
    return sum(_SERVICE_BIT[name] for name in set(names))


def incident_id(fault_id: str, opened_at: int) -> str:
    """Name an incident after its root fault and the moment it opened; 16 hex characters."""
    return hashlib.blake2b(f"{fault_id}|{opened_at}".encode(), digest_size=8).hexdigest()


class FaultEvent(NamedTuple):
    """One row of `network_fault`, with its place in the log; sorts in processing order."""

    event_time: int
    place: Place
    ingested_ms: int
    fault_id: str
    row: dict[str, Any]


class Period(NamedTuple):
    """What an incident touched over a time: fingerprints of cells and sites (sorted), services as bits."""

    start: int
    cells: NDArray[np.uint64]
    sites: NDArray[np.uint64]
    services: int


class Wording(NamedTuple):
    """What a message says of an incident from a moment on."""

    start: int
    severity: str
    expected_clear_time: int | None
    services: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Incident:
    """One incident as it is known now. Times are microseconds; FOREVER stands for not yet.

    Attributes:
        periods: Footprint and services over time, in order; the first starts when the incident opened.
        wordings: Severity, expected end and services over time, in order.
        ingested_ms: Kafka's timestamp of the newest fault record that changed it.
        part_of: The id of the incident that it turned out to belong to; then only who was told of it hears more, and
            it has no periods.
        parts: The ids of the incidents that turned out to belong to it.
    """

    incident_id: str
    fault_id: str
    element_id: str
    element_type: str | None
    site_id: str | None
    region: str | None
    probable_cause: str | None
    planned: bool
    opened_at: int
    announced_at: int = FOREVER
    closed_at: int = FOREVER
    periods: tuple[Period, ...] = ()
    wordings: tuple[Wording, ...] = ()
    fault_count: int = 1
    ingested_ms: int = -1
    part_of: str | None = None
    parts: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """`open`, `announced`, `closed`, or `discarded`: cleared before anybody was told."""
        if self.closed_at < FOREVER:
            return "closed" if self.announced_at < FOREVER else "discarded"
        return "announced" if self.announced_at < FOREVER else "open"


class Opening(NamedTuple):
    """A fault came to belong to an incident: when, and the incident it would be alone."""

    moment: Moment
    incident: Incident


@dataclass(slots=True)
class _Fault:
    row: dict[str, Any]
    incident_id: str | None = None


@dataclass(slots=True)
class _Open:
    """The moving parts of an open incident."""

    members: dict[str, dict[str, Any]]  # counting faults that are open
    elements: dict[str, str | None]  # element → type, of every fault that ever belonged to it
    services: list[str] = field(default_factory=list)  # in order of appearance; empty string: every service
    footprint: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentRules:
    """The thresholds. `hold_down` in microseconds."""

    hold_down: int = 0
    min_severity: str = "minor"

    def __post_init__(self) -> None:
        if self.hold_down < 0:
            raise ValueError(f"expected hold_down of at least 0 microseconds, got {self.hold_down}")
        if self.min_severity not in SEVERITIES[1:]:
            raise ValueError(f"expected min_severity to be one of {', '.join(SEVERITIES[1:])}")


@dataclass(slots=True)
class Incidents:
    """Every incident that is open or was closed lately, as a fold over events in order.

    Attributes:
        incidents: By id.
        openings: By id, of the faults that ever belonged to it; the first is that of its root fault.
        clears: When each fault was cleared.
    """

    rules: IncidentRules
    incidents: dict[str, Incident] = field(default_factory=dict)
    openings: dict[str, list[Opening]] = field(default_factory=dict)
    clears: dict[str, list[Moment]] = field(default_factory=dict)
    _open: dict[str, _Open] = field(default_factory=dict)
    _faults: dict[str, _Fault] = field(default_factory=dict)

    def on_fault(self, event: FaultEvent, topology: Topology, fingerprint: Fingerprint) -> set[str]:
        """Apply one fault row; returns the ids of the incidents it changed. Announce what is due before it first."""
        fault = self._faults.get(event.fault_id)
        if event.row["state"] == "cleared":
            if fault is None:
                return set()
            del self._faults[event.fault_id]
            return self._clear(event, fault)
        if fault is None:
            fault = self._faults[event.fault_id] = _Fault(event.row)
        else:
            fault.row = fault.row | {name: cell for name, cell in event.row.items() if cell is not None}
        if fault.incident_id is None and self._counts(fault.row):
            fault.incident_id = self._place(event, fault, topology)
        if fault.incident_id is None:
            return set()
        self._describe(event, fault.incident_id, fault.row, topology, fingerprint)
        return {fault.incident_id}

    def on_topology(self, time: int, elements: set[str], topology: Topology, fingerprint: Fingerprint) -> set[str]:
        """Topology rows of one moment were added; `elements` are those they name. Renews the footprints near them."""
        near = [name for name, state in self._open.items() if not state.footprint.isdisjoint(elements)]
        return {name for name in near if self._renew(name, time, topology, fingerprint)}

    def announce(self, until: int) -> set[str]:
        """Announce what has been open for `hold_down` at `until`."""
        due = {name for name in self._waiting() if self._due_at(name) <= until}
        for name in due:
            self._set(name, announced_at=self._due_at(name))
        return due

    def next_announcement(self) -> int:
        """When the next open incident is to be announced, FOREVER if none is waiting."""
        return min(map(self._due_at, self._waiting()), default=FOREVER)

    def expire(self, before: int) -> None:
        """Forget incidents closed before a time."""
        for name in [name for name, incident in self.incidents.items() if incident.closed_at < before]:
            del self.incidents[name], self.openings[name]
        kept = {opening.incident.fault_id for openings in self.openings.values() for opening in openings}
        for fault_id, clears in list(self.clears.items()):
            if fault_id not in kept and max(clears)[0] < before:
                del self.clears[fault_id]

    def of_fault(self, fault_id: str) -> set[str]:
        """The ids of the incidents that a fault ever belonged to."""
        return {
            name
            for name, openings in self.openings.items()
            if any(opening.incident.fault_id == fault_id for opening in openings)
        }

    def _waiting(self) -> list[str]:
        return [name for name in self._open if self.incidents[name].announced_at == FOREVER]

    def _due_at(self, name: str) -> int:
        return self.incidents[name].opened_at + self.rules.hold_down

    def _counts(self, row: dict[str, Any]) -> bool:
        return bool(row["service_affecting"]) and RANK.get(row["severity"], 0) >= RANK[self.rules.min_severity]

    def _place(self, event: FaultEvent, fault: _Fault, topology: Topology) -> str:
        row, time = fault.row, event.event_time
        version = topology.at(row["element_id"], time)
        alone = Incident(
            incident_id=incident_id(event.fault_id, time),
            fault_id=event.fault_id,
            element_id=row["element_id"],
            element_type=version.element_type if version else row["element_type"],
            site_id=version.site_id if version else None,
            region=version.region if version else None,
            probable_cause=row["probable_cause"],
            planned=bool(row["planned"]),
            opened_at=time,
            fault_count=0,
        )
        above = set(topology.ancestors(row["element_id"], time))
        homes = [
            (self.incidents[name].opened_at, name)
            for name, state in self._open.items()
            if self.incidents[name].element_id in above or row["parent_fault_id"] in state.members
        ]
        name = min(homes)[1] if homes else alone.incident_id
        if not homes:
            self.incidents[name], self._open[name], self.openings[name] = alone, _Open({}, {}), []
        self.openings[name].append(Opening((time, event.place), alone))
        return name

    def _describe(
        self, event: FaultEvent, name: str, row: dict[str, Any], topology: Topology, fingerprint: Fingerprint
    ) -> None:
        state, incident = self._open[name], self.incidents[name]
        if event.fault_id not in state.members:
            self._set(name, fault_count=incident.fault_count + 1)
        state.members[event.fault_id] = row
        state.elements.setdefault(row["element_id"], row["element_type"])
        state.services += [service for service in row["services"] or [""] if service not in state.services]
        self._set(name, ingested_ms=max(incident.ingested_ms, event.ingested_ms))
        self._renew(name, event.event_time, topology, fingerprint)
        self._reword(name, event.event_time)

    def _clear(self, event: FaultEvent, fault: _Fault) -> set[str]:
        if fault.incident_id is None:
            return set()
        name = fault.incident_id
        state = self._open[name]
        del state.members[event.fault_id]
        self._set(name, ingested_ms=max(self.incidents[name].ingested_ms, event.ingested_ms))
        if state.members:
            self._reword(name, event.event_time)
        else:
            self._set(name, closed_at=event.event_time)
            del self._open[name]
        return {name}

    def _renew(self, name: str, time: int, topology: Topology, fingerprint: Fingerprint) -> bool:
        """Start a new period where footprint or services have changed."""
        state, incident = self._open[name], self.incidents[name]
        found = topology.footprint(state.elements, time)
        period = _period(
            time, found, ALL_SERVICES if "" in state.services else service_mask(state.services), fingerprint
        )
        state.footprint = found.elements
        last = incident.periods[-1] if incident.periods else None
        if last is not None and _same_reach(last, period):
            return False
        kept = incident.periods[:-1] if last is not None and last.start == time else incident.periods
        self._set(name, periods=(*kept, period))
        return True

    def _reword(self, name: str, time: int) -> None:
        state, incident = self._open[name], self.incidents[name]
        severity = max((row["severity"] for row in state.members.values()), key=lambda text: RANK.get(text, 0))
        root = state.members.get(incident.fault_id)
        last = incident.wordings[-1] if incident.wordings else None
        expected = root["expected_clear_time"] if root else last and last.expected_clear_time
        services = () if "" in state.services else tuple(sorted(state.services))
        wording = Wording(time, severity, expected, services)
        if last is not None and last[1:] == wording[1:]:
            return
        kept = incident.wordings[:-1] if last is not None and last.start == time else incident.wordings
        self._set(name, wordings=(*kept, wording))

    def _set(self, name: str, **changes: Any) -> None:
        self.incidents[name] = replace(self.incidents[name], **changes)


def _period(time: int, found: Footprint, services: int, fingerprint: Fingerprint) -> Period:
    return Period(time, np.sort(fingerprint(found.cells)), np.sort(fingerprint(found.sites)), services)


def _same_reach(one: Period, other: Period) -> bool:
    same_cells = np.array_equal(one.cells, other.cells)
    return same_cells and np.array_equal(one.sites, other.sites) and one.services == other.services
