from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from benchmarks.workload.spec import WorkloadSpec
from benchmarks.workload.topology import Topology
from tests.unit.schemas.formats import reading
from tests.unit.schemas.formats.reading import RECEIVED, at, element

row = partial(reading.row, "network_topology", "tmf639")
rejection = partial(reading.rejection, "network_topology", "tmf639")
nothing = partial(reading.nothing, "network_topology", "tmf639")


def above(resource_id: str, kind: str = "isContainedIn") -> dict[str, Any]:
    return {"relationshipType": kind, "resource": {"id": resource_id, "href": f"/resource/{resource_id}"}}


def resource(**changes: Any) -> dict[str, Any]:
    """A cell as an inventory lists it; a change to None takes the field away."""
    fields = {
        "id": "cell-17",
        "href": "/resource/cell-17",
        "@type": "LogicalResource",
        "category": "Cell",
        "resourceStatus": "available",
        "resourceRelationship": [above("site-3")],
    } | changes
    return {name: value for name, value in fields.items() if value is not None}


def event(kind: str, body: dict[str, Any], name: str = "resource") -> dict[str, Any]:
    return {"eventId": "e1", "eventTime": "2026-04-28T12:30:00Z", "eventType": kind, "event": {name: body}}


CELL = element(element_id="cell-17", parent_id="site-3", element_type="cell", event_time=at("2026-04-28T12:30:00Z"))
GONE = CELL | {"parent_id": None, "removed": True}


def test_resource_reads_when_it_comes_alone() -> None:
    assert row(resource()) == CELL | {"event_time": RECEIVED}


def test_element_is_a_root_when_it_has_no_relationship() -> None:
    root = {"id": "region-east", "href": "/resource/region-east", "category": "region"}
    assert row(root) == element(element_id="region-east", element_type="region", event_time=RECEIVED)


def test_every_field_reads_when_all_are_there() -> None:
    whole = resource(
        name="Cell 17",
        administrativeState="unlocked",
        operationalState="enable",
        usageState="active",
        startOperatingDate="2020-01-01T00:00:00Z",
        endOperatingDate="2030-01-01T00:00:00Z",
        place=[
            {"id": "p-1", "role": "installationAddress", "@referredType": "GeographicAddress", "name": "Main Street 1"},
            {"id": "site-3", "name": "Site Three", "role": "location", "@referredType": "GeographicSite"},
            {"id": "r-9", "name": "East", "role": "region"},
        ],
        relatedParty=[{"id": "7", "name": "A Person", "role": "owner"}],
        note=[{"text": "free text"}],
        resourceVersion="3",
    )
    assert row(event("ResourceCreateEvent", whole)) == CELL | {"site_id": "site-3", "region": "East"}


@pytest.mark.parametrize(
    ("kind", "read"),
    [
        ("ResourceCreateEvent", CELL),
        ("ResourceAttributeValueChangeEvent", CELL),
        ("ResourceStateChangeEvent", CELL),
        ("ResourceStateChangeNotification", CELL),
        ("resourceCreateEvent", CELL),
        ("ResourceDeleteEvent", GONE),
        ("ResourceRemoveNotification", GONE),
    ],
)
def test_row_follows_the_event_when_there_is_an_envelope(kind: str, read: dict[str, Any]) -> None:
    assert row(event(kind, resource())) == read


@pytest.mark.parametrize(
    "value",
    [
        event("PhysicalResourceCreateEvent", resource(), name="physicalResource"),
        event("LogicalResourceCreateEvent", resource(), name="logicalResource"),
        event("ResourceCreateEvent", {}) | {"event": resource()},
        {"@type": "ResourceCreateEvent", "eventTime": "2026-04-28T12:30:00Z", "event": {"resource": resource()}},
    ],
    ids=["physical", "logical", "one level higher", "type of the envelope"],
)
def test_resource_reads_when_the_event_holds_it_in_another_way(value: dict[str, Any]) -> None:
    assert row(value) == CELL


def test_kafka_timestamp_is_the_time_when_the_event_has_none() -> None:
    assert row(event("ResourceCreateEvent", resource()) | {"eventTime": ""})["event_time"] == RECEIVED


