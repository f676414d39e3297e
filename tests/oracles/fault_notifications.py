"""The definition of the flow fault-notifications: what a finished log leads to, computed naively over the whole log.

Rows are canonical, untokenized, with times as microseconds; a customer is named by `customer_id`. Nothing here is
fast, and nothing is taken from the flow but the names.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

SEVERITIES = ["cleared", "indeterminate", "warning", "minor", "major", "critical"]
CHANNELS = ["email", "sms", "whatsapp", "push"]
SERVICES = {"voice", "sms", "data"}
FOREVER = 2**62


@dataclass(frozen=True)
class LogRow:
    """One canonical row and its place in the log."""

    stream: str
    topic: str
    partition: int
    offset: int
    row: dict[str, Any]

    @property
    def time(self) -> int:
        return self.row["event_time"]

    @property
    def order(self) -> tuple[int, str, int, int]:
        return (self.time, self.topic, self.partition, self.offset)


@dataclass(frozen=True)
class Rules:
    """Times in microseconds."""

    presence_window: int
    hold_down: int
    min_severity: str
    notify_updates: bool
    lateness: int


@dataclass
class Episode:
    """An incident."""

    name: str
    fault_id: str
    row: dict[str, Any]
    opened: int
    closed: int = FOREVER
    elements: dict[str, Any] = field(default_factory=dict)
    services: list[tuple[int, frozenset[str] | None]] = field(default_factory=list)  # None: every service
    wordings: list[tuple[int, str, int | None]] = field(default_factory=list)
    members: dict[str, dict[str, Any]] = field(default_factory=dict)  # faults that are open
    joined: list[tuple[int, str, Any]] = field(default_factory=list)  # when, element, its stated type
    fault_count: int = 0


@dataclass
class Outcome:
    """What should come out."""

    notifications: set[tuple[Any, ...]]
    affected: set[tuple[Any, ...]]
    incidents: set[tuple[Any, ...]]
    late: set[tuple[str, int, int]]


def outcome(log: list[LogRow], rules: Rules) -> Outcome:
    """The answer."""
    late = late_usage(log, rules)
    log = sorted((each for each in log if (each.topic, each.partition, each.offset) not in late), key=lambda r: r.order)
    notifications, affected, incidents = set(), set(), set()
    for incident in episodes(log, rules):
        announced = incident.opened + rules.hold_down
        told = announced < incident.closed
        incidents.add((incident.name, incident.fault_id, incident.opened, incident.closed, told, incident.fault_count))
        if not told:
            continue
        for customer in sorted({each.row["customer_id"] for each in log if each.stream == "crm_change"}):
            found = first_moment(customer, incident, log, rules)
            if found is None:
                continue
            affected_at, cause = found
            told_at = max(affected_at, announced)
            profile = profile_at(customer, told_at, log)
            channel = choose(profile)
            affected.add((incident.name, customer, cause, channel or "unreachable", affected_at, told_at))
            if channel is None:
                continue
            contact = {"email": "email", "sms": "msisdn", "whatsapp": "msisdn"}.get(channel)
            who = (incident.name, customer, channel, profile.get(contact), profile.get("language"))
            notifications.add((*who, "raised", told_at, wording_at(incident, told_at)))
            for before, after in zip(incident.wordings, incident.wordings[1:], strict=False):
                moment = after[0]
                changed = before[1:] != after[1:] and announced < moment < incident.closed and told_at < moment
                if rules.notify_updates and changed:
                    notifications.add((*who, "updated", moment, after[1:]))
            if incident.closed < FOREVER:
                notifications.add((*who, "cleared", incident.closed, wording_at(incident, incident.closed)))
    return Outcome(notifications, affected, incidents, late)


def late_usage(log: list[LogRow], rules: Rules) -> set[tuple[str, int, int]]:
    """Usage that came too late: further behind the newest row before it in its partition than is allowed."""
    late, newest = set(), {}
    for each in sorted(log, key=lambda r: (r.topic, r.partition, r.offset)):
        origin = (each.topic, each.partition)
        if each.stream == "usage_event" and each.time < newest.get(origin, -FOREVER) - rules.lateness:
            late.add((*origin, each.offset))
        newest[origin] = max(each.time, newest.get(origin, -FOREVER))
    return late


def episodes(log: list[LogRow], rules: Rules) -> list[Episode]:
    """Incidents: root faults and what joined them, in event-time order."""
    found: list[Episode] = []
    faults: dict[str, dict[str, Any]] = {}
    before: list[dict[str, Any]] = []
    for each in log:
        if each.stream != "network_fault" or each.row in before:  # the same event, told again
            continue
        before.append(each.row)
        name, time = each.row["fault_id"], each.time
        home = next((episode for episode in found if name in episode.members), None)
        if each.row["state"] == "cleared":
            faults.pop(name, None)
            if home is not None:
                del home.members[name]
                if home.members:
                    reword(home, time)
                else:
                    home.closed = time
            continue
        row = faults.get(name, {}) | {key: cell for key, cell in each.row.items() if cell is not None}
        faults[name] = row = {**dict.fromkeys(each.row), **row}
        counts = row["service_affecting"] and SEVERITIES.index(row["severity"]) >= SEVERITIES.index(rules.min_severity)
        if home is None and counts:
            above = ancestors(row["element_id"], time, log)
            homes = [
                e
                for e in found
                if e.closed == FOREVER and (e.row["element_id"] in above or row["parent_fault_id"] in e.members)
            ]
            home = min(homes, key=lambda e: (e.opened, e.name), default=None)
            if home is None:
                home = Episode(hashed(f"{name}|{time}", 8), name, row, time)
                # raised, cleared and raised again in one moment: the last opening stands for all
                found = [*(e for e in found if e.name != home.name), home]
        if home is not None:
            home.fault_count += name not in home.members
            home.members[name] = row
            home.joined.append((time, row["element_id"], row["element_type"]))
            last = home.services[-1][1] if home.services else frozenset()
            named = set(row["services"])
            every = last is None or not named or not named <= SERVICES
            home.services.append((time, None if every else last | named))
            reword(home, time)
    return found


def reword(incident: Episode, time: int) -> None:
    severity = max((row["severity"] for row in incident.members.values()), key=SEVERITIES.index)
    root = incident.members.get(incident.fault_id)
    expected = root["expected_clear_time"] if root else incident.wordings[-1][2]
    if incident.wordings and incident.wordings[-1][0] == time:
        incident.wordings.pop()
    if not incident.wordings or incident.wordings[-1][1:] != (severity, expected):
        incident.wordings.append((time, severity, expected))


def wording_at(incident: Episode, time: int) -> tuple[str, int | None]:
    return [wording[1:] for wording in incident.wordings if wording[0] <= time][-1]


def element_at(element: str, time: int, log: list[LogRow]) -> dict[str, Any] | None:
    rows = [
        each.row
        for each in log
        if each.stream == "network_topology" and each.row["element_id"] == element and each.time <= time
    ]
    return rows[-1] if rows and not rows[-1]["removed"] else None


def ancestors(element: str, time: int, log: list[LogRow]) -> list[str]:
    found = [element]
    while (row := element_at(found[-1], time, log)) and row["parent_id"] and row["parent_id"] not in found:
        found.append(row["parent_id"])
    return found


def reach(incident: Episode, time: int, log: list[LogRow]) -> tuple[set[str], set[str]]:
    """Cells and sites under the incident's elements."""
    stated = {}
    for joined, element, kind in incident.joined:
        if joined <= time:
            stated.setdefault(element, kind)
    known = {each.row["element_id"] for each in log if each.stream == "network_topology"} | set(stated)
    cells, sites = set(), set()
    for element in known:
        row = element_at(element, time, log)
        if not set(stated) & set(ancestors(element, time, log)) or (row is None and element not in stated):
            continue
        kind = row["element_type"] if row else stated[element]
        if kind in ("cell", None):
            cells.add(element)
        if kind in ("site", None):
            sites.add(element)
    return cells, sites


