from __future__ import annotations

import pickle
import re
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import orjson
import polars as pl
import pytest

from connectors.tables import (
    TableRows,
    TableSpec,
    TablesSink,
    claim_generation,
    read_table,
    refresh_views,
    table_status,
)
from connectors.tables import writer as writer_module
from connectors.tables.layout import views_path
from schemas.errors import TerminalError, TransientError
from tests.unit.connectors.tables_kit import SPEC, parquet_files, rows, show, sink


def ids(data_dir: Path, table: str = "visits") -> list[int]:
    return sorted(read_table(data_dir, table)["id"])


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited 30 s in vain"


def test_rows_are_invisible_when_their_epoch_is_not_durable(tmp_path: Path) -> None:
    part = sink(tmp_path).build_part("out", "0", None)
    part.write_batch([rows(1, 2)])
    assert ids(tmp_path) == []
    part.snapshot()
    assert ids(tmp_path) == []
    part.write_batch([rows(3)])  # may come from a timer, which proves nothing
    assert ids(tmp_path) == []
    show(part, rows(4))
    assert ids(tmp_path) == [1, 2]
    part.snapshot()
    show(part)
    assert ids(tmp_path) == [1, 2, 3, 4]
    part.close()


def test_all_staged_rows_show_when_a_tick_comes_after_several_snapshots(tmp_path: Path) -> None:
    part = sink(tmp_path).build_part("out", "0", None)
    for number in range(3):
        part.write_batch([rows(number)])
        assert part.snapshot()["sequence"] == number + 1
    show(part)
    assert ids(tmp_path) == [0, 1, 2]
    assert not list((tmp_path / "tables").glob("*staged*"))
    part.close()


def test_files_have_the_types_of_the_spec_when_rows_come_in_any_column_order(tmp_path: Path) -> None:
    tables = sink(tmp_path)
    part = tables.build_part("out", "0", None)
    frame = rows(5, 1).rows
    part.write_batch([TableRows("visits", frame.select(reversed(frame.columns)))])
    part.write_batch([TableRows("visits", rows(9).rows.with_columns(tags=pl.lit(None)))])
    part.snapshot()
    part.close()
    tables.finalize()
    assert read_table(tmp_path, "visits").schema == pl.Schema(SPEC.schema)
    assert read_table(tmp_path, "visits").filter(pl.col("id") != 9).equals(frame.sort("key", "id"))
    with duckdb.connect(views_path(tmp_path), read_only=True) as reader:
        assert reader.sql('SELECT id, epoch_us("at"), tags FROM visits ORDER BY id').fetchall() == [
            (1, 1_000_000, ["1"]),
            (5, 5_000_000, ["5"]),
            (9, 9_000_000, None),
        ]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            rows(1).rows.drop("at"),
            "expected column 'at' of type Datetime(time_unit='us', time_zone='UTC'), came none",
        ),
        (rows(1).rows.with_columns(more=1), "column 'more' is not in its schema; drop it or add it there"),
        (rows(1).rows.with_columns(id=pl.lit("7")), "expected column 'id' of type Int64, came String"),
    ],
)
def test_rows_are_refused_when_they_do_not_fit_the_spec(tmp_path: Path, frame: pl.DataFrame, message: str) -> None:
    part = sink(tmp_path).build_part("out", "0", None)
    with pytest.raises(TerminalError) as refused:
        part.write_batch([TableRows("visits", frame)])
    assert str(refused.value) == f"table visits: {message}"
    part.close()


def test_rows_are_refused_when_the_table_is_unknown(tmp_path: Path) -> None:
    part = sink(tmp_path).build_part("out", "0", None)
    with pytest.raises(TerminalError, match=r"^expected rows of one of visits, came table 'other'$"):
        part.write_batch([TableRows("other", rows(1).rows)])
    part.close()


def test_failure_is_transient_when_the_disk_refuses(tmp_path: Path) -> None:
    part = sink(tmp_path).build_part("out", "0", None)
    part.write_batch([rows(1)])
    (tmp_path / "tables" / "visits").rename(tmp_path / "tables" / "elsewhere")
    with pytest.raises(TransientError, match=f"^cannot write below {tmp_path} .*No such file or directory"):
        part.snapshot()
    part.close()


def test_rows_go_to_files_when_more_are_buffered_than_allowed(tmp_path: Path) -> None:
    part = sink(tmp_path, buffer_rows=10).build_part("out", "0", None)
    empty = parquet_files(tmp_path)
    part.write_batch([rows(*range(11))])
    wait_for(lambda: len(parquet_files(tmp_path) - empty) == 1)
    part.write_batch([rows(11)])
    assert ids(tmp_path) == []
    part.snapshot()
    show(part)
    assert ids(tmp_path) == list(range(12))
    part.close()


