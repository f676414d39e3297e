from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from connectors.segments import SegmentFiles
from flows.batch import Origin
from flows.operators.incidents import Incident, Period, Wording
from flows.operators.match_faults import MatchFaults, MatchSpec
from flows.operators.match_state import MatchSnapshot
from flows.operators.messages import Recalled, TableOutput
from flows.operators.notification_rows import notification_rows

CRM = Origin("crm.changes", 0)
WRITERS = (Origin("published", 0), Origin("published", 1))
SPEC = {"delays": {CRM: 0}, "published": WRITERS, "presence_window": 60, "lateness": 0, "retention": 1000}
INCIDENT = Incident(
    incident_id="0123456789abcdef",
    fault_id="f1",
    element_id="A",
    element_type="site",
    site_id=None,
    region=None,
    probable_cause=None,
    planned=False,
    opened_at=100,
    announced_at=100,
    periods=(Period(100, np.array([], np.uint64), np.array([7], np.uint64), 255),),
    wordings=(Wording(100, "major", None, ()),),
)


def published(customer: int, sequence: int) -> pl.DataFrame:
    """That a customer was told of INCIDENT, as the recall gives it."""
    told = pl.DataFrame(
        {
            "customer_key": [f"{customer:016x}{0:016x}"],
            "outcome": ["push"],
            "contact": [None],
            "language": [None],
            "cause": ["site"],
            "affected_at": [100],
        },
        schema_overrides={"contact": pl.String, "language": pl.String},
    )
    rows = notification_rows(INCIDENT, told, "raised", pl.lit(100), ingested_ms=0).drop("ingested_ms")
    return rows.with_columns(
        pl.lit(sequence, pl.Int64).alias("sequence"), pl.lit(customer, pl.UInt64).alias("customer")
    )


def logic(directory: Path, resume: MatchSnapshot | None = None) -> MatchFaults:
    return MatchFaults(MatchSpec(**SPEC), lambda table: SegmentFiles(directory / table), "shard", resume)


def recalled(writer: int, rows: pl.DataFrame) -> list[Recalled]:
    return [Recalled(WRITERS[writer], rows, complete=False), Recalled(WRITERS[writer], rows.clear(), complete=True)]


def snapshot(step: MatchFaults) -> MatchSnapshot:
    saved: MatchSnapshot = pickle.loads(pickle.dumps(step.snapshot()))
    return saved


def table_keys(emitted: list[object], table: str) -> list[str]:
    return [
        key
        for each in emitted
        if isinstance(each, TableOutput) and each.table == table
        for key in each.rows["customer_key"]
    ]


def test_recall_goes_on_when_epoch_closed_between_two_writers(tmp_path: Path) -> None:
    first = logic(tmp_path)
    first.on_batch(recalled(0, published(customer=2, sequence=1)))
    second = logic(tmp_path, snapshot(first))
    emitted = second.on_batch(recalled(1, published(customer=1, sequence=0)))

    assert table_keys(emitted, "notifications") == [f"{1:016x}{0:016x}"]
    assert set(second.state.told_of(INCIDENT.incident_id)["customer"]) == {1, 2}


def test_recalled_row_is_not_repeated_when_snapshot_holds_it(tmp_path: Path) -> None:
    first = logic(tmp_path)
    rows = published(customer=2, sequence=0)
    first.on_batch([*recalled(0, rows), *recalled(1, rows.clear())])
    second = logic(tmp_path, snapshot(first))
    emitted = second.on_batch(recalled(0, rows))

    assert [each for each in emitted if isinstance(each, TableOutput)] == []
    assert second.state.told_of(INCIDENT.incident_id).height == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"presence_window": 0}, "expected presence_window of more than 0 microseconds"),
        ({"lateness": -1}, "expected lateness and retention of at least 0 microseconds"),
        ({"retention": -1}, "expected lateness and retention of at least 0 microseconds"),
    ],
)
def test_spec_is_refused_when_a_time_cannot_be(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        MatchSpec(**SPEC | changes)