def first_moment(customer: str, incident: Episode, log: list[LogRow], rules: Rules) -> tuple[int, str] | None:
    """When the customer became affected, and why."""
    end = incident.closed
    network = {each.time for each in log if each.stream.startswith("network")}
    own = {each.time for each in log if each.row.get("customer_id") == customer}
    moments = sorted(time for time in network | own | {incident.opened} if incident.opened <= time < end)
    for moment in moments:
        profile = profile_at(customer, moment, log)
        if profile is None or profile.get("status") not in ("active", None) or profile.get("deleted"):
            continue
        wanted = [services for time, services in incident.services if time <= moment][-1]
        has = profile.get("services")
        if wanted is not None and has is not None and set(has) <= SERVICES and not wanted & set(has):
            continue
        if has is not None and not has:
            continue
        if profile.get("site_id") in reach(incident, moment, log)[1]:
            return moment, "site"
        if used_footprint(customer, incident, moment, log, rules):
            return moment, "presence"
    return None


def used_footprint(customer: str, incident: Episode, moment: int, log: list[LogRow], rules: Rules) -> bool:
    uses = [
        each
        for each in log
        if each.stream == "usage_event" and each.row["customer_id"] == customer and each.row["cell_id"]
    ]
    changes = sorted(
        {incident.opened}
        | {e.time for e in log if e.stream.startswith("network") and incident.opened < e.time < incident.closed}
    )
    for use in uses:
        if use.time > moment:
            continue
        for start, end in zip(changes, [*changes[1:], incident.closed], strict=True):
            if (
                start <= moment
                and start - rules.presence_window <= use.time < end
                and use.row["cell_id"] in reach(incident, start, log)[0]
            ):
                return True
    return False


