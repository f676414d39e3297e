"""wording: what the shards have decided to tell becomes notifications and table rows.

Stateless. All shards of a worker decide on an incident at nearly the same moment, and words cost the same for one
customer as for a thousand: so it is done for all of them together.
"""

from __future__ import annotations

from collections import Counter

import polars as pl

from flows.operators.incidents import Incident
from flows.operators.messages import Counted, Notifications, TableOutput, Told
from flows.operators.notification_rows import notification_rows
from schemas.frames import constant, nulls, stack, take, without

__all__ = ["affected_output", "count_published", "word"]

_TIME = pl.Datetime("us", "UTC")


def word(told: list[Told]) -> list[Notifications | TableOutput | Counted]:
    """Word what was decided: notifications in the order of each shard's numbers, rows for the tables, and counts."""
    together: dict[tuple[Incident, str, int | None], list[pl.DataFrame]] = {}
    for each in told:
        together.setdefault((each.incident, each.phase, each.update), []).append(each.rows)
    affected: list[TableOutput | Counted] = []
    worded, counted = [], []
    for (incident, phase, update), parts in together.items():
        rows = stack(parts)
        if phase == "raised":
            affected += affected_output(incident.incident_id, rows)
        reached = take(rows, ~nulls(rows["sequence"])) if rows["sequence"].null_count() else rows
        if reached.height:
            worded.append(notification_rows(incident, reached, phase, update))
            counted += count_published(reached["outcome"], phase)
    if not worded:
        return list(affected)
    rows = stack(worded)
    table = TableOutput("notifications", without(rows, ("ingested_ms", "sequence")))
    return [Notifications(rows), *affected, table, *counted]


def affected_output(name: str, told: pl.DataFrame) -> list[TableOutput | Counted]:
    """Rows of `affected_customers`, and how many of them cannot be reached.

    Args:
        name: The incident's id.
        told: Columns of `match_state.TOLD`.
    """
    if not told.height:
        return []
    rows = pl.DataFrame(
        [
            constant("incident_id", name, pl.String(), told.height),
            *(told[column] for column in ("customer_key", "cause", "outcome")),
            *(told[column].cast(_TIME) for column in ("affected_at", "told_at")),
        ]
    )
    unreachable = int((rows["outcome"] == "unreachable").sum())
    counted = [Counted("customers_unreachable", (("phase", "raised"),), unreachable)] if unreachable else []
    return [TableOutput("affected_customers", rows), *counted]


def count_published(channels: pl.Series, phase: str) -> list[Counted]:
    """Notifications of one phase, by channel."""
    return [
        Counted("notifications_published", (("channel", channel), ("phase", phase)), amount)
        for channel, amount in Counter(channels.to_list()).items()
    ]
