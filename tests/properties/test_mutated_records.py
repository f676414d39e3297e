"""Every format under damage: whatever is sent, each record is used, empty or refused, and nothing else happens.

Parametrised over the catalogue of formats: a new one is damaged as soon as it is in there, and fails here until it has
samples.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from random import Random, SystemRandom
from typing import Any, Protocol

import polars as pl
import psutil
import pytest

from flows.operators.decode import DecodeSpec, decode_block
from schemas.blocks import RecordBlock
from schemas.codec import REASONS, Decoded, Decoder, Registry
from schemas.contracts import TIMESTAMP, Contract, contract
from schemas.formats import decoder_for, known_formats
from schemas.formats.catalog import CANONICAL, STREAMS
from tests.properties.avro_mutants import AvroMutants
from tests.properties.mutants import JsonMutants, Mutant
from tests.properties.odd_values import CANARIES
from tests.unit.schemas.formats.samples import SAMPLES

MUTANTS = 20_000
LARGEST_BLOCK = 2048
BLOCK_SECONDS = 5  # of CPU; a block of so many takes about 0.2
GROWTH_BYTES = 6 * 2**20
MAX_FUTURE = 86_400_000_000
SAMPLE_TIME = 1_780_000_000_000_000
VENDORS = [(stream, form) for stream in STREAMS for form in known_formats(stream) if form != CANONICAL]
# Of their records a part may be read where another cannot.
IN_PARTS = {"mist", "nchf", "salesforce_cdc", "debezium", "debezium_flattened", "tmf678"}


class Mutants(Protocol):
    intact: list[Mutant]

    def draw(self) -> Mutant: ...

    def huge(self) -> Iterator[Mutant]: ...


@dataclass
class Checks:
    """Decodes blocks of mutants, and holds each to all that must be true of it."""

    decoder: Decoder
    mutants: Mutants
    random: Random
    in_parts: bool = False
    alone: list[Decoded] = field(init=False)
    personal: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.alone = [self.decoder.decode(block([mutant])) for mutant in self.mutants.intact]
        assert not any(decoded.rejected for decoded in self.alone)
        rows = pl.concat([decoded.rows for decoded in self.alone])
        said = {text for column in self.decoder.contract.pii for text in rows[column].drop_nulls().to_list()}
        self.personal = frozenset(text for text in said if len(text) > 5)

    def check(self, mutants: Sequence[Mutant]) -> None:
        began = time.process_time()
        whole = self.decoder.decode(block(mutants))
        assert time.process_time() - began < BLOCK_SECONDS
        assert whole.rows.schema == {**self.decoder.contract.polars, "_row": pl.UInt32}
        self.check_every_record_is_told_of_once(mutants, whole)
        messages = "\n".join({each.message for each in whole.rejected})
        assert [quoted for quoted in (*CANARIES, *self.personal) if quoted in messages] == []
        self.check_rows_of_the_intact(mutants, whole)
        for at in self.random.sample(range(len(mutants)), min(3, len(mutants))):
            self.check_alone(mutants[at], at, whole)
        self.check_flow(mutants, whole)

    def check_every_record_is_told_of_once(self, mutants: Sequence[Mutant], whole: Decoded) -> None:
        """With rows, without any, or refused; one of many events may be refused and give the rows of those it can."""
        refused = [each.row for each in whole.rejected]
        used = set(whole.rows["_row"].to_list())
        assert whole.rows["_row"].is_sorted()
        assert refused == sorted(set(refused))
        assert len(used.union(refused)) + whole.empty == len(mutants)
        assert self.in_parts or used.isdisjoint(refused)
        assert {each.reason for each in whole.rejected} <= REASONS - {"internal"}

    def check_rows_of_the_intact(self, mutants: Sequence[Mutant], whole: Decoded) -> None:
        """Records that say what good ones say give their rows, whatever else stands in them and beside them."""
        like = {at: mutant.like for at, mutant in enumerate(mutants) if mutant.like is not None}
        assert like.keys().isdisjoint(each.row for each in whole.rejected)
        expected = [self.alone[which].rows.with_columns(_row=pl.lit(at, pl.UInt32)) for at, which in like.items()]
        found = whole.rows.filter(pl.col("_row").is_in(list(like)))
        assert found.equals(pl.concat([whole.rows.clear(), *expected]))

    def check_alone(self, mutant: Mutant, at: int, whole: Decoded) -> None:
        """A record's rows and its verdict are what they are without neighbours."""
        alone = self.decoder.decode(block([mutant]))
        assert alone.rows.drop("_row").equals(whole.rows.filter(pl.col("_row") == at).drop("_row"))
        verdicts = [(each.reason, each.message) for each in whole.rejected if each.row == at]
        assert verdicts == [(each.reason, each.message) for each in alone.rejected]

    def check_flow(self, mutants: Sequence[Mutant], whole: Decoded) -> None:
        """The flow's step, given the records again and in two blocks, says the same of them, and its counts add up."""
        cut = self.random.randint(0, len(mutants))
        spec = DecodeSpec(decoders={"topic": self.decoder}, max_future=MAX_FUTURE)
        frames, letters, counts = [], [], Counter[str]()
        for start, part in ((0, mutants[:cut]), (cut, mutants[cut:])):
            batch, refused, counted = decode_block(block(part, start), spec)
            frames.append(batch.rows)
            letters += [(start + each.row, each.reason, each.message) for each in (refused.rejected if refused else [])]
            for each in counted:
                counts[each.name] += each.amount
        rows = pl.concat(frames)
        assert counts["records_consumed"] == len(mutants)
        assert counts["records"] == whole.empty
        assert counts["records_rejected"] == len(letters)
        assert counts["records_consumed"] + counts["extra_rows"] == len(rows) + whole.empty + len(letters)

        told = [(each.row, each.reason, each.message) for each in whole.rejected]
        times = whole.rows.select("_row", pl.col("event_time").cast(pl.Int64)).rows()
        mad = {at for at, time in times if 0 <= mutants[at].timestamp_ms < (time - MAX_FUTURE) / 1000}
        assert [letter for letter in letters if letter[1] != "future_event_time"] == told
        assert {at for at, *_ in letters} == mad.union(at for at, *_ in told)
        believed = whole.rows.filter(~pl.col("_row").is_in(list(mad)))
        assert rows.drop("_timestamp", "_offset", "_seen").equals(believed.drop("_row"))
        assert rows["_offset"].to_list() == believed["_row"].to_list()

    def growth(self) -> int:
        """Check so many mutants; by how many bytes the process has grown since a tenth of them."""
        process, done, early = psutil.Process(), 0, 0
        for mutants in blocks(self.mutants, self.random):
            self.check(mutants)
            done += len(mutants)
            if not early and done >= MUTANTS / 10:
                early = process.memory_info().rss
        return process.memory_info().rss - early

    def check_all(self) -> None:
        """Check mutants of all kinds, and that none leaves anything behind in memory.

        What the allocators hold varies by more than that now and then, but not time and again.
        """
        huge = self.mutants.huge()
        while some := list(islice(huge, 20)):
            self.check(some)
        assert any(self.growth() < GROWTH_BYTES for _ in range(3))


