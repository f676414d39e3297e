"""Fault notifications: every customer a network fault touches is told once, on the channel they chose.

    network topics ─ decode ─────────────── track_incidents (one key) ─┐ incidents, to every shard
    CRM topics ───── decode ─ tokenize ─ shard ────────────────────────┤
    usage topics ─── decode ─ tokenize ─ shard ────────────────────────┼─ match_faults (one logic per shard)
    what we said ─── recall (to the tracker too) ──────────────────────┘        │
                                                                                ├─ word ─ notifications.<channel>
              refused records → <topic>.dlq      late rows → <topic>.late       ├─ tables
                                                                                └─ counts → metrics

Who is affected and what they are told: `operators/find_affected` and `operators/incidents`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bytewax.operators as op
import polars as pl
from bytewax.dataflow import Dataflow, Stream
from bytewax.inputs import Source
from bytewax.operators import KeyedStream
from bytewax.outputs import Sink

from connectors.kafka import OutputBatch
from connectors.metrics import CounterRows
from connectors.segments import SegmentFiles
from connectors.tables import TableRows, TableSpec, Tick
from flows.batch import Batch, Origin
from flows.notification_records import NETWORK_KEY, address_notifications, recall_notifications
from flows.operators.decode import DecodeSpec, decode
from flows.operators.incidents import SEVERITIES, IncidentRules
from flows.operators.match_faults import MatchFaults, MatchSpec
from flows.operators.messages import Counted, IncidentUpdate, LateRows, Notifications, Recalled, TableOutput, Told
from flows.operators.shard import shard
from flows.operators.tokenize import TokenizeSpec, tokenize
from flows.operators.track_incidents import TrackIncidents, TrackSpec
from flows.operators.watermark import FOREVER
from flows.operators.wording import word
from flows.refusals import dead_letters, late_letters
from flows.step_metrics import MeasuredStep, StateMetrics, StepMetrics, measured
from privacy import Sealer, Tokenizer
from schemas.blocks import RecordBlock
from schemas.codec import Decoder, Encoder
from schemas.contracts import contract

FLOW = "fault-notifications"
STEPS_VERSION = 3
"""Changes when a step id or the form of a step's state does: older recovery stores are then refused."""
NETWORK_STREAMS = ("network_fault", "network_topology")
TABLES: Mapping[str, TableSpec] = {
    "incidents": TableSpec("incidents", contract("incidents").polars, latest_by=("incident_id",), order_by="revision"),
    "affected_customers": TableSpec(
        "affected_customers", contract("affected_customers").polars, sort_by=("incident_id", "customer_key")
    ),
    "notifications": TableSpec(
        "notifications", contract("notifications").polars, sort_by=("incident_id", "customer_key")
    ),
    "stale_profiles": TableSpec(
        "stale_profiles", contract("stale_profiles").polars, latest_by=("customer_key",), order_by="revision"
    ),
}
_SECOND = 1_000_000
_KEEP = {"crm_change": frozenset({"email", "msisdn"}), "usage_event": frozenset[str]()}
_FINGERPRINTS = {"crm_change": {"site": "site_id"}, "usage_event": {"cell": "cell_id", "event": "event_id"}}