def profile_at(customer: str, moment: int, log: list[LogRow]) -> dict[str, Any] | None:
    """The newest given value of each field, by event time, version and place."""
    rows = [
        each
        for each in log
        if each.stream == "crm_change" and each.row["customer_id"] == customer and each.time <= moment
    ]
    profile: dict[str, Any] | None = None
    for each in sorted(rows, key=lambda r: (r.time, r.row["version"], r.topic, r.partition, r.offset)):
        row = each.row
        if row["op"] == "stale":
            continue
        if row["op"] == "delete":
            profile = {"deleted": True}
        elif row["op"] == "create" or row["changed_fields"] is None:
            profile = dict(row)
        else:
            profile = (profile or {"deleted": True}) | {name: row[name] for name in row["changed_fields"]}
            if "status" in row["changed_fields"]:
                profile.pop("deleted", None)
    return profile


def stale_customers(log: list[LogRow]) -> set[str]:
    """Customers with a gap after which no whole row has come."""
    rows = [(each.row, (each.time, each.row["version"])) for each in log if each.stream == "crm_change"]
    gaps = [(row["customer_id"], moment) for row, moment in rows if row["op"] == "stale"]
    whole = [
        (row["customer_id"], moment)
        for row, moment in rows
        if row["op"] in ("create", "delete") or (row["op"] == "update" and row["changed_fields"] is None)
    ]
    return {customer for customer, gap in gaps if not any(who == customer and after >= gap for who, after in whole)}


def choose(profile: dict[str, Any] | None) -> str | None:
    profile = profile or {}
    order = profile.get("channels")
    for channel in ["email", "sms"] if order is None else order:
        contact = {"email": "email", "sms": "msisdn", "whatsapp": "msisdn"}.get(channel)
        reachable = contact is None or profile.get(contact) is not None
        if channel in CHANNELS and channel in (profile.get("consent") or []) and reachable:
            return channel
    return None


def hashed(text: str, size: int) -> str:
    return hashlib.blake2b(text.encode(), digest_size=size).hexdigest()
