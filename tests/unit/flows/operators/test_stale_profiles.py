"""Stale profiles: what a gap begins, what ends it, in any order and however batches are cut."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.segments import SegmentFiles
from flows.batch import Batch, Origin
from flows.operators.folded_table import TableState
from flows.operators.profiles import Profiles, profile_changes
from flows.operators.stale_profiles import StaleProfiles
from schemas.contracts import TIMESTAMP, contract

CRM = Origin("crm.changes", 0)
LISTS = ("services", "channels", "consent", "changed_fields")
GAP, WHOLE, DELETE, PART = ("stale", None), ("update", None), ("delete", None), ("update", ["site_id"])


def batch(*rows: tuple[tuple[str, Any], int, int]) -> pl.DataFrame:
    """Changes of customer 1: what it is, event time, version."""
    cells = [
        {
            "customer": 1,
            "customer_key": "key-1",
            "source_system": "salesforce",
            "op": op,
            "changed_fields": changed,
            "event_time": time,
            "version": version,
            "site": None,
            "_offset": offset,
        }
        | dict.fromkeys(("status", "email", "msisdn", "language", "services", "channels", "consent"))
        for offset, ((op, changed), time, version) in enumerate(rows)
    ]
    texts = dict.fromkeys(("status", "email", "msisdn", "language"), pl.String())
    schema = texts | dict.fromkeys(LISTS, pl.List(pl.String())) | {"site": pl.UInt64(), "customer": pl.UInt64()}
    return pl.DataFrame(cells, schema_overrides=schema).with_columns(pl.col("event_time").cast(TIMESTAMP))


class Shard:
    """The two tables as the step keeps them."""

    def __init__(self, directory: Path, resume: tuple[TableState, TableState] | None = None) -> None:
        before, stale = resume or (None, None)
        self.profiles = Profiles(SegmentFiles(directory / "profiles"), before)
        self.stale = StaleProfiles(SegmentFiles(directory / "stale"), stale)

    def take(self, rows: pl.DataFrame) -> list[tuple[bool, int, int]]:
        is_gap = (rows["op"] == "stale").to_numpy()
        news = self.stale.take(rows, is_gap, self.profiles)
        assert news.schema == contract("stale_profiles").polars
        changes = Batch(CRM, "crm_change", rows.filter(~is_gap), None, caught_up=True, finished=False)
        self.profiles.table.append(profile_changes(changes, {CRM: 0}))
        times = news["event_time"].to_physical().to_list()
        return list(zip(news["stale"], times, news["revision"], strict=True))

    def snapshot(self) -> tuple[TableState, TableState]:
        return self.profiles.table.snapshot(), self.stale.table.snapshot()


@pytest.mark.parametrize("end", [WHOLE, DELETE, ("create", None)], ids=["whole update", "delete", "create"])
def test_profile_is_stale_when_a_gap_came_until_the_whole_record_comes(tmp_path: Path, end: Any) -> None:
    shard = Shard(tmp_path)
    assert shard.take(batch((WHOLE, 5, 0), (GAP, 10, 1))) == [(True, 10, 1)]
    assert shard.take(batch((PART, 11, 0), (WHOLE, 9, 0))) == []
    assert shard.take(batch((end, 12, 0), (end, 13, 0))) == [(False, 12, 2)]
    assert shard.take(batch((GAP, 20, 0))) == [(True, 20, 3)]


def test_nothing_is_news_when_a_gap_comes_again_or_is_older_than_a_whole_record(tmp_path: Path) -> None:
    shard = Shard(tmp_path)
    assert shard.take(batch((WHOLE, 10, 3), (GAP, 10, 3), (GAP, 10, 2), (GAP, 9, 9))) == []
    assert shard.take(batch((GAP, 10, 4), (GAP, 10, 4))) == [(True, 10, 1)]
    assert shard.take(batch((GAP, 12, 0), (GAP, 11, 0))) == []
    assert shard.take(batch((WHOLE, 11, 5), (WHOLE, 12, 0))) == [(False, 12, 2)]
    assert shard.take(batch((GAP, 12, 0), (GAP, 10, 4))) == []


def test_gap_counts_when_only_changes_that_were_folded_are_newer(tmp_path: Path) -> None:
    shard = Shard(tmp_path)
    shard.take(batch((WHOLE, 10, 0)))
    shard.profiles.horizon = 10
    assert shard.take(batch((GAP, 9, 0))) == [(True, 9, 1)]


CHANGES = [(GAP, 10, 0), (WHOLE, 11, 0), (GAP, 12, 0), (PART, 13, 0)]


@pytest.mark.parametrize("whole", [9, 11, 12, 14])
def test_end_is_the_same_when_changes_come_in_any_order_and_batches_are_cut_anywhere(
    tmp_path: Path, whole: int
) -> None:
    changes = [*CHANGES, (WHOLE, whole, 0)]
    for number, order in enumerate(permutations(changes)):
        shard, pieces = Shard(tmp_path / f"{number} whole"), Shard(tmp_path / f"{number} cut")
        at_once = shard.take(batch(*order))
        cut = [each for change in order for each in pieces.take(batch(change))]
        assert cut == at_once
        assert at_once[-1][0] is (whole < 12) if at_once else whole >= 12


def test_staleness_is_known_when_a_successor_resumes(tmp_path: Path) -> None:
    shard = Shard(tmp_path)
    shard.take(batch((GAP, 10, 0), (GAP, 12, 7)))
    successor = Shard(tmp_path, shard.snapshot())
    assert successor.take(batch((WHOLE, 11, 0), (WHOLE, 12, 6))) == []
    assert successor.take(batch((WHOLE, 12, 7))) == [(False, 12, 2)]
    assert Shard(tmp_path, successor.snapshot()).take(batch((GAP, 12, 7), (GAP, 13, 0))) == [(True, 13, 3)]