@pytest.mark.parametrize(
    "kind",
    [
        "isContainedIn", "containedIn", "isContainedBy", "containedBy", "isPartOf", "partOf", "belongsTo", "isChildOf",
        "childOf", "parent", "hasParent", "isLocatedIn", "locatedIn", "isInstalledIn", "installedIn", "isHostedBy",
        "hostedBy", "reliesOn", "dependsOn", "isSupportedBy", "supportedBy", "requires",
        "ISCONTAINEDIN", "is_contained_in", "Is contained in", "relies-on",
    ],
)  # fmt: skip
def test_parent_reads_when_the_relationship_points_up(kind: str) -> None:
    assert row(event("ResourceCreateEvent", resource(resourceRelationship=[above("site-3", kind)]))) == CELL


@pytest.mark.parametrize(
    "kind", ["contains", "bundled", "composedOf", "connectedTo", "targets", "isTargeted", "isParentOf", "", None]
)
def test_parent_is_null_when_the_relationship_points_elsewhere(kind: str | None) -> None:
    links = [{"relationshipType": kind, "resource": {"id": "x"}}]
    assert row(event("ResourceCreateEvent", resource(resourceRelationship=links))) == CELL | {"parent_id": None}


def test_parent_is_the_container_when_another_resource_is_relied_on() -> None:
    links = [above("rtr-1", "reliesOn"), above("ant-1", "contains"), above("site-3"), above("site-3", "parent")]
    assert row(event("ResourceCreateEvent", resource(resourceRelationship=links))) == CELL


def test_parent_reads_when_the_relationship_holds_its_id_itself() -> None:
    links = [{"id": "site-3", "href": "/resource/site-3", "relationshipType": "isContainedIn"}]
    assert row(event("ResourceCreateEvent", resource(resourceRelationship=links))) == CELL


def test_ids_are_equal_when_they_are_integers() -> None:
    read = row(resource(id=17, resourceRelationship=[{"relationshipType": "parent", "resource": {"id": 3}}]))
    assert (read["element_id"], read["parent_id"]) == ("17", "3")


@pytest.mark.parametrize(
    ("category", "kind", "read"),
    [
        ("Cell", "LogicalResource", "cell"),
        ("RAN", "NRCellDU", "cell"),
        ("RAN", "EUtranCellFDD", "cell"),
        (None, "GsmCell", "cell"),
        ("CELL", None, "cell"),
        ("Router", "PhysicalResource", "router"),
        ("RAN", "RncFunction", "ran"),
        (None, "RncFunction", "rncfunction"),
        (None, "PhysicalResource", "physicalresource"),
        ("", "Router", "router"),
        ("RAN", "ExternalENBFunction", "ran"),
    ],
)
def test_element_type_reads_when_category_or_type_says_it(category: str | None, kind: str | None, read: str) -> None:
    assert row(event("ResourceCreateEvent", resource(category=category, **{"@type": kind}))) == CELL | {
        "element_type": read
    }


@pytest.mark.parametrize("kind", ["Site", "Cell Site", "GeographicSite"])
def test_site_is_its_own_site_when_no_other_is_named(kind: str) -> None:
    site = resource(id="site-3", category=kind, resourceRelationship=[above("rtr-1", "reliesOn")])
    read = element(element_id="site-3", parent_id="rtr-1", element_type="site", site_id="site-3", event_time=RECEIVED)
    assert row(site) == read
    assert row(site | {"place": {"id": "s-3", "role": "site"}}) == read | {"site_id": "s-3"}


