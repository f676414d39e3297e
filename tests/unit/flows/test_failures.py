"""Failures are noted where they happen, without any value from the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.errors import BytewaxRuntimeError
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from bytewax.testing import run_main

from flows.failures import Failure, FailureLog
from privacy import KeyringError
from schemas.errors import TerminalError, TransientError

STAGES = ("list_parts", "build_source", "next_batch", "map", "logic", "on_batch", "on_eof", "build_sink", "write_batch")


@dataclass
class Parts(FixedPartitionedSource, StatefulSourcePartition, FixedPartitionedSink, StatefulSinkPartition):
    """Source and sink that fail at one stage and note what they wrote."""

    fails_at: str
    error: Exception
    written: list[Any]
    given: bool = False

    def at(self, stage: str) -> None:
        if stage == self.fails_at:
            raise self.error

    def list_parts(self) -> list[str]:
        self.at("list_parts")
        return ["0"]

    def part_fn(self, item_key: str) -> int:
        return 0

    def build_part(self, step_id: str, for_part: str, resume_state: Any) -> Any:
        self.at("build_source" if step_id.endswith("read") else "build_sink")
        return self

    def next_batch(self) -> Any:
        self.at("next_batch")
        if self.given:
            raise StopIteration
        self.given = True
        return iter([1, 2])

    def write_batch(self, values: list[Any]) -> None:
        self.at("write_batch")
        self.written += values

    def snapshot(self) -> None:
        return None


class Logic(StatefulBatchLogic):
    def __init__(self, parts: Parts) -> None:
        parts.at("logic")
        self.parts = parts

    def on_batch(self, values: list[int]) -> Any:
        def lazily() -> Any:
            self.parts.at("on_batch")
            yield from values

        return lazily(), False

    def on_eof(self) -> Any:
        self.parts.at("on_eof")
        return [99], True

    def snapshot(self) -> None:
        return None


def watched(parts: Parts) -> tuple[Dataflow, FailureLog]:
    def mapped(item: int) -> tuple[str, int]:
        parts.at("map")
        return "0", item

    flow = Dataflow("flow")
    stream = op.map("map", op.input("read", flow, parts), mapped)
    op.output("write", op.stateful_batch("logic", stream, lambda _: Logic(parts)), parts)
    log = FailureLog()
    log.attach(flow)
    return flow, log


def test_a_flow_does_the_same_when_it_is_watched():
    parts = Parts("nowhere", ValueError(), [])
    flow, log = watched(parts)
    run_main(flow)
    assert log.first is None
    assert parts.written == [1, 2, 99]


@pytest.mark.parametrize("stage", STAGES)
def test_the_step_is_told_when_something_fails_in_it(stage):
    flow, log = watched(Parts(stage, TerminalError("what to do"), []))
    steps = {"map": "flow.map.flat_map_batch", "build_sink": "flow.write", "write_batch": "flow.write"}
    steps |= dict.fromkeys(("logic", "on_batch", "on_eof"), "flow.logic")
    with pytest.raises((BytewaxRuntimeError, TerminalError)):
        run_main(flow)
    assert log.first is not None
    assert (log.first.kind, log.first.message, log.first.step) == (
        "terminal",
        "what to do",
        steps.get(stage, "flow.read"),
    )


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (TerminalError("two\nlines"), "terminal", "two lines"),
        (TransientError("broker away"), "transient", "broker away"),
        (KeyringError("no keyring"), "terminal", "no keyring"),
        (ValueError("could not read 'Ada Lovelace'"), "unexpected", "unexpected ValueError"),
    ],
)
def test_only_our_own_messages_are_told(error, kind, message):
    failure = Failure.of(error, "flow.step")
    assert (failure.kind, failure.message, failure.step) == (kind, message, "flow.step")


def test_the_trace_names_places_and_no_values():
    def inner(name: str) -> None:
        raise ValueError(name)

    try:
        inner("Ada Lovelace")
    except ValueError as error:
        failure = Failure.of(error)
    assert failure.trace[-1].endswith(" in inner")
    assert "Ada" not in str(failure)


def test_the_first_failure_is_kept_when_others_follow():
    log = FailureLog()
    for message in ("first", "second"):
        with pytest.raises(TerminalError), log.watch("flow.step"):
            raise TerminalError(message)
    assert log.first is not None
    assert log.first.message == "first"
