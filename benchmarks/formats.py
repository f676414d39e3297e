"""What vendor formats cost: each beside canonical JSON of the very same rows, in one run on one machine.

`python -m benchmarks.formats` prints two lines for each format. Its records are decoded; the rows that they give are
encoded as canonical JSON, and these records are decoded too. The last columns say how many times the CPU of canonical
JSON it takes, for a row and for a byte: a vendor's records are longer, and say more than is read. CPU seconds count
every thread of the process; they are what compares on a busy machine.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import polars as pl

from benchmarks.decode import BLOCK_ROWS, Cost, cost
from benchmarks.vendor_records import format_blocks
from schemas.blocks import RecordBlock
from schemas.codec import Decoder, Encoder, warm_up
from schemas.contracts import contract
from schemas.formats import decoder_for, known_formats
from schemas.formats.catalog import CANONICAL, STREAMS

_HEAD = ("records", "rows", "bytes/record", "records/s", "MB/s", "per CPU s", "x a row", "x a byte")


@dataclass(frozen=True, slots=True)
class Measured:
    """What it costs to decode some blocks."""

    records: int
    size: int
    its: Cost

    @classmethod
    def of(cls, decoder: Decoder, blocks: Sequence[RecordBlock]) -> Measured:
        """Decode them, as often as `cost` does."""
        records, size = sum(map(len, blocks)), sum(len(block.values) for block in blocks)
        return cls(records, size, cost(partial(_rows, decoder, blocks)))

    def line(self, title: str, usual: Measured) -> str:
        """A line of the table; the last columns compare it with the usual."""
        its, of_usual = self.its, usual.its
        per_row = its.cpu / its.rows * of_usual.rows / of_usual.cpu
        per_byte = its.cpu / self.size * usual.size / of_usual.cpu
        rates = f"{self.records / its.wall:>14,.0f}{self.size / its.wall / 1e6:>14,.0f}{self.records / its.cpu:>14,.0f}"
        counts = f"{self.records:>14,}{its.rows:>14,}{self.size // self.records:>14,}"
        return f"{title:<38}{counts}{rates}{per_row:>12.1f} x{per_byte:>12.1f} x"


def compare(stream: str, form: str, records: int, seed: int) -> tuple[Measured, Measured]:
    """Measure canonical JSON, and a vendor's records of the same rows."""
    blocks = format_blocks(form, records, BLOCK_ROWS, seed)
    decoder = decoder_for(stream, form, None)
    frame = pl.concat([decoder.decode(block).rows.drop("_row") for block in blocks])
    canonical = Measured.of(decoder_for(stream, CANONICAL, None), _canonical(stream, frame))
    return canonical, Measured.of(decoder, blocks)


def _canonical(stream: str, frame: pl.DataFrame) -> list[RecordBlock]:
    values = Encoder(contract(stream), None, f"{stream}-value").encode(frame)
    cuts = (values[at : at + BLOCK_ROWS] for at in range(0, len(values), BLOCK_ROWS))
    return [RecordBlock.from_records(stream, 0, [(None, value) for value in cut]) for cut in cuts]


def _rows(decoder: Decoder, blocks: Sequence[RecordBlock]) -> int:
    return sum(decoder.decode(block).rows.height for block in blocks)


def main() -> None:
    """Compare every format of the catalogue."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.formats", description=__doc__.split("\n")[0])
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("formats", nargs="*", help="these alone, by name; all of the catalogue if left out")
    options = parser.parse_args()
    warm_up()
    print(f"{'':<38}{''.join(f'{title:>14}' for title in _HEAD)}")
    for stream in STREAMS:
        for form in known_formats(stream):
            if form != CANONICAL and (not options.formats or form in options.formats):
                canonical, vendors = compare(stream, form, options.records, options.seed)
                print(canonical.line(f"{stream}, canonical JSON", canonical))
                print(vendors.line(f"{stream}, {form}", canonical), flush=True)


if __name__ == "__main__":
    main()
