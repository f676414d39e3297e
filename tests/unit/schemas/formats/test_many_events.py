"""Records that carry many events: what bounds them."""

from __future__ import annotations

import orjson
import pytest

from schemas.formats.decoder import MAX_RECORD_BYTES
from tests.unit.schemas.formats.reading import decode, rejection
from tests.unit.schemas.formats.test_mist import alarm, call
from tests.unit.schemas.formats.test_nchf import request
from tests.unit.schemas.formats.test_salesforce_cdc import event

LONG = "x" * 300_000
LARGE = {
    ("network_fault", "mist"): call(alarm(site_id=LONG, aps=[str(i) for i in range(50_000)])),
    ("crm_change", "salesforce_cdc"): event("CREATE", {"recordIds": list(map(str, range(50_000)))}, Segment__c=LONG),
    ("usage_event", "nchf"): request(*[{}] * 50_000, customerId=LONG),
}


@pytest.mark.parametrize(("stream", "form"), LARGE)
def test_record_is_rejected_when_its_rows_would_fill_the_memory(stream: str, form: str) -> None:
    value = orjson.dumps(LARGE[stream, form])
    assert len(value) < MAX_RECORD_BYTES
    assert rejection(stream, form, value) == ("too_large", "value: expected rows of at most 8388608 bytes, came more")


def test_record_reads_when_it_carries_as_many_events_as_it_has_room_for() -> None:
    value = orjson.dumps(call(*[alarm(aps=[f"{i:012x}"]) for i in range(5_000)]))
    assert len(value) > MAX_RECORD_BYTES * 0.8
    assert decode("network_fault", "mist", value).rows.height == 5_000
