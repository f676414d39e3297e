"""Small random logs for the flow fault-notifications: few elements, customers and minutes, many coincidences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.fault_flow import SECOND, START, decidable
from tests.oracles.fault_notifications import LogRow

MAX_DELAY = 30
LATENESS = 60  # beyond max_delay
HORIZON = 300
PARENTS = {"R": None, "A": "R", "B": "R", "A1": "A", "A2": "A", "B1": "B"}
KINDS = {"R": "region", "A": "site", "B": "site", "A1": "cell", "A2": "cell", "B1": "cell"}
ELEMENTS = [*PARENTS, "Z"]  # Z is in no topology
CUSTOMERS = ["anna", "bela", "chen", "dora"]
SEVERITIES = ["critical", "major", "minor", "warning"]
_SUBSCRIBERS: list[list[tuple[str, str]]] = [[], [("anna", "A")], [("anna", "A"), ("bela", "B")]]
PARTITIONS = {"network.faults": 2, "network.topology": 1, "crm.changes": 2, "usage.events": 2}


@dataclass(frozen=True)
class Event:
    """A row, when it arrives, and in which partition."""

    stream: str
    topic: str
    partition: int
    arrival: int
    row: dict[str, Any]


def _moment() -> st.SearchStrategy[int]:
    return st.integers(0, HORIZON)


def _delay() -> st.SearchStrategy[int]:
    return st.sampled_from([0, 0, 0, 1, 5, MAX_DELAY])


@st.composite
def _fault(draw: st.DrawFn) -> Event:
    time = draw(_moment())
    name = draw(st.sampled_from(["f1", "f2", "f3", "f4"]))
    # a fault has one element, as its id names it, and so one partition
    row = {
        "fault_id": name,
        "element_id": {"f1": "A", "f2": "A1", "f3": "R", "f4": draw(st.sampled_from(["B1", "Z"]))}[name],
        "element_type": draw(st.sampled_from([None, "cell"])) if name == "f4" else None,
        "state": draw(st.sampled_from(["raised", "raised", "updated", "cleared"])),
        "severity": draw(st.sampled_from(SEVERITIES)),
        "probable_cause": None,
        "services": draw(st.sampled_from([[], [], ["data"], ["voice", "sms"], ["iptv"]])),
        "parent_fault_id": draw(st.sampled_from([None, None, None, "f1"])),
        "planned": False,
        "service_affecting": draw(st.sampled_from([True, True, True, False])),
        "source_system": None,
        "event_time": START + time * SECOND,
        "expected_clear_time": draw(st.sampled_from([None, START + 900 * SECOND, START + 999 * SECOND])),
    }
    return Event("network_fault", "network.faults", int(name == "f4"), time + draw(_delay()), row)


@st.composite
def _topology(draw: st.DrawFn) -> Event:
    time = draw(_moment())
    element = draw(st.sampled_from(list(PARENTS)))
    row = {
        "element_id": element,
        "parent_id": draw(st.sampled_from(["A", "B", "R", None])),
        "element_type": KINDS[element],
        "site_id": None,
        "region": None,
        "removed": draw(st.sampled_from([False, False, True])),
        "event_time": START + time * SECOND,
    }
    return Event("network_topology", "network.topology", 0, time + draw(_delay()), row)


@st.composite
def _crm(draw: st.DrawFn) -> Event:
    time = draw(_moment())
    customer = draw(st.sampled_from(CUSTOMERS))
    fields = ["site_id", "services", "channels", "consent", "status", "email", "msisdn", "language"]
    op = draw(st.sampled_from(["create", "update", "update", "update", "delete", "stale"]))
    row = {
        "customer_id": customer,
        "op": op,
        "source_system": "test",
        "account_type": None,
        "name": None,
        "email": draw(st.sampled_from([None, "a@example.org", "b@example.org"])),
        "msisdn": draw(st.sampled_from([None, "491700000001"])),
        "site_id": draw(st.sampled_from([None, "A", "B"])),
        "services": draw(st.sampled_from([None, None, ["voice"], ["data", "sms"], ["iptv"], []])),
        "language": draw(st.sampled_from([None, "de", "sr"])),
        "channels": draw(st.sampled_from([None, ["email", "sms"], ["push"], ["whatsapp", "email"], ["pigeon", "sms"]])),
        "consent": draw(st.sampled_from([None, ["email"], ["sms", "push"], ["email", "whatsapp", "push"]])),
        "status": draw(st.sampled_from([None, "active", "active", "suspended"])),
        "changed_fields": draw(st.none() | st.lists(st.sampled_from(fields), unique=True)) if op == "update" else None,
        "version": draw(st.integers(0, 2)),
        "event_time": START + time * SECOND,
    }
    return Event("crm_change", "crm.changes", CUSTOMERS.index(customer) % 2, time + draw(_delay()), row)


@st.composite
def _usage(draw: st.DrawFn) -> Event:
    time = draw(_moment())
    customer = draw(st.sampled_from(CUSTOMERS))
    row = {
        "customer_id": customer,
        "msisdn": None,
        "cell_id": draw(st.sampled_from([None, "A1", "A2", "B1", "Z"])),
        "kind": "data",
        "event_time": START + time * SECOND,
    }
    # the last choice is later than the flow allows, if what came before it is new enough
    delay = draw(_delay() | st.just(MAX_DELAY + LATENESS + 40))
    return Event("usage_event", "usage.events", CUSTOMERS.index(customer) % 2, time + delay, row)


def _initial() -> list[Event]:
    return [
        Event(
            "network_topology",
            "network.topology",
            0,
            0,
            {
                "element_id": element,
                "parent_id": parent,
                "element_type": KINDS[element],
                "site_id": None,
                "region": "R",
                "removed": False,
                "event_time": START,
            },
        )
        for element, parent in PARENTS.items()
    ]


def _subscriber(customer: str, site: str) -> Event:
    """Somebody who is there from the start, and can be told."""
    row = {
        "customer_id": customer,
        "op": "create",
        "source_system": "test",
        "account_type": None,
        "name": None,
        "email": "a@example.org",
        "msisdn": None,
        "site_id": site,
        "services": None,
        "language": None,
        "channels": None,
        "consent": ["email"],
        "status": "active",
        "changed_fields": None,
        "version": 0,
        "event_time": START,
    }
    return Event("crm_change", "crm.changes", CUSTOMERS.index(customer) % 2, 0, row)


def _outage(fault_id: str, element_id: str, state: str, time: int) -> Event:
    row = {
        "fault_id": fault_id,
        "element_id": element_id,
        "element_type": None,
        "state": state,
        "severity": "major",
        "probable_cause": None,
        "services": [],
        "parent_fault_id": None,
        "planned": False,
        "service_affecting": True,
        "source_system": None,
        "event_time": START + time * SECOND,
        "expected_clear_time": None,
    }
    return Event("network_fault", "network.faults", int(fault_id == "f4"), time, row)


@st.composite
def logs(draw: st.DrawFn, *, outage: bool = False, live: bool = False) -> list[LogRow]:
    """A log whose disorder is within MAX_DELAY, but for usage that comes later than is allowed.

    With `live` some of it comes later than it is waited for and still counts; the definition of a finished log says
    nothing of that. With `outage` there are two reachable subscribers and two faults that touch them; what else
    happens may hide that.
    """
    subscribers = _SUBSCRIBERS[-1] if outage else draw(st.sampled_from(_SUBSCRIBERS))
    events = _initial() + [_subscriber(*each) for each in subscribers]
    if outage:
        events += [
            _outage("f1", "A", "raised", 60),
            _outage("f1", "A", "cleared", 200),
            _outage("f3", "R", "raised", 230),
        ]
    # the size is drawn first, for lists are short otherwise, and short logs hold few coincidences
    size = draw(st.integers(0, 40))
    kinds = st.one_of(_fault(), _fault(), _crm(), _crm(), _usage(), _usage(), _topology())
    events += draw(st.lists(kinds, min_size=size, max_size=size))
    rows: list[LogRow] = []
    for topic, count in PARTITIONS.items():
        for partition in range(count):
            mine = [each for each in events if (each.topic, each.partition) == (topic, partition)]
            mine.sort(key=lambda each: each.arrival)
            kept = mine if live else decidable(mine, MAX_DELAY * SECOND, (MAX_DELAY + LATENESS) * SECOND)
            for offset, each in enumerate(kept):
                extra = {"event_id": f"{partition}-{offset}"} if each.stream == "usage_event" else {}
                rows.append(LogRow(each.stream, topic, partition, offset, each.row | extra))
    return rows


def cuts() -> st.SearchStrategy[dict[tuple[str, int], list[int]]]:
    """Block sizes for each partition."""
    origins = [(topic, partition) for topic, count in PARTITIONS.items() for partition in range(count)]
    return st.fixed_dictionaries({origin: st.lists(st.integers(1, 8), min_size=1, max_size=4) for origin in origins})


def pauses() -> st.SearchStrategy[dict[tuple[str, int], list[int]]]:
    """Empty polls before each block, which decide the order between partitions."""
    origins = [(topic, partition) for topic, count in PARTITIONS.items() for partition in range(count)]
    return st.fixed_dictionaries({origin: st.lists(st.integers(0, 6), min_size=1, max_size=3) for origin in origins})
