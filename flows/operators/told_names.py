"""The ids under which customers were told of incidents, and what becomes of them when the incidents turn out otherwise.

Incidents follow from the events in their order. An event that comes late may show that a fault was raised earlier than
customers were told, that what they were told of as two incidents was one, or that one went on after its all-clear.
What was said stays: each id goes on, as the incident itself or as a part of the one that it turned out to belong to.
A part's customers hear what comes after under the part's id, everybody else under the incident's; nobody is told of
both. An id whose all-clear was sent stays closed; if the incident goes on it takes a new one.

**State.** Two entries for each id that was told, until `expire`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from flows.operators.incidents import Incident, Moment, Opening, incident_id
from flows.operators.watermark import FOREVER

Clears = Mapping[str, Sequence[Moment]]
"""When each fault was cleared, as far as is known."""


@dataclass(slots=True)
class ToldNames:
    """What was told. Times are microseconds.

    Attributes:
        hold_down: How long an incident is open before it is announced.
        opened: Fault → id of an incident it was the root of → when that opened.
        ended: Id → when the incident closed, by its all-clear.
    """

    hold_down: int
    opened: dict[str, dict[str, int]] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)

    def tell(self, fault_id: str, name: str, opened_at: int, ended_at: int | None) -> bool:
        """Note what customers were told of an id; whether that is news."""
        names = self.opened.setdefault(fault_id, {})
        news = name not in names or (names[name] != opened_at and incident_id(fault_id, opened_at) == name)
        if news:
            # the moment it is named after, also where it was told as having opened at another
            names[name] = opened_at
        if ended_at is not None and ended_at > self.ended.get(name, ended_at - 1):
            self.ended[name] = ended_at
            return True
        return news

    def views(self, incident: Incident, openings: Iterable[Opening], clears: Clears, until: int) -> list[Incident]:
        """An incident under the ids that were told of it.

        Args:
            incident: As it follows from the events.
            openings: Of its faults; the first is its own.
            clears: Of these faults, those still ahead included where they are known.
            until: How far the events have been folded.

        Returns:
            The incident under the id that it goes by from now on, then its parts. It is not announced while an id
            that was told of its fault may prove to be its own: a replay has not come so far.
        """
        roots: dict[str, int] = {}
        parts: dict[str, Incident] = {}
        awaited = False
        for number, opening in enumerate(openings):
            found = self._names_of(opening, clears.get(opening.incident.fault_id, ()))
            names = {name: at for name, at in found.items() if at <= until}
            parts |= dict.fromkeys(names, opening.incident)
            if number == 0:
                roots, awaited = names, len(found) > len(names)
        over = {name for name in parts if self.ended.get(name, FOREVER) <= min(until, incident.closed_at - 1)}
        name = self._choose(incident, {name: at for name, at in roots.items() if name not in over}, over & roots.keys())
        others = sorted(parts.keys() - {name})
        announced_at = FOREVER if awaited else incident.announced_at
        if roots:
            announced_at = incident.opened_at + self.hold_down
        main = replace(incident, incident_id=name, announced_at=announced_at, parts=tuple(others))
        return [main] + [self._part(each, parts[each], main, ended=each in over) for each in others]

    def expire(self, before: int, known: Collection[str]) -> None:
        """Forget the ids that opened before a time and are not known any more."""
        for fault_id, names in list(self.opened.items()):
            self.opened[fault_id] = {name: at for name, at in names.items() if at >= before or name in known}
            for name in names.keys() - self.opened[fault_id].keys():
                self.ended.pop(name, None)
            if not self.opened[fault_id]:
                del self.opened[fault_id]

    def opened_at(self, incident: Incident) -> int:
        """When an incident opened, as its id was told."""
        return self.opened.get(incident.fault_id, {}).get(incident.incident_id, incident.opened_at)

    def _names_of(self, opening: Opening, clears: Sequence[Moment]) -> dict[str, int]:
        """The ids that were told of an opening of a fault, and when they opened."""
        told = self.opened.get(opening.incident.fault_id, {})
        return {
            name: at
            for name, at in told.items()
            if not any(_lies_between(clear, opening.moment, at) for clear in clears)
        }

    def _choose(self, incident: Incident, roots: Mapping[str, int], over: Iterable[str]) -> str:
        own = incident.incident_id
        if own in roots:
            return own
        later = {name: at for name, at in roots.items() if at >= incident.opened_at}
        if later:
            return min(later, key=lambda name: (later[name], name))
        if roots:
            return max(roots, key=lambda name: (roots[name], name))
        ended = [self.ended[name] for name in over]
        return incident_id(own, max(ended)) if ended else own

    def _part(self, name: str, opened: Incident, main: Incident, *, ended: bool) -> Incident:
        return replace(
            opened,
            incident_id=name,
            part_of=main.incident_id,
            announced_at=opened.opened_at + self.hold_down,
            closed_at=self.ended[name] if ended else main.closed_at,
            wordings=main.wordings,
            fault_count=main.fault_count,
            ingested_ms=main.ingested_ms,
        )


def _lies_between(clear: Moment, now: Moment, opened_at: int) -> bool:
    """Whether a fault was cleared between an event and the opening of an incident, before or after it."""
    if opened_at >= now[0]:
        return now < clear and clear[0] <= opened_at
    return opened_at < clear[0] and clear < now
