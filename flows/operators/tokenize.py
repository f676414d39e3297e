"""tokenize: personal data out, tokens and keys in; the first step after decoding.

Stateless. `customer_id` becomes `customer_key` (String) and `customer` (UInt64, its first 64 bits); every other
column that the contract marks as personal becomes a token, or goes when the flow does not keep it.

The tokens of a row that has a customer can be forgotten with them. A row of a customer who was forgotten goes on
without its personal data: it may be what tells that they have gone, and as a dead letter it would be kept as it came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Protocol

import bytewax.operators as op
import polars as pl
from bytewax.dataflow import Stream, operator

from flows.batch import Batch
from flows.operators.messages import Counted
from privacy import RowKeys
from schemas.contracts import contract
from schemas.frames import without

__all__ = ["TokenizeSpec", "TokenizeStreams", "Tokens", "tokenize", "tokenize_batch"]


class Tokens(Protocol):
    """What makes tokens of columns; `privacy.Tokenizer` is one."""

    def tokens(self, column: pl.Series, pii_class: str, owners: RowKeys | None = None) -> pl.Series: ...  # noqa: D102
    def owners(self, numbers: pl.Series) -> RowKeys | None: ...  # noqa: D102
    def customers(self, column: pl.Series) -> tuple[pl.Series, pl.Series]: ...  # noqa: D102
    def fingerprints(self, column: pl.Series) -> pl.Series: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizeSpec:
    """How rows lose their personal data.

    Attributes:
        tokens: Makes the tokens.
        keep: Personal columns to keep as tokens, by stream; others are dropped.
        fingerprints: Columns to add as fingerprints (UInt64), by stream: new name → column.
        timed: Entered around the work on each batch, to measure it.
    """

    tokens: Tokens
    keep: Mapping[str, frozenset[str]]
    fingerprints: Mapping[str, Mapping[str, str]]
    timed: Callable[[], AbstractContextManager[None]] = nullcontext

    def __post_init__(self) -> None:
        for stream, columns in self.keep.items():
            unknown = columns - set(contract(stream).pii)
            if unknown:
                raise ValueError(f"{stream} has no personal columns {', '.join(sorted(unknown))}")


@dataclass(frozen=True)
class TokenizeStreams:
    """What tokenize gives out."""

    rows: Stream[Batch]
    counted: Stream[Counted]


def tokenize_batch(batch: Batch, spec: TokenizeSpec) -> tuple[Batch, list[Counted]]:
    """Replace the personal data of a batch, and count the tokens made. Shape: the same rows."""
    made = withheld = 0
    owners: RowKeys | None = None
    rows, kept = batch.rows, spec.keep.get(batch.stream, frozenset())
    added = [
        spec.tokens.fingerprints(rows[column]).alias(name)
        for name, column in spec.fingerprints.get(batch.stream, {}).items()
    ]
    pii = contract(batch.stream).pii
    if "customer_id" in pii:
        keys, numbers = spec.tokens.customers(rows["customer_id"])
        added += [keys.alias("customer_key"), numbers.alias("customer")]
        owners = spec.tokens.owners(numbers) if kept else None
    for column in (each for each in pii if each in kept):
        tokens = spec.tokens.tokens(rows[column], pii[column], owners).alias(column)
        made += tokens.len() - tokens.null_count()
        withheld += tokens.null_count() - rows[column].null_count()
        added.append(tokens)
    personal = [column for column in pii if column not in kept]
    label = ("stream", batch.stream)
    counted = [Counted("tokens_made", (label,), made)] if made else []
    counted += [Counted("tokens_withheld", (label,), withheld)] if withheld else []
    replaced = {*personal, *(column.name for column in added)}
    return replace(batch, rows=without(rows, replaced).hstack(added)), counted


@operator
def tokenize(step_id: str, up: Stream[Batch], spec: TokenizeSpec) -> TokenizeStreams:
    """Tokenize every batch.

    Args:
        step_id: Unique name of the step.
        up: Batches as decoded.
        spec: How.
    """

    def work(batch: Batch) -> tuple[Batch, list[Counted]]:
        with spec.timed():
            return tokenize_batch(batch, spec)

    done = op.map("tokenize_batch", up, work)
    return TokenizeStreams(
        op.map("rows", done, lambda result: result[0]), op.flat_map("counted", done, lambda result: result[1])
    )
