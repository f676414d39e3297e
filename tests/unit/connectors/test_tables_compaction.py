from __future__ import annotations

from pathlib import Path

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from connectors.tables.compaction import FAN_IN, MAX_ROWS, plan_merge
from connectors.tables.manifest import DataFile
from connectors.tables.parquet import merge_files, write_rows


def files(*rows: int, level: int = 0) -> list[DataFile]:
    return [DataFile(f"{level}-{number}", count, 1, level) for number, count in enumerate(rows)]


def test_nothing_is_merged_when_files_of_a_level_are_few() -> None:
    assert plan_merge(files(*[10] * (FAN_IN - 1)) + files(*[10] * (FAN_IN - 1), level=1)) == ()


def test_oldest_files_of_a_level_are_merged_when_there_are_enough() -> None:
    small = files(*[10] * (FAN_IN + 5))
    assert plan_merge(files(MAX_ROWS) + small) == tuple(small[:FAN_IN])


@given(st.lists(st.integers(1, 2 * MAX_ROWS), max_size=3 * FAN_IN))
def test_a_merge_makes_fewer_files_within_its_bound_when_sizes_are_any(rows: list[int]) -> None:
    merged = plan_merge(files(*rows))
    assert len(merged) != 1
    assert sum(file.rows for file in merged) <= MAX_ROWS


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=400))
def test_files_stay_few_when_merges_go_on_for_long(rows: list[int]) -> None:
    table: list[DataFile] = []
    for number, count in enumerate(rows):
        table.append(DataFile(str(number), count, 1))
        if merged := plan_merge(table):
            level = merged[0].level + 1
            table = [file for file in table if file not in merged]
            table.append(DataFile(f"m{number}", sum(file.rows for file in merged), 1, level))
        assert sum(file.level == 0 for file in table) < FAN_IN
    assert sum(file.rows for file in table) == sum(rows)


def test_merged_rows_are_the_same_and_sorted_when_a_file_lacks_a_column(tmp_path: Path) -> None:
    first = pl.DataFrame({"n": [5, 1], "tags": [["a", "b"], None]}, schema_overrides={"n": pl.UInt64})
    second = pl.DataFrame({"n": [3], "tags": [[]], "more": ["x"]}, schema=first.schema | {"more": pl.String})
    sources = [tmp_path / "1.parquet", tmp_path / "2.parquet"]
    write_rows(sources[0], first)
    write_rows(sources[1], second)
    merged = merge_files(sources, tmp_path / "3.parquet", ["n"])
    expected = pl.concat([first, second], how="diagonal").sort("n")
    assert pl.read_parquet(tmp_path / "3.parquet").equals(expected)
    assert pl.read_parquet_schema(tmp_path / "3.parquet") == expected.schema
    assert merged == DataFile("3.parquet", 3, (tmp_path / "3.parquet").stat().st_size)
    assert not list(tmp_path.glob("*.tmp"))
