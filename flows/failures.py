"""Why did a worker fail? Bytewax tells only a lone worker; this notes it where it happens.

In a cluster of processes Bytewax loses the exception: each process ends with a panic of its communication threads. So
every callable that Bytewax holds (sources, sinks, mappers, stateful logics) is wrapped, and the first exception that
passes is kept with its step.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any

from bytewax.dataflow import Dataflow
from bytewax.inputs import AbortExecution, FixedPartitionedSource, StatefulSourcePartition
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from privacy import KeyringError
from schemas.errors import SignalboxError, TerminalError, TransientError


@dataclass(frozen=True)
class Failure:
    """One failure, told without any value from the data.

    Attributes:
        kind: terminal, transient or unexpected.
        message: One line. The message of an error that we did not raise may quote a cell, so only its type is told.
        step: Where in the flow, empty outside of it.
        trace: Files, lines and functions, innermost last.
    """

    kind: str
    message: str
    step: str = ""
    trace: tuple[str, ...] = ()

    @classmethod
    def of(cls, error: BaseException, step: str = "") -> Failure:
        """Describe an exception."""
        ours = isinstance(error, SignalboxError | KeyringError)
        message = " ".join(str(error).split()) if ours else f"unexpected {type(error).__name__}"
        kind = "unexpected"
        if isinstance(error, TerminalError | KeyringError):
            kind = "terminal"
        elif isinstance(error, TransientError):
            kind = "transient"
        frames = traceback.extract_tb(error.__traceback__)
        trace = tuple(f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames)
        return cls(kind, message, step, trace)


class _Watch:
    # entered some thousand times a second
    def __init__(self, log: FailureLog, step: str) -> None:
        self._log, self._step = log, step

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is not None and not isinstance(error, StopIteration | AbortExecution):
            self._log.first = self._log.first or Failure.of(error, self._step)


class FailureLog:
    """Keeps the first failure of a process."""

    def __init__(self) -> None:
        self.first: Failure | None = None

    def watch(self, step: str) -> _Watch:
        """Note an exception that passes; the ones that Bytewax uses as signals are none. May be entered many times."""
        return _Watch(self, step)

    def attach(self, flow: Dataflow) -> None:
        """Wrap every callable of a dataflow. Call it once, after the flow is built."""
        for operator in _core_operators(flow.substeps):
            for name, wrap in _WRAPPERS.items():
                inner = getattr(operator, name, None)
                if inner is not None:
                    # operators are frozen dataclasses that Bytewax reads by attribute when it starts
                    object.__setattr__(operator, name, wrap(inner, operator.step_id, self))


def _core_operators(steps: Iterable[Any]) -> Iterator[Any]:
    for step in steps:
        if getattr(step, "core", False):
            yield step
        else:
            yield from _core_operators(step.substeps)


class _Source(FixedPartitionedSource[Any, Any]):
    def __init__(self, inner: FixedPartitionedSource[Any, Any], step: str, log: FailureLog) -> None:
        self._inner, self._watch = inner, log.watch(step)

    def list_parts(self) -> list[str]:
        with self._watch:
            return list(self._inner.list_parts())

    def build_part(self, step_id: str, for_part: str, resume_state: Any) -> _SourcePartition:
        with self._watch:
            return _SourcePartition(self._inner.build_part(step_id, for_part, resume_state), self._watch)


class _SourcePartition(StatefulSourcePartition[Any, Any]):
    def __init__(self, inner: StatefulSourcePartition[Any, Any], watch: _Watch) -> None:
        self._inner, self._watch = inner, watch

    def next_batch(self) -> list[Any]:
        with self._watch:
            return list(self._inner.next_batch())

    def next_awake(self) -> datetime | None:
        with self._watch:
            return self._inner.next_awake()

    def snapshot(self) -> Any:
        with self._watch:
            return self._inner.snapshot()

    def close(self) -> None:
        with self._watch:
            self._inner.close()


class _Sink(FixedPartitionedSink[Any, Any]):
    def __init__(self, inner: FixedPartitionedSink[Any, Any], step: str, log: FailureLog) -> None:
        self._inner, self._watch = inner, log.watch(step)

    def list_parts(self) -> list[str]:
        with self._watch:
            return list(self._inner.list_parts())

    def part_fn(self, item_key: str) -> int:
        with self._watch:
            return int(self._inner.part_fn(item_key))

    def build_part(self, step_id: str, for_part: str, resume_state: Any) -> _SinkPartition:
        with self._watch:
            return _SinkPartition(self._inner.build_part(step_id, for_part, resume_state), self._watch)


class _SinkPartition(StatefulSinkPartition[Any, Any]):
    def __init__(self, inner: StatefulSinkPartition[Any, Any], watch: _Watch) -> None:
        self._inner, self._watch = inner, watch

    def write_batch(self, values: list[Any]) -> None:
        with self._watch:
            self._inner.write_batch(values)

    def snapshot(self) -> Any:
        with self._watch:
            return self._inner.snapshot()

    def close(self) -> None:
        with self._watch:
            self._inner.close()


class _Logic(StatefulBatchLogic[Any, Any, Any]):
    def __init__(self, inner: StatefulBatchLogic[Any, Any, Any], watch: _Watch) -> None:
        self._inner, self._watch = inner, watch

    def on_batch(self, values: list[Any]) -> tuple[list[Any], bool]:
        with self._watch:
            return _emitted(self._inner.on_batch(values))

    def on_notify(self) -> tuple[list[Any], bool]:
        with self._watch:
            return _emitted(self._inner.on_notify())

    def on_eof(self) -> tuple[list[Any], bool]:
        with self._watch:
            return _emitted(self._inner.on_eof())

    def notify_at(self) -> datetime | None:
        with self._watch:
            return self._inner.notify_at()

    def snapshot(self) -> Any:
        with self._watch:
            return self._inner.snapshot()


def _emitted(result: tuple[Iterable[Any], bool]) -> tuple[list[Any], bool]:
    """Run a lazy result here, where its failure is seen."""
    items, discard = result
    return list(items), discard


def _mapper(inner: Callable[[list[Any]], Iterable[Any]], step: str, log: FailureLog) -> Callable[..., list[Any]]:
    watch = log.watch(step)

    def mapped(items: list[Any]) -> list[Any]:
        with watch:
            return list(inner(items))

    return mapped


def _function(inner: Callable[..., Any], step: str, log: FailureLog) -> Callable[..., Any]:
    watch = log.watch(step)

    def called(*arguments: Any) -> Any:
        with watch:
            return inner(*arguments)

    return called


def _builder(inner: Callable[[Any], Any], step: str, log: FailureLog) -> Callable[[Any], _Logic]:
    watch = log.watch(step)

    def build(resume_state: Any) -> _Logic:
        with watch:
            return _Logic(inner(resume_state), watch)

    return build


_WRAPPERS: dict[str, Callable[[Any, str, FailureLog], Any]] = {
    "source": _Source,
    "sink": _Sink,
    "mapper": _mapper,
    "builder": _builder,
    "predicate": _function,
    "inspector": _function,
}
