from __future__ import annotations

import copy
import gc
from collections import Counter
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.blocks import RecordBlock
from schemas.codec import REASONS
from schemas.errors import SignalboxError
from schemas.formats import AdapterDecoder, Record, Row, decoder_for, known_formats
from tests.unit.schemas.formats.reading import RECEIVED_MS, block, decode
from tests.unit.schemas.formats.samples import SAMPLES
from tests.unit.schemas.formats.test_debezium import COLUMNS, KEY, envelope
from tests.unit.schemas.formats.test_tmf642 import alarm

UNKNOWN_FIELDS = {"perceivedSeverity", "state", "plannedOutageIndicator", "severity", "admin-status", "category"}
CANARY = "canary-Ödön"
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False),
    st.just(CANARY), st.text(max_size=5),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["id", CANARY]), inner)),
    max_leaves=4,
)


class Broken:
    """An adapter with a fault of its own."""

    stream = "crm_change"
    name = "broken"

    def adapt(self, record: Record) -> list[Row]:
        return [{"customer_id": {}[CANARY]}]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values within a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, inner in items for place in places(inner, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    if not path:
        return by
    changed = copy.deepcopy(value)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = by
    return changed


@pytest.mark.parametrize(("stream", "form"), SAMPLES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_record_is_lost_or_quoted_when_any_value_is_another(stream: str, form: str, data: st.DataObject) -> None:
    sample = SAMPLES[stream, form][0].value
    mutants = [
        replaced(sample, data.draw(st.sampled_from(places(sample)), label="place"), data.draw(VALUES, label="value"))
        for _ in range(4)
    ]
    records = [*(orjson.dumps(mutant) for mutant in mutants if fits(mutant))]
    decoded = decode(stream, form, *records, keys=[KEY] * len(records))
    alone = decode(stream, form, sample, keys=[KEY]).rows.drop("_row")
    among = decode(stream, form, *records, sample, keys=[KEY] * (len(records) + 1))
    assert among.rows.filter(among.rows["_row"] == len(records)).drop("_row").equals(alone)
    seen = {record.row for record in decoded.rejected} | set(decoded.rows["_row"].to_list())
    assert len(seen) + decoded.empty == len(records)
    assert {record.reason for record in decoded.rejected} <= REASONS - {"internal"}
    assert not any(CANARY in record.message for record in decoded.rejected)
    assert decoded.unknown.keys() <= UNKNOWN_FIELDS


def fits(value: Any) -> bool:
    """orjson writes integers of 64 bits only."""
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "malformed_json"),
        (b"{", "malformed_json"),
        (b'{"a":1}x', "malformed_json"),
        (b"\xef\xbb\xbf{}", "malformed_json"),
        (b'{"a":NaN}', "malformed_json"),
        (b'{"a":"\\ud800"}', "malformed_json"),
        (b'{"a":"\xff"}', "invalid_utf8"),
        (b"[" * 100_000, "nested_too_deep"),
        (b'{"a":' * 100_000, "nested_too_deep"),
        (b'"' + b"x" * 1_048_576 + b'"', "too_large"),
        (None, "null_value"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_record_is_rejected_when_it_is_no_json(value: bytes | None, reason: str) -> None:
    good = orjson.dumps(SAMPLES["network_fault", "mist"][0].value)
    decoded = decode("network_fault", "mist", good, value, good)
    assert [(record.row, record.reason) for record in decoded.rejected] == [(1, reason)]
    assert decoded.rows["_row"].to_list() == [0, 0, 2, 2]


@pytest.mark.parametrize(("stream", "form"), SAMPLES)
def test_nothing_is_left_to_the_garbage_collector_when_records_are_rejected(stream: str, form: str) -> None:
    sample = SAMPLES[stream, form][0]
    values = [replaced(sample.value, place, by) for place in places(sample.value) for by in ([], 0.5)]
    spoilt = block(*values, keys=[sample.key] * len(values))
    decoder = decoder_for(stream, form, None)
    assert decoder.decode(spoilt).rejected
    gc.collect()
    gc.disable()
    try:
        decoder.decode(spoilt)
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_record_is_kept_as_internal_when_the_adapter_has_a_fault() -> None:
    decoded = AdapterDecoder(Broken()).decode(block({}))
    assert [(record.row, record.reason, record.message) for record in decoded.rejected] == [
        (0, "internal", "broken: expected no KeyError; report it with the record")
    ]
    assert decoded.rows.height == 0


def test_record_is_rejected_when_a_row_breaks_the_contract() -> None:
    rejected = decode("network_fault", "tmf642", alarm(alarmRaisedTime="1969-07-20T20:17:00Z")).rejected
    assert [(record.row, record.reason, record.message) for record in rejected] == [
        (0, "out_of_range", "column event_time: expected a time in the years 1970 to 9999, came one outside")
    ]


def test_frame_has_the_contracts_columns_when_the_block_is_empty() -> None:
    decoded = decoder_for("crm_change", "debezium", None).decode(RecordBlock.from_records("crm", 0, []))
    assert decoded.rows.height == 0
    assert decoded.rows.schema == decode("crm_change", "debezium", envelope("c", COLUMNS), keys=[KEY]).rows.schema


def test_rows_are_the_same_when_the_block_is_cut_anywhere() -> None:
    value = orjson.dumps(SAMPLES["network_fault", "mist"][0].value)
    values = [value, b"{", None, value]
    whole = decode("network_fault", "mist", *values)
    for cut in range(1, len(values)):
        parts = [decode("network_fault", "mist", *values[:cut]), decode("network_fault", "mist", *values[cut:])]
        rows = [row for part in parts for row in part.rows.drop("_row").to_dicts()]
        assert rows == whole.rows.drop("_row").to_dicts()
        assert sum(len(part.rejected) for part in parts) == len(whole.rejected)


def test_canonical_records_read_when_the_format_is_canonical() -> None:
    canonical = {"element_id": "cell-1", "element_type": "cell", "event_time": "2026-04-28T12:00:00Z"}
    assert decode("network_topology", "canonical", canonical).rows["element_id"].to_list() == ["cell-1"]


@pytest.mark.parametrize(
    ("stream", "formats"),
    [
        ("network_fault", ("canonical", "tmf642", "mist", "junos_syslog")),
        ("crm_change", ("canonical", "salesforce_cdc", "debezium", "debezium_flattened")),
        ("usage_event", ("canonical", "pgw_record", "nchf", "tmf635")),
        ("network_topology", ("canonical", "tmf639", "tmf638")),
        ("care_interaction", ("canonical", "zendesk", "zendesk_requester")),
        ("billing_event", ("canonical", "stripe", "stripe_metadata", "tmf678")),
    ],
)
def test_formats_are_known_when_the_stream_comes_in_them(stream: str, formats: tuple[str, ...]) -> None:
    assert known_formats(stream) == formats
    for form in formats:
        assert decoder_for(stream, form, None).contract.name == stream


@pytest.mark.parametrize(
    ("stream", "form", "message"),
    [
        (
            "network_fault",
            "junos",
            "stream network_fault: format 'junos' is not known, expected canonical, tmf642, mist or junos_syslog",
        ),
        (
            "usage_event",
            "debezium",
            "stream usage_event: format 'debezium' is not known, expected canonical, pgw_record, nchf or tmf635",
        ),
        (
            "weather",
            "canonical",
            "stream 'weather': expected network_fault, network_topology, usage_event, crm_change, billing_event or "
            "care_interaction",
        ),
    ],
)
def test_topic_is_refused_when_its_format_is_unknown(stream: str, form: str, message: str) -> None:
    with pytest.raises(SignalboxError) as caught:
        decoder_for(stream, form, None)
    assert str(caught.value) == message


def test_timestamp_is_the_records_own_when_others_differ() -> None:
    values = [orjson.dumps(COLUMNS)] * 2
    stamped = RecordBlock.from_records(
        "crm", 0, [(None, value) for value in values], timestamps_ms=[RECEIVED_MS, RECEIVED_MS + 1]
    )
    rows = decoder_for("crm_change", "debezium_flattened", None).decode(stamped).rows
    assert (rows["event_time"].to_physical() // 1000).to_list() == [RECEIVED_MS, RECEIVED_MS + 1]


def test_unknown_words_are_counted_by_field_when_blocks_are_cut_anywhere() -> None:
    odd = alarm(perceivedSeverity=CANARY, plannedOutageIndicator=CANARY)
    values = [odd, alarm(), odd, alarm(perceivedSeverity=CANARY, alarmedObject=None)]
    assert [record.row for record in decode("network_fault", "tmf642", *values).rejected] == [3]
    whole = decode("network_fault", "tmf642", *values)
    assert whole.unknown == {"perceivedSeverity": 3, "plannedOutageIndicator": 2}
    for cut in range(1, len(values)):
        parts = [decode("network_fault", "tmf642", *values[:cut]), decode("network_fault", "tmf642", *values[cut:])]
        assert Counter(parts[0].unknown) + Counter(parts[1].unknown) == whole.unknown


@pytest.mark.parametrize(
    ("stream", "form"), [("network_fault", "canonical"), ("network_fault", "tmf642"), ("crm_change", "debezium")]
)
def test_topic_is_refused_when_it_has_a_secret_and_its_format_no_signatures(stream: str, form: str) -> None:
    with pytest.raises(SignalboxError) as caught:
        decoder_for(stream, form, None, b"secret")
    assert str(caught.value) == (f"stream {stream}: format {form} has no signatures to check; take secret_env out")
