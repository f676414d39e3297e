"""Canonical rows on the wire: Confluent Avro where there is a registry, else JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from schemas.codec import Encoder, Registry
from schemas.contracts import TIMESTAMP, contract

TOPICS: Mapping[str, str] = {
    "network_fault": "network.faults",
    "network_topology": "network.topology",
    "usage_event": "usage.events",
    "crm_change": "crm.changes",
    "billing_event": "billing.events",
    "care_interaction": "care.interactions",
}


class Wire:
    """Encodes rows of any canonical stream for its topic."""

    def __init__(self, registry: Registry | None) -> None:
        self._encoders = {
            stream: Encoder(contract(stream), registry, f"{topic}-value") for stream, topic in TOPICS.items()
        }

    def frame(self, stream: str, frame: pl.DataFrame) -> list[bytes]:
        """One value per row of a frame with the contract's columns."""
        return self._encoders[stream].encode(frame)

    def rows(self, stream: str, rows: Sequence[Mapping[str, Any]]) -> list[bytes]:
        """One value per row; times are microseconds since 1970, a missing column takes the contract's default."""
        if not rows:
            return []
        agreed = contract(stream)
        columns = []
        for name, dtype in agreed.polars.items():
            cells = [row.get(name, agreed.defaults.get(name)) for row in rows]
            raw = pl.Series(name, cells, pl.Int64 if dtype == TIMESTAMP else dtype)
            columns.append(raw.cast(dtype))
        return self.frame(stream, pl.DataFrame(columns))