@pytest.mark.parametrize(
    ("placed", "site", "region"),
    [
        ({"place": {"id": "site-3", "href": "/site/3", "role": "installationSite"}}, "site-3", None),
        ({"place": [{"id": "site-3", "role": "x", "@type": "GeographicSite"}]}, "site-3", None),
        ({"place": [{"name": "Three", "role": "site"}]}, "Three", None),
        ({"place": [{"id": "r-9", "role": "Region"}]}, None, "r-9"),
        ({"place": [{"id": "r-9", "name": "East", "@referredType": "GeographicRegion", "role": ""}]}, None, "East"),
        ({"place": [{"role": "site", "place": {"id": "site-3", "@type": "PlaceRef"}}]}, "site-3", None),
        ({"place": [{"id": "site-3", "role": "site"}, {"id": "site-4", "role": "site"}]}, "site-3", None),
        ({"place": [{"id": "a-1", "name": "Main Street 1", "role": "address"}]}, None, None),
        ({"resourceCharacteristic": [{"name": "siteId", "value": "site-3"}]}, "site-3", None),
        ({"resourceCharacteristic": [{"name": "SITE_ID", "value": 3}, {"name": "region", "value": "E"}]}, "3", "E"),
        ({"resourceCharacteristic": [{"name": "tilt", "value": {"degrees": 2.5}}]}, None, None),
        (
            {
                "place": [{"id": "site-3", "role": "site"}],
                "resourceCharacteristic": [{"name": "site", "value": "4"}, {"name": "regionName", "value": "East"}],
            },
            "site-3",
            "East",
        ),
        (
            {
                "place": [{"id": "r-9", "name": "East", "role": "region"}],
                "resourceCharacteristic": [{"name": "site", "value": "site-3"}, {"name": "region", "value": "West"}],
            },
            "site-3",
            "East",
        ),
    ],
)  # fmt: skip
def test_site_and_region_read_when_a_place_or_a_characteristic_names_them(
    placed: dict[str, Any], site: str | None, region: str | None
) -> None:
    assert row(event("ResourceCreateEvent", resource(**placed))) == CELL | {"site_id": site, "region": region}


@pytest.mark.parametrize(
    "end",
    [
        {"resourceStatus": "retired"},
        {"resourceStatus": "TERMINATED"},
        {"lifecycleState": "Decommissioned"},
        {"endOperatingDate": "2026-04-28T12:30:00Z"},
    ],
)
@pytest.mark.parametrize(
    "kind", ["ResourceCreateEvent", "ResourceAttributeValueChangeEvent", "ResourceStateChangeEvent"]
)
def test_element_is_removed_when_its_state_or_its_end_says_so(end: dict[str, Any], kind: str) -> None:
    assert row(event(kind, resource(**end))) == GONE


@pytest.mark.parametrize(
    "state",
    [
        {"resourceStatus": "alarm"},
        {"resourceStatus": "suspended"},
        {"lifecycleState": "pendingRemoval"},
        {"lifecycleState": "retiring"},
        {"endOperatingDate": "2026-04-28T12:30:00.000001Z"},
        {"endOperatingDate": ""},
    ],
)
def test_element_stays_when_it_is_out_of_order_or_about_to_go(state: dict[str, Any]) -> None:
    assert row(event("ResourceStateChangeEvent", resource(**state))) == CELL


@pytest.mark.parametrize(
    ("body", "element_type"),
    [({"id": "cell-17"}, "unknown"), ({"id": "cell-17", "@type": "PhysicalResource"}, "physicalresource")],
)
def test_element_is_removed_when_the_event_brings_its_id_alone(body: dict[str, Any], element_type: str) -> None:
    assert row(event("ResourceDeleteEvent", body)) == GONE | {"element_type": element_type}


def test_element_is_removed_when_several_resources_were_above_it() -> None:
    several = resource(resourceRelationship=[above("site-3"), above("site-4")])
    assert row(event("ResourceDeleteEvent", several)) == GONE


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("ResourceAttributeValueChangeEvent", {"description": "of another colour", "@type": "PhysicalResource"}),
        ("ResourceStateChangeEvent", {"operationalState": "disable", "@type": "NRCellDU"}),
        ("ResourceStateChangeEvent", {"resourceStatus": "alarm"}),
    ],
)
def test_event_carries_no_row_when_nothing_of_the_row_changes(kind: str, changed: dict[str, Any]) -> None:
    assert nothing(event(kind, {"id": "cell-17", **changed}))


@pytest.mark.parametrize(
    "changed",
    [
        {"category": "Cell"},
        {"place": {"id": "site-4", "role": "site"}},
        {"resourceCharacteristic": [{"name": "region", "value": "West"}]},
        {"resourceRelationship": [above("site-4")]},
        {"resourceRelationship": [above("site-4")], "@type": "PhysicalResource"},
    ],
    ids=["type", "site", "region", "parent", "parent of a base class"],
)
def test_change_is_rejected_when_it_brings_a_part_of_the_row(changed: dict[str, Any]) -> None:
    assert rejection(event("ResourceAttributeValueChangeEvent", {"id": "cell-17", **changed})) == (
        "missing_field",
        "event.resource: expected category (or a @type of its own) and resourceRelationship where one of the "
        "element's columns changes, came a part; send the whole resource",
    )


