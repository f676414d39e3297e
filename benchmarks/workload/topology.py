"""The network: regions, aggregation routers, sites and cells, and how it changes during the run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.workload.clock import LOAD_BEGINS_US, SECOND
from benchmarks.workload.randomness import singles
from benchmarks.workload.spec import WorkloadSpec

_REGIONS = ("north", "east", "south", "west", "coast", "lakes", "highlands", "islands", "delta", "capital")


@dataclass(frozen=True, slots=True)
class Element:
    """One element of the network, as `network_topology` describes it."""

    element_id: str
    kind: str
    parent_id: str | None
    site_id: str | None
    region: str


@dataclass(frozen=True, slots=True)
class TopologyChange:
    """An element announced, moved or removed at a time of the run."""

    time_us: int
    element: Element
    kind: str


class Topology:
    """Elements by kind, and what lies below each.

    Attributes:
        regions: Region elements.
        routers: Aggregation routers; the parent is a region.
        sites: Sites; the parent is a router.
        cells: Cells; the parent is a site.
        site_of_cell: Position in `sites` of each cell's site. int32.
    """

    def __init__(self, spec: WorkloadSpec) -> None:
        names = [_region_name(number) for number in range(spec.regions)]
        self.regions = [Element(f"region-{name}", "region", None, None, name) for name in names]
        self.routers: list[Element] = []
        self.sites: list[Element] = []
        self.cells: list[Element] = []
        for region in self.regions:
            self._build_region(region, spec)
        self.site_of_cell: NDArray[np.int32] = np.repeat(
            np.arange(len(self.sites), dtype=np.int32), spec.cells_per_site
        )
        self._children: dict[str, list[Element]] = {}
        for element in self.elements():
            if element.parent_id is not None:
                self._children.setdefault(element.parent_id, []).append(element)

    def _build_region(self, region: Element, spec: WorkloadSpec) -> None:
        for number in range(spec.sites_per_region):
            if number % spec.sites_per_router == 0:
                router_id = f"rtr-{region.region}-{number // spec.sites_per_router + 1:02d}"
                self.routers.append(Element(router_id, "router", region.element_id, None, region.region))
            site_id = f"site-{region.region}-{number + 1:04d}"
            self.sites.append(Element(site_id, "site", self.routers[-1].element_id, site_id, region.region))
            self.cells += [
                Element(f"{site_id}-c{cell + 1}", "cell", site_id, site_id, region.region)
                for cell in range(spec.cells_per_site)
            ]

    def elements(self) -> Iterator[Element]:
        """Every element, parents first."""
        yield from self.regions
        yield from self.routers
        yield from self.sites
        yield from self.cells

    def below(self, element_id: str) -> list[Element]:
        """Everything under an element at the start of the run, without itself."""
        found: list[Element] = []
        for child in self._children.get(element_id, ()):
            found.append(child)
            found += self.below(child.element_id)
        return found


def topology_changes(topology: Topology, spec: WorkloadSpec, end_us: int) -> list[TopologyChange]:
    """The announcement of every element, then moves of sites between routers, new cells and removed ones.

    A removed cell is one that was built during the run: nobody ever used it, so usage stays within the network.
    """
    changes = [
        TopologyChange(LOAD_BEGINS_US + number * 10, element, "announced")
        for number, element in enumerate(topology.elements())
    ]
    rng = singles(spec.seed, "topology")
    for number in range(spec.topology_changes):
        time_us = rng.randrange(round(end_us * 0.1), round(end_us * 0.8) + 1)
        site = rng.choice(topology.sites)
        routers = [router for router in topology.routers if router.region == site.region]
        if number % 2 == 0 and len(routers) > 1:
            target = rng.choice([router for router in routers if router.element_id != site.parent_id])
            moved = Element(site.element_id, "site", target.element_id, site.site_id, site.region)
            changes.append(TopologyChange(time_us, moved, "moved"))
        else:
            cell = Element(f"{site.element_id}-t{number}", "cell", site.element_id, site.site_id, site.region)
            changes.append(TopologyChange(time_us, cell, "built"))
            changes.append(TopologyChange(min(time_us + 600 * SECOND, end_us - 1), cell, "removed"))
    return sorted(changes, key=lambda change: change.time_us)


def _region_name(number: int) -> str:
    return _REGIONS[number] if number < len(_REGIONS) else f"district{number + 1}"
