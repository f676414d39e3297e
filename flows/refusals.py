"""Refusals: dead letters and late rows, as records for `<topic>.dlq` and `<topic>.late`."""

from __future__ import annotations

import numpy as np
import orjson
import polars as pl

from connectors.kafka import OutputBatch
from flows.operators.decode import Refused
from flows.operators.messages import LateRows
from schemas.dead_letters import Seal, error_headers, record_id, seal_record

_INTERNAL = ("_seen", "customer", "cell", "event", "_offset", "_timestamp")


def dead_letters(
    refused: Refused, seal: Seal, flow: str, partitions: int, writers: int
) -> list[tuple[str, OutputBatch]]:
    """Seal the refused records of a block.

    The partition is the original one modulo `partitions`; the id and key name the place the record came from.
    """
    block = refused.block
    partition = block.partition % partitions
    ids = [record_id(block.topic, block.partition, int(block.offsets[each.row])) for each in refused.rejected]
    letters = OutputBatch(
        topic=f"{block.topic}.dlq",
        partitions=np.full(len(ids), partition, np.int32),
        keys=[name.encode() for name in ids],
        values=[seal_record(block, each.row, seal) for each in refused.rejected],
        ids=ids,
        headers=[error_headers(block, each, flow=flow, step="decode") for each in refused.rejected],
        triggered_ms=None,
    )
    return [(str(partition % writers), letters)]


def late_letters(late: LateRows, partitions: int, writers: int) -> list[tuple[str, OutputBatch]]:
    """Late rows as JSON of their tokenized columns, times as ISO 8601 in UTC."""
    topic, origin_partition = late.origin
    partition = origin_partition % partitions
    # one record may hold several rows: number them
    numbered = late.rows.with_columns(pl.int_range(pl.len()).over("_offset").alias("_number"))
    names = [
        f"{record_id(topic, origin_partition, offset)}#{number}"
        for offset, number in numbered.select("_offset", "_number").iter_rows()
    ]
    rows = late.rows.drop(*_INTERNAL, strict=False).to_dicts()
    letters = OutputBatch(
        topic=f"{topic}.late",
        partitions=np.full(len(names), partition, np.int32),
        keys=[row["customer_key"].encode() for row in rows],
        values=[orjson.dumps(row, option=orjson.OPT_UTC_Z) for row in rows],
        ids=names,
        headers=None,
        triggered_ms=None,
    )
    return [(str(partition % writers), letters)]
