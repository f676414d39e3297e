from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from connectors.segments import SegmentFiles
from flows.batch import Batch, Origin
from flows.operators.incidents import Incident, IncidentRules
from flows.operators.messages import IncidentUpdate, Recalled
from flows.operators.track_incidents import TrackIncidents, TrackSpec
from flows.operators.watermark import FOREVER
from schemas.contracts import contract

FAULTS, PUBLISHED = Origin("network.faults", 0), Origin("published", 0)
NOBODY = pl.DataFrame(schema=contract("notification").polars)


def fingerprint(names: Iterable[str]) -> NDArray[np.uint64]:
    return np.array([int.from_bytes(name.encode()) for name in sorted(names)], np.uint64)


def tracker(directory: Path) -> TrackIncidents:
    spec = TrackSpec(rules=IncidentRules(), delays={FAULTS: 30}, published=(PUBLISHED,), retention=10**9)
    return TrackIncidents(spec, fingerprint, SegmentFiles(directory / "topology"), "place")


def faults(*times: int, first_offset: int = 0, **given: object) -> Batch:
    """Rows of fault f1, by default raised, at these times; then its origin is caught up."""
    row = {"fault_id": "f1", "element_id": "A", "state": "raised", "severity": "major", "services": []} | given
    row |= {"planned": False, "service_affecting": True, "_timestamp": 0}
    rows = [row | {"event_time": time, "_offset": first_offset + number} for number, time in enumerate(times)]
    schema = {**contract("network_fault").polars, "_offset": pl.Int64, "_timestamp": pl.Int64}
    return Batch(FAULTS, "network_fault", pl.DataFrame(rows, schema=schema), max(times), caught_up=True, finished=False)


def told_of(incident: Incident) -> list[Recalled]:
    """A customer was told of the incident by a run that crashed."""
    opened_at = pl.lit(incident.opened_at, pl.Int64).cast(pl.Datetime("us", "UTC"))
    about = {"incident_id": pl.lit(incident.incident_id), "fault_id": pl.lit(incident.fault_id)}
    rows = NOBODY.clear(1).with_columns(**about, opened_at=opened_at)
    return [Recalled(PUBLISHED, rows, complete=False), Recalled(PUBLISHED, NOBODY, complete=True)]


def incidents(emitted: Iterable[object]) -> list[Incident]:
    return [incident for each in emitted if isinstance(each, IncidentUpdate) for incident in each.incidents]


def test_incident_keeps_its_id_when_a_replay_does_not_know_yet_that_it_was_raised_earlier(tmp_path: Path) -> None:
    nothing = Recalled(PUBLISHED, NOBODY, complete=True)
    lost = incidents(tracker(tmp_path / "lost").on_batch([nothing, faults(100, 90)], now=0))
    replay = tracker(tmp_path / "replay")
    half = incidents(replay.on_batch([*told_of(lost[0]), faults(100)], now=0))
    whole = incidents(replay.on_batch([faults(90, first_offset=1)], now=0))

    assert {each.incident_id for each in half + whole} == {lost[0].incident_id}
    assert [each.opened_at for each in whole] == [90]


def test_incident_is_a_new_one_when_the_fault_was_cleared_since_customers_were_told(tmp_path: Path) -> None:
    nothing = Recalled(PUBLISHED, NOBODY, complete=True)
    first = tracker(tmp_path)
    known = incidents(first.on_batch([nothing, faults(90), faults(95, first_offset=1, state="cleared")], now=0))
    again = incidents(first.on_batch([faults(100, first_offset=2)], now=0))

    assert [each.closed_at for each in known] == [95]
    assert len({each.incident_id for each in known + again}) == 2


def test_nothing_is_taken_back_when_a_replay_has_not_come_to_what_customers_were_told(tmp_path: Path) -> None:
    nothing = Recalled(PUBLISHED, NOBODY, complete=True)
    lost = tracker(tmp_path / "lost")
    rows = [faults(90), faults(95, first_offset=1, state="cleared"), faults(100, first_offset=2)]
    told = {each.incident_id: each for each in incidents(lost.on_batch([nothing, *rows], now=0))}
    replay = tracker(tmp_path / "replay")
    replay.on_batch([recalled for each in told.values() for recalled in told_of(each)], now=0)
    seen = [incidents(replay.on_batch([batch], now=0)) for batch in rows]

    assert len(told) == 2
    assert [[(each.opened_at, each.closed_at < FOREVER, each.part_of) for each in step] for step in seen] == [
        [(90, False, None)],
        [(90, True, None)],
        [(100, False, None)],
    ]


def test_forgotten_incident_is_no_part_of_a_later_one_when_it_is_recalled(tmp_path: Path) -> None:
    nothing = Recalled(PUBLISHED, NOBODY, complete=True)
    spec = TrackSpec(rules=IncidentRules(), delays={FAULTS: 30}, published=(PUBLISHED,), retention=100)
    first = TrackIncidents(spec, fingerprint, SegmentFiles(tmp_path / "topology"), "place")
    [told] = incidents(first.on_batch([nothing, faults(1000)], now=0))
    first.on_batch([faults(1010, first_offset=1, state="cleared"), faults(5000, first_offset=2, fault_id="f2")], now=0)
    first.on_batch([faults(5001, first_offset=3)], now=0)
    second = TrackIncidents(spec, fingerprint, SegmentFiles(tmp_path / "topology"), "place", first.snapshot())
    again = incidents(second.on_batch(told_of(told), now=0))

    assert told.incident_id not in {each.incident_id for each in again}