def test_resume_shows_the_snapshot_and_deletes_the_rest_when_it_was_only_staged(tmp_path: Path) -> None:
    part = sink(tmp_path).build_part("out", "0", None)
    part.write_batch([rows(1)])
    state = part.snapshot()
    known = parquet_files(tmp_path)
    part.write_batch([rows(2)])
    part.snapshot()
    part.close()
    assert parquet_files(tmp_path) > known

    part = sink(tmp_path).build_part("out", "0", pickle.loads(pickle.dumps(state)))
    assert ids(tmp_path) == [1]
    assert parquet_files(tmp_path) == known
    assert not list((tmp_path / "tables").glob("*staged*"))
    part.write_batch([rows(2)])
    assert part.snapshot()["sequence"] == state["sequence"] + 1
    show(part)
    assert ids(tmp_path) == [1, 2]
    part.close()


def test_leftovers_are_deleted_when_the_first_start_crashed(tmp_path: Path) -> None:
    part = sink(tmp_path).build_part("out", "0", None)
    listed = parquet_files(tmp_path)
    part.write_batch([rows(1)])
    part.snapshot()
    part.close()
    (tmp_path / "tables" / "visits" / ".default.0.0000000001.0123abcd.parquet.99ffee00.tmp").touch()
    (tmp_path / "tables" / ".manifest-default.0.json.99ffee00.tmp").touch()
    sink(tmp_path).build_part("out", "0", None).close()
    assert ids(tmp_path) == []
    assert parquet_files(tmp_path) == listed
    assert not list(tmp_path.rglob("*.tmp"))


def test_start_is_refused_when_tables_are_ahead_of_the_recovery_state(tmp_path: Path) -> None:
    part = sink(tmp_path).build_part("out", "0", None)
    part.write_batch([rows(1)])
    old = part.snapshot()
    part.write_batch([rows(2)])
    part.snapshot()
    show(part)
    part.close()
    with pytest.raises(TerminalError, match="tables hold commit 2, the recovery state only 1; readers saw what"):
        sink(tmp_path).build_part("out", "0", old)
    with pytest.raises(TerminalError, match="tables hold commit 2, but the recovery state is gone"):
        sink(tmp_path).build_part("out", "0", None)
    with pytest.raises(TerminalError, match="the recovery state expects commit 3, its manifest is missing"):
        sink(tmp_path).build_part("out", "0", {"format": 1, "sequence": 3})
    with pytest.raises(TerminalError, match="expected recovery state of tables in format 1, came 2"):
        sink(tmp_path).build_part("out", "0", {"format": 2, "sequence": 3})
    assert ids(tmp_path) == [1, 2]


def test_nothing_is_staged_or_shown_when_another_has_claimed_the_tables(tmp_path: Path) -> None:
    first = claim_generation(tmp_path)
    old = sink(tmp_path, generation=first).build_part("out", "0", None)
    old.write_batch([rows(1)])
    state = old.snapshot()
    second = claim_generation(tmp_path)
    assert second == first + 1
    new = sink(tmp_path, generation=second).build_part("out", "0", state)
    assert ids(tmp_path) == [1]
    message = re.escape(
        f"another process has taken over this data directory ({tmp_path}); only one may run a flow, stop one of them"
    )
    old.write_batch([rows(2)])
    with pytest.raises(TerminalError, match=f"^{message}$"):
        old.snapshot()
    with pytest.raises(TerminalError, match=f"^{message}$"):
        show(old)
    with pytest.raises(TerminalError, match=f"^{message}$"):
        sink(tmp_path, generation=first).build_part("out", "0", state)
    assert ids(tmp_path) == [1]
    old.close()
    new.close()


def test_flows_do_not_touch_each_other_when_they_share_a_data_directory(tmp_path: Path) -> None:
    other = TableSpec("bills", {"id": pl.Int64})
    claim_generation(tmp_path, "a")
    one = TablesSink(tmp_path, {"visits": SPEC}, flow="a", generation=1)
    two = TablesSink(tmp_path, {"bills": other}, flow="a-1", writers=2, generation=claim_generation(tmp_path, "a-1"))
    parts = [one.build_part("out", "0", None), two.build_part("out", "0", None), two.build_part("out", "1", None)]
    parts[0].write_batch([rows(1)])
    parts[1].write_batch([TableRows("bills", pl.DataFrame({"id": [7]}))])
    parts[2].write_batch([TableRows("bills", pl.DataFrame({"id": [8]}))])
    for part in parts:
        part.snapshot()
        show(part)
        part.close()
    one.finalize()
    two.finalize()
    resumed = TablesSink(tmp_path, {"visits": SPEC}, flow="a").build_part("out", "0", {"format": 1, "sequence": 1})
    resumed.close()
    assert ids(tmp_path) == [1]
    assert ids(tmp_path, "bills") == [7, 8]
    with duckdb.connect(views_path(tmp_path), read_only=True) as reader:
        assert sorted(reader.execute("SELECT id FROM bills").fetchall()) == [(7,), (8,)]
        assert reader.execute("SELECT id FROM visits").fetchall() == [(1,)]


