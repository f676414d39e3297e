"""Runs the flow fault-notifications over a log in memory and reads what came out, in the terms of its oracle."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar

import orjson
import polars as pl
from bytewax.testing import cluster_main, run_main

from flows.fault_notifications import FaultConfig, FaultIO, build
from privacy import Sealer, Tokenizer
from schemas.blocks import RecordBlock
from schemas.codec import CanonicalDecoder, Encoder
from schemas.contracts import contract
from tests.in_memory import BlockSource, Collected
from tests.oracles.fault_notifications import FOREVER, LogRow

TOPICS = {
    "network.faults": "network_fault",
    "network.topology": "network_topology",
    "crm.changes": "crm_change",
    "usage.events": "usage_event",
}
EPOCH = datetime(2026, 3, 1, tzinfo=UTC)
SECOND = 1_000_000
START = int(EPOCH.timestamp()) * SECOND
_TIMES = ("event_time", "expected_clear_time", "contract_start", "contract_end")


@dataclass
class Result:
    """What came out, with customers as keys."""

    notifications: list[dict[str, Any]] = field(default_factory=list)
    tables: dict[str, pl.DataFrame] = field(default_factory=dict)
    rejects: list[tuple[str, str]] = field(default_factory=list)
    late: set[tuple[str, int, int]] = field(default_factory=set)
    counts: Counter[tuple[str, tuple[tuple[str, str], ...]]] = field(default_factory=Counter)


def record(row: LogRow) -> tuple[bytes, bytes]:
    """A log row as the JSON record a producer would send."""
    cells = dict(row.row)
    for name in _TIMES:
        if cells.get(name) is not None:
            cells[name] = (EPOCH + timedelta(microseconds=cells[name] - START)).isoformat()
    return b"key", orjson.dumps(cells)


class _Event(Protocol):
    @property
    def row(self) -> Mapping[str, Any]: ...


_AnyEvent = TypeVar("_AnyEvent", bound=_Event)


def decidable(events: Iterable[_AnyEvent], max_delay: int, lateness: int) -> Iterator[_AnyEvent]:
    """Leave out rows of one partition that are not too late to count, but may be too late to be waited for.

    What they bear on is decided by then, or not, as the other partitions have it: the definition has no answer.

    Args:
        events: In order of arrival.
        max_delay: How far behind the newest row a row is waited for, microseconds.
        lateness: How far behind it still counts.
    """
    newest = None
    for event in events:
        time = event.row["event_time"]
        newest = time if newest is None else max(time, newest)
        if not max_delay < newest - time <= lateness:
            yield event


def blocks_of(
    log: Sequence[LogRow],
    cuts: Mapping[tuple[str, int], Sequence[int]],
    pauses: Mapping[tuple[str, int], Sequence[int]],
) -> dict[tuple[str, int], list[RecordBlock | None]]:
    """Cut each partition's rows into blocks of the sizes in `cuts`, empty polls between them, a finished block last."""
    by_origin: dict[tuple[str, int], list[LogRow]] = defaultdict(list)
    for row in log:
        by_origin[row.topic, row.partition].append(row)
    found: dict[tuple[str, int], list[RecordBlock | None]] = {}
    for origin in cuts:
        rows = sorted(by_origin[origin], key=lambda row: row.offset)
        sizes, waits = list(cuts[origin]) or [1], list(pauses.get(origin, ())) or [0]
        blocks: list[RecordBlock | None] = []
        number = 0
        while rows:
            size = max(1, sizes[number % len(sizes)])
            taken, rows = rows[:size], rows[size:]
            blocks += [None] * waits[number % len(waits)]
            blocks.append(
                RecordBlock.from_records(
                    *origin,
                    [record(row) for row in taken],
                    offsets=[row.offset for row in taken],
                    timestamps_ms=[row.time // 1000 for row in taken],
                )
            )
            number += 1
        blocks.append(RecordBlock.from_records(*origin, [], first_offset=0, caught_up=True, finished=True))
        found[origin] = blocks
    return found


def published_nothing(writers: int) -> BlockSource:
    """A recall that finds nothing."""
    done = {str(writer): [RecordBlock.from_records("", writer, [], caught_up=True)] for writer in range(writers)}
    return BlockSource(done)


def run_flow(
    blocks: Mapping[tuple[str, int], Sequence[RecordBlock | None]],
    config: FaultConfig,
    tokenizer: Tokenizer,
    sealer: Sealer,
    state_dir: Path,
    *,
    workers: int = 1,
    topics: Mapping[str, str] = TOPICS,
) -> Result:
    """Run the dataflow to its end."""
    notification = contract("notification")
    sinks = {name: Collected() for name in ("notifications", "rejects", "tables", "metrics")}

    def source(*streams: str) -> BlockSource:
        return BlockSource({f"{t}/{p}": each for (t, p), each in blocks.items() if topics[t] in streams})

    io = FaultIO(
        network=source("network_fault", "network_topology"),
        subscribers=source("crm_change"),
        usage=source("usage_event"),
        published=published_nothing(config.writers),
        **sinks,
        decoders={topic: CanonicalDecoder(contract(stream), None) for topic, stream in topics.items()},
        published_decoder=CanonicalDecoder(notification, None),
        encoder=Encoder(notification, None, subject="notification"),
        tokenizer=tokenizer,
        sealer=sealer,
        origins=tuple(blocks),
        output_partitions=4,
        state_dir=state_dir,
    )
    flow = build(config, io)
    if workers == 1:
        run_main(flow, epoch_interval=timedelta(milliseconds=5))
    else:
        cluster_main(flow, [], 0, epoch_interval=timedelta(milliseconds=5), worker_count_per_proc=workers)
    return _result(sinks)


def _result(sinks: Mapping[str, Collected]) -> Result:
    result = Result()
    for _, batch in sinks["notifications"].items:
        result.notifications += [orjson.loads(value) for value in batch.values]
    rows: dict[str, list[pl.DataFrame]] = defaultdict(list)
    for _, item in sinks["tables"].items:
        if hasattr(item, "table"):
            rows[item.table].append(item.rows)
    result.tables = {name: pl.concat(frames) for name, frames in rows.items()}
    for _, batch in sinks["rejects"].items:
        for name, headers in zip(batch.ids, batch.headers or [[]] * len(batch.ids), strict=True):
            reasons = dict(headers)
            if batch.topic.endswith(".late"):
                topic, place = name.split("#")[0].split("[")
                partition, offset = place.split("]@")
                result.late.add((topic, int(partition), int(offset)))
            else:
                result.rejects.append((name, reasons["__signalbox.errors.reason"].decode()))
    for _, item in sinks["metrics"].items:
        if hasattr(item, "amount"):
            result.counts[item.name, tuple(sorted(item.labels.items()))] += item.amount
    return result


def micros(value: str | datetime | None) -> int | None:
    """A time as microseconds."""
    if value is None:
        return None
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return round((moment - EPOCH).total_seconds() * SECOND) + START


def told(result: Result) -> list[tuple[Any, ...]]:
    """Notifications as the oracle names them, with customer keys and contact tokens."""
    return [
        (
            each["incident_id"],
            each["customer_key"],
            each["channel"],
            each["contact_token"],
            each["language"],
            each["phase"],
            micros(each["event_time"]),
            (each["severity"], micros(each["expected_clear_time"])),
        )
        for each in result.notifications
    ]


def affected(result: Result) -> list[tuple[Any, ...]]:
    """Rows of affected_customers as the oracle names them."""
    frame = result.tables.get("affected_customers")
    if frame is None:
        return []
    return [
        (r["incident_id"], r["customer_key"], r["cause"], r["outcome"], micros(r["affected_at"]), micros(r["told_at"]))
        for r in frame.to_dicts()
    ]


def stale(result: Result) -> set[str]:
    """The keys of customers whose newest revision says that they are stale."""
    frame = result.tables.get("stale_profiles")
    if frame is None:
        return set()
    assert not frame.select("customer_key", "revision").is_duplicated().any()
    newest = frame.sort("revision").unique("customer_key", keep="last")
    return set(newest.filter("stale")["customer_key"])


def incidents(result: Result) -> set[tuple[Any, ...]]:
    """The newest revision of each incident."""
    frame = result.tables.get("incidents")
    if frame is None:
        return set()
    newest = frame.sort("revision").unique("incident_id", keep="last")
    return {
        (
            r["incident_id"],
            r["fault_id"],
            micros(r["opened_at"]),
            FOREVER if r["closed_at"] is None else micros(r["closed_at"]),
            r["announced_at"] is not None,
            r["fault_count"],
        )
        for r in newest.to_dicts()
    }
