"""The ledger of a run: what was sent, so that whoever reads it can be checked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from benchmarks.workload.clock import Clock
from benchmarks.workload.faults import Fault
from benchmarks.workload.poison import POISON
from benchmarks.workload.records import Draft
from benchmarks.workload.spec import WorkloadSpec


@dataclass(frozen=True, slots=True)
class Canary:
    """A personal value that is found nowhere else.

    Attributes:
        pii_class: Its class, as in the contracts.
        value: What to search for.
        column: Where it was placed.
    """

    pii_class: str
    value: str
    column: str


@dataclass(slots=True)
class Manifest:
    """Counts of the records of a run, complete when the run is over.

    Attributes:
        spec: What was asked for.
        canaries: Personal values to search for.
        records: Records per topic, of whatever kind.
        kinds: Good records per topic and kind.
        duplicates: Records per topic that repeat an earlier one.
        late: Records per topic that arrive long after their event time.
        poison: Unreadable records per topic and kind.
    """

    spec: WorkloadSpec
    canaries: tuple[Canary, ...]
    faults: list[Fault]
    clock: Clock
    records: Counter[str] = field(default_factory=Counter)
    kinds: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    duplicates: Counter[str] = field(default_factory=Counter)
    late: Counter[str] = field(default_factory=Counter)
    poison: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def count(self, drafts: Iterable[Draft]) -> None:
        """Count records as they leave."""
        for draft in drafts:
            self.records[draft.topic] += 1
            if draft.mark == "poison":
                self.poison[draft.topic][draft.kind] += 1
                continue
            self.kinds[draft.topic][draft.kind] += 1
            if draft.mark == "duplicate":
                self.duplicates[draft.topic] += 1
            elif draft.mark == "late":
                self.late[draft.topic] += 1

    @property
    def total(self) -> int:
        """Records of all topics."""
        return self.records.total()

    def rejections(self) -> dict[str, dict[str, int]]:
        """Dead letters to expect: per topic and reason."""
        expected: dict[str, Counter[str]] = defaultdict(Counter)
        for topic, kinds in self.poison.items():
            for kind, count in kinds.items():
                expected[topic][POISON[kind]] += count
        return {topic: dict(reasons) for topic, reasons in expected.items()}

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        spec = asdict(self.spec)
        return {
            "spec": {**spec, "start": self.spec.start.isoformat(), "duration": self.spec.duration.total_seconds()},
            "records": dict(self.records),
            "total": self.total,
            "kinds": {topic: dict(kinds) for topic, kinds in self.kinds.items()},
            "duplicates": dict(self.duplicates),
            "late": dict(self.late),
            "poison": {topic: dict(kinds) for topic, kinds in self.poison.items()},
            "expected_rejections": self.rejections(),
            "faults": [_life(fault, self.clock) for fault in self.faults],
            "canaries": [asdict(canary) for canary in self.canaries],
        }

    def write(self, path: Path) -> None:
        """Write it as JSON, sorted, so that equal runs give equal files."""
        path.write_bytes(orjson.dumps(self.as_dict(), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS))


def _life(fault: Fault, clock: Clock) -> dict[str, Any]:
    return {
        "fault_id": fault.fault_id,
        "incident": fault.incident,
        "scenario": fault.scenario,
        "format": fault.format,
        "element_id": fault.element.element_id,
        "element_type": fault.element.kind,
        "services": fault.services,
        "planned": fault.planned,
        "service_affecting": fault.service_affecting,
        "parent_fault_id": fault.parent.fault_id if fault.parent else None,
        "steps": [
            {"state": step.state, "severity": step.severity, "event_time": clock.iso(step.time_us)}
            for step in fault.steps
        ],
    }
