"""tokenize_batch: nothing personal goes on, and what is not personal goes on as it came."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.batch import Batch, Origin
from flows.operators.messages import Counted
from flows.operators.tokenize import TokenizeSpec, tokenize_batch
from privacy import Keyring, Tokenizer
from schemas.contracts import contract

PERSONAL = "§"
"""Every personal value holds it, and nothing else does; it cannot occur in a token or key."""
STREAMS = ["billing_event", "care_interaction", "crm_change", "usage_event"]
PROGRESS: dict[str, pl.DataType] = {"_offset": pl.Int64(), "_timestamp": pl.Int64(), "_seen": pl.Int64()}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return Tokenizer(Keyring.create(tmp_path_factory.mktemp("keys") / "keyring.json"))


def cells(stream: str, name: str, dtype: pl.DataType) -> st.SearchStrategy[Any]:
    if name in contract(stream).pii:
        found: st.SearchStrategy[Any] = st.text("aé 1@", max_size=40).map(lambda text: f"{text}{PERSONAL}{text}")
    elif dtype == pl.String:
        found = st.sampled_from(["", "a", "bc"])
    elif dtype == pl.Boolean:
        found = st.booleans()
    elif dtype == pl.List(pl.String):
        found = st.lists(st.sampled_from(["sms", "email"]), max_size=2)
    else:
        found = st.integers(0, 2**40)
    return found if name in contract(stream).required else st.none() | found


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    stream = draw(st.sampled_from(STREAMS))
    schema = {**contract(stream).polars, **PROGRESS}
    height = draw(st.integers(0, 8))
    columns = {
        name: draw(st.lists(cells(stream, name, dtype), min_size=height, max_size=height))
        for name, dtype in schema.items()
    }
    return Batch(Origin("t", 3), stream, pl.DataFrame(columns, schema=schema), 5, caught_up=True, finished=False)


@settings(max_examples=60, deadline=None)
@given(batch=batches(), data=st.data())
def test_personal_columns_become_tokens_or_go_when_rows_are_any(
    tokenizer: Tokenizer, batch: Batch, data: st.DataObject
) -> None:
    pii = contract(batch.stream).pii
    keep = data.draw(st.sets(st.sampled_from(sorted(pii))))
    spec = TokenizeSpec(
        tokens=tokenizer,
        keep={batch.stream: frozenset(keep)},
        fingerprints={batch.stream: {"who": "customer_id"}},
    )
    done, counted = tokenize_batch(batch, spec)

    def one_by_one(make: Callable[[pl.Series], pl.Series], column: str) -> list[Any]:
        return [make(batch.rows[column][row : row + 1]).item() for row in range(batch.rows.height)]

    numbers = [tokenizer.customer_numbers(pl.Series([each])) for each in batch.rows["customer_id"]]
    made = {
        column: [
            tokenizer.tokens(batch.rows[column][row : row + 1], pii[column], tokenizer.owners(owner)).item()
            for row, owner in enumerate(numbers)
        ]
        for column in sorted(keep)
    }
    expected = made | {
        "customer_key": one_by_one(tokenizer.customer_keys, "customer_id"),
        "customer": one_by_one(tokenizer.customer_numbers, "customer_id"),
        "who": one_by_one(tokenizer.fingerprints, "customer_id"),
    }
    others = [column for column in batch.rows.columns if column not in pii]
    tokens = sum(token is not None for column in made.values() for token in column)

    assert PERSONAL not in repr(done.rows.to_dicts())
    assert {column: done.rows[column].to_list() for column in expected} == expected
    assert set(done.rows.columns) == {*others, *expected}
    assert done.rows.select(others).equals(batch.rows.select(others))
    assert (done.origin, done.stream, done.max_event_time) == (batch.origin, batch.stream, batch.max_event_time)
    assert (done.caught_up, done.finished) == (batch.caught_up, batch.finished)
    assert counted == ([Counted("tokens_made", (("stream", batch.stream),), tokens)] if tokens else [])


def test_a_forgotten_customers_row_goes_on_without_its_personal_data_when_it_comes(tmp_path: Path) -> None:
    keyring = Keyring.create(tmp_path / "keyring.json")
    numbers = Tokenizer(keyring).customer_numbers(pl.Series(["ada", "bob"]))
    tokenizer = Tokenizer(keyring.forget(numbers[0]))
    schema = {**contract("crm_change").polars, **PROGRESS}
    given = {
        "customer_id": ["ada", "bob"],
        "email": ["a@example.org", "b@example.org"],
        "msisdn": ["447700900123", None],
    }
    rows = pl.DataFrame({name: given.get(name, [None, None]) for name in schema}, schema=schema)
    batch = Batch(Origin("t", 3), "crm_change", rows, 5, caught_up=True, finished=False)
    spec = TokenizeSpec(tokens=tokenizer, keep={"crm_change": frozenset({"email", "msisdn"})}, fingerprints={})
    done, counted = tokenize_batch(batch, spec)
    assert done.rows["customer"].to_list() == numbers.to_list()
    assert done.rows["msisdn"].to_list() == [None, None]
    assert done.rows["email"].is_null().to_list() == [True, False]
    assert counted == [
        Counted("tokens_made", (("stream", "crm_change"),), 1),
        Counted("tokens_withheld", (("stream", "crm_change"),), 2),
    ]


def test_spec_is_refused_when_a_column_to_keep_is_not_personal(tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match=r"^usage_event has no personal columns cell_id, kind$"):
        TokenizeSpec(tokens=tokenizer, keep={"usage_event": frozenset({"kind", "cell_id", "msisdn"})}, fingerprints={})
