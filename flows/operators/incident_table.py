"""The rows of table `incidents`: one for each change, numbered, of each incident."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from flows.operators.incidents import Incident
from flows.operators.watermark import FOREVER
from schemas.contracts import contract

_Row = tuple[Any, ...]
_OPENED_AT = list(contract("incidents").polars).index("opened_at")


@dataclass(slots=True)
class IncidentTable:
    """What was written of each incident.

    Attributes:
        written: Incident → its newest revision and what that said.
        rows: Those not yet taken, in the order of the contract's columns.
    """

    written: dict[str, tuple[int, _Row]] = field(default_factory=dict)
    rows: list[_Row] = field(default_factory=list)

    def put(self, incident: Incident, time: int | None) -> None:
        """Add a row if it says anything new, as of a moment, microseconds; None for when it was announced."""
        row = _row(incident)
        revision, last = self.written.get(incident.incident_id, (0, None))
        if row != last:
            self.written[incident.incident_id] = (revision + 1, row)
            self.rows.append((*row, revision + 1, incident.announced_at if time is None else time))

    def take(self) -> pl.DataFrame:
        """The rows put since the last call, as the contract's columns."""
        frame, self.rows = _frame(self.rows), []
        return frame

    def snapshot(self) -> IncidentTable:
        """A copy for a successor, once all rows are taken."""
        return IncidentTable(dict(self.written))

    def expire(self, before: int, known: Collection[str]) -> None:
        """Forget incidents that opened before a time and are not known any more."""
        for name in [name for name, (_, row) in self.written.items() if row[_OPENED_AT] < before and name not in known]:
            del self.written[name]


def _row(incident: Incident) -> _Row:
    wording = incident.wordings[-1]
    return (
        incident.incident_id,
        incident.fault_id,
        incident.element_id,
        incident.element_type,
        incident.site_id,
        incident.region,
        wording.severity,
        list(wording.services),
        incident.planned,
        incident.probable_cause,
        incident.state,
        incident.opened_at,
        None if incident.announced_at == FOREVER else incident.announced_at,
        None if incident.closed_at == FOREVER else incident.closed_at,
        wording.expected_clear_time,
        incident.fault_count,
        incident.part_of,
    )


def _frame(rows: list[_Row]) -> pl.DataFrame:
    schema = contract("incidents").polars
    times = {name: pl.Int64() for name, dtype in schema.items() if isinstance(dtype, pl.Datetime)}
    frame = pl.DataFrame(rows, schema={**schema, **times}, orient="row")
    return frame.with_columns(pl.col(name).cast(schema[name]) for name in times)
