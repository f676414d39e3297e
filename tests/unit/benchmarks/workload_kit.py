"""Reads a workload the way a consumer would: by decoding its records."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import Any

import polars as pl

from benchmarks.workload import Workload, WorkloadSpec
from connectors.topics import load_topics
from schemas.codec import Registry
from schemas.formats import decoder_for

Reasons = dict[str, dict[str, int]]


def busy(**fields: Any) -> WorkloadSpec:
    """A small telco in which everything happens."""
    defaults: dict[str, Any] = {
        "seed": 7,
        "prepaid": 70,
        "postpaid": 70,
        "canonical_share": 0.3,
        "duration": timedelta(hours=1),
        "crm_changes_per_customer_per_day": 60.0,
        "faults": 20,
        "late_share": 0.02,
        "late_seconds": 1200.0,
        "duplicate_share": 0.1,
        "poison_share": 0.1,
        "poison_large_bytes": 1_100_000,
        "canaries": 42,
        "billing_per_customer_per_day": 4.0,
        "care_per_customer_per_day": 4.0,
    }
    return WorkloadSpec(**{**defaults, **fields})


def decoded(
    workload: Workload, registry: Registry | None = None
) -> tuple[dict[str, pl.DataFrame], Reasons, dict[str, int]]:
    """Rows of each topic (with `_partition`, `_offset`, `_timestamp`), rejections by reason, and empty records.

    Without the rows by which gaps, which are rejected too, make profiles stale.
    """
    decoders = {topic.topic: decoder_for(topic.stream, topic.format, registry) for topic in load_topics()}
    frames: dict[str, list[pl.DataFrame]] = defaultdict(list)
    reasons: Reasons = defaultdict(lambda: defaultdict(int))
    empty: dict[str, int] = defaultdict(int)
    for (topic, partition), blocks in workload.blocks(1_000).items():
        for block in blocks:
            found = decoders[topic].decode(block)
            row = found.rows["_row"].to_numpy()
            frames[topic].append(
                found.rows.with_columns(
                    pl.Series("_offset", block.offsets[row], pl.Int64),
                    pl.Series("_timestamp", block.timestamps_ms[row], pl.Int64),
                    pl.lit(partition).alias("_partition"),
                ).filter(pl.col("op") != "stale" if "op" in found.rows.columns else pl.lit(value=True))
            )
            empty[topic] += found.empty
            for rejected in found.rejected:
                reasons[topic][rejected.reason] += 1
    return {topic: pl.concat(parts) for topic, parts in frames.items()}, reasons, empty


def honest(rows: pl.DataFrame) -> pl.DataFrame:
    """Without the rows from the year 2999."""
    return rows.filter(pl.col("event_time").dt.year() < 2900)
