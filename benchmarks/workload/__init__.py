"""A telco from a seed: network, customers, usage, faults and bad input, as Kafka records."""

from benchmarks.workload.manifest import Canary, Manifest
from benchmarks.workload.poison import POISON, kinds_of, poison
from benchmarks.workload.produce import produce
from benchmarks.workload.records import GeneratedRecord
from benchmarks.workload.run import Run
from benchmarks.workload.spec import PARTITIONS, WorkloadSpec
from benchmarks.workload.workload import Workload

__all__ = [
    "Workload",
    "WorkloadSpec",
    "PARTITIONS",
    "GeneratedRecord",
    "Run",
    # what was sent
    "Manifest",
    "Canary",
    # bad input
    "POISON",
    "kinds_of",
    "poison",
    # to Kafka
    "produce",
]
