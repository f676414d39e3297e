"""WorkloadSpec: everything that decides a workload, validated once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta

from schemas.errors import TerminalError

PARTITIONS: Mapping[str, int] = {
    "network.faults": 1,
    "network.faults.tmf642": 1,
    "network.faults.mist": 1,
    "network.topology": 1,
    "usage.events": 4,
    "crm.changes": 2,
    "crm.changes.salesforce": 2,
    "crm.changes.debezium": 2,
    "billing.events": 2,
    "care.interactions": 2,
}
_SHARES = ("canonical_share", "visitor_share", "join_share", "late_share", "duplicate_share", "poison_share")
_AT_LEAST_ONE = ("regions", "sites_per_region", "sites_per_router", "cells_per_site")
_STREAMS = frozenset({"network_fault", "usage_event", "crm_change", "billing_event", "care_interaction"})


@dataclass(frozen=True, kw_only=True)
class WorkloadSpec:
    """What a generated telco looks like and what happens in it.

    The same spec gives the same records, byte for byte, whatever the wall clock says.

    Attributes:
        seed: Decides everything that is drawn.
        start: Event time at which the run begins, with a time zone. Topology and the customer base are announced in
            the quarter of an hour before it.
        duration: Event time from `start` to the end of the history.
        live_seconds: Event time of the live part that follows the history; 0 for none.
        regions: Regions.
        sites_per_region: Sites in each region.
        sites_per_router: Sites behind one aggregation router.
        cells_per_site: Cells on each site.
        prepaid: Prepaid customers (Salesforce change data capture).
        postpaid: Postpaid customers (Debezium).
        canonical_share: Part of both that arrives as canonical `crm_change` instead.
        visitor_share: People with usage and no CRM row, relative to the customers.
        join_share: Part of the customers whose CRM row is created during the run (half of them use the network before).
        crm_changes_per_customer_per_day: Moves, consent, plan, status and the like.
        usage_per_customer_per_hour: Usage events, averaged over a day; nights are quiet.
        billing_per_customer_per_day: Billing events.
        care_per_customer_per_day: Care interactions.
        mobility: Changes of place per customer and hour, between home, work and elsewhere.
        topology_changes: Sites that change their router, and cells built and torn down, during the run.
        faults: Incidents in the history; one may be many alarms.
        live_faults: Incidents in the live part.
        disorder_seconds: A record arrives at most this long after its event time, unless it is late. Keep it under the
            flow's `max_delay`.
        live_disorder_seconds: The same in the live part.
        late_share: Part of the `late_streams` records that arrive `late_seconds` after their event time.
        late_seconds: See `late_share`.
        late_streams: Streams that have late records.
        duplicate_share: Part of the usage events, alarms and Debezium rows that are sent twice.
        poison_share: Unreadable records, relative to the good ones of each topic.
        poison_large_bytes: Size of the one oversized poison record of a topic.
        canaries: Unique personal values to place and list in the manifest.
        partitions: Partitions by topic, over `PARTITIONS`.

    Raises:
        TerminalError: A field is out of range; the message names it.
    """

    seed: int = 1
    start: datetime = datetime(2026, 3, 2, 8, tzinfo=UTC)
    duration: timedelta = timedelta(hours=2)
    live_seconds: float = 0.0
    regions: int = 2
    sites_per_region: int = 8
    sites_per_router: int = 4
    cells_per_site: int = 3
    prepaid: int = 120
    postpaid: int = 80
    canonical_share: float = 0.1
    visitor_share: float = 0.01
    join_share: float = 0.02
    crm_changes_per_customer_per_day: float = 2.0
    usage_per_customer_per_hour: float = 12.0
    billing_per_customer_per_day: float = 0.0
    care_per_customer_per_day: float = 0.0
    mobility: float = 0.5
    topology_changes: int = 2
    faults: int = 12
    live_faults: int = 0
    disorder_seconds: float = 45.0
    live_disorder_seconds: float = 0.5
    late_share: float = 0.0
    late_seconds: float = 1200.0
    late_streams: tuple[str, ...] = ("usage_event",)
    duplicate_share: float = 0.0
    poison_share: float = 0.0
    poison_large_bytes: int = 5_000_000
    canaries: int = 0
    partitions: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.start.tzinfo is None:
            raise TerminalError("start: expected a time with a time zone, got one without; add UTC.")
        if self.duration <= timedelta(0):
            raise TerminalError("duration: expected a positive time span.")
        for name in _SHARES:
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise TerminalError(f"{name}: expected a share between 0 and 1.")
        for name in _AT_LEAST_ONE:
            if getattr(self, name) < 1:
                raise TerminalError(f"{name}: expected at least 1.")
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, int | float) and value < 0:
                raise TerminalError(f"{item.name}: expected 0 or more.")
        for stream in self.late_streams:
            if stream not in _STREAMS:
                raise TerminalError(f"late_streams: expected streams of {sorted(_STREAMS)}.")
        for topic, count in self.partitions.items():
            if topic not in PARTITIONS or count < 1:
                raise TerminalError(f"partitions: expected a count of at least 1 for a topic of {sorted(PARTITIONS)}.")

    @property
    def customers(self) -> int:
        """How many customers have, or will have, a CRM row."""
        return self.prepaid + self.postpaid

    def partition_count(self, topic: str) -> int:
        """How many partitions `topic` has."""
        return self.partitions.get(topic, PARTITIONS[topic])

    def topics(self) -> list[str]:
        """All topics a workload may write to."""
        return list(PARTITIONS)
