"""Notification rows: what is told to whom, as rows of the `notification` contract."""

from __future__ import annotations

import hashlib

import polars as pl

from flows.operators.incidents import Incident, Wording
from flows.operators.watermark import FOREVER
from schemas.contracts import contract

_TIME = pl.Datetime("us", "UTC")


def notification_id(incident_id: str, customer_key: str, phase: str, moment: int | None = None) -> str:
    """Name a notification after what it is about, so that a replay names it alike; 32 hex characters.

    Args:
        incident_id: The incident.
        customer_key: The customer.
        phase: `raised`, `updated` or `cleared`.
        moment: For an update, when the incident changed, microseconds.
    """
    about = f"{incident_id}|{customer_key}|{phase}" + ("" if moment is None else f"|{moment}")
    return hashlib.blake2b(about.encode(), digest_size=16).hexdigest()


def notification_rows(incident: Incident, told: pl.DataFrame, phase: str, update: int | None = None) -> pl.DataFrame:
    """Word one phase of an incident for the customers told.

    Args:
        incident: The incident.
        told: `customer_key`, `outcome` (the channel), `contact`, `language`, `cause`, `affected_at` (Int64), `moment`
            (when each is told, Int64), `ingested_ms` and `sequence`, which are handed on.
        phase: `raised`, `updated` or `cleared`.
        update: For an update, when the incident changed.

    Returns:
        The contract's columns, `ingested_ms` and `sequence`.
    """
    kind = "planned_work" if incident.planned else "outage"
    columns = contract("notification").polars
    ends = [wording.start for wording in incident.wordings[1:]] + [FOREVER]
    parts = []
    for wording, end in zip(incident.wordings, ends, strict=True):
        rows = told
        if len(incident.wordings) > 1:
            rows = told.filter((pl.col("moment") >= wording.start) & (pl.col("moment") < end))
        if not rows.height:
            continue
        keys = rows["customer_key"].to_list()
        ids = [notification_id(incident.incident_id, key, phase, update) for key in keys]
        parts.append(
            rows.select(
                pl.Series("notification_id", ids, pl.String),
                pl.lit(phase).alias("phase"),
                pl.lit(f"{kind}_{phase}").alias("template"),
                pl.col("outcome").alias("channel"),
                pl.col("contact").alias("contact_token"),
                "customer_key",
                "language",
                "cause",
                pl.col("affected_at").cast(_TIME),
                pl.col("moment").cast(_TIME).alias("event_time"),
                *_constants(incident, wording, phase),
                "ingested_ms",
                "sequence",
            ).select(*columns, "ingested_ms", "sequence")
        )
    return pl.concat(parts)


def _constants(incident: Incident, wording: Wording, phase: str) -> list[pl.Expr]:
    cleared_at = incident.closed_at if phase == "cleared" else None
    return [
        pl.lit(incident.incident_id).alias("incident_id"),
        pl.lit(incident.fault_id).alias("fault_id"),
        pl.lit(wording.severity).alias("severity"),
        pl.lit(pl.Series([list(wording.services)], dtype=pl.List(pl.String))).first().alias("services"),
        pl.lit(incident.element_id).alias("element_id"),
        pl.lit(incident.element_type, pl.String).alias("element_type"),
        pl.lit(incident.site_id, pl.String).alias("site_id"),
        pl.lit(incident.region, pl.String).alias("region"),
        pl.lit(incident.probable_cause, pl.String).alias("probable_cause"),
        pl.lit(incident.planned).alias("planned"),
        pl.lit(incident.opened_at, pl.Int64).cast(_TIME).alias("opened_at"),
        pl.lit(wording.expected_clear_time, pl.Int64).cast(_TIME).alias("expected_clear_time"),
        pl.lit(cleared_at, pl.Int64).cast(_TIME).alias("cleared_at"),
    ]