@dataclass(frozen=True, kw_only=True)
class FaultConfig:
    """What a telco may want otherwise. `shards` and `writers` are persisted formats: they cannot change later.

    Attributes:
        shards: Parts the customers are split into.
        writers: Transactional writers of each sink.
        presence_window_seconds: How long before a fault a use of a cell counts.
        hold_down_seconds: How long a fault must last before anybody is told.
        min_severity: The least severe fault (X.733) that is told.
        notify_updates: Whether a change of severity or expected end is told.
        max_delay_seconds: By stream, how far its rows may be out of order; a replay waits for that.
        allowed_lateness_seconds: How much later than `max_delay` usage may come before it goes to the late topic.
        max_future_seconds: How far an event time may run ahead of its Kafka timestamp.
        retention_seconds: How long closed incidents, and presence beyond the window, are kept for late rows.
    """

    shards: int = 2
    writers: int = 2
    presence_window_seconds: int = 1800
    hold_down_seconds: int = 0
    min_severity: str = "minor"
    notify_updates: bool = False
    max_delay_seconds: Mapping[str, int] = field(
        default_factory=lambda: {"network_fault": 60, "network_topology": 60, "crm_change": 60, "usage_event": 60}
    )
    allowed_lateness_seconds: int = 240
    max_future_seconds: int = 600
    retention_seconds: int = 3600

    def __post_init__(self) -> None:
        for name in ("shards", "writers", "presence_window_seconds"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1")
        for name in ("hold_down_seconds", "allowed_lateness_seconds", "max_future_seconds", "retention_seconds"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: expected at least 0")
        if self.min_severity not in SEVERITIES[1:]:
            raise ValueError(f"min_severity: expected one of {', '.join(SEVERITIES[1:])}")
        if set(self.max_delay_seconds) != {*NETWORK_STREAMS, "crm_change", "usage_event"}:
            raise ValueError("max_delay_seconds: expected network_fault, network_topology, crm_change and usage_event")


@dataclass(frozen=True, kw_only=True)
class FaultIO:
    """All that the flow touches.

    Attributes:
        network: Blocks of all fault and topology topics.
        subscribers: Blocks of all CRM topics.
        usage: Blocks of all usage topics.
        published: What the notification writers had published, then a tick an epoch.
        notifications: Takes (writer, OutputBatch), for topics `notifications.<channel>`.
        rejects: Takes (writer, OutputBatch), for topics `<topic>.dlq` and `<topic>.late`.
        tables: Takes ("0", TableRows or Tick).
        metrics: Takes ("0", CounterRows or Tick).
        decoders: By topic.
        published_decoder: For the notification topics.
        encoder: Of notifications.
        tokenizer: Makes tokens, keys and fingerprints.
        sealer: Seals dead letters.
        origins: Every (topic, partition) that is read.
        output_partitions: Partitions of every topic that is written.
        state_dir: Where state segments lie.
    """

    network: Source[RecordBlock]
    subscribers: Source[RecordBlock]
    usage: Source[RecordBlock]
    published: Source[RecordBlock]
    notifications: Sink[tuple[str, OutputBatch]]
    rejects: Sink[tuple[str, OutputBatch]]
    tables: Sink[tuple[str, TableRows | Tick]]
    metrics: Sink[tuple[str, CounterRows | Tick]]
    decoders: Mapping[str, Decoder]
    published_decoder: Decoder
    encoder: Encoder
    tokenizer: Tokenizer
    sealer: Sealer
    origins: tuple[tuple[str, int], ...]
    output_partitions: int
    state_dir: Path


def build(config: FaultConfig, io: FaultIO) -> Dataflow:
    """Connect the steps. Step ids are a persisted format."""
    shards = config.shards
    flow = Dataflow("fault_notifications")
    decoding = DecodeSpec(
        decoders=io.decoders, max_future=config.max_future_seconds * _SECOND, timed=StepMetrics("decode").batch
    )
    tokenizing = TokenizeSpec(
        tokens=io.tokenizer, keep=_KEEP, fingerprints=_FINGERPRINTS, timed=StepMetrics("tokenize").batch
    )

    said = op.flat_map(
        "recall", op.input("read_published", flow, io.published), recall_notifications(io.published_decoder, shards)
    )
    # said: KeyedStream[Recalled], keyed "network" and by shard
    network = decode("decode_network", op.input("read_network", flow, io.network), decoding)
    subscribers = decode("decode_subscribers", op.input("read_subscribers", flow, io.subscribers), decoding)
    usage = decode("decode_usage", op.input("read_usage", flow, io.usage), decoding)

    rows = op.map("key_network", network.rows, lambda batch: (NETWORK_KEY, batch))
    told = op.filter("recall_network", said, lambda item: item[0] == NETWORK_KEY)
    tracked = op.stateful_batch("track_incidents", op.merge("merge_network", told, rows), _tracker(config, io))
    # tracked: KeyedStream[IncidentUpdate | TableOutput | Counted]

    incidents = op.flat_map("share_incidents", tracked, lambda item: _to_every_shard(item[1], shards))
    private_subscribers = tokenize("tokenize_subscribers", subscribers.rows, tokenizing)
    private_usage = tokenize("tokenize_usage", usage.rows, tokenizing)
    inputs = op.merge(
        "merge_shards",
        op.filter("recall_shards", said, lambda item: item[0] != NETWORK_KEY),
        incidents,
        shard("shard_subscribers", private_subscribers.rows, shards),
        shard("shard_usage", private_usage.rows, shards),
    )  # KeyedStream[Recalled | IncidentUpdate | Batch]
    matched = op.stateful_batch("match_faults", inputs, _matcher(config, io))
    # matched: KeyedStream[Told | TableOutput | LateRows | Counted]
    worded = op.flat_map_batch("word", _only("pick_told", matched, Told), word)
    # worded: Stream[Notifications | TableOutput | Counted]

    notifications = op.flat_map(
        "address_notifications",
        _kind("pick_notifications", worded, Notifications),
        address_notifications(io.encoder, io.output_partitions, config.writers),
    )
    op.output("write_notifications", notifications, io.notifications)

    refused = op.merge("merge_refused", network.refused, subscribers.refused, usage.refused)
    late = _only("pick_late", matched, LateRows)
    rejects = op.merge(
        "merge_rejects",
        op.flat_map(
            "seal_refused",
            refused,
            lambda each: dead_letters(each, io.sealer, FLOW, io.output_partitions, config.writers),
        ),
        op.flat_map("address_late", late, lambda each: late_letters(each, io.output_partitions, config.writers)),
    )  # KeyedStream[OutputBatch]
    op.output("write_rejects", rejects, io.rejects)

    outputs = op.merge(
        "merge_tables",
        _only("pick_incident_rows", tracked, TableOutput),
        _only("pick_recalled_rows", matched, TableOutput),
        _kind("pick_customer_rows", worded, TableOutput),
    )
    table_rows = op.map("key_tables", outputs, lambda each: ("0", TableRows(each.table, each.rows)))
    table_ticks = op.flat_map("tick_tables", told, lambda item: _tick(item[1], Tick()))
    op.output("write_tables", op.merge("merge_table_ticks", table_rows, table_ticks), io.tables)

    counted = op.merge(
        "merge_counted",
        network.counted,
        subscribers.counted,
        usage.counted,
        private_subscribers.counted,
        private_usage.counted,
        _only("pick_network_counts", tracked, Counted),
        _only("pick_shard_counts", matched, Counted),
        _kind("pick_told_counts", worded, Counted),
    )
    counts = op.map("key_counts", counted, lambda each: ("0", CounterRows(each.name, dict(each.labels), each.amount)))
    count_ticks = op.flat_map("tick_counts", told, lambda item: _tick(item[1], Tick()))
    op.output("write_counts", op.merge("merge_count_ticks", counts, count_ticks), io.metrics)
    return flow


def get_flow() -> Dataflow:
    """The flow as the environment describes it, for `python -m bytewax.run flows.fault_notifications:get_flow()`."""
    from flows.standalone import standalone_flow

    return standalone_flow(FLOW)


class _TrackStep:
    """Lends track_incidents the clock."""

    def __init__(self, logic: TrackIncidents) -> None:
        self._logic = logic

    def on_batch(self, values: list[Batch | Recalled]) -> tuple[list[Any], bool]:
        return list(self._logic.on_batch(values, _now())), False

    def on_notify(self) -> tuple[list[Any], bool]:
        return list(self._logic.advance(_now())), False

    def notify_at(self) -> datetime | None:
        due = self._logic.next_look()
        return None if due >= FOREVER else datetime.fromtimestamp(due / _SECOND, UTC)

    def snapshot(self) -> Any:
        return self._logic.snapshot()

    def state_size(self) -> tuple[str, int]:
        return "network", self._logic.nbytes


class _MatchStep:
    def __init__(self, logic: MatchFaults, shards: int) -> None:
        self._logic, self._shards = logic, shards

    def on_batch(self, values: list[Any]) -> tuple[list[Any], bool]:
        return list(self._logic.on_batch(values)), False

    def on_notify(self) -> tuple[list[Any], bool]:
        return [], False

    def notify_at(self) -> None:
        return None

    def snapshot(self) -> Any:
        return self._logic.snapshot()

    def state_size(self) -> tuple[str, int] | None:
        # Bytewax does not tell a logic its key, but any of its customers does
        customer = self._logic.state.any_customer()
        return None if customer is None else (str(customer % self._shards), self._logic.state.nbytes)


def _tracker(config: FaultConfig, io: FaultIO) -> Callable[[Any], MeasuredStep]:
    metrics = StateMetrics("track_incidents")
    spec = TrackSpec(
        rules=IncidentRules(hold_down=config.hold_down_seconds * _SECOND, min_severity=config.min_severity),
        delays=_delays(config, io, *NETWORK_STREAMS),
        published=_published(config),
        retention=config.retention_seconds * _SECOND,
    )

    def fingerprint(names: Any) -> Any:
        return io.tokenizer.fingerprints(pl.Series(sorted(names), dtype=pl.String)).to_numpy()

    def make(resume: Any) -> _TrackStep:
        place = _place(resume)
        store = SegmentFiles(io.state_dir / "track_incidents" / place / "topology", metrics.wrote)
        return _TrackStep(TrackIncidents(spec, fingerprint, store, place, resume))

    return measured(make, metrics)


def _matcher(config: FaultConfig, io: FaultIO) -> Callable[[Any], MeasuredStep]:
    metrics = StateMetrics("match_faults")
    usage = _delays(config, io, "usage_event")
    spec = MatchSpec(
        delays=_delays(config, io, "crm_change") | usage,
        published=_published(config),
        presence_window=config.presence_window_seconds * _SECOND,
        lateness=(config.max_delay_seconds["usage_event"] + config.allowed_lateness_seconds) * _SECOND,
        retention=config.retention_seconds * _SECOND,
        notify_updates=config.notify_updates,
    )

    def make(resume: Any) -> _MatchStep:
        place = _place(resume)
        root = io.state_dir / "match_faults" / place
        logic = MatchFaults(spec, lambda table: SegmentFiles(root / table, metrics.wrote), place, resume)
        return _MatchStep(logic, config.shards)

    return measured(make, metrics)


def _place(resume: Any) -> str:
    # Bytewax does not tell a logic its key, so each one names its own directory, and its snapshots remember it
    return str(resume.place) if resume is not None else secrets.token_hex(8)


def _delays(config: FaultConfig, io: FaultIO, *streams: str) -> dict[Origin, int]:
    named = {topic: decoder.contract.name for topic, decoder in io.decoders.items()}
    return {
        Origin(topic, partition): config.max_delay_seconds[named[topic]] * _SECOND
        for topic, partition in io.origins
        if named[topic] in streams
    }


def _published(config: FaultConfig) -> tuple[Origin, ...]:
    return tuple(Origin("published", writer) for writer in range(config.writers))


def _to_every_shard(message: Any, shards: int) -> list[tuple[str, IncidentUpdate]]:
    if not isinstance(message, IncidentUpdate):
        return []
    return [(str(number), message) for number in range(shards)]


def _only(step_id: str, up: KeyedStream[Any], kind: type[Any]) -> Stream[Any]:
    return op.filter_map(step_id, up, lambda item: item[1] if isinstance(item[1], kind) else None)


def _kind(step_id: str, up: Stream[Any], kind: type[Any]) -> Stream[Any]:
    return op.filter_map(step_id, up, lambda item: item if isinstance(item, kind) else None)


def _tick(recalled: Recalled, tick: Any) -> list[tuple[str, Any]]:
    return [("0", tick)] if recalled.complete else []


def _now() -> int:
    return int(datetime.now(UTC).timestamp() * _SECOND)
