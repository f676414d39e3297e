"""Where drafts come from: each source turns what happens in a span of time into records with an arrival."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from benchmarks.workload.alarms import MIST_TOPIC, TMF642_TOPIC, canonical_fault, mist_webhook, tmf642_alarm
from benchmarks.workload.arrivals import Arrivals
from benchmarks.workload.clock import Clock
from benchmarks.workload.crm import CrmChange, CrmLife
from benchmarks.workload.customers import DEBEZIUM, SALESFORCE, Population
from benchmarks.workload.debezium import TOPIC as DEBEZIUM_TOPIC
from benchmarks.workload.debezium import debezium_records
from benchmarks.workload.faults import Fault, FaultStep
from benchmarks.workload.records import Draft, Headers
from benchmarks.workload.salesforce import TOPIC as SALESFORCE_TOPIC
from benchmarks.workload.salesforce import salesforce_records
from benchmarks.workload.topology import TopologyChange
from benchmarks.workload.wire import TOPICS, Wire

Sent = tuple[bytes | None, bytes | None, Headers]


class Message(NamedTuple):
    """What is sent at once, and in this order: one record, or the three of a changed key."""

    time_us: int
    topic: str
    kind: str
    records: Sequence[Sent]
    again: Sequence[Sent]
    """What a repeating source sends a second time; empty where the source never repeats itself."""


class DraftSource(Protocol):
    """Anything that sends records as time goes by."""

    def between(self, start_us: int, end_us: int) -> list[Draft]:
        """The records whose event time lies in `[start_us, end_us)`; spans are consecutive."""
        ...


def deliver(messages: Sequence[Message], arrivals: Arrivals) -> list[Draft]:
    """Give each message its arrival; some are late, some come twice."""
    if not messages:
        return []
    times = np.array([message.time_us for message in messages], np.int64)
    first, late = arrivals.first(times)
    drafts = [
        Draft(arrival, message.topic, key, value, headers, message.kind, "late" if is_late else "")
        for message, arrival, is_late in zip(messages, first.tolist(), late.tolist(), strict=True)
        for key, value, headers in message.records
    ]
    for position, arrival in zip(*(column.tolist() for column in arrivals.second(times, first, late)), strict=True):
        message = messages[position]
        drafts += [
            Draft(arrival, message.topic, key, value, headers, message.kind, "duplicate")
            for key, value, headers in message.again
        ]
    return drafts


class TopologySource:
    """Announces the network and its changes."""

    def __init__(self, changes: Sequence[TopologyChange], wire: Wire, clock: Clock, arrivals: Arrivals) -> None:
        self._changes, self._wire, self._clock, self._arrivals = changes, wire, clock, arrivals

    def between(self, start_us: int, end_us: int) -> list[Draft]:
        """See `DraftSource`."""
        changes = [change for change in self._changes if start_us <= change.time_us < end_us]
        rows = [
            {
                "element_id": change.element.element_id,
                "parent_id": change.element.parent_id,
                "element_type": change.element.kind,
                "site_id": change.element.site_id,
                "region": change.element.region,
                "removed": change.kind == "removed",
                "event_time": self._clock.at(change.time_us),
            }
            for change in changes
        ]
        values = self._wire.rows("network_topology", rows)
        messages = [
            Message(
                change.time_us,
                TOPICS["network_topology"],
                change.kind,
                [(change.element.element_id.encode(), value, ())],
                (),
            )
            for change, value in zip(changes, values, strict=True)
        ]
        return deliver(messages, self._arrivals)


class FaultSource:
    """Tells of faults in the format of each; alarms may be repeated, Mist tells of each twice."""

    def __init__(self, faults: Sequence[Fault], wire: Wire, clock: Clock, arrivals: Arrivals) -> None:
        steps = [(fault, step) for fault in faults for step in fault.steps]
        self._steps = sorted(steps, key=lambda item: item[1].time_us)
        self._wire, self._clock, self._arrivals = wire, clock, arrivals

    def between(self, start_us: int, end_us: int) -> list[Draft]:
        """See `DraftSource`."""
        steps = [(fault, step) for fault, step in self._steps if start_us <= step.time_us < end_us]
        canonical = [(fault, step) for fault, step in steps if fault.format == "canonical"]
        values = self._wire.rows("network_fault", [canonical_fault(*item, self._clock) for item in canonical])
        encoded = iter(values)
        return deliver([self._message(fault, step, encoded) for fault, step in steps], self._arrivals)

    def _message(self, fault: Fault, step: FaultStep, canonical: Iterator[bytes]) -> Message:
        match fault.format:
            case "mist":
                key = fault.hub_site_id.encode()
                site = (key, mist_webhook(fault, step, self._clock), ())
                organisation = (key, mist_webhook(fault, step, self._clock, organisation=True), ())
                return Message(step.time_us, MIST_TOPIC, step.state, [site], [organisation])
            case "tmf642":
                sent = [(fault.fault_id.encode(), tmf642_alarm(fault, step, self._clock), ())]
                return Message(step.time_us, TMF642_TOPIC, step.state, sent, sent)
            case _:
                sent = [(fault.fault_id.encode(), next(canonical), ())]
                return Message(step.time_us, TOPICS["network_fault"], step.state, sent, sent)


class CrmSource:
    """Tells of customers in the format of the system that keeps each; Debezium repeats itself after a crash."""

    def __init__(self, life: CrmLife, population: Population, wire: Wire, clock: Clock, arrivals: Arrivals) -> None:
        self._life, self._source = life, population.source
        self._wire, self._clock, self._arrivals = wire, clock, arrivals

    def between(self, start_us: int, end_us: int) -> list[Draft]:
        """See `DraftSource`."""
        changes = self._life.between(start_us, end_us)
        vendors = (SALESFORCE, DEBEZIUM)
        rows = [canonical_change(change, self._clock) for change in changes if self._source[change.who] not in vendors]
        encoded = iter(self._wire.rows("crm_change", rows))
        return deliver([self._message(change, encoded) for change in changes], self._arrivals)

    def _message(self, change: CrmChange, canonical: Iterator[bytes]) -> Message:
        source = self._source[change.who]
        if source == SALESFORCE:
            sent: list[Sent] = [(key, value, ()) for key, value in salesforce_records(change, self._clock)]
            return Message(change.time_us, SALESFORCE_TOPIC, change.kind, sent, ())
        if source == DEBEZIUM:
            sent = list(debezium_records(change, self._clock))
            return Message(change.time_us, DEBEZIUM_TOPIC, change.kind, sent, sent)
        sent = [(change.customer_id.encode(), next(canonical), ())]
        return Message(change.time_us, TOPICS["crm_change"], change.kind, sent, ())


def canonical_change(change: CrmChange, clock: Clock) -> dict[str, object]:
    """The row of `crm_change`: updates are whole rows and partial ones by turns."""
    row: dict[str, object] = {
        "customer_id": change.customer_id,
        "op": change.op,
        "source_system": "billing-db",
        "version": change.number,
        "event_time": clock.at(change.time_us),
    }
    if change.op == "delete":
        return row
    if change.op == "update" and change.number % 2:
        return {**row, **{name: change.row[name] for name in change.changed}, "changed_fields": list(change.changed)}
    return {**row, **change.row}
