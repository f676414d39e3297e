"""Notification rows: what is told to whom, as rows of the `notification` contract."""

from __future__ import annotations

import hashlib

import polars as pl

from flows.operators.incidents import Incident, Wording
from flows.operators.watermark import FOREVER
from schemas.contracts import contract
from schemas.frames import constant, stack, take

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
    ends = [wording.start for wording in incident.wordings[1:]] + [FOREVER]
    parts = []
    for wording, end in zip(incident.wordings, ends, strict=True):
        rows = told
        if len(incident.wordings) > 1:
            moment = told["moment"].to_numpy()
            rows = take(told, (moment >= wording.start) & (moment < end))
        if rows.height:
            parts.append(_rows(incident, wording, rows, phase, update))
    return stack(parts)


def _rows(incident: Incident, wording: Wording, told: pl.DataFrame, phase: str, update: int | None) -> pl.DataFrame:
    kind = "planned_work" if incident.planned else "outage"
    ids = [notification_id(incident.incident_id, key, phase, update) for key in told["customer_key"].to_list()]
    own = {
        "notification_id": pl.Series(ids, dtype=pl.String),
        "channel": told["outcome"],
        "contact_token": told["contact"],
        "customer_key": told["customer_key"],
        "language": told["language"],
        "cause": told["cause"],
        "affected_at": told["affected_at"].cast(_TIME),
        "event_time": told["moment"].cast(_TIME),
    }
    shared: dict[str, object] = {
        "phase": phase,
        "template": f"{kind}_{phase}",
        "incident_id": incident.incident_id,
        "fault_id": incident.fault_id,
        "severity": wording.severity,
        "services": list(wording.services),
        "element_id": incident.element_id,
        "element_type": incident.element_type,
        "site_id": incident.site_id,
        "region": incident.region,
        "probable_cause": incident.probable_cause,
        "planned": incident.planned,
        "opened_at": incident.opened_at,
        "expected_clear_time": wording.expected_clear_time,
        "cleared_at": incident.closed_at if phase == "cleared" else None,
    }
    columns = [
        own[name].alias(name) if name in own else _shared(name, shared[name], dtype, told.height)
        for name, dtype in contract("notification").polars.items()
    ]
    return pl.DataFrame([*columns, told["ingested_ms"], told["sequence"]])


def _shared(name: str, value: object, dtype: pl.DataType, rows: int) -> pl.Series:
    if dtype == _TIME:
        return constant(name, value, pl.Int64(), rows).cast(dtype)
    return constant(name, value, dtype, rows)
