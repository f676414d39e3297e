"""A workload is what its spec says, and its manifest says what it is."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import orjson
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.workload import PARTITIONS, Workload, WorkloadSpec
from connectors.topics import load_topics
from schemas.errors import TerminalError
from tests.unit.benchmarks.workload_kit import busy, decoded, honest

USAGE = "usage.events"
FAULT_TOPICS = ("network.faults", "network.faults.tmf642", "network.faults.mist")
CRM_TOPICS = ("crm.changes", "crm.changes.salesforce", "crm.changes.debezium")


@pytest.fixture(scope="module")
def workload():
    return Workload(busy())


@pytest.fixture(scope="module")
def log(workload):
    return decoded(workload)


def test_records_are_equal_when_the_spec_is_equal(workload):
    assert list(workload.records()) == list(workload.records()) == list(Workload(busy()).records())


def test_records_differ_when_the_seed_differs(workload):
    assert list(workload.records()) != list(Workload(busy(seed=8)).records())


def test_topics_are_the_packaged_ones():
    assert set(PARTITIONS) == {topic.topic for topic in load_topics()}


def test_records_come_in_the_order_of_their_timestamps(workload):
    stamps = [record.timestamp_ms for record in workload.records()]

    assert stamps == sorted(stamps)


def test_equal_keys_share_a_partition_when_there_are_several(workload):
    partitions: dict[tuple[str, bytes | None], set[int]] = {}
    for record in workload.records():
        partitions.setdefault((record.topic, record.key), set()).add(record.partition)

    assert {len(found) for found in partitions.values()} == {1}
    assert len({record.partition for record in workload.records() if record.topic == USAGE}) == PARTITIONS[USAGE]


def test_manifest_counts_what_was_sent(workload):
    counts = Counter(record.topic for record in workload.records())
    manifest = workload.manifest

    assert manifest.records == counts
    assert manifest.total == sum(counts.values())
    for topic, count in counts.items():
        assert manifest.kinds[topic].total() + manifest.poison[topic].total() == count


def test_manifest_makes_its_own_pass_when_nothing_was_read():
    spec = busy()
    unread, read = Workload(spec), Workload(spec)
    list(read.records())

    assert unread.manifest.as_dict() == read.manifest.as_dict()


def test_manifest_is_equal_bytes_when_written_twice(workload, tmp_path):
    workload.manifest.write(tmp_path / "one.json")
    Workload(busy()).manifest.write(tmp_path / "two.json")

    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    assert orjson.loads((tmp_path / "one.json").read_bytes())["total"] == workload.manifest.total


def test_duplicates_and_late_events_are_as_many_as_the_manifest_says(workload, log):
    usage = honest(log[0][USAGE])
    delay = pl.col("_timestamp") - pl.col("event_time").dt.timestamp("ms")

    assert usage.height - usage["event_id"].n_unique() == workload.manifest.duplicates[USAGE] > 0
    assert usage.filter(delay > 1_000_000).height == workload.manifest.late[USAGE] > 0
    assert usage.filter(delay.is_between(46_000, 1_000_000)).is_empty()


def test_disorder_stays_within_its_bound_when_a_record_is_not_late(workload, log):
    for rows in log[0].values():
        on_time = honest(rows).filter(pl.col("_timestamp") - pl.col("event_time").dt.timestamp("ms") < 60_000)
        behind = on_time.sort("_partition", "_offset").with_columns(
            (pl.col("event_time").cum_max().over("_partition") - pl.col("event_time")).alias("behind")
        )
        assert behind["behind"].max() <= timedelta(seconds=workload.spec.disorder_seconds)
        assert (behind["_timestamp"] >= behind["event_time"].dt.timestamp("ms")).all()


def test_usage_is_of_cells_of_the_network_and_of_people_who_are_there(workload, log):
    usage = honest(log[0][USAGE])
    cells = {cell.element_id for cell in workload.topology.cells}
    people, plan, start_us = workload.population, workload.plan, int(workload.spec.start.timestamp() * 1e6)
    known = {identity: who for who, identity in [*enumerate(people.ids), *plan.new_ids.items()]}

    assert set(usage["cell_id"].drop_nulls()) <= cells
    assert usage["cell_id"].null_count() > 0
    for customer_id, event_time in usage.select("customer_id", pl.col("event_time").dt.timestamp("us")).iter_rows():
        who = known[customer_id]
        at = event_time - start_us
        assert people.active_from_us[who] <= at < plan.leaves_us[who]
        assert plan.id_at(people, who, at) == customer_id


def test_customers_end_where_the_plan_left_them_when_the_crm_log_is_folded(workload, log):
    columns = [
        "customer_id",
        "op",
        "site_id",
        "status",
        "previous_customer_id",
        "changed_fields",
        "version",
        "event_time",
    ]
    changes = pl.concat([honest(log[0][topic]).select(columns) for topic in CRM_TOPICS])
    sites: dict[str, tuple[str | None, str | None]] = {}
    for change in changes.sort("event_time", "version", maintain_order=True).iter_rows(named=True):
        site, status = sites.get(change["customer_id"], (None, None))
        spoken_of = change["changed_fields"]
        if change["op"] == "delete":
            status = "gone"
        elif status != "gone":
            site = change["site_id"] if spoken_of is None or "site_id" in spoken_of else site
            status = change["status"] if spoken_of is None or "status" in spoken_of else status
        sites[change["customer_id"]] = (site, status)

    people, plan, topology = workload.population, workload.plan, workload.topology
    home = {who: int(people.home_cell[who]) for who in range(people.customers)}
    home.update({move.who: move.cell for move in plan.moves})
    gone = {change.who for change in plan.changes if change.kind == "delete"}
    for who in range(people.customers):
        site, status = sites[plan.new_ids.get(who, people.ids[who])]
        assert site == topology.sites[topology.site_of_cell[home[who]]].element_id
        assert (status == "gone") == (who in gone)
    assert gone
    assert plan.new_ids
    assert plan.moves


def test_faults_decode_to_the_steps_of_the_manifest(workload, log):
    rows = pl.concat([honest(log[0][topic]) for topic in FAULT_TOPICS])
    columns = ["fault_id", "element_id", "element_type", "state", "severity", "parent_fault_id", "planned"]
    told = set(rows.select(*columns, "service_affecting", pl.col("event_time").dt.timestamp("us")).rows())
    mist_types = {"router": "gateway", "site": "site"}
    planned = set()
    for fault in workload.manifest.as_dict()["faults"]:
        kind = fault["element_type"] if fault["format"] != "mist" else mist_types[fault["element_type"]]
        for step in fault["steps"]:
            at = round(datetime.fromisoformat(step["event_time"]).timestamp() * 1e6)
            identity = (fault["fault_id"], fault["element_id"], kind, step["state"], step["severity"])
            planned.add((*identity, fault["parent_fault_id"], fault["planned"], fault["service_affecting"], at))

    assert told == planned
    assert {fault.format for fault in workload.faults} == {"canonical", "tmf642", "mist"}
    assert {fault.element.kind for fault in workload.faults} == {"cell", "site", "router", "region"}
    assert any(fault.parent for fault in workload.faults)


def test_children_are_raised_before_their_parent_when_a_storm_is_quick():
    workload = Workload(WorkloadSpec(seed=1, faults=60))
    first = {fault.number: fault.steps[0].time_us for fault in workload.faults}
    roots = {fault.incident: fault.number for fault in workload.faults if fault.scenario == "storm"}
    children = [fault for fault in workload.faults if fault.scenario == "child"]

    assert any(first[child.number] < first[roots[child.incident]] for child in children)
    assert any(first[child.number] > first[roots[child.incident]] for child in children)


def test_blocks_hold_every_record_in_order(workload):
    blocks = workload.blocks(500)
    expected: dict[tuple[str, int], list[tuple[bytes | None, bytes | None]]] = {origin: [] for origin in blocks}
    for record in workload.records():
        expected[record.topic, record.partition].append((record.key, record.value))

    assert set(blocks) == {(topic, part) for topic, count in PARTITIONS.items() for part in range(count)}
    for origin, parts in blocks.items():
        assert [(part.key(row), part.value(row)) for part in parts for row in range(len(part))] == expected[origin]
        assert [part.finished for part in parts] == [False] * (len(parts) - 1) + [True]
        assert all(before.next_offset == after.offsets[0] for before, after in pairwise(parts))


def test_live_part_is_anchored_when_the_history_is_over():
    spec = busy(live_seconds=30.0, live_faults=3, poison_share=0.0, late_share=0.0)
    plain = list(Workload(spec).records())
    run = Workload(spec).run()
    anchor = datetime(2030, 1, 1, tzinfo=UTC)
    history, live = [], []
    for chunk in run.chunks():
        (live if chunk.live else history).extend(chunk)
        if chunk.ends_history:
            run.anchor_live(anchor)

    assert history == plain[: len(history)]
    assert len(live) == len(plain) - len(history) > 0
    anchor_ms = int(anchor.timestamp() * 1000)
    assert all(anchor_ms <= record.timestamp_ms < anchor_ms + 31_000 for record in live)
    assert all(b"2030-01-01T00:00" in record.value for record in live if record.topic == USAGE)
    assert any(
        "2030-01-01T00:00" in step["event_time"] for f in run.manifest.as_dict()["faults"] for step in f["steps"]
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"start": datetime(2026, 1, 1)}, "start: expected a time with a time zone, got one without; add UTC."),
        ({"duration": timedelta(0)}, "duration: expected a positive time span."),
        ({"poison_share": 1.5}, "poison_share: expected a share between 0 and 1."),
        ({"cells_per_site": 0}, "cells_per_site: expected at least 1."),
        ({"prepaid": -1}, "prepaid: expected 0 or more."),
        ({"mobility": -0.1}, "mobility: expected 0 or more."),
    ],
)
def test_spec_is_refused_in_one_line_when_a_field_is_out_of_range(fields, message):
    with pytest.raises(TerminalError) as refused:
        WorkloadSpec(**fields)

    assert str(refused.value) == message


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    prepaid=st.integers(0, 30),
    postpaid=st.integers(0, 30),
    seconds=st.integers(1, 4_000),
    live=st.sampled_from([0.0, 3.0]),
    faults=st.integers(0, 12),
    regions=st.integers(1, 2),
    sites=st.integers(1, 4),
    poison=st.sampled_from([0.0, 0.3]),
)
def test_every_good_record_decodes_and_every_bad_one_does_not_for_any_spec(
    seed, prepaid, postpaid, seconds, live, faults, regions, sites, poison
):
    workload = Workload(
        WorkloadSpec(
            seed=seed,
            prepaid=prepaid,
            postpaid=postpaid,
            duration=timedelta(seconds=seconds),
            live_seconds=live,
            faults=faults,
            live_faults=faults // 4 if live else 0,
            regions=regions,
            sites_per_region=sites,
            crm_changes_per_customer_per_day=50.0,
            duplicate_share=0.1,
            poison_share=poison,
            poison_large_bytes=1_100_000,
            canaries=6,
        )
    )
    rows, reasons, empty = decoded(workload)
    manifest = workload.manifest
    expected = manifest.rejections()

    for topic, frame in rows.items():
        bad = dict(expected.get(topic, {}))
        mad = bad.pop("future_event_time", 0)
        assert reasons.get(topic, {}) == bad
        assert frame.height - honest(frame).height == mad
        assert honest(frame).height + empty[topic] == manifest.kinds[topic].total()
