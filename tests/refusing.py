"""Dead letters as a flow writes them, without a flow."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

from connectors.kafka import KafkaConfig
from connectors.kafka.writer import Writer
from flows.operators.decode import Refused
from flows.refusals import dead_letters
from privacy import Sealer
from schemas.blocks import RecordBlock
from schemas.codec import Rejected


def refuse(
    config: KafkaConfig, sealer: Sealer, block: RecordBlock, reasons: Sequence[str] | str, *, partitions: int = 1
) -> None:
    """Refuse all records of a block for these reasons, or for the same one."""
    each = [reasons] * len(block) if isinstance(reasons, str) else reasons
    rejected = [Rejected(row, reason, f"what is wrong with {row}") for row, reason in enumerate(each)]
    [(_, batch)] = dead_letters(Refused(block, rejected), sealer, "fault-notifications", partitions, 1)
    Writer(config, uuid4().hex).publish([batch])