def blocks(mutants: Mutants, random: Random) -> Iterator[list[Mutant]]:
    """Mutants in blocks of any size, the largest first, so that the memory that one takes is seen early."""
    intact = set(map(id, mutants.intact))
    mutated, size = 0, LARGEST_BLOCK
    while mutated < MUTANTS:
        drawn = [mutants.draw() for _ in range(size)]
        mutated += sum(id(mutant) not in intact for mutant in drawn)
        yield drawn
        size = int(LARGEST_BLOCK ** random.random())


def block(mutants: Sequence[Mutant], first_offset: int = 0) -> RecordBlock:
    return RecordBlock.from_records(
        "topic",
        0,
        [(mutant.key, mutant.value) for mutant in mutants],
        first_offset=first_offset,
        timestamps_ms=[mutant.timestamp_ms for mutant in mutants],
        headers={at: list(mutant.headers) for at, mutant in enumerate(mutants) if mutant.headers},
    )


def good_rows(of: Contract) -> list[dict[str, Any]]:
    """Good rows of a contract: with every column given, with every column null that may be, and with defaults."""
    cells: dict[str, Any] = {
        "String": "good-\u00e9\U0001f4f1",
        "Int64": 300,
        "Boolean": True,
        "List": ["sms", "\u00e9"],
    }
    whole: dict[str, Any] = {
        name: SAMPLE_TIME if dtype == TIMESTAMP else cells[str(dtype.base_type())] for name, dtype in of.polars.items()
    }
    whole |= {name: limits.allowed[-1] for name, limits in of.limits.items() if limits.allowed}
    empty = {name: whole[name] if name in of.required else None for name in of.polars}
    return [whole, empty, whole | of.defaults]


def json_rows(of: Contract) -> list[dict[str, Any]]:
    """The same as producers write them: times as text, and what has a default left out."""
    whole, empty, _ = good_rows(of)
    times = {name: "2026-05-28T20:26:40.5Z" for name, dtype in of.polars.items() if dtype == TIMESTAMP}
    return [whole | times, empty, {name: cell for name, cell in whole.items() if name not in of.defaults}]


def seeded() -> Random:
    seed = SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    return Random(seed)


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("stream", "form"), VENDORS)
def test_no_record_is_lost_or_quoted_when_a_vendors_records_are_damaged(stream: str, form: str) -> None:
    assert (stream, form) in SAMPLES, "add samples of the new format"
    random = seeded()
    good = [(sample.key, sample.value, sample.headers) for sample in SAMPLES[stream, form]]
    Checks(decoder_for(stream, form, None), JsonMutants(good, random), random, in_parts=form in IN_PARTS).check_all()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("stream", STREAMS)
def test_no_record_is_lost_or_quoted_when_canonical_json_is_damaged(stream: str) -> None:
    random = seeded()
    good = [(None, row, ()) for row in json_rows(contract(stream))]
    Checks(decoder_for(stream, CANONICAL, None), JsonMutants(good, random), random).check_all()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("stream", STREAMS)
def test_no_record_is_lost_or_quoted_when_confluent_avro_is_damaged(stream: str) -> None:
    random = seeded()
    registry = Registry.connect(f"mock://{random.random()}")
    mutants = AvroMutants(contract(stream), good_rows(contract(stream)), registry, random)
    Checks(decoder_for(stream, CANONICAL, registry), mutants, random).check_all()
