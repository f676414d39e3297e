"""decode_block: rows, refusals and counts do not depend on how records are cut into blocks, nor on their neighbours."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate, cycle, pairwise
from typing import Any

import orjson
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.operators.decode import DecodeSpec, decode_block
from flows.operators.watermark import NEVER
from schemas.blocks import RecordBlock
from schemas.formats import decoder_for

NOON = 1_777_377_600  # 2026-04-28T12:00:00Z
SECOND = 1_000_000
MAX_FUTURE = 10
FIRST_OFFSET = 7
LEADS = st.integers(-20, 20) | st.sampled_from([MAX_FUTURE, MAX_FUTURE + 1])


@dataclass(frozen=True)
class Sent:
    """A record, what a naive reader makes of it, how far its rows run ahead of Kafka, and its unknown words."""

    value: bytes | None
    leads: tuple[int, ...] = ()
    refused: str | None = None
    stamped: bool = True
    unknown: int = 0

    @property
    def stamp_ms(self) -> int:
        return NOON * 1000 if self.stamped else -1

    @property
    def mad(self) -> bool:
        return self.stamped and any(lead > MAX_FUTURE for lead in self.leads)


def canonical(leads: list[int], *, stamped: bool) -> Sent:
    [lead] = leads[:1] or [0]
    row = {"fault_id": "f", "element_id": "A", "state": "raised", "severity": "major"}
    time = datetime.fromtimestamp(NOON + lead, UTC).isoformat()
    return Sent(orjson.dumps(row | {"event_time": time}), (lead,), None, stamped)


def mist(leads: list[int], *, stamped: bool, unreadable: bool = False, odd: bool = False) -> Sent:
    """A call with an event for each lead; none is a call that carries no row."""
    alarm = {"site_id": "s", "type": "device_down", "severity": "critical", "aps": ["5c5b35000001"]}
    alarm |= {"severity": "odd"} if odd else {}
    events: list[dict[str, Any]] = [alarm | {"timestamp": NOON + lead} for lead in leads]
    value = orjson.dumps({"topic": "alarms", "events": [*events, alarm] if unreadable else events})
    unknown = (len(leads) + unreadable) if odd else 0
    return Sent(value, tuple(leads), "missing_field" if unreadable else None, stamped, unknown)


MALFORMED = st.builds(Sent, st.just(b"{"), refused=st.just("malformed_json"))
RECORDS = {
    "canonical": st.one_of(
        st.builds(canonical, st.lists(LEADS, min_size=1, max_size=1), stamped=st.booleans()),
        MALFORMED,
        st.builds(Sent, st.none(), refused=st.just("null_value")),
    ),
    "mist": st.one_of(
        st.builds(mist, st.lists(LEADS, max_size=3), stamped=st.booleans(), odd=st.booleans()),
        st.builds(mist, st.lists(LEADS, min_size=1, max_size=3), stamped=st.booleans(), unreadable=st.just(True)),
        MALFORMED,
    ),
}
DECODERS = {form: decoder_for("network_fault", form, None) for form in RECORDS}
SPEC = DecodeSpec(decoders=DECODERS, max_future=MAX_FUTURE * SECOND)


@dataclass
class Found:
    rows: pl.DataFrame
    refused: list[tuple[int, str, str]]
    counts: Counter[tuple[str, tuple[tuple[str, str], ...]]]


def decoded(form: str, sent: list[Sent], sizes: list[int]) -> Found:
    """All that comes out of the records, cut into blocks of these sizes in turn; without any, one empty block."""
    frames, refused, counts = [], [], Counter()
    for start, end in pairwise(accumulate(cycle(sizes), initial=0)):
        if frames and start >= len(sent):
            break
        part = sent[start:end]
        records = [(b"key", each.value) for each in part]
        stamps = [each.stamp_ms for each in part]
        block = RecordBlock.from_records(form, 0, records, first_offset=FIRST_OFFSET + start, timestamps_ms=stamps)
        batch, letters, counted = decode_block(block, SPEC)
        times = batch.rows["event_time"].cast(pl.Int64).to_list()
        assert batch.max_event_time == max(times, default=None)
        assert batch.rows["_seen"].to_list() == [max(times[:at], default=NEVER) for at in range(len(times))]
        frames.append(batch.rows.drop("_seen"))
        if letters is not None:
            assert letters.rejected
            refused += [(int(block.offsets[each.row]), each.reason, each.message) for each in letters.rejected]
        for each in counted:
            counts[each.name, each.labels] += each.amount
    return Found(pl.concat(frames), refused, counts)


@pytest.mark.parametrize("form", RECORDS)
@settings(max_examples=60, deadline=None)
@given(data=st.data(), sizes=st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_rows_refusals_and_counts_are_the_same_when_blocks_are_cut_otherwise(
    form: str, data: st.DataObject, sizes: list[int]
) -> None:
    sent = data.draw(st.lists(RECORDS[form], max_size=12))
    whole, cut = decoded(form, sent, [len(sent) + 1]), decoded(form, sent, sizes)
    assert cut.rows.equals(whole.rows)
    assert cut.refused == whole.refused
    assert cut.counts == whole.counts


@pytest.mark.parametrize("form", RECORDS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_record_is_refused_once_and_alone_when_it_cannot_be_read_or_comes_from_the_future(
    form: str, data: st.DataObject
) -> None:
    sent = data.draw(st.lists(RECORDS[form], max_size=12))
    found = decoded(form, sent, [len(sent) + 1])
    rows = [
        ((NOON + lead) * SECOND, offset, each.stamp_ms)
        for offset, each in enumerate(sent, FIRST_OFFSET)
        for lead in each.leads
        if not each.mad
    ]
    refused = [
        (offset, each.refused or "future_event_time")
        for offset, each in enumerate(sent, FIRST_OFFSET)
        if each.refused or each.mad
    ]
    taken = found.rows.select(pl.col("event_time").cast(pl.Int64), "_offset", "_timestamp")
    topic = ("topic", form)
    expected = Counter(("records_rejected", (topic, ("reason", reason))) for _, reason in refused)
    expected["records_consumed", (topic,)] = len(sent)
    empty = sum(not (each.leads or each.refused) for each in sent)
    expected["records", (topic, ("outcome", "used"))] = empty
    expected["extra_rows", (topic,)] = len(rows) + empty + len(refused) - len(sent)
    expected["unknown_values", (topic, ("field", "severity"))] = sum(each.unknown for each in sent)

    assert taken.rows() == rows
    assert [(offset, reason) for offset, reason, _ in found.refused] == refused
    assert found.counts == +expected
