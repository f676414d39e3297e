"""Good records of every topic, made to be spoilt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import orjson

from benchmarks.workload.alarms import MIST_TOPIC, TMF642_TOPIC, canonical_fault, mist_webhook, tmf642_alarm
from benchmarks.workload.clock import Clock
from benchmarks.workload.crm import CrmChange
from benchmarks.workload.customers import Population
from benchmarks.workload.debezium import TOPIC as DEBEZIUM_TOPIC
from benchmarks.workload.debezium import debezium_records
from benchmarks.workload.faults import Fault, FaultStep
from benchmarks.workload.salesforce import TOPIC as SALESFORCE_TOPIC
from benchmarks.workload.salesforce import salesforce_records
from benchmarks.workload.sources import canonical_change
from benchmarks.workload.topology import Topology
from benchmarks.workload.wire import TOPICS, Wire

FORMATS: Mapping[str, str] = {
    TMF642_TOPIC: "tmf642",
    MIST_TOPIC: "mist",
    SALESFORCE_TOPIC: "salesforce_cdc",
    DEBEZIUM_TOPIC: "debezium",
}
"""The vendor formats by topic; all others are canonical."""
_STREAMS = {topic: stream for stream, topic in TOPICS.items()}
Sample = tuple[bytes, dict[str, Any]]


class Samples:
    """Good records to spoil, about canary people where there are any."""

    def __init__(
        self, topology: Topology, population: Population, wire: Wire, clock: Clock, people: list[int], texts: list[str]
    ) -> None:
        self._topology, self._population, self._wire, self._clock = topology, population, wire, clock
        self._people, self._texts = people, texts
        self._vendors: Mapping[str, Callable[[int, int], Sample]] = {
            TMF642_TOPIC: self._tmf642,
            MIST_TOPIC: self._mist,
            SALESFORCE_TOPIC: self._salesforce,
            DEBEZIUM_TOPIC: self._debezium,
        }

    def of(self, topic: str, time_us: int, rng: Random) -> Sample:
        """Key of a good record, and its value before it is encoded."""
        number = rng.randrange(1 << 20)
        if topic in self._vendors:
            return self._vendors[topic](number, time_us)
        row = self._row(_STREAMS[topic], number, time_us)
        key = str(row.get("customer_id", row.get("fault_id", row.get("element_id")))).encode()
        return key, row

    def encoded(self, topic: str, row: Mapping[str, Any]) -> bytes:
        """The value as it is sent on a canonical topic."""
        return self._wire.rows(_STREAMS[topic], [row])[0]

    def _row(self, stream: str, number: int, time_us: int) -> dict[str, Any]:
        at = self._clock.at(time_us)
        if stream == "network_fault":
            return canonical_fault(*self._fault("canonical", number, time_us), self._clock)
        if stream == "network_topology":
            cell = self._topology.cells[number % len(self._topology.cells)]
            return {"element_id": cell.element_id, "element_type": "cell", "event_time": at}
        if stream == "crm_change":
            return canonical_change(self._change(number, time_us), self._clock)
        who = self._who(number)
        customer = {"customer_id": self._population.ids[who]}
        if stream == "usage_event":
            msisdn = self._population.msisdns[who]
            return {"event_id": f"x-{number}", **customer, "msisdn": msisdn, "kind": "voice", "event_time": at}
        if stream == "billing_event":
            paid = {"kind": "payment", "amount_minor": 100, "currency": "EUR"}
            return {"event_id": f"x-{number}", **customer, **paid, "event_time": at}
        text = self._texts[number % len(self._texts)] if self._texts else "It does not work."
        return {"interaction_id": f"x-{number}", **customer, "channel": "chat", "text": text, "event_time": at}

    def _who(self, number: int) -> int:
        return self._people[number % len(self._people)] if self._people else number % self._population.size

    def _change(self, number: int, time_us: int) -> CrmChange:
        who = self._who(number)
        customer_id = self._population.ids[who]
        row = self._population.profile(who)
        return CrmChange(time_us, who, "join", "create", customer_id, None, row, (), number)

    def _fault(self, form: str, number: int, time_us: int) -> tuple[Fault, FaultStep]:
        site = self._topology.sites[number % len(self._topology.sites)]
        fault_id = {
            "mist": f"mist:{site.element_id}:site:{site.element_id}",
            "tmf642": f"nms-9:{number}",
        }.get(form, f"X-{number}")
        step = FaultStep(time_us, "raised", "critical")
        return Fault(number, 0, "plain", form, fault_id, site, site.element_id, [], "unknown", steps=[step]), step

    def _tmf642(self, number: int, time_us: int) -> Sample:
        fault, step = self._fault("tmf642", number, time_us)
        value = tmf642_alarm(fault, step, self._clock)
        return fault.fault_id.encode(), orjson.loads(value)

    def _mist(self, number: int, time_us: int) -> Sample:
        fault, step = self._fault("mist", number, time_us)
        value = mist_webhook(fault, step, self._clock)
        return fault.hub_site_id.encode(), orjson.loads(value)

    def _salesforce(self, number: int, time_us: int) -> Sample:
        key, value = salesforce_records(self._change(number, time_us), self._clock)[0]
        return key, orjson.loads(value or b"")

    def _debezium(self, number: int, time_us: int) -> Sample:
        key, value, _ = debezium_records(self._change(number, time_us), self._clock)[0]
        return key, orjson.loads(value or b"")
