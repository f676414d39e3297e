"""TMF639 resources (v4), alone or in an event's envelope, to `network_topology`.

Element: the resource's `id`, which is what alarms name as their `alarmedObject`. Its type is `category` or `@type`,
whichever is a known word for a cell or a site (the flow looks for these two), else the first of them in lower case.

Parent: the resource that `resourceRelationship` names with a word of containment (`isContainedIn`), or where there is
none, with one of reliance (`reliesOn`); v4 leaves the words open, `CONTAINMENT` and `RELIANCE` list those that are
read, in any case and with any separators. The contract has room for one parent: a resource in two others is refused.
Words that point down (`contains`, `bundled`) or sideways are not read: the row is that of the resource that speaks, and
of the other one it does not even say the type.

Place: site and region, from `place` or `resourceCharacteristic`. A site is its own site where no other is named.

Removed: by an event of deletion, by a terminal word in `resourceStatus` or `lifecycleState` (v4 defines none, older
releases leave it open), or once `endOperatingDate` is reached. A removed element needs no more than its id.

Events of change may bring only what has changed, as TM Forum's own examples do. A row is whole, and what is missing
would read as null, so such an event must say where the element hangs (`resourceRelationship`, which may be empty) and
what it is (`category`, or a `@type` other than the base classes). One that says neither and names no site or region
carries no row; any other is refused.

Numbers and cards of subscribers are resources too; they are no elements of the network, carry no row, and must not get
into a contract that has no column for personal data.

Time: the envelope's `eventTime`, else the record's Kafka timestamp.

Source:
    TM Forum TMF639 Resource Inventory Management API v4.0. Cells: 3GPP TS 28.541 (NR), 28.658 (E-UTRAN), 28.652
    (UTRAN), 28.655 (GERAN). Of the words for relationships the specification gives `reliesOn`; that the others mean
    what they say is *unverified*.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import RecordError
from schemas.formats.adapter import Record, Row
from schemas.formats.columns import TEXTUAL, Form, ManyRows
from schemas.formats.fields import Fields
from schemas.formats.inventory import Entry, plain, site_and_region, the_only, words_of
from schemas.formats.inventory_columns import ManyEntries, forms_of, shape_of
from schemas.formats.remembered import remembered

CONTAINMENT = frozenset(
    {
        "iscontainedin",
        "containedin",
        "iscontainedby",
        "containedby",
        "ispartof",
        "partof",
        "belongsto",
        "ischildof",
        "childof",
        "parent",
        "hasparent",
        "islocatedin",
        "locatedin",
        "isinstalledin",
        "installedin",
        "ishostedby",
        "hostedby",
    }
)
"""Types of relationships whose other resource is the container, as `plain` gives them."""

RELIANCE = frozenset({"relieson", "dependson", "issupportedby", "supportedby", "requires"})
"""Types of relationships whose other resource this one cannot do without."""

_ELEMENT_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "cell": "cell",
        "radiocell": "cell",
        "nrcell": "cell",
        "nrcelldu": "cell",
        "nrcellcu": "cell",
        "eutrangenericcell": "cell",
        "eutrancellfdd": "cell",
        "eutrancelltdd": "cell",
        "utrangenericcell": "cell",
        "utrancellfdd": "cell",
        "utrancelltdd": "cell",
        "gsmcell": "cell",
        "site": "site",
        "cellsite": "site",
        "radiosite": "site",
        "geographicsite": "site",
    }
)

# They come with every event and do not say what the element is.
_BASE_CLASSES = frozenset({"resource", "physicalresource", "logicalresource"})

_OF_SUBSCRIBERS = frozenset(
    {"msisdn", "telephonenumber", "phonenumber", "imsi", "imei", "iccid", "sim", "simcard", "usim", "esim"}
)


_NAMES = ("resource", "physicalResource", "logicalResource")


class Tmf639:
    """The adapter."""

    stream = "network_topology"
    name = "tmf639"
    headers_read = frozenset[str]()

    @property
    def forms(self) -> tuple[Form, ...]:
        """Resources that are still there, in an event and alone."""
        return _FORMS

    def adapt(self, record: Record) -> list[Row]:
        """Turn one resource, or one event that carries it, into one row."""
        entry = Entry.of(record, *_NAMES)
        resource = entry.entity
        kinds = words_of(resource, "category", "@type")
        if any(plain(kind) in _OF_SUBSCRIBERS for kind in kinds):
            return []
        element_id = resource.required_text("id")
        row: Row = {"element_id": element_id, "event_time": entry.event_time}
        if entry.is_gone(("resourceStatus", "lifecycleState"), "endOperatingDate"):
            return [row | {"element_type": _element_type(kinds) or "unknown", "removed": True}]
        site, region = site_and_region(resource, "resourceCharacteristic")
        if entry.is_change and not _is_whole(resource, kinds):
            if not _tells_of_row(resource, site, region):
                return []
            raise _partial(resource)
        element_type = _element_type(kinds) or resource.required_text("category", "@type")
        if element_type == "site":
            site = site or element_id
        parent_id = _parent_id(resource)
        return [row | {"element_type": element_type, "parent_id": parent_id, "site_id": site, "region": region}]


def _element_type(kinds: list[str]) -> str | None:
    known = (_ELEMENT_TYPES.get(plain(kind)) for kind in kinds)
    return next((word for word in known if word is not None), kinds[0].lower() if kinds else None)


def _is_whole(resource: Fields, kinds: list[str]) -> bool:
    """Whether an event of change says where the element hangs and what it is; a base class says only the former."""
    has_type = any(plain(kind) not in _BASE_CLASSES for kind in kinds)
    return has_type and resource.values.get("resourceRelationship") is not None


def _tells_of_row(resource: Fields, site: str | None, region: str | None) -> bool:
    named = (resource.values.get("resourceRelationship"), resource.text("category"), site, region)
    return any(value is not None for value in named)


def _partial(resource: Fields) -> RecordError:
    return RecordError(
        "missing_field",
        f"{resource.place}: expected category (or a @type of its own) and resourceRelationship where one of the "
        "element's columns changes, came a part; send the whole resource",
    )


def _parent_id(resource: Fields) -> str | None:
    """The resource above, by containment, else by reliance; None for a root."""
    links = [(plain(link.text("relationshipType") or ""), link) for link in resource.objects("resourceRelationship")]
    for words in (CONTAINMENT, RELIANCE):
        above = {(link.inner("resource") or link).required_text("id") for word, link in links if word in words}
        found = the_only(above, resource.at("resourceRelationship"))
        if found is not None:
            return found
    return None


def _many_rows(entries: ManyEntries) -> ManyRows:
    """The rows of many resources; those of subscribers carry none."""
    resources = entries.entities
    entries.leave_gone(("resourceStatus", "lifecycleState"), "endOperatingDate")
    kinds = ("category", "@type")
    of_subscribers, has_type = np.zeros(len(resources), np.bool_), np.zeros(len(resources), np.bool_)
    for kind in kinds:
        of_subscribers |= resources.flag_meaning(kind, lambda word: plain(word) in _OF_SUBSCRIBERS, otherwise=False)
        has_type |= resources.flag_meaning(kind, lambda word: plain(word) not in _BASE_CLASSES, otherwise=False)
    resources.leave(entries.are_changes & ~(has_type & resources.is_there("resourceRelationship")))
    known = (resources.meaning(kind, lambda word: _ELEMENT_TYPES.get(plain(word))) for kind in kinds)
    element_type = pc.coalesce(*known, resources.meaning(resources.required(*kinds), str.lower))
    site, region = entries.sites_and_regions("resourceCharacteristic")
    element_id = resources.required_text("id")
    own_site = pc.if_else(pc.equal(element_type, "site"), element_id, pa.scalar(None, TEXTUAL))
    return ManyRows(
        resources,
        {
            "element_id": element_id,
            "element_type": element_type,
            "parent_id": resources.meaning("resourceRelationship", _parent_of_json),
            "site_id": pc.coalesce(site, own_site),
            "region": region,
            "event_time": entries.event_time,
        },
        carried=~of_subscribers,
    )


@remembered
def _parent_of_json(written: str) -> str | None:
    return _parent_id(Fields.of({"resourceRelationship": orjson.loads(written)}))


_TEXTS = ("id", "category", "@type", "resourceStatus", "lifecycleState")
_FORMS = forms_of(
    shape_of("resourceCharacteristic", _TEXTS, "endOperatingDate", "resourceRelationship"), _NAMES, _many_rows
)
