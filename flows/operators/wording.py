"""wording: what the shards have decided to tell becomes notifications and table rows.

Stateless. All shards of a worker decide on an incident at nearly the same moment, and words cost the same for one
customer as for a thousand: so it is done for all of them together.
"""

from __future__ import annotations

import polars as pl

from flows.operators.incidents import Incident
from flows.operators.messages import Counted, Notifications, TableOutput, Told
from flows.operators.notification_rows import notification_rows

__all__ = ["affected_output", "count_published", "word"]

_TIME = pl.Datetime("us", "UTC")


def word(told: list[Told]) -> list[Notifications | TableOutput | Counted]:
    """Word what was decided: notifications in the order of each shard's numbers, rows for the tables, and counts."""
    together: dict[tuple[Incident, str, int | None], list[pl.DataFrame]] = {}
    for each in told:
        together.setdefault((each.incident, each.phase, each.update), []).append(each.rows)
    affected: list[TableOutput | Counted] = []
    worded = []
    for (incident, phase, update), parts in together.items():
        rows = pl.concat(parts)
        if phase == "raised":
            affected += affected_output(incident.incident_id, rows)
        reached = rows.filter(pl.col("sequence").is_not_null()) if rows["sequence"].null_count() else rows
        if reached.height:
            worded.append(notification_rows(incident, reached, phase, update))
    if not worded:
        return list(affected)
    rows = pl.concat(worded)
    table = TableOutput("notifications", rows.drop("ingested_ms", "sequence"))
    return [Notifications(rows), *affected, table, *count_published(rows)]


def affected_output(name: str, told: pl.DataFrame) -> list[TableOutput | Counted]:
    """Rows of `affected_customers`, and how many of them cannot be reached.

    Args:
        name: The incident's id.
        told: Columns of `match_state.TOLD`.
    """
    if not told.height:
        return []
    rows = told.select(
        pl.lit(name).alias("incident_id"),
        "customer_key",
        "cause",
        "outcome",
        pl.col("affected_at").cast(_TIME),
        pl.col("told_at").cast(_TIME),
    )
    unreachable = int((rows["outcome"] == "unreachable").sum())
    counted = [Counted("customers_unreachable", (("phase", "raised"),), unreachable)] if unreachable else []
    return [TableOutput("affected_customers", rows), *counted]


def count_published(rows: pl.DataFrame) -> list[Counted]:
    """Notifications by channel and phase."""
    return [
        Counted("notifications_published", (("channel", channel), ("phase", phase)), amount)
        for channel, phase, amount in rows.group_by("channel", "phase").len().iter_rows()
    ]
