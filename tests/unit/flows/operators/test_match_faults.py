from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from connectors.segments import SegmentFiles
from flows.batch import Batch, Origin
from flows.operators.incidents import Incident, Period, Wording
from flows.operators.match_faults import MatchFaults, MatchSpec
from flows.operators.match_state import MatchSnapshot
from flows.operators.messages import IncidentUpdate, Recalled, TableOutput, Told
from flows.operators.notification_rows import notification_rows
from flows.operators.watermark import FOREVER
from flows.operators.wording import word

CRM, USAGE = Origin("crm.changes", 0), Origin("usage.events", 0)
WRITERS = (Origin("published", 0), Origin("published", 1))
SPEC = {"delays": {CRM: 0, USAGE: 0}, "published": WRITERS, "presence_window": 60, "lateness": 0, "retention": 1000}
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
            "moment": [100],
            "ingested_ms": [0],
            "sequence": [sequence],
        },
        schema_overrides={"contact": pl.String, "language": pl.String},
    )
    rows = notification_rows(INCIDENT, told, "raised").drop("ingested_ms")
    return rows.with_columns(pl.lit(customer, pl.UInt64).alias("customer"))


def logic(directory: Path, resume: MatchSnapshot | None = None, **given: int) -> MatchFaults:
    return MatchFaults(MatchSpec(**SPEC | given), lambda table: SegmentFiles(directory / table), "shard", resume)


def recalled(writer: int, rows: pl.DataFrame) -> list[Recalled]:
    return [Recalled(WRITERS[writer], rows, complete=False), Recalled(WRITERS[writer], rows.clear(), complete=True)]


def snapshot(step: MatchFaults) -> MatchSnapshot:
    saved: MatchSnapshot = pickle.loads(pickle.dumps(step.snapshot()))
    return saved


def caught_up(origin: Origin) -> Batch:
    rows = usage(0, 0).rows.clear()
    return Batch(origin, "usage_event", rows, None, caught_up=True, finished=False)


def is_table(each: object, table: str) -> bool:
    return isinstance(each, TableOutput) and each.table == table


def table_keys(emitted: list[object], table: str) -> list[str]:
    return [key for each in worded(emitted) if is_table(each, table) for key in each.rows["customer_key"]]


def worded(emitted: list[object]) -> list[object]:
    """What was decided, in words, and the rest."""
    rest = [each for each in emitted if not isinstance(each, Told)]
    return rest + list(word([each for each in emitted if isinstance(each, Told)]))


def crm(**given: object) -> Batch:
    """Everything that is `given` to customer 1 by one partial change at 10."""
    row = {"customer": 1, "customer_key": f"{1:016x}{0:016x}", "event_time": 10, "op": "update", "site": None}
    cells = {"version": 0, "status": None, "services": None, "channels": None, "consent": None, "email": None}
    texts = {
        "msisdn": None,
        "language": None,
        "changed_fields": [{"site": "site_id"}.get(name, name) for name in given],
        "_offset": 0,
        "_timestamp": 0,
    }
    schema = {
        "customer": pl.UInt64,
        "site": pl.UInt64,
        "event_time": pl.Datetime("us", "UTC"),
        **dict.fromkeys(("services", "channels", "consent", "changed_fields"), pl.List(pl.String)),
        **dict.fromkeys(("status", "email", "msisdn", "language"), pl.String),
    }
    rows = pl.DataFrame([row | cells | texts | given], schema_overrides=schema)
    return Batch(CRM, "crm_change", rows, 10, caught_up=True, finished=False)


def usage(cell: int, time: int) -> Batch:
    schema = {
        "customer": pl.UInt64,
        "cell": pl.UInt64,
        "event": pl.UInt64,
        "event_time": pl.Datetime("us", "UTC"),
        "_timestamp": pl.Int64,
        "_seen": pl.Int64,
    }
    rows = pl.DataFrame([(1, cell, 1, time, 0, None)], schema=schema, orient="row")
    return Batch(USAGE, "usage_event", rows, time, caught_up=True, finished=False)


def update(incident: Incident, watermark: int = FOREVER - 1) -> IncidentUpdate:
    return IncidentUpdate((incident,), watermark, caught_up=watermark == FOREVER - 1, finished=False)


