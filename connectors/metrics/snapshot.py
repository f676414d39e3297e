"""The metrics of a run as plain numbers, for a status line."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path

from prometheus_client.samples import Sample

from connectors.metrics.catalog import PREFIX
from connectors.metrics.collectors import build_registry
from connectors.metrics.histogram import quantile


def snapshot_metrics(directory: Path, data_dir: Path | None = None) -> dict[str, float]:
    """Read all metrics of a run.

    Args:
        directory: The metrics directory.
        data_dir: The data directory whose tables are read too; None reads none.

    Returns:
        By name without prefix. Counters and gauges: `name{label="value",…}`, and for counters `name` too, their sum
        (`records_consumed_total`). Histograms, over all labels: `name_count`, `name_sum`, `name_p50` and `name_p99`,
        the last two interpolated within a bucket and missing while nothing was observed.
    """
    found: dict[str, float] = {}
    for family in build_registry(directory, data_dir).collect():
        if family.type == "histogram":
            found |= _histogram(family.name.removeprefix(PREFIX), family.samples)
            continue
        for sample in family.samples:
            name = sample.name.removeprefix(PREFIX)
            if sample.labels:
                found[name + _labels(sample)] = sample.value
            if family.type == "counter" or not sample.labels:
                found[name] = found.get(name, 0.0) + sample.value
    return found


def _labels(sample: Sample) -> str:
    return "{" + ",".join(f'{label}="{value}"' for label, value in sorted(sample.labels.items())) + "}"


def _histogram(name: str, samples: list[Sample]) -> dict[str, float]:
    buckets: dict[float, float] = defaultdict(float)
    found = {f"{name}_count": 0.0, f"{name}_sum": 0.0}
    for sample in samples:
        kind = sample.name.removeprefix(PREFIX)
        if kind == f"{name}_bucket":
            buckets[float(sample.labels["le"])] += sample.value
        elif kind in found:
            found[kind] += sample.value
    for suffix, share in (("p50", 0.5), ("p99", 0.99)):
        value = quantile(buckets, share)
        if not math.isnan(value):
            found[f"{name}_{suffix}"] = value
    return found