def test_change_reads_when_it_brings_type_and_relationships_alone() -> None:
    moved = {"id": "cell-17", "@type": "NRCellDU", "resourceRelationship": [above("site-4")]}
    assert row(event("ResourceAttributeValueChangeEvent", moved)) == CELL | {"parent_id": "site-4"}
    freed = {"id": "cell-17", "category": "cell", "resourceRelationship": []}
    assert row(event("ResourceAttributeValueChangeEvent", freed)) == CELL | {"parent_id": None}


@pytest.mark.parametrize("kind", ["MSISDN", "TelephoneNumber", "SIM card", "imsi"])
@pytest.mark.parametrize("field", ["category", "@type"])
def test_resource_carries_no_row_when_it_is_a_subscribers_number(kind: str, field: str) -> None:
    assert nothing(resource(**{field: kind}))
    assert nothing(event("ResourceDeleteEvent", {"id": "33612345678", field: kind}))


@pytest.mark.parametrize(
    ("value", "reason", "message"),
    [
        (None, "null_value", "value: expected an object, came null"),
        ([resource()], "wrong_type", "value: expected an object, came an array"),
        (resource(id=None), "missing_field", "id: expected a string, came nothing"),
        (resource(id={}), "wrong_type", "id: expected a string, came an object"),
        (
            resource(category=None, **{"@type": None}),
            "missing_field",
            "category or @type: expected a string, came nothing",
        ),
        (
            resource(resourceRelationship=[above("site-3"), above("site-4")]),
            "out_of_range",
            "resourceRelationship: expected one resource above it, came several",
        ),
        (
            resource(resourceRelationship=[{"relationshipType": "parent", "resource": {"href": "/x"}}]),
            "missing_field",
            "resourceRelationship[0].resource.id: expected a string, came nothing",
        ),
        (
            resource(resourceRelationship=["site-3"]),
            "wrong_type",
            "resourceRelationship[0]: expected an object, came a string",
        ),
        (resource(place=[7]), "wrong_type", "place[0]: expected an object, came an integer"),
        (
            resource(endOperatingDate="2026-04-28"),
            "wrong_type",
            "endOperatingDate: expected an ISO 8601 time with offset, came another text",
        ),
        (
            event("AlarmCreateEvent", resource()),
            "unknown_type",
            "eventType: expected an event of a resource, came another",
        ),
        (
            event("CreateEvent", resource()),
            "unknown_type",
            "eventType: expected an event of a resource, came another",
        ),
        (
            event("ResourcePoolCreateEvent", resource()),
            "unknown_type",
            "eventType: expected an event of a resource, came another",
        ),
        (
            {"eventType": "ResourceCreateEvent", "eventTime": "2026-04-28T12:30:00Z"},
            "missing_field",
            "event: expected an object, came nothing",
        ),
        (
            event("ResourceCreateEvent", resource()) | {"eventTime": "noon"},
            "wrong_type",
            "eventTime: expected an ISO 8601 time with offset, came another text",
        ),
    ],
)
def test_resource_is_rejected_when_it_cannot_be_read(value: object, reason: str, message: str) -> None:
    assert rejection(value) == (reason, message)


def test_rows_are_the_canonical_ones_when_a_whole_network_is_written_as_resources() -> None:
    elements = list(Topology(WorkloadSpec()).elements())
    written = [
        {
            "id": one.element_id,
            "category": one.kind.title(),
            "@type": "PhysicalResource",
            "resourceRelationship": [above(one.parent_id)] if one.parent_id else [],
            "place": [{"id": one.site_id, "role": "site"}] if one.kind == "cell" else [],
            "resourceCharacteristic": [{"name": "region", "value": one.region}],
        }
        for one in elements
    ]
    assert {one.kind for one in elements} == {"region", "router", "site", "cell"}
    assert reading.rows("network_topology", "tmf639", *written) == [
        element(
            element_id=one.element_id,
            parent_id=one.parent_id,
            element_type=one.kind,
            site_id=one.site_id,
            region=one.region,
            event_time=RECEIVED,
        )
        for one in elements
    ]


def test_resource_is_rejected_when_nothing_says_when() -> None:
    rejected = rejection(resource(), timestamp_ms=-1)
    assert rejected == ("missing_field", "eventTime: expected a time, came nothing")