def nothing_recalled() -> list[Recalled]:
    return [*recalled(0, published(1, 0).clear()), *recalled(1, published(1, 0).clear())]


def cells_over_time(*cells: tuple[int, int]) -> Incident:
    periods = tuple(Period(start, np.array([cell], np.uint64), np.array([], np.uint64), 255) for start, cell in cells)
    return replace(INCIDENT, periods=periods)


def test_use_does_not_count_when_its_cell_proves_to_have_left_the_footprint(tmp_path: Path) -> None:
    step = logic(tmp_path)
    step.on_batch([*nothing_recalled(), crm(status="active"), update(cells_over_time((100, 5)), watermark=110)])
    emitted = step.on_batch([usage(cell=5, time=150)])
    emitted += step.on_batch([update(cells_over_time((100, 5), (120, 6)))])

    assert table_keys(emitted, "affected_customers") == []


def test_use_counts_when_its_cell_proves_to_have_been_in_the_footprint(tmp_path: Path) -> None:
    step = logic(tmp_path)
    step.on_batch([*nothing_recalled(), crm(status="active"), update(cells_over_time((100, 6)), watermark=110)])
    emitted = step.on_batch([usage(cell=5, time=150)])
    emitted += step.on_batch([update(cells_over_time((100, 6), (120, 5)))])

    assert table_keys(emitted, "affected_customers") == [f"{1:016x}{0:016x}"]


def test_use_ahead_of_the_watermark_counts_when_the_run_resumes_before_it(tmp_path: Path) -> None:
    first = logic(tmp_path)
    first.on_batch([*nothing_recalled(), crm(status="active"), usage(cell=5, time=150)])
    first.on_batch([update(cells_over_time((100, 5)), watermark=110)])
    second = logic(tmp_path, snapshot(first))
    emitted = second.on_batch([*nothing_recalled(), replace(crm(), rows=crm().rows.clear()), caught_up(USAGE)])
    emitted += second.on_batch([IncidentUpdate((), FOREVER - 1, caught_up=True, finished=False)])

    assert table_keys(emitted, "affected_customers") == [f"{1:016x}{0:016x}"]


@pytest.mark.parametrize(("first", "since"), [(90, 100), (150, 150), (None, 120)])
def test_late_use_adds_who_was_not_affected_yet_and_changes_nothing_else(
    tmp_path: Path, first: int, since: int
) -> None:
    step = logic(tmp_path, lateness=1000)
    known = [] if first is None else [usage(cell=5, time=first)]
    step_out = step.on_batch([*nothing_recalled(), crm(status="active"), *known, update(cells_over_time((100, 5)))])
    newest = replace(caught_up(USAGE), max_event_time=500)
    step_out += step.on_batch([newest])
    step_out += step.on_batch([usage(cell=5, time=120)])

    (rows,) = [each.rows for each in worded(step_out) if is_table(each, "affected_customers")]
    assert rows["affected_at"].cast(pl.Int64).to_list() == [since]


def test_who_moved_in_is_told_when_the_incident_came_while_the_watermark_had_gone_back(tmp_path: Path) -> None:
    step = logic(tmp_path)
    moved_in = crm(status="active", site=7, event_time=300)
    step.on_batch([*nothing_recalled(), caught_up(USAGE), replace(moved_in, max_event_time=300)])
    step.on_batch([IncidentUpdate((), FOREVER - 1, caught_up=True, finished=False)])
    behind = replace(caught_up(USAGE), max_event_time=200, caught_up=False)
    early = step.on_batch([behind, update(INCIDENT)])
    late = step.on_batch([caught_up(USAGE)])

    assert table_keys(early, "affected_customers") == []
    assert table_keys(late, "affected_customers") == [f"{1:016x}{0:016x}"]


def test_nobody_is_told_again_when_what_they_were_told_of_proves_to_be_a_part(
    tmp_path: Path,
) -> None:
    step = logic(tmp_path)
    whole, part = "00000000000000aa", INCIDENT.incident_id
    told = step.on_batch(
        [*nothing_recalled(), crm(status="active", site=7, channels=["push"], consent=["push"]), caught_up(USAGE)]
    )
    told += step.on_batch([update(INCIDENT)])
    joined = replace(INCIDENT, part_of=whole, periods=())
    news = step.on_batch([update(replace(INCIDENT, incident_id=whole, parts=(part,))), update(joined)])
    over = step.on_batch(
        [
            update(replace(INCIDENT, incident_id=whole, parts=(part,), closed_at=200)),
            update(replace(joined, closed_at=200)),
        ]
    )

    assert table_keys(told, "notifications") == [f"{1:016x}{0:016x}"]
    assert [each for each in news if isinstance(each, Told)] == []
    assert [(each.incident.incident_id, each.phase) for each in over if isinstance(each, Told)] == [(part, "cleared")]


