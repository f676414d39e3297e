"""What holds of the flow fault-notifications live, where a change may arrive after the fault that it precedes.

Told is judged by outages and not by ids, for an incident keeps the id under which customers were told of it, even where
what arrives later would have named it otherwise.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

from tests.fault_flow import Result, micros
from tests.oracles.fault_notifications import FOREVER, LogRow, episodes, first_moment
from tests.recovery.random_logs import RandomLog, place_of

Row = Mapping[str, Any]


@dataclass(frozen=True)
class LiveRun:
    """All that came in and out.

    Attributes:
        log: What came in.
        sent_ms: When each of its rows was handed to the producer, by place.
        result: What came out.
        published_ms: Kafka's time of each notification, by id.
        customers: The customer behind each key.
    """

    log: RandomLog
    sent_ms: Mapping[tuple[str, int, int], int]
    result: Result
    published_ms: Mapping[str, int]
    customers: Mapping[str, str]

    def incidents(self) -> dict[str, Row]:
        """The newest revision of each."""
        rows = self.result.tables["incidents"].sort("revision").to_dicts()
        return {row["incident_id"]: row for row in rows}

    def clears(self) -> dict[str, list[int]]:
        """When each fault was cleared."""
        found = defaultdict(list)
        for row in self.log.rows:
            if row.stream == "network_fault" and row.row["state"] == "cleared":
                found[row.row["fault_id"]].append(row.row["event_time"])
        return found

    def affected(self) -> list[Row]:
        return self.result.tables["affected_customers"].to_dicts()


def check_nobody_is_told_twice(run: LiveRun) -> None:
    """Neither under one id, nor of one outage under two.

    A fault that was cleared and raised again may be told again while the incident that it belonged to goes on: the
    network may have changed, so that it is the root of another one now.
    """
    said = Counter(_said(row) for row in run.result.notifications)
    assert set(said.values()) <= {1}
    incidents, clears = run.incidents(), run.clears()
    outages = defaultdict(list)
    for row in run.result.notifications:
        if row["phase"] == "raised":
            outages[row["customer_key"], row["fault_id"]].append(incidents[row["incident_id"]])
    for (_, fault_id), told in outages.items():
        told.sort(key=_span)
        for one, other in pairwise(told):
            (opened, closed), (opened_again, _) = _span(one), _span(other)
            raised_again = any(opened < clear <= opened_again for clear in clears[fault_id])
            assert closed <= opened_again or (raised_again and _whole(one) != _whole(other)), (
                f"{fault_id} was told to one customer as {one['incident_id']} and as {other['incident_id']}"
            )


def check_all_clear_goes_to_those_told(run: LiveRun) -> None:
    """When the incident is over; before, to nobody."""
    told: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for row in run.result.notifications:
        told[row["incident_id"]][row["phase"]].add(row["customer_key"])
    incidents = run.incidents()
    for name, phases in told.items():
        assert phases["updated"] <= phases["raised"]
        assert incidents[name]["state"] in ("announced", "closed")
        assert phases["cleared"] == (phases["raised"] if incidents[name]["state"] == "closed" else set())


def check_topics_and_tables_agree(run: LiveRun) -> None:
    """Row by row."""
    table = Counter(_said(row) for row in run.result.tables["notifications"].to_dicts())
    assert table == Counter(_said(row) for row in run.result.notifications)
    rows = run.affected()
    assert len({(row["incident_id"], row["customer_key"]) for row in rows}) == len(rows)
    told = {
        (row["incident_id"], row["customer_key"], row["outcome"], micros(row["affected_at"]), micros(row["told_at"]))
        for row in rows
        if row["outcome"] != "unreachable"
    }
    raised = {
        (row["incident_id"], row["customer_key"], row["channel"], micros(row["affected_at"]), micros(row["event_time"]))
        for row in run.result.notifications
        if row["phase"] == "raised"
    }
    assert told == raised


def check_whoever_is_affected_is_told(run: LiveRun) -> None:
    """Told of the outage, under whatever id, or found unreachable."""
    incidents = run.incidents()
    told = defaultdict(list)
    for row in run.affected():
        incident = incidents[row["incident_id"]]
        told[run.customers[row["customer_key"]]].append((incident["element_id"], *_span(incident)))
    for world in range(len(run.log.worlds)):
        rows = run.log.in_time(world)
        for episode in episodes(rows, run.log.rules):
            elements = {element for _, element, _ in episode.joined}
            for customer in _customers(rows):
                if first_moment(customer, episode, rows, run.log.rules) is None:
                    continue
                spans = [(start, end) for element, start, end in told[customer] if element in elements]
                assert any(start < episode.closed and episode.opened < end for start, end in spans), (
                    f"{customer} was not told of {episode.name}, fault {episode.fault_id}"
                )


def check_whoever_was_told_was_affected(run: LiveRun) -> int:
    """By the definition, or by what had arrived when it was decided; returns how many by the latter only."""
    right = {(name, customer, at) for name, customer, _, _, at, _ in run.log.outcome().affected}
    world_of = {
        row.row["customer_id"]: number
        for number, rows in enumerate(run.log.worlds)
        for row in rows
        if row.stream == "crm_change"
    }
    by_then = 0
    for row in run.result.notifications:
        customer, at = run.customers[row["customer_key"]], micros(row["affected_at"])
        if row["phase"] != "raised" or (row["incident_id"], customer, at) in right:
            continue
        by_then += 1
        known = [
            each
            for each in run.log.in_time(world_of[customer])
            if run.sent_ms[place_of(each)] <= run.published_ms[row["notification_id"]]
        ]
        assert any(_is_affected(customer, at, prefix, run) for prefix in _prefixes(known, customer)), (
            f"{customer} was told of {row['incident_id']} as affected at {at}"
        )
    return by_then


def _is_affected(customer: str, at: int, prefix: Sequence[LogRow], run: LiveRun) -> bool:
    return any(
        episode.opened <= at < episode.closed and first_moment(customer, episode, prefix, run.log.rules) is not None
        for episode in episodes(prefix, run.log.rules)
    )


def _prefixes(rows: Sequence[LogRow], customer: str) -> Iterator[list[LogRow]]:
    """Whatever may have been known of these rows: of each partition a beginning, the longest first."""
    own = [row for row in rows if row.row.get("customer_id", customer) == customer]
    offsets: dict[tuple[str, int], list[int]] = {}
    for row in own:
        offsets.setdefault((row.topic, row.partition), []).append(row.offset)
    for last in product(*([*sorted(each, reverse=True), -1] for each in offsets.values())):
        known = dict(zip(offsets, last, strict=True))
        yield [row for row in own if row.offset <= known[row.topic, row.partition]]


def _customers(rows: Sequence[LogRow]) -> list[str]:
    return sorted({row.row["customer_id"] for row in rows if row.stream == "crm_change"})


def _span(incident: Row) -> tuple[int, int]:
    opened, closed = micros(incident["opened_at"]), micros(incident["closed_at"])
    assert opened is not None
    return opened, FOREVER if closed is None else closed


def _whole(incident: Row) -> str:
    """The incident that it is or is a part of."""
    return str(incident["part_of"] or incident["incident_id"])


def _said(row: Row) -> tuple[Any, ...]:
    moment = micros(row["event_time"]) if row["phase"] == "updated" else None
    return row["notification_id"], row["incident_id"], row["customer_key"], row["phase"], row["channel"], moment
