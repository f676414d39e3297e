"""decode_block: nothing vanishes, and nothing is refused twice."""

from __future__ import annotations

from collections import Counter

import orjson
import pytest

from connectors.metrics.catalog import check_counter
from flows.operators.decode import DecodeSpec, decode_block
from flows.operators.messages import Counted
from schemas.blocks import RecordBlock
from schemas.formats import decoder_for

TOPIC = "network.faults.mist"
NOW_MS = 1_700_000_000_000
SPEC = DecodeSpec(decoders={TOPIC: decoder_for("network_fault", "mist", None)}, max_future=600_000_000)


def event(
    site: str, *, kind: str = "switch_down", severity: str = "critical", ahead_seconds: int = 0
) -> dict[str, object]:
    return {"site_id": site, "type": kind, "severity": severity, "timestamp": NOW_MS // 1000 + ahead_seconds}


def decode(
    *calls: list[dict[str, object]], stamp_ms: int = NOW_MS
) -> tuple[list[str], list[tuple[int, str]], Counter[str]]:
    """Sites of the rows, refusals, and counts by name."""
    values = [orjson.dumps({"topic": "alarms", "events": events}) for events in calls]
    block = RecordBlock.from_records(
        TOPIC, 0, [(b"key", value) for value in values], first_offset=0, timestamps_ms=[stamp_ms] * len(values)
    )
    batch, refused, counted = decode_block(block, SPEC)
    counts = Counter[str]()
    for each in counted:
        counts[each.name] += each.amount
    rejected = [(each.row, each.reason) for each in refused.rejected] if refused else []
    return batch.rows["element_id"].to_list(), rejected, counts


def test_counts_add_up_when_a_record_holds_many_events():
    rows, rejected, counts = decode([event("a"), event("b"), event("c")], [event("d")], [])
    assert rows == ["a", "b", "c", "d"]
    assert rejected == []
    assert counts == Counter(records_consumed=3, extra_rows=2, records=1)  # one record without an event is used


def test_counts_add_up_when_a_record_is_refused_in_part():
    rows, rejected, counts = decode([event("a"), event("b", kind="singing")])
    assert rows == ["a"]
    assert rejected == [(0, "unknown_type")]
    assert counts == Counter(records_consumed=1, records_rejected=1, extra_rows=1)


def test_a_record_is_refused_once_when_two_things_are_wrong_with_it():
    rows, rejected, counts = decode([event("a", ahead_seconds=3600), event("b", kind="singing"), event("c")])
    assert rows == []
    assert rejected == [(0, "unknown_type")]
    assert counts == Counter(records_consumed=1, records_rejected=1)


def test_unknown_words_are_counted_by_topic_and_field_when_they_come():
    block = RecordBlock.from_records(
        TOPIC,
        0,
        [
            (b"key", orjson.dumps({"topic": "alarms", "events": [event("a", severity=word), event("b")]}))
            for word in "xy"
        ],
        timestamps_ms=[NOW_MS] * 2,
    )
    _, _, counted = decode_block(block, SPEC)
    assert Counted("unknown_values", (("topic", TOPIC), ("field", "severity")), 2) in counted
    for each in counted:
        check_counter(each.name, dict(each.labels))


@pytest.mark.parametrize("stamp_ms", [NOW_MS, 2**53, 2**62, 2**63 - 1])
def test_an_honest_row_is_believed_when_its_kafka_timestamp_lies_in_any_future(stamp_ms):
    rows, rejected, _ = decode([event("a")], stamp_ms=stamp_ms)
    assert rows == ["a"]
    assert rejected == []
