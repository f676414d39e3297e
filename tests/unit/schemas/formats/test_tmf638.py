from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.unit.schemas.formats import reading
from tests.unit.schemas.formats.reading import RECEIVED, at, element

row = partial(reading.row, "network_topology", "tmf638")
rejection = partial(reading.rejection, "network_topology", "tmf638")
nothing = partial(reading.nothing, "network_topology", "tmf638")


def service(**changes: Any) -> dict[str, Any]:
    """A resource-facing service; a change to None takes the field away."""
    fields = {
        "id": "rfs-5",
        "href": "/service/rfs-5",
        "@type": "Service",
        "category": "RFS",
        "state": "active",
        "supportingResource": [{"id": "rtr-1", "href": "/resource/rtr-1", "@referredType": "PhysicalResource"}],
    } | changes
    return {name: value for name, value in fields.items() if value is not None}


def event(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"eventId": "e1", "eventTime": "2026-04-28T12:30:00Z", "eventType": kind, "event": {"service": body}}


SERVICE = element(element_id="rfs-5", parent_id="rtr-1", element_type="service", event_time=at("2026-04-28T12:30:00Z"))
GONE = SERVICE | {"parent_id": None, "removed": True}


def test_service_reads_when_it_comes_alone() -> None:
    assert row(service()) == SERVICE | {"event_time": RECEIVED}


def test_every_field_reads_when_all_are_there() -> None:
    whole = service(
        name="IP transport east",
        serviceType="transport",
        hasStarted=True,
        startDate="2020-01-01T00:00:00Z",
        endDate="2030-01-01T00:00:00Z",
        place=[{"id": "site-3", "role": "site"}],
        serviceCharacteristic=[{"name": "region", "value": "East"}],
        supportingService=[{"id": "rfs-1"}],
        relatedParty=[{"id": "7", "name": "A Person"}],
    )
    assert row(event("ServiceCreateEvent", whole)) == SERVICE | {"site_id": "site-3", "region": "East"}


@pytest.mark.parametrize(
    ("kind", "read"),
    [
        ("ServiceCreateEvent", SERVICE),
        ("ServiceAttributeValueChangeEvent", SERVICE),
        ("ServiceStateChangeEvent", SERVICE),
        ("ServiceOperatingStatusChangeEvent", SERVICE),
        ("ServiceDeleteEvent", GONE),
    ],
)
def test_row_follows_the_event_when_there_is_an_envelope(kind: str, read: dict[str, Any]) -> None:
    assert row(event(kind, service())) == read


@pytest.mark.parametrize(
    "said",
    [
        {"category": "ResourceFacingService"},
        {"category": "resource-facing"},
        {"category": None, "@type": "ResourceFacingService"},
        {"category": None, "@baseType": "ResourceFacingService"},
        {"category": None},
        {"category": "transport"},
    ],
    ids=["name", "words", "type", "base type", "by its resource", "another category"],
)
def test_service_reads_when_it_faces_resources(said: dict[str, Any]) -> None:
    assert row(event("ServiceCreateEvent", service(**said))) == SERVICE


@pytest.mark.parametrize(
    "said",
    [
        {"category": "CFS"},
        {"category": "CustomerFacingService"},
        {"category": None, "@type": "CustomerFacingService"},
        {"category": None, "@baseType": "CustomerFacingService"},
    ],
)
@pytest.mark.parametrize("kind", ["ServiceCreateEvent", "ServiceStateChangeEvent", "ServiceDeleteEvent"])
def test_service_carries_no_row_when_it_faces_a_customer(said: dict[str, Any], kind: str) -> None:
    assert nothing(event(kind, service(**said)))


def test_service_carries_no_row_when_it_says_no_kind_and_hangs_on_nothing() -> None:
    assert nothing(event("ServiceCreateEvent", service(category=None, supportingResource=[])))
    assert nothing(service(category=None, supportingResource=None))


def test_service_is_a_root_when_no_resource_supports_it() -> None:
    alone = service(supportingResource=None, place=[{"id": "site-3", "role": "site"}])
    assert row(event("ServiceCreateEvent", alone)) == SERVICE | {"parent_id": None, "site_id": "site-3"}
    assert row(event("ServiceAttributeValueChangeEvent", service(supportingResource=[]))) == SERVICE | {
        "parent_id": None
    }


def test_parent_reads_when_one_resource_is_named_twice() -> None:
    assert row(event("ServiceCreateEvent", service(supportingResource=[{"id": "rtr-1"}] * 2))) == SERVICE


@pytest.mark.parametrize("end", [{"state": "terminated"}, {"state": "TERMINATED"}, {"endDate": "2026-04-28T12:30:00Z"}])
@pytest.mark.parametrize("kind", ["ServiceCreateEvent", "ServiceStateChangeEvent"])
def test_service_is_removed_when_its_state_or_its_end_says_so(end: dict[str, Any], kind: str) -> None:
    assert row(event(kind, service(**end))) == GONE


@pytest.mark.parametrize("state", [{"state": "inactive"}, {"state": "reserved"}, {"endDate": "2026-04-28T12:30:01Z"}])
def test_service_stays_when_it_is_out_of_use_or_about_to_go(state: dict[str, Any]) -> None:
    assert row(event("ServiceStateChangeEvent", service(**state))) == SERVICE


def test_service_is_removed_when_the_event_brings_id_and_kind_alone() -> None:
    assert row(event("ServiceDeleteEvent", {"id": "rfs-5", "category": "RFS"})) == GONE


def test_event_carries_no_row_when_nothing_of_the_row_changes() -> None:
    assert nothing(event("ServiceStateChangeEvent", {"id": "rfs-5", "category": "RFS", "state": "inactive"}))
    assert nothing(event("ServiceStateChangeEvent", {"id": "5351", "@type": "Service", "state": "active"}))


@pytest.mark.parametrize(
    ("value", "reason", "message"),
    [
        (None, "null_value", "value: expected an object, came null"),
        (service(id=None), "missing_field", "id: expected a string, came nothing"),
        (
            service(supportingResource=[{"id": "rtr-1"}, {"id": "rtr-2"}]),
            "out_of_range",
            "supportingResource: expected one resource above it, came several",
        ),
        (
            service(supportingResource=[{"href": "/resource/rtr-1"}]),
            "missing_field",
            "supportingResource[0].id: expected a string, came nothing",
        ),
        (
            event("ServiceDeleteEvent", {"id": "5351", "@type": "Service"}),
            "missing_field",
            "event.service.category: expected CFS or RFS where a service is gone and names no supportingResource, "
            "came neither",
        ),
        (
            event("ServiceStateChangeEvent", {"id": "5351", "@type": "Service", "state": "terminated"}),
            "missing_field",
            "event.service.category: expected CFS or RFS where a service is gone and names no supportingResource, "
            "came neither",
        ),
        (
            event(
                "ServiceAttributeValueChangeEvent",
                {"id": "rfs-5", "category": "RFS", "place": [{"id": "site-4", "role": "site"}]},
            ),
            "missing_field",
            "event.service.supportingResource: expected an array, came nothing; "
            "an event that changes site or region must bring the whole service",
        ),
        (
            event("ResourceCreateEvent", service()),
            "unknown_type",
            "eventType: expected an event of a service, came another",
        ),
        (
            service(endDate="tomorrow"),
            "wrong_type",
            "endDate: expected an ISO 8601 time with offset, came another text",
        ),
    ],
)
def test_service_is_rejected_when_it_cannot_be_read(value: object, reason: str, message: str) -> None:
    assert rejection(value) == (reason, message)
