"""Reading in columns makes no difference: a decoder with an adapter's forms gives what it gives without them."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from random import Random, SystemRandom

import orjson
import pytest
from structlog.testing import capture_logs

from benchmarks.vendor_records import format_blocks
from schemas.blocks import RecordBlock
from schemas.codec import Decoded
from schemas.formats import AdapterDecoder, Record, Row
from schemas.formats.catalog import ADAPTERS
from schemas.formats.columns import ColumnarAdapter, Form
from tests.properties.mutants import JsonMutants, Mutant
from tests.unit.schemas.formats.samples import SAMPLES

COLUMNAR = {adapter.name: adapter for adapter in ADAPTERS if isinstance(adapter, ColumnarAdapter)}
MUTANTS = 6_000
LARGEST_BLOCK = 1_000
MADE_UP = 20
LEAST_SHARE = 0.95
"""Of plain records, how many must be read in columns."""


class Counting:
    """An adapter that counts the records with a value that it is given one by one."""

    def __init__(self, adapter: ColumnarAdapter) -> None:
        self.stream, self.name = adapter.stream, adapter.name
        self.forms, self.headers_read = adapter.forms, adapter.headers_read
        self._adapter = adapter
        self.count = 0

    def adapt(self, record: Record) -> list[Row]:
        self.count += record.raw is not None
        return self._adapter.adapt(record)


def check_same(adapter: ColumnarAdapter, block: RecordBlock) -> Decoded:
    with capture_logs() as logs:
        quick = AdapterDecoder(adapter, quick_from=1).decode(block)
    assert logs == []
    slow = AdapterDecoder(adapter, quick_from=inf).decode(block)
    assert quick.rows.schema == slow.rows.schema
    assert quick.rows.rows() == slow.rows.rows()
    assert quick.rejected == slow.rejected
    assert (quick.empty, quick.unknown) == (slow.empty, slow.unknown)
    return quick


def block_of(mutants: Sequence[Mutant]) -> RecordBlock:
    return RecordBlock.from_records(
        "topic",
        0,
        [(mutant.key, mutant.value) for mutant in mutants],
        timestamps_ms=[mutant.timestamp_ms for mutant in mutants],
        headers={at: list(mutant.headers) for at, mutant in enumerate(mutants) if mutant.headers},
    )


def good(adapter: ColumnarAdapter, seed: int) -> list[tuple[object, object, tuple[()]]]:
    """Records as in the tests of the format, and as it is measured with; some have nothing in them."""
    samples = [(sample.key, sample.value, sample.headers) for sample in SAMPLES[adapter.stream, adapter.name]]
    made_up = format_blocks(adapter.name, MADE_UP, MADE_UP, seed)[0]
    return [*samples, *((parsed(made_up.key(row)), parsed(made_up.value(row)), ()) for row in range(MADE_UP))]


def parsed(data: bytes | None) -> object:
    return None if data is None else orjson.loads(data) if data.startswith(b"{") else data.decode()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("form", COLUMNAR)
def test_forms_make_no_difference_when_records_are_damaged(form: str) -> None:
    seed = SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    adapter, random = COLUMNAR[form], Random(seed)
    mutants = JsonMutants(good(adapter, seed), random)
    check_same(adapter, block_of(mutants.intact))
    drawn = 0
    while drawn < MUTANTS:
        several = [mutants.draw() for _ in range(random.randint(1, LARGEST_BLOCK))]
        check_same(adapter, block_of(several))
        drawn += len(several)


@pytest.mark.parametrize("form", COLUMNAR)
def test_records_are_read_in_columns_when_they_are_plain(form: str) -> None:
    adapter = Counting(COLUMNAR[form])
    for block in format_blocks(form, 3_000, 1_000, seed=5):
        check_same(COLUMNAR[form], block)
        AdapterDecoder(adapter).decode(block)
    assert adapter.count <= (1 - LEAST_SHARE) * 3_000


@pytest.mark.parametrize("form", COLUMNAR)
def test_records_are_read_one_by_one_when_they_are_few(form: str) -> None:
    adapter = Counting(COLUMNAR[form])
    AdapterDecoder(adapter).decode(format_blocks(form, 10, 10, seed=5)[0])
    assert adapter.count == 10


class Failing(Counting):
    """An adapter whose form has a fault of its own."""

    def __init__(self, adapter: ColumnarAdapter) -> None:
        super().__init__(adapter)
        self.forms = (Form.of({}, lambda records: {}[len(records)]),)


def test_records_are_read_one_by_one_when_a_form_has_a_fault() -> None:
    adapter = COLUMNAR["pgw_record"]
    block = format_blocks("pgw_record", 100, 100, seed=5)[0]
    with capture_logs() as logs:
        decoded = AdapterDecoder(Failing(adapter)).decode(block)
    assert decoded.rows.equals(AdapterDecoder(adapter).decode(block).rows)
    assert logs == [
        {"event": "form_failed", "format": "pgw_record", "error": "KeyError", "log_level": "warning"},
    ]
