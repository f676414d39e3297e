"""The records that formats are measured with: good ones, of every format of the catalogue."""

from __future__ import annotations

import pytest

from benchmarks.formats import compare
from benchmarks.vendor_records import format_blocks
from schemas.formats import decoder_for, known_formats
from schemas.formats.catalog import CANONICAL, STREAMS

FORMATS = [(stream, form) for stream in STREAMS for form in known_formats(stream) if form != CANONICAL]
COUNT = 300


@pytest.mark.parametrize(("stream", "form"), FORMATS)
def test_every_record_can_be_read_when_a_format_is_measured(stream: str, form: str) -> None:
    blocks = format_blocks(form, COUNT, 200, seed=3)
    assert [len(block) for block in blocks] == [200, 100]
    for block in blocks:
        decoded = decoder_for(stream, form, None).decode(block)
        assert decoded.rejected == []
        assert decoded.rows.height + decoded.empty >= len(block)
        assert decoded.rows.n_unique("event_time") > len(block) / 10


@pytest.mark.parametrize("form", [form for _, form in FORMATS])
def test_records_differ_when_a_format_is_measured_with_another_seed(form: str) -> None:
    first, again, other = (format_blocks(form, COUNT, COUNT, seed)[0] for seed in (3, 3, 4))
    assert bytes(first.values) == bytes(again.values) != bytes(other.values)


def test_both_give_the_same_rows_when_a_format_is_measured() -> None:
    canonical, vendors = compare("usage_event", "nchf", COUNT, seed=3)
    assert (vendors.records, vendors.its.rows) == (COUNT, COUNT + COUNT // 4)
    assert (canonical.records, canonical.its.rows) == (COUNT + COUNT // 4, COUNT + COUNT // 4)
    line = vendors.line("usage_event, nchf", canonical)
    assert line.startswith("usage_event, nchf  ")
    assert line.count(" x") == 2