def test_writers_are_routed_by_number_when_there_are_more_than_ten(tmp_path: Path) -> None:
    tables = sink(tmp_path, writers=12)
    assert sorted(tables.list_parts()) == tables.list_parts()
    assert [tables.list_parts()[tables.part_fn(str(writer))] for writer in range(12)] == [str(w) for w in range(12)]


def test_finalize_shows_the_last_commit_and_views_when_the_flow_has_ended(tmp_path: Path) -> None:
    tables = sink(tmp_path)
    part = tables.build_part("out", "0", None)
    part.write_batch([rows(1, 2, 3)])
    part.snapshot()
    part.close()
    assert ids(tmp_path) == []
    tables.finalize()
    assert ids(tmp_path) == [1, 2, 3]
    with duckdb.connect(views_path(tmp_path), read_only=True) as reader:
        assert reader.execute("SELECT count(*) FROM visits").fetchone() == (3,)


def test_columns_are_added_with_nulls_when_the_spec_grew(tmp_path: Path) -> None:
    tables = sink(tmp_path)
    part = tables.build_part("out", "0", None)
    part.write_batch([rows(1)])
    state = part.snapshot()
    part.close()

    grown = TableSpec("visits", {"id": pl.Int64, "note": pl.String, **SPEC.schema}, sort_by=SPEC.sort_by)
    tables = sink(tmp_path, grown)
    part = tables.build_part("out", "0", state)
    part.write_batch([TableRows("visits", rows(2).rows.with_columns(note=pl.lit("new")))])
    part.snapshot()
    part.close()
    tables.finalize()
    seen = read_table(tmp_path, "visits").sort("id")
    assert seen.columns == list(grown.schema)
    assert seen["note"].to_list() == [None, "new"]
    with duckdb.connect(views_path(tmp_path), read_only=True) as reader:
        assert reader.execute("SELECT id, note FROM visits ORDER BY id").fetchall() == [(1, None), (2, "new")]

    changed = TableSpec("visits", grown.schema | {"id": pl.String}, sort_by=SPEC.sort_by)
    with pytest.raises(TerminalError, match="column 'id' is Int64 on disk, and String in this version; columns may be"):
        sink(tmp_path, changed).build_part("out", "0", {"format": 1, "sequence": 2})


def test_latest_revision_is_the_view_when_the_spec_names_a_key(tmp_path: Path) -> None:
    spec = TableSpec("visits", SPEC.schema, latest_by=("key",), order_by="revision")
    tables = sink(tmp_path, spec)
    part = tables.build_part("out", "0", None)
    part.write_batch([rows(1, 8, 2), rows(15)])
    part.snapshot()
    part.close()
    tables.finalize()
    with duckdb.connect(views_path(tmp_path), read_only=True) as reader:
        assert sorted(reader.execute("SELECT key, id FROM visits").fetchall()) == [(1, 15), (2, 2)]
        assert sorted(reader.execute("SELECT id FROM visits_revisions").fetchall()) == [(1,), (2,), (8,), (15,)]
    with duckdb.connect() as reader:
        reader.execute(f"ATTACH '{views_path(tmp_path)}' AS features (READ_ONLY)")
        assert reader.execute("SELECT count(*) FROM features.visits").fetchone() == (2,)


def test_views_are_replaced_whole_when_a_quote_is_in_the_path_and_others_left_files(tmp_path: Path) -> None:
    data_dir = tmp_path / "it's here"
    data_dir.mkdir()
    tables = sink(data_dir)
    part = tables.build_part("out", "0", None)
    part.write_batch([rows(1)])
    part.snapshot()
    part.close()
    (data_dir / ".features.duckdb.0a0b0c0d.tmp").touch()
    (data_dir / "features.duckdb.wal").write_bytes(b"of another file")
    tables.finalize()
    refresh_views(data_dir)
    with duckdb.connect(views_path(data_dir), read_only=True) as reader:
        assert reader.execute("SELECT id FROM visits").fetchall() == [(1,)]
    assert {path.name for path in data_dir.iterdir()} == {"features.duckdb", "tables"}
    assert views_path(data_dir).stat().st_mode & 0o777 == 0o444


