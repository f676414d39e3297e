"""The stateful steps of fault-notifications without Bytewax and Kafka, under a schedule that crashes and resumes them.

It keeps what the runtime promises and nothing more: messages of one sender to one receiver keep their order; a
snapshot is a cut of sources, steps and tables with nothing under way; a crash loses everything since the last durable
cut but what was published; the next run is told of that, and of some that was published before the cut, while it reads.
"""

from __future__ import annotations

import pickle
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import polars as pl

from connectors.segments import SegmentFiles
from flows.batch import Batch, Origin
from flows.operators.decode import DecodeSpec, decode_block
from flows.operators.match_faults import MatchFaults, MatchSpec
from flows.operators.messages import Counted, IncidentUpdate, LateRows, Notifications, Recalled, TableOutput, Told
from flows.operators.shard import split_rows
from flows.operators.tokenize import TokenizeSpec, tokenize_batch
from flows.operators.track_incidents import TrackIncidents, TrackSpec
from flows.operators.watermark import NEVER
from flows.operators.wording import word
from privacy import Tokenizer
from schemas.blocks import RecordBlock
from schemas.codec import CanonicalDecoder
from schemas.contracts import contract
from tests.fault_flow import SECOND, START, TOPICS, record
from tests.oracles.fault_notifications import LogRow

NETWORK = "network"
Receiver = str | int  # the tracker, or a shard
Sender = str | int | Origin  # the tracker, a writer's recall, or an input
Progress = dict[Origin, int]  # rows of each input that are known
_NOTIFICATION = contract("notification").polars


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """What may happen, and how often.

    Attributes:
        caught_up: How often an input is found to be read to its end before it is; 0 is the replay of a finished log.
        crashes: How many.
        shards: Of the customers.
        writers: Of notifications.
    """

    random: Random
    caught_up: float
    crashes: int
    shards: int = 2
    writers: int = 2


@dataclass(frozen=True)
class Decision:
    """A row of affected_customers, and what was known to its shard by then, newest last."""

    row: dict[str, Any]
    known: Sequence[Progress]


@dataclass
class Epoch:
    """What becomes durable together."""

    read: Progress
    recalled: dict[int, int]
    states: dict[Receiver, bytes] = field(default_factory=dict)
    tables: dict[str, list[pl.DataFrame]] = field(default_factory=dict)
    counts: Counter[tuple[str, ...]] = field(default_factory=Counter)
    known: dict[Receiver, list[Progress]] = field(default_factory=dict)


@dataclass
class Outside:
    """What outlives every run."""

    published: list[pl.DataFrame]  # by writer
    late: set[tuple[str, int, int]] = field(default_factory=set)
    decisions: list[Decision] = field(default_factory=list)
    runs: int = 0


class CrashingFlow:
    """Plays a log to its end under a schedule; then `outside` and `durable` hold what came out."""

    def __init__(
        self,
        log: Sequence[LogRow],
        inputs: Sequence[Origin],
        track: TrackSpec,
        match: MatchSpec,
        tokenizer: Tokenizer,
        schedule: Schedule,
        directory: Path,
    ) -> None:
        self.schedule, self.tokenizer, self.track, self.match = schedule, tokenizer, track, match
        self.directory = directory
        self.inputs = {origin: _rows(origin, log, tokenizer) for origin in inputs}
        none = pl.DataFrame(schema={**_NOTIFICATION, "sequence": pl.Int64, "customer": pl.UInt64})
        self.outside = Outside([none] * schedule.writers)
        self.durable = Epoch(dict.fromkeys(inputs, 0), dict.fromkeys(range(schedule.writers), 0))
        self.now = START

    def play(self) -> None:
        """Run until the log is finished, crashing on the way."""
        random, crashes = self.schedule.random, self.schedule.crashes
        while True:
            may_crash = self.outside.runs < crashes
            run = _Run(self, may_crash=may_crash)
            self.outside.runs += 1
            steps = random.randint(20, 160)
            while not (run.done or run.broken or (may_crash and steps == 0)):
                run.step()
                steps -= 1
            if not may_crash:
                run.close_epoch(may_fail=False)
                return
            run.crash()


