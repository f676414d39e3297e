"""The names of metrics: what each counts, and which labels there may be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from schemas.errors import TerminalError

PREFIX = "signalbox_"
LABELS = frozenset(
    {
        "channel",
        "field",
        "format",
        "kind",
        "outcome",
        "phase",
        "pii_class",
        "reason",
        "sink",
        "step",
        "stream",
        "table",
        "topic",
    }
)
"""Every label has few values, all from configuration or code: none can name a customer, and their number is bounded."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class CounterSpec:
    """One exact counter.

    Attributes:
        documentation: What it counts.
        labels: Its labels.
    """

    documentation: str
    labels: tuple[str, ...]


COUNTERS: Mapping[str, CounterSpec] = MappingProxyType(
    {
        "records_consumed": CounterSpec("Records read from Kafka.", ("topic",)),
        "extra_rows": CounterSpec("Rows that records gave beyond one each, and those of rejected records.", ("topic",)),
        "records_rejected": CounterSpec("Records that became dead letters.", ("topic", "reason")),
        "records": CounterSpec("What became of records: used, late, duplicate, ….", ("topic", "outcome")),
        "unknown_values": CounterSpec("Words that a format does not know and took for another.", ("topic", "field")),
        "notifications_published": CounterSpec("Notifications written to Kafka.", ("channel", "phase")),
        "customers_unreachable": CounterSpec("Affected customers whom no channel may reach.", ("phase",)),
        "profiles_stale": CounterSpec("Customers' profiles that a gap in the source made stale.", ("topic",)),
        "profiles_refreshed": CounterSpec("Stale profiles whose whole record has come again.", ("topic",)),
        "rows_written": CounterSpec("Rows written to tables.", ("table",)),
        "tokens_made": CounterSpec("Personal values turned into tokens.", ("stream",)),
        "tokens_withheld": CounterSpec("Personal values of forgotten customers, which got no token.", ("stream",)),
    }
)


def check_counter(name: str, labels: Mapping[str, str]) -> None:
    """See that a counter can be shown.

    Args:
        name: Without prefix and `_total`. Names outside `COUNTERS` may have any of `LABELS`.
        labels: Its labels.

    Raises:
        TerminalError: The name is malformed, or a label is not allowed.
    """
    if not _NAME.fullmatch(name) or name.endswith("_total") or name.startswith(PREFIX):
        raise TerminalError(
            f"expected a counter name of lower case letters, digits and underscores, without {PREFIX!r} and '_total', "
            f"came {name!r}; rename it"
        )
    expected = set(COUNTERS[name].labels) if name in COUNTERS else labels.keys() & LABELS
    if labels.keys() != expected:
        raise TerminalError(
            f"counter {name}: expected the labels {sorted(expected)}, came {sorted(labels)}; labels are listed in "
            "connectors/metrics/catalog.py"
        )


def documentation(name: str) -> str:
    """What a counter counts, one sentence."""
    return COUNTERS[name].documentation if name in COUNTERS else f"Counted by the flow: {name.replace('_', ' ')}."