def test_who_waits_for_a_part_is_told_under_the_whole(tmp_path: Path) -> None:
    step = logic(tmp_path)
    whole = replace(INCIDENT, incident_id="00000000000000aa", parts=(INCIDENT.incident_id,))
    step.on_batch([*nothing_recalled(), crm(status="active", site=7), caught_up(USAGE)])
    step.on_batch([update(replace(INCIDENT, announced_at=FOREVER))])
    told = step.on_batch([update(replace(INCIDENT, part_of=whole.incident_id, periods=())), update(whole)])

    assert [each.incident.incident_id for each in told if isinstance(each, Told)] == [whole.incident_id]


def test_parts_are_remembered_as_long_as_the_whole(tmp_path: Path) -> None:
    step = logic(tmp_path)
    whole = replace(INCIDENT, incident_id="00000000000000aa", parts=(INCIDENT.incident_id,))
    step.on_batch([*nothing_recalled(), crm(status="active", site=7), caught_up(USAGE), update(INCIDENT)])
    step.on_batch([update(replace(INCIDENT, part_of=whole.incident_id, periods=(), closed_at=150)), update(whole)])
    step.on_batch([usage(cell=5, time=5000)])
    open_for_long = step.on_batch([usage(cell=5, time=9000)])

    assert [each for each in open_for_long if isinstance(each, Told)] == []
    assert INCIDENT.incident_id in step.state.incidents


def test_all_services_and_default_channels_hold_when_no_change_named_them(tmp_path: Path) -> None:
    step = logic(tmp_path)
    known = crm(status="active", site=7, consent=["email"], email="token")
    emitted = step.on_batch([*nothing_recalled(), known, caught_up(USAGE), update(replace(INCIDENT))])

    outcomes = [each.rows["outcome"].to_list() for each in worded(emitted) if is_table(each, "affected_customers")]
    assert outcomes == [["email"]]


def test_recall_goes_on_when_epoch_closed_between_two_writers(tmp_path: Path) -> None:
    first = logic(tmp_path)
    first.on_batch(recalled(0, published(customer=2, sequence=1)))
    second = logic(tmp_path, snapshot(first))
    # the first writer's past is read again from a lower bound, and holds nothing new
    again = recalled(0, published(customer=2, sequence=1))
    emitted = second.on_batch([*again, *recalled(1, published(customer=1, sequence=0))])

    assert sorted(table_keys(emitted, "notifications")) == [f"{1:016x}{0:016x}", f"{2:016x}{0:016x}"]
    assert set(second.state.told_of(INCIDENT.incident_id)["customer"]) == {1, 2}


def test_recalled_row_is_not_repeated_when_snapshot_holds_it(tmp_path: Path) -> None:
    first = logic(tmp_path)
    rows = published(customer=2, sequence=0)
    first.on_batch([*recalled(0, rows), *recalled(1, rows.clear())])
    second = logic(tmp_path, snapshot(first))
    emitted = second.on_batch(recalled(0, rows))

    assert [each for each in emitted if isinstance(each, TableOutput)] == []
    assert second.state.told_of(INCIDENT.incident_id).height == 1


def test_stale_profiles_begin_empty_when_the_snapshot_is_of_before_there_were_any(tmp_path: Path) -> None:
    first = logic(tmp_path)
    first.on_batch([*nothing_recalled(), crm(status="active")])
    saved = snapshot(first)
    tables = {name: table for name, table in saved.tables.items() if name != "stale"}
    assert tables.keys() < saved.tables.keys()
    second = logic(tmp_path, replace(saved, tables=tables))
    emitted = second.on_batch([*nothing_recalled(), crm(op="stale", source_system="salesforce", changed_fields=None)])

    assert table_keys(emitted, "stale_profiles") == [f"{1:016x}{0:016x}"]
    assert second.state.profiles.table.rows == 1


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