class _Run:
    def __init__(self, flow: CrashingFlow, *, may_crash: bool) -> None:
        self.may_crash, self.broken = may_crash, False
        self.flow, self.random, self.shards = flow, flow.schedule.random, flow.schedule.shards
        resumed = flow.durable
        self.epoch = Epoch(
            dict(resumed.read),
            dict(resumed.recalled),
            {},
            {name: list(rows) for name, rows in resumed.tables.items()},
            Counter(resumed.counts),
            {shard: list(resumed.known.get(shard, ())) for shard in range(self.shards)},
        )
        self.steps: dict[Receiver, TrackIncidents | MatchFaults] = {
            receiver: self._build(receiver, resumed.states.get(receiver)) for receiver in [NETWORK, *range(self.shards)]
        }
        self.network_known: Progress = {o: at for o, at in resumed.read.items() if _is_network(o)}
        self.unfinished = set(flow.inputs)
        self.recalling = set(range(flow.schedule.writers))
        self.published_before = [rows.height for rows in flow.outside.published]
        self.under_way: dict[Receiver, dict[Sender, deque[tuple[Any, Progress]]]] = {each: {} for each in self.steps}
        self.unpublished: list[deque[pl.DataFrame]] = [deque() for _ in range(flow.schedule.writers)]

    @property
    def done(self) -> bool:
        return not (self.unfinished or self.recalling or self._receivers())

    def step(self) -> None:
        """Do one thing that may happen now."""
        sources: list[Any] = [*sorted(self.unfinished), *sorted(self.recalling)]
        actions: list[Any] = [lambda source=source: self._poll(source) for source in sources]
        actions += [lambda receiver=receiver: self._deliver(receiver) for receiver in self._receivers()] * 3
        actions += [self._look, self._publish_some]
        if self.random.random() < 0.08:
            self.close_epoch(may_fail=self.may_crash)
        else:
            self.random.choice(actions)()

    def close_epoch(self, *, may_fail: bool) -> None:
        """Let everything arrive, and snapshot. When that fails, it was not all written, and the run must crash."""
        while receivers := self._receivers():
            self._deliver(self.random.choice(receivers))
        for writer in range(len(self.unpublished)):
            self._publish(writer, len(self.unpublished[writer]))
        epoch = self.epoch
        if may_fail and self.random.random() < 0.15:
            for step in self.random.sample(list(self.steps.values()), self.random.randint(0, len(self.steps))):
                step.snapshot()
            self.broken = True
            return
        epoch.states = {receiver: pickle.dumps(step.snapshot()) for receiver, step in self.steps.items()}
        recalled = {
            # once all is recalled, a lower bound of what was published by now
            writer: at if writer in self.recalling else self.random.randint(at, published.height)
            for (writer, at), published in zip(epoch.recalled.items(), self.flow.outside.published, strict=True)
        }
        self.flow.durable = Epoch(
            dict(epoch.read),
            recalled,
            dict(epoch.states),
            {name: list(rows) for name, rows in epoch.tables.items()},
            Counter(epoch.counts),
            {shard: list(known) for shard, known in epoch.known.items()},
        )
        for writer, at in recalled.items():
            if writer not in self.recalling:
                epoch.recalled[writer] = at
                self._tick(writer)

    def crash(self) -> None:
        """Of what the writers were given, some may still be published."""
        for writer, waiting in enumerate(self.unpublished):
            self._publish(writer, self.random.randint(0, len(waiting)))

    def _build(self, receiver: Receiver, saved: bytes | None) -> TrackIncidents | MatchFaults:
        flow, resume = self.flow, None if saved is None else pickle.loads(saved)
        # without a snapshot nothing names the directory of a lost run
        place = resume.place if resume else f"{receiver}-{flow.outside.runs}"
        root = flow.directory / place
        if receiver == NETWORK:
            return TrackIncidents(flow.track, self._fingerprint, SegmentFiles(root / "topology"), place, resume)
        return MatchFaults(flow.match, lambda table: SegmentFiles(root / table), place, resume)

    def _fingerprint(self, names: Any) -> Any:
        return self.flow.tokenizer.fingerprints(pl.Series(sorted(names), dtype=pl.String)).to_numpy()

    def _receivers(self) -> list[Receiver]:
        return [receiver for receiver, senders in self.under_way.items() if any(senders.values())]

    def _send(self, receiver: Receiver, sender: Sender, message: Any, known: Progress) -> None:
        self.under_way[receiver].setdefault(sender, deque()).append((message, known))

    def _poll(self, source: Origin | int) -> None:
        if isinstance(source, Origin):
            self._read(source)
        else:
            self._recall(source)

    def _read(self, origin: Origin) -> None:
        rows, at = self.flow.inputs[origin], self.epoch.read[origin]
        part = rows.slice(at, self.random.randint(0, 8))
        self.epoch.read[origin] = end = at + part.height
        finished = end == rows.height and self.random.random() < 0.5
        times = part["event_time"].cast(pl.Int64)
        batch = Batch(
            origin,
            TOPICS[origin.topic],
            part.with_columns(times.cum_max().shift(1).fill_null(NEVER).alias("_seen")),
            times.max(),
            caught_up=finished or self.random.random() < self.flow.schedule.caught_up,
            finished=finished,
        )
        if finished:
            self.unfinished.remove(origin)
        if _is_network(origin):
            self._send(NETWORK, origin, batch, {origin: end})
            return
        for shard, mine in enumerate(split_rows(batch.rows, self.shards)):
            self._send(shard, origin, replace(batch, rows=mine), {origin: end})

    def _recall(self, writer: int) -> None:
        at, end = self.epoch.recalled[writer], self.published_before[writer]
        if at == end:
            self.recalling.remove(writer)
            self._tick(writer)
            return
        part = self.flow.outside.published[writer].slice(at, min(self.random.randint(1, 3), end - at))
        self.epoch.recalled[writer] = at + part.height
        origin = Origin("published", writer)
        self._send(NETWORK, writer, Recalled(origin, part, complete=False), {})
        for shard, mine in enumerate(split_rows(part, self.shards)):
            if mine.height:
                self._send(shard, writer, Recalled(origin, mine, complete=False), {})

    def _tick(self, writer: int) -> None:
        empty = self.flow.outside.published[writer].clear()
        for receiver in self.steps:
            self._send(receiver, writer, Recalled(Origin("published", writer), empty, complete=True), {})

    def _deliver(self, receiver: Receiver) -> None:
        senders, messages = self.under_way[receiver], []
        known = self.network_known if receiver == NETWORK else (self.epoch.known[receiver] or [{}])[-1]
        for _ in range(self.random.randint(1, 4)):
            waiting = [queue for queue in senders.values() if queue]
            if not waiting:
                break
            message, progress = self.random.choice(waiting).popleft()
            messages.append(message)
            known = known | progress
        step = self.steps[receiver]
        if isinstance(step, TrackIncidents):
            self.network_known = known
            self._share(step.on_batch(messages, self.flow.now))
        else:
            self.epoch.known[receiver].append(known)
            self._take(receiver, step.on_batch(messages))

    def _look(self) -> None:
        """Time goes by."""
        self.flow.now += self.random.randint(0, 20) * SECOND
        step = self.steps[NETWORK]
        if step.next_look() <= self.flow.now:
            self._share(step.advance(self.flow.now))

    def _share(self, emitted: Sequence[Any]) -> None:
        for each in emitted:
            if isinstance(each, IncidentUpdate):
                for shard in range(self.shards):
                    self._send(shard, NETWORK, each, self.network_known)
            else:
                self._keep(each)

    def _take(self, shard: Receiver, emitted: Sequence[Any]) -> None:
        told = word([each for each in emitted if isinstance(each, Told)])
        for each in [*(each for each in emitted if not isinstance(each, Told)), *told]:
            if isinstance(each, Notifications):
                self._hand_to_writers(each.rows)
            elif isinstance(each, LateRows):
                self.flow.outside.late |= {(*each.origin, offset) for offset in each.rows["_offset"]}
            else:
                self._keep(each)
                if isinstance(each, TableOutput) and each.table == "affected_customers":
                    known = tuple(self.epoch.known[shard])
                    self.flow.outside.decisions += [Decision(row, known) for row in each.rows.to_dicts()]

    def _keep(self, each: TableOutput | Counted) -> None:
        if isinstance(each, TableOutput):
            self.epoch.tables.setdefault(each.table, []).append(each.rows)
        else:
            self.epoch.counts[each.name, *(text for _, text in each.labels)] += each.amount

    def _hand_to_writers(self, rows: pl.DataFrame) -> None:
        number = pl.col("customer_key").str.slice(0, 16).str.to_integer(base=16, dtype=pl.UInt64)
        placed = rows.select(*_NOTIFICATION, "sequence", number.alias("customer"))
        writer = (placed["customer"] // 7 % len(self.unpublished)).alias("writer")
        for (number_of, _), part in placed.with_columns(writer).group_by("writer", "channel", maintain_order=True):
            self.unpublished[number_of].append(part.drop("writer"))

    def _publish_some(self) -> None:
        writer = self.random.randrange(len(self.unpublished))
        self._publish(writer, self.random.randint(0, len(self.unpublished[writer])))

    def _publish(self, writer: int, amount: int) -> None:
        published = self.flow.outside.published
        for _ in range(amount):
            published[writer] = published[writer].vstack(self.unpublished[writer].popleft())


def _is_network(origin: Origin) -> bool:
    return origin.topic.startswith("network.")


def _rows(origin: Origin, log: Sequence[LogRow], tokenizer: Tokenizer) -> pl.DataFrame:
    """An input's rows as they reach the stateful steps."""
    mine = sorted((row for row in log if (row.topic, row.partition) == origin), key=lambda row: row.offset)
    block = RecordBlock.from_records(
        *origin,
        [record(row) for row in mine],
        offsets=[row.offset for row in mine],
        timestamps_ms=[row.time // 1000 for row in mine],
    )
    decoding = DecodeSpec(decoders={origin.topic: CanonicalDecoder(contract(TOPICS[origin.topic]), None)}, max_future=0)
    batch, refused, _ = decode_block(block, decoding)
    assert refused is None
    if _is_network(origin):
        return batch.rows
    spec = TokenizeSpec(
        tokens=tokenizer,
        keep={"crm_change": frozenset({"email", "msisdn"}), "usage_event": frozenset()},
        fingerprints={"crm_change": {"site": "site_id"}, "usage_event": {"cell": "cell_id", "event": "event_id"}},
    )
    return tokenize_batch(batch, spec)[0].rows
