"""What breaks: incidents of several sizes and habits, each one alarm or a storm of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from benchmarks.workload.clock import SECOND, Clock
from benchmarks.workload.randomness import singles
from benchmarks.workload.spec import WorkloadSpec
from benchmarks.workload.topology import Element, Topology

SCENARIOS = (
    "plain", "storm", "updated", "flap", "planned", "warning", "one_service", "never_cleared", "harmless", "repeated",
)  # fmt: skip
_FORMATS = ("tmf642", "canonical", "mist")
_SIZES = ("site", "cell", "router", "site", "cell", "site", "router", "region")
_CAUSES = ("power_failure", "fibre_cut", "hardware_failure", "software_error", "overheating", "congestion")
_LONGEST_US = 45 * 60 * SECOND
_SERVICES = (["data"], ["voice"], ["voice", "sms"], ["sms"])


@dataclass(frozen=True, slots=True)
class FaultStep:
    """One message about a fault.

    Attributes:
        time_us: Event time, time of the run, whole seconds (the coarsest a format tells).
        state: raised, updated or cleared.
        severity: X.733, "cleared" for a clear.
        expected_clear_us: When it is expected to be over, time of the run.
    """

    time_us: int
    state: str
    severity: str
    expected_clear_us: int | None = None


@dataclass(slots=True)
class Fault:
    """One alarm from its first message to its last.

    Attributes:
        number: Counts the alarms.
        incident: Counts the incidents: a storm is one.
        scenario: A member of `SCENARIOS`, or "child".
        format: canonical, tmf642 or mist.
        fault_id: Identity as the canonical stream has it.
        element: What it is on.
        hub_site_id: The site whose webhook tells of it (Mist).
        services: Affected services, empty for all.
        parent: The alarm this one names as its cause.
        planned: Planned work.
        service_affecting: False for what nobody notices.
        cause: Probable cause.
        steps: Its messages in the order of time.
    """

    number: int
    incident: int
    scenario: str
    format: str
    fault_id: str
    element: Element
    hub_site_id: str
    services: list[str]
    cause: str
    parent: Fault | None = None
    planned: bool = False
    service_affecting: bool = True
    steps: list[FaultStep] = field(default_factory=list)


def plan_faults(spec: WorkloadSpec, topology: Topology, clock: Clock) -> list[Fault]:
    """All faults of the run, children after their parents.

    Scenarios, sizes and formats take turns, so that a few dozen incidents show every combination that matters. Live
    incidents begin early in the live part and, mostly, end within it.
    """
    planner = _Planner(topology, singles(spec.seed, "faults"))
    for incident in range(spec.faults):
        scenario = SCENARIOS[incident % len(SCENARIOS)]
        start, end = planner.span(0, clock.history_us, 0.05, 0.75, 0.05, 0.3)
        planner.incident(incident, scenario, start, end, clock.history_us)
    for live in range(spec.live_faults):
        scenario = ("plain", "storm", "one_service")[live % 3]
        start, end = planner.span(clock.history_us, clock.end_us, 0.05, 0.4, 0.3, 0.5)
        planner.incident(spec.faults + live, scenario, start, end, clock.end_us)
    return planner.faults


class _Planner:
    def __init__(self, topology: Topology, rng: Random) -> None:
        self.faults: list[Fault] = []
        self._topology, self._rng = topology, rng
        self._on_mist: set[str] = set()

    def span(
        self, begin_us: int, end_us: int, earliest: float, latest: float, shortest: float, longest: float
    ) -> tuple[int, int]:
        """Begin and end of an incident; the fractions are of the time from `begin_us` to `end_us`."""
        length = end_us - begin_us
        start = begin_us + round(length * self._rng.uniform(earliest, latest))
        life = min(round(length * self._rng.uniform(shortest, longest)), _LONGEST_US)
        return _whole_second(start), _whole_second(min(start + life, end_us - 1))

    def incident(self, incident: int, scenario: str, start_us: int, end_us: int, limit_us: int) -> None:
        """Plan the alarms of one incident."""
        size = _SIZES[(incident + incident // len(_SIZES)) % len(_SIZES)]
        if scenario == "storm":
            size = ("router", "site")[incident // len(SCENARIOS) % 2]
        element = self._rng.choice(self._of_size(size))
        fault = self._fault(incident, scenario, _FORMATS[incident % len(_FORMATS)], element)
        fault.planned = scenario == "planned"
        fault.service_affecting = scenario != "harmless"
        if scenario == "one_service" and fault.format != "mist":
            fault.services = list(self._rng.choice(_SERVICES))
        fault.steps = self._steps(fault, start_us, end_us, limit_us)
        self.faults.append(fault)
        if scenario == "storm":
            self._children(fault, start_us, end_us, limit_us)

    def _of_size(self, size: str) -> list[Element]:
        topology = self._topology
        return {
            "cell": topology.cells, "site": topology.sites, "router": topology.routers, "region": topology.regions,
        }[size]  # fmt: skip

    def _fault(self, incident: int, scenario: str, form: str, element: Element) -> Fault:
        number = len(self.faults) + 1
        hub = self._hub_site(element)
        # Mist knows alarms by device and site: a second one there would be the same alarm.
        speaks_of_it = element.kind in ("site", "router") and scenario not in ("planned", "harmless", "warning")
        if form == "mist" and (not speaks_of_it or element.element_id in self._on_mist):
            form = "tmf642"
        if form == "mist":
            self._on_mist.add(element.element_id)
            subject = "site" if element.kind == "site" else "gateway"
            fault_id = f"mist:{hub}:{subject}:{element.element_id}"
        else:
            fault_id = f"nms-1:{4000 + number}" if form == "tmf642" else f"F-{number:06d}"
        return Fault(number, incident, scenario, form, fault_id, element, hub, [], self._rng.choice(_CAUSES))

    def _hub_site(self, element: Element) -> str:
        if element.site_id is not None:
            return element.site_id
        return next(below.element_id for below in self._topology.below(element.element_id) if below.kind == "site")

    def _steps(self, fault: Fault, start_us: int, end_us: int, limit_us: int) -> list[FaultStep]:
        severity = "critical" if fault.format == "mist" else self._rng.choice(("critical", "major", "major", "minor"))
        if fault.scenario == "warning":
            severity = self._rng.choice(("warning", "indeterminate"))
        raised = FaultStep(start_us, "raised", severity, end_us if fault.planned else None)
        steps = [raised]
        middle = _whole_second((start_us + end_us) // 2)
        if fault.scenario == "updated" and start_us < middle < end_us:
            # Mist has no severity between critical and warning, and expects nothing.
            other = "warning" if fault.format == "mist" else "major" if severity == "critical" else "critical"
            expected = None if fault.format == "mist" else end_us + 600 * SECOND
            steps.append(FaultStep(middle, "updated", other, expected))
        if fault.scenario == "flap":
            for flap in range(2):
                at = start_us + (3 + flap * 9) * SECOND
                steps += [FaultStep(at, "cleared", "cleared"), FaultStep(at + 2 * SECOND, "raised", severity)]
            end_us = max(end_us, steps[-1].time_us + SECOND)
        if fault.scenario == "repeated":
            repeats = range(start_us + 30 * SECOND, min(end_us, start_us + 200 * SECOND), 30 * SECOND)
            steps += [FaultStep(at, "raised", severity) for at in repeats]
        if fault.scenario != "never_cleared":
            steps.append(FaultStep(max(end_us, start_us + SECOND), "cleared", "cleared"))
        return [step for step in steps if step.time_us < limit_us]

    def _children(self, parent: Fault, start_us: int, end_us: int, limit_us: int) -> None:
        """Alarms of what lies below: some are quicker than their parent, some are cleared after it."""
        below = [element for element in self._topology.below(parent.element.element_id) if element.kind != "router"]
        for element in self._rng.sample(below, min(len(below), self._rng.randrange(3, 7))):
            child = self._fault(parent.incident, "child", self._rng.choice(_FORMATS), element)
            first = max(start_us + self._rng.randrange(-5, 20) * SECOND, 0)
            last = max(end_us + self._rng.randrange(-10, 30) * SECOND, first + SECOND)
            severity = "critical" if child.format == "mist" else "major"
            steps = [FaultStep(first, "raised", severity), FaultStep(last, "cleared", "cleared")]
            child.steps = [step for step in steps if step.time_us < limit_us]
            same_system = child.format == parent.format == "tmf642"
            if same_system or (child.format == "canonical" and self._rng.random() < 0.5):
                child.parent = parent
            if child.steps:
                self.faults.append(child)


def _whole_second(time_us: int) -> int:
    return time_us // SECOND * SECOND
