"""Workload: a telco from a seed, as Kafka records."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.workload.arrivals import Arrivals
from benchmarks.workload.canaries import Canaries
from benchmarks.workload.clock import Clock
from benchmarks.workload.crm import CrmLife, CrmPlan
from benchmarks.workload.customers import Population
from benchmarks.workload.dealings import CareRows, DealingSource, billing_row
from benchmarks.workload.faults import plan_faults
from benchmarks.workload.manifest import Manifest
from benchmarks.workload.poison_source import PoisonSource
from benchmarks.workload.records import GeneratedRecord
from benchmarks.workload.run import Run
from benchmarks.workload.samples import Samples
from benchmarks.workload.sources import CrmSource, DraftSource, FaultSource, TopologySource
from benchmarks.workload.spec import WorkloadSpec
from benchmarks.workload.topology import Topology, topology_changes
from benchmarks.workload.usage import UsageRows, UsageSource
from benchmarks.workload.wire import Wire
from schemas.blocks import Headers, RecordBlock
from schemas.codec import Registry


class Workload:
    """A telco: its network, its customers, what they do and what breaks.

    Equal specs give equal records, byte for byte, however often they are read.

    Args:
        spec: What it looks like.
        registry: Makes the canonical topics Confluent Avro; JSON without. Vendor formats are JSON anyhow.

    Attributes:
        topology: The network at the start.
        population: Customers and visitors.
        plan: What will happen to the customers.
        faults: What will break.
    """

    def __init__(self, spec: WorkloadSpec, *, registry: Registry | None = None) -> None:
        self.spec = spec
        clock = Clock(spec)
        self.topology = Topology(spec)
        self.population = Population(spec, self.topology, clock)
        self.plan = CrmPlan(spec, self.topology, self.population, clock)
        self.faults = plan_faults(spec, self.topology, clock)
        self._topology_changes = topology_changes(self.topology, spec, clock.end_us)
        self._canaries = Canaries(spec, self.population)
        self._wire = Wire(registry)
        self._avro = registry is not None
        self._rows = UsageRows(spec, self.topology, self.population, self.plan)
        self._manifest: Manifest | None = None

    @property
    def manifest(self) -> Manifest:
        """What the last pass has sent; makes a pass of its own when there was none."""
        if self._manifest is not None:
            return self._manifest
        run = self.run()
        for _ in run.chunks():
            pass
        return run.manifest

    def run(self) -> Run:
        """A new pass from the beginning."""
        spec, clock = self.spec, Clock(self.spec)
        self._manifest = Manifest(spec, self._canaries.listed, self.faults, clock)
        samples = Samples(
            self.topology, self.population, self._wire, clock, self._canaries.people, self._canaries.texts
        )
        return Run(
            spec=spec,
            clock=clock,
            manifest=self._manifest,
            sources=self._sources(clock),
            usage=UsageSource(spec, self.topology, self.population, self.plan, clock),
            rows=self._rows,
            poison=PoisonSource(spec, samples, avro=self._avro),
            wire=self._wire,
        )

    def records(self) -> Iterator[GeneratedRecord]:
        """Every record, in the order in which it reaches Kafka; the live part follows the history without a gap."""
        for chunk in self.run().chunks():
            yield from chunk

    def __iter__(self) -> Iterator[GeneratedRecord]:
        return self.records()

    def blocks(self, block_rows: int = 10_000) -> dict[tuple[str, int], list[RecordBlock]]:
        """The finished log without a Kafka: blocks of each partition, as a source would read them.

        Args:
            block_rows: Records in a block.

        Returns:
            For every topic of the spec and each of its partitions the blocks in order; the last, which may be empty,
            is `finished`.
        """
        partitions: dict[tuple[str, int], list[GeneratedRecord]] = {
            (topic, partition): []
            for topic in self.spec.topics()
            for partition in range(self.spec.partition_count(topic))
        }
        for record in self.records():
            partitions[record.topic, record.partition].append(record)
        return {origin: _blocks(*origin, records, block_rows) for origin, records in partitions.items()}

    def _sources(self, clock: Clock) -> list[DraftSource]:
        spec, wire = self.spec, self._wire
        life = CrmLife(spec, self.topology, self.population, self.plan, clock)
        care = CareRows(self.population, dict(zip(self._canaries.people, self._canaries.texts, strict=True)))
        dealings = [
            DealingSource(
                stream,
                rate,
                row_of,
                certain=certain,
                seed=spec.seed,
                population=self.population,
                plan=self.plan,
                wire=wire,
                clock=clock,
                arrivals=Arrivals(spec, stream, clock),
            )
            for stream, rate, row_of, certain in (
                ("billing_event", spec.billing_per_customer_per_day, billing_row, []),
                ("care_interaction", spec.care_per_customer_per_day, care.row, self._canaries.people),
            )
        ]
        return [
            TopologySource(self._topology_changes, wire, clock, Arrivals(spec, "network_topology", clock)),
            CrmSource(life, self.population, wire, clock, Arrivals(spec, "crm_change", clock)),
            FaultSource(self.faults, wire, clock, Arrivals(spec, "network_fault", clock)),
            *dealings,
        ]


def _blocks(topic: str, partition: int, records: list[GeneratedRecord], block_rows: int) -> list[RecordBlock]:
    blocks = []
    for first in range(0, max(len(records), 1), block_rows):
        part = records[first : first + block_rows]
        headers: dict[int, Headers] = {row: list(record.headers) for row, record in enumerate(part) if record.headers}
        last = first + block_rows >= len(records)
        blocks.append(
            RecordBlock.from_records(
                topic,
                partition,
                [(record.key, record.value) for record in part],
                first_offset=first,
                timestamps_ms=[record.timestamp_ms for record in part],
                headers=headers,
                caught_up=last,
                finished=last,
            )
        )
    return blocks
