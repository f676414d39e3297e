"""A flow that copies a topic exactly once, run as a process that a test may kill.

`python -m tests.contract.kafka_flow BROKERS SOURCE SINK RECOVERY_DIRECTORY PARTITIONS`
"""

from __future__ import annotations

import sys
from datetime import timedelta

import bytewax.operators as op
import numpy as np
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig
from bytewax.testing import cluster_main

from connectors.kafka import KafkaConfig, KafkaSource, OutputBatch, TransactionalSink
from schemas.blocks import RecordBlock

WRITERS = 2


def copy(topic: str, partitions: int, block: RecordBlock) -> list[tuple[str, OutputBatch]]:
    """Send every record to the partition it came from, modulo; its id is its value."""
    if not len(block):
        return []
    values = [block.value(row) for row in range(len(block))]
    target = block.partition % partitions
    ids = [value.decode() for value in values if value is not None]
    batch = OutputBatch(topic, np.full(len(ids), target, np.int32), [None] * len(ids), list(values), ids)
    return [(str(target % WRITERS), batch)]


def main() -> None:
    brokers, source, sink, recovery, partitions = sys.argv[1:]
    config = KafkaConfig(brokers)
    flow = Dataflow("copy")
    blocks = op.input(
        "read_source",
        flow,
        KafkaSource(config, [source], until_caught_up=True, block_rows=20, rows_per_epoch=100),
    )
    batches = op.flat_map("copy_block", blocks, lambda block: copy(sink, int(partitions), block))
    op.output("write_sink", batches, TransactionalSink(config, flow="copy", sink=sink, topics=[sink], writers=WRITERS))
    cluster_main(
        flow,
        [],
        0,
        worker_count_per_proc=2,
        epoch_interval=timedelta(milliseconds=200),
        recovery_config=RecoveryConfig(recovery),
    )


if __name__ == "__main__":
    main()
