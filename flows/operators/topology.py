"""Topology: which element lies under which, at any event time.

**State.** Every version of every element: about 300 bytes each in memory; on disk the canonical rows, in a
`FoldedTable`. Nothing is evicted: a network has some hundred thousand elements and changes slowly.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple


class TopologyVersion(NamedTuple):
    """One element as of `event_time` (microseconds); later entries of equal time win by `place`."""

    event_time: int
    place: tuple[str, int, int]
    parent_id: str | None
    element_type: str
    site_id: str | None
    region: str | None
    removed: bool


@dataclass(frozen=True, slots=True)
class Footprint:
    """The elements under some elements, themselves included."""

    elements: frozenset[str]
    cells: frozenset[str]
    sites: frozenset[str]


class Topology:
    """A forest of elements that remembers its past."""

    def __init__(self) -> None:
        self._versions: dict[str, list[TopologyVersion]] = {}
        self._ever_under: defaultdict[str, set[str]] = defaultdict(set)
        self._log: list[tuple[int, str, str]] = []

    def add(self, element_id: str, version: TopologyVersion) -> None:
        """Add a version; versions may come in any order."""
        insort(self._versions.setdefault(element_id, []), version)
        if version.parent_id is not None:
            self._ever_under[version.parent_id].add(element_id)
        insort(self._log, (version.event_time, element_id, version.parent_id or element_id))

    def at(self, element_id: str, time: int) -> TopologyVersion | None:
        """The element as of `time`; None where it is unknown or removed."""
        versions = self._versions.get(element_id)
        if not versions:
            return None
        position = bisect_right(versions, time, key=lambda version: version.event_time)
        if position == 0 or versions[position - 1].removed:
            return None
        return versions[position - 1]

    def changes_between(self, after: int, until: int) -> dict[int, set[str]]:
        """For each moment in (after, until] the elements that change, and their new parents."""
        found: dict[int, set[str]] = {}
        first = bisect_right(self._log, after, key=lambda change: change[0])
        for time, element_id, parent_id in self._log[first:]:
            if time > until:
                break
            found.setdefault(time, set()).update((element_id, parent_id))
        return found

    def ancestors(self, element_id: str, time: int) -> list[str]:
        """The element itself and what lies above it, nearest first."""
        found = [element_id]
        version = self.at(element_id, time)
        while version is not None and version.parent_id is not None and version.parent_id not in found:
            found.append(version.parent_id)
            version = self.at(version.parent_id, time)
        return found

    def footprint(self, roots: dict[str, str | None], time: int) -> Footprint:
        """Every cell and site under `roots` (element → the type its fault stated) as of `time`.

        An element the topology does not know is taken for what its fault says it is, or else for both a cell and a
        site: rather tell than stay silent.
        """
        elements, cells, sites = set(roots), set(), set()
        waiting = list(roots)
        while waiting:
            element_id = waiting.pop()
            version = self.at(element_id, time)
            element_type = version.element_type if version else roots.get(element_id)
            if element_type in ("cell", None):
                cells.add(element_id)
            if element_type in ("site", None):
                sites.add(element_id)
            for child in self._ever_under.get(element_id, ()):
                below = self.at(child, time)
                if below is not None and below.parent_id == element_id and child not in elements:
                    elements.add(child)
                    waiting.append(child)
        return Footprint(frozenset(elements), frozenset(cells), frozenset(sites))
