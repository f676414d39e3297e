"""What the demo prints in the end."""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from pathlib import Path

import duckdb
import typer

from connectors.metrics import snapshot_metrics
from connectors.metrics.catalog import PREFIX
from connectors.metrics.collectors import build_registry
from connectors.metrics.histogram import quantile

_EXAMPLES = 3


def notify_buckets(metrics: Path) -> dict[float, float]:
    """The cumulative buckets of the time to notify, over all channels, so far."""
    buckets: dict[float, float] = defaultdict(float)
    for family in build_registry(metrics, None).collect():
        for sample in family.samples:
            if sample.name == f"{PREFIX}time_to_notify_seconds_bucket":
                buckets[float(sample.labels["le"])] += sample.value
    return dict(buckets)


class DemoReport:
    """Reads tables and metrics of a demo and prints them.

    Args:
        root: The data directory.
        metrics: The flow's metrics directory.

    Attributes:
        before_live: The buckets of the time to notify when the live part began: what history took is no measure.
    """

    def __init__(self, root: Path, metrics: Path) -> None:
        self._root = root
        self._metrics = metrics
        self.before_live: dict[float, float] = {}

    def print(self) -> None:
        """Print everything."""
        for line in [*self._lines(), "", *self._further()]:
            typer.echo(line)

    def _lines(self) -> list[str]:
        with duckdb.connect(str(self._root / "features.duckdb"), read_only=True) as tables:
            states = _counts(tables, "select state, count(*) from incidents where part_of is null group by 1")
            outcomes = _counts(tables, "select outcome, count(*) from affected_customers group by 1")
            phases = _counts(tables, "select phase, count(*) from notifications group by 1")
            affected = _number(tables, "select count(distinct customer_key) from affected_customers")
            examples = tables.sql(_EXAMPLE_QUERY).fetchall()
        metrics = snapshot_metrics(self._metrics)
        unreachable = outcomes.pop("unreachable", 0)
        return [
            "",
            f"incidents           {_listed(states)}",
            f"customers affected  {affected:,}",
            f"told by             {_listed(outcomes)}",
            f"unreachable         {unreachable:,}",
            f"messages            {_listed(phases)}",
            f"all-clears          {phases.get('cleared', 0):,}",
            f"time to notify      {self._time_to_notify()}",
            f"dead letters        {_listed(_by_label(metrics, 'records_rejected_total', 'reason'))}",
            f"tokens made         {metrics.get('tokens_made_total', 0):,.0f}",
            "",
            "Three of the messages:",
            *(f"  {_message(*example)}" for example in examples),
        ]

    def _time_to_notify(self) -> str:
        live = {le: count - self.before_live.get(le, 0.0) for le, count in notify_buckets(self._metrics).items()}
        middle, tail = quantile(live, 0.5), quantile(live, 0.99)
        if math.isnan(middle):
            return "nobody was told live"
        return f"p50 {middle * 1000:,.0f} ms, p99 {tail * 1000:,.0f} ms over {live[math.inf]:,.0f} messages told live"

    def _further(self) -> list[str]:
        query = "select phase, channel, count(*) from notifications group by all order by all"
        open_views = f"duckdb.connect('{self._root / 'features.duckdb'}', read_only=True)"
        return [
            f"Everything is in {self._root}; look further with",
            f"  {sys.executable} -c \"import duckdb; {open_views}.sql('{query}').show()\"",
            "  signalbox demo --keep-running     then dlq list, dlq show, metrics and doctor",
            "  signalbox --help                  topics create, keys create, generate, run: the same on your own Kafka",
        ]


_EXAMPLE_QUERY = f"""
    select phase, channel, contact_token, language, template, severity, element_type, element_id, services
    from notifications
    qualify row_number() over (partition by channel order by opened_at desc, notification_id) = 1
    order by channel limit {_EXAMPLES}
"""  # noqa: S608 (a constant)


def _message(
    phase: str,
    channel: str,
    token: str | None,
    language: str | None,
    template: str,
    severity: str,
    element_type: str | None,
    element_id: str,
    services: list[str] | None,
) -> str:
    what = f"{severity} fault of {element_type or 'element'} {element_id} ({', '.join(services or ['all services'])})"
    return f"{channel} to {token or '(no contact)'}, {language or 'any language'}, {template}: {phase}, {what}"


def _counts(tables: duckdb.DuckDBPyConnection, query: str) -> dict[str, int]:
    return {str(name): int(count) for name, count in tables.sql(query).fetchall()}


def _number(tables: duckdb.DuckDBPyConnection, query: str) -> int:
    row = tables.sql(query).fetchone()
    return int(row[0]) if row else 0


def _by_label(metrics: dict[str, float], name: str, label: str) -> dict[str, int]:
    """A counter by one of its labels, summed over the others."""
    found: dict[str, int] = defaultdict(int)
    for series, value in metrics.items():
        if series.startswith(f"{name}{{") and f'{label}="' in series:
            found[series.split(f'{label}="')[1].split('"')[0]] += int(value)
    return found


def _listed(counts: dict[str, int]) -> str:
    parts = [f"{count:,} {name}" for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    return ", ".join(parts) or "none"
