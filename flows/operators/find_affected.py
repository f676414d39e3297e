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

AFFECTED_COLUMNS: dict[str, pl.DataType] = {
    "customer": pl.UInt64(),
    "customer_key": pl.String(),
    "affected_at": pl.Int64(),
    "cause": pl.String(),
}


def find_affected(incident: Incident, versions: pl.DataFrame, touched: pl.DataFrame, until: int) -> pl.DataFrame:
    """Who is affected by `incident`, since when and why, as far as it shows by `until`.

    Args:
        incident: The incident.
        versions: `profile_versions` of every customer in question.
        touched: `customer` and `touched_at`: since when a use of a cell of the footprint counts.
        until: Nothing after this time is looked at.

    Returns:
        AFFECTED_COLUMNS, one row per customer; the cause is `site` where both are true from the same moment.
    """
    found = []
    for period, end in periods(incident):
        if period.start > until:
            break
        served = versions.filter(pl.col("active") & (pl.col("services") & period.services != 0))
        if not served.height:
            continue
        at_site = served.filter(pl.col("site").is_in(pl.Series(period.sites).implode()))
        if at_site.height:
            found.append(_moments(at_site, [pl.lit(period.start)], end, "site", 0))
        present = served.join(touched.filter(pl.col("touched_at") <= until), on="customer")
        if present.height:
            found.append(_moments(present, [pl.lit(period.start), pl.col("touched_at")], end, "presence", 1))
    if not found:
        return pl.DataFrame(schema=AFFECTED_COLUMNS)
    return (
        pl.concat(found)
        .sort("customer", "affected_at", "rank")
        .unique("customer", keep="first", maintain_order=True)
        .drop("rank")
    )


def periods(incident: Incident) -> Iterator[tuple[Period, int]]:
    """The incident's periods, each with its end."""
    ends = [period.start for period in incident.periods[1:]] + [incident.closed_at]
    yield from zip(incident.periods, ends, strict=True)


def all_sites(incident: Incident) -> NDArray[np.uint64]:
    """Every site that was ever in the footprint."""
    return np.unique(np.concatenate([period.sites for period in incident.periods]))


def _moments(rows: pl.DataFrame, starts: list[pl.Expr], end: int, cause: str, rank: int) -> pl.DataFrame:
    return (
        rows.with_columns(pl.max_horizontal("event_time", *starts).alias("affected_at"))
        .filter(pl.col("affected_at") < pl.min_horizontal("end", pl.lit(end)))
        .select(
            "customer",
            "customer_key",
            "affected_at",
            pl.lit(cause).alias("cause"),
            pl.lit(rank, pl.Int32).alias("rank"),
        )
    )