def test_small_files_are_merged_and_removed_later_when_many_commits_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = sink(tmp_path)
    part = tables.build_part("out", "0", None)
    for number in range(40):
        show(part, rows(number))
        part.snapshot()
    show(part, rows(40))
    before = parquet_files(tmp_path)

    def merged() -> bool:
        part.snapshot()
        show(part)
        return table_status(tmp_path)[0].files < 15

    wait_for(merged)
    assert ids(tmp_path) == list(range(41))
    assert read_table(tmp_path, "visits").schema == pl.Schema(SPEC.schema)
    assert parquet_files(tmp_path) >= before  # readers of older views still need them

    monkeypatch.setattr(writer_module, "RETIRED_SECONDS", 0.0)
    part.write_batch([rows(41)])
    state = part.snapshot()
    show(part)
    assert len(parquet_files(tmp_path)) == table_status(tmp_path)[0].files + 1
    assert ids(tmp_path) == list(range(42))
    part.close()
    sink(tmp_path).build_part("out", "0", state).close()
    assert ids(tmp_path) == list(range(42))


def test_table_is_fresh_when_ticks_come_without_rows(tmp_path: Path) -> None:
    part = sink(tmp_path).build_part("out", "0", None)
    part.write_batch([rows(1, 2)])
    part.snapshot()
    show(part)
    [first] = table_status(tmp_path)
    assert (first.table, first.rows, first.files, first.sequence) == ("visits", 2, 1, 1)
    assert first.bytes > 0
    assert part.snapshot()["sequence"] == 1

    def fresher() -> bool:
        show(part)
        return table_status(tmp_path)[0].complete_at > first.complete_at

    wait_for(fresher)
    part.close()


def test_freshness_does_not_improve_when_the_flow_only_starts_again(tmp_path: Path) -> None:
    part = sink(tmp_path).build_part("out", "0", None)
    part.write_batch([rows(1)])
    state = part.snapshot()
    show(part)
    part.close()
    [before] = table_status(tmp_path)
    sink(tmp_path).build_part("out", "0", state).close()
    assert table_status(tmp_path)[0].complete_at == pytest.approx(before.complete_at, abs=1e-3)


def test_each_table_has_its_own_manifest_when_a_commit_is_visible(tmp_path: Path) -> None:
    tables = sink(tmp_path)
    part = tables.build_part("out", "0", None)
    part.write_batch([rows(1, 2)])
    part.snapshot()
    part.close()
    tables.finalize()
    [path] = (tmp_path / "tables" / "visits").glob("manifest*.json")
    manifest = orjson.loads(path.read_bytes())
    [file] = manifest["tables"]["visits"]["files"]
    assert manifest["sequence"] == 1
    assert pl.read_parquet(path.parent / file["name"]).height == file["rows"] == 2


def test_reading_says_what_there_is_when_a_table_or_manifest_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match=r"there are none yet$"):
        read_table(tmp_path, "visits")
    sink(tmp_path).build_part("out", "0", None).close()
    with pytest.raises(TerminalError, match=r"^no table is named 'vists' in .*; there are visits$"):
        read_table(tmp_path, "vists")
    (tmp_path / "tables" / "manifest-default.0.json").write_bytes(b"{")
    with pytest.raises(TerminalError, match=r"expected a manifest, cannot read it \(JSONDecodeError\)$"):
        read_table(tmp_path, "visits")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: TableSpec("Bad", {"a": pl.Int64}), "expected a table name of lower case"),
        (lambda: TableSpec("a_revisions", {"a": pl.Int64}), "expected a table name of lower case"),
        (lambda: TableSpec("a", {"a": pl.Int64}, latest_by=("a",)), "table a: latest_by and order_by go together"),
        (lambda: TableSpec("a", {"a": pl.Int64}, sort_by=("b",)), "table a: sorted or keyed by 'b'"),
        (lambda: TablesSink(Path(), {"b": SPEC}), "expected the spec of table 'b', came that of 'visits'"),
        (lambda: TablesSink(Path(), {"visits": SPEC}, writers=0), "expected at least 1 writer, came 0"),
        (lambda: TablesSink(Path(), {"visits": SPEC}, flow="a.b"), "expected a flow name of lower case"),
    ],
)
def test_a_wrong_description_is_refused_when_it_is_made(build: Callable[[], object], message: str) -> None:
    with pytest.raises(TerminalError, match=f"^{re.escape(message)}"):
        build()
