"""find_affected: the definition of who an incident affects, as a join of intervals.

A customer is affected from the first moment, while the incident is open, at which they are an active subscriber of an
affected service and either their site is in the footprint, or they have used a cell of it: while that cell was in the
footprint, or at most one presence window before it came into it. In what order the rows arrived plays no part.

All times are microseconds; intervals are [start, end).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from flows.operators.incidents import Incident, Period
from flows.operators.uses import among
from flows.operators.watermark import FOREVER

AFFECTED_COLUMNS: dict[str, pl.DataType] = {
    "customer": pl.UInt64(),
    "customer_key": pl.String(),
    "affected_at": pl.Int64(),
    "cause": pl.String(),
}
_Times = NDArray[np.int64]


def find_affected(incident: Incident, versions: pl.DataFrame, touched_at: _Times, until: int) -> pl.DataFrame:
    """Who is affected by `incident`, since when and why, as far as it shows by `until`.

    Args:
        incident: The incident.
        versions: `profile_versions` of every customer in question.
        touched_at: For each of them, since when a use of a cell of the footprint counts; FOREVER for none.
        until: Nothing after this time is looked at.

    Returns:
        AFFECTED_COLUMNS, one row per customer; the cause is `site` where both are true from the same moment.
    """
    begins, ends = versions["event_time"].to_numpy(), versions["end"].to_numpy()
    site, services, active = (versions[name].to_numpy() for name in ("site", "services", "active"))
    at_site, present = np.full(len(begins), FOREVER), np.full(len(begins), FOREVER)
    for period, end in periods(incident):
        if period.start > until:
            break
        served = active & (services & np.uint8(period.services) != 0)
        earliest, last = np.maximum(begins, period.start), np.minimum(ends, end)
        _lower(at_site, earliest, served & among(site, period.sites) & (earliest < last))
        used = np.maximum(earliest, touched_at)
        _lower(present, used, served & (touched_at <= until) & (used < last))
    moment = np.minimum(at_site, present)
    customer = versions["customer"].to_numpy()
    by_moment = np.lexsort((at_site > moment, moment, customer))
    by_moment = by_moment[moment[by_moment] < FOREVER]
    first = by_moment[np.unique(customer[by_moment], return_index=True)[1]]
    causes = ["site" if is_site else "presence" for is_site in (at_site[first] == moment[first]).tolist()]
    return pl.DataFrame(
        [
            pl.Series("customer", customer[first]),
            versions["customer_key"].gather(first),
            pl.Series("affected_at", moment[first]),
            pl.Series("cause", causes, pl.String),
        ]
    )


def periods(incident: Incident) -> Iterator[tuple[Period, int]]:
    """The incident's periods, each with its end; a part of another has none."""
    ends = [period.start for period in incident.periods[1:]] + [incident.closed_at]
    yield from zip(incident.periods, ends, strict=False)


def all_sites(incident: Incident) -> NDArray[np.uint64]:
    """Every site that was ever in the footprint, sorted."""
    return np.unique(np.concatenate([period.sites for period in incident.periods]))


def _lower(moments: _Times, candidates: _Times, where: NDArray[np.bool_]) -> None:
    np.minimum(moments, candidates, out=moments, where=where)
