"""TMF638 services (v4), alone or in an event's envelope, to `network_topology`.

The contract has no column for services: it cannot say which services a resource carries. What it has room for is the
service itself as an element, of the type `service`, under the one resource that supports it. So an alarm on a service
joins the incident of the resource below it, instead of being an incident of its own.

Only resource-facing services are read: those whose `category`, `@type` or `@baseType` says so, or that name a
`supportingResource`, which the specification allows them alone. A customer-facing service is a customer's
subscription, and no part of the network: it carries no row, and its id, which may be a telephone number, must not get
into a contract that has no column for personal data. A service that does not say which of the two it is and hangs on no
resource carries no row either; when such a one is gone it is refused, for it may be an element that should go.

Parent: the resource in `supportingResource`. The contract has room for one: a service on several is refused. Services
that support services are not followed.

Removed: by an event of deletion, by the `state` terminated, or once `endDate` is reached.

Events of change may bring only what has changed. One without `supportingResource` does not say where the service hangs:
it carries no row when it brings nothing else of the row either, and is refused when it does.

Place and time: as in `tmf639`; the characteristics are in `serviceCharacteristic`.

Source:
    TM Forum TMF638 Service Inventory Management API v4.0.
"""

from __future__ import annotations

import numpy as np
import orjson

from schemas.errors import RecordError
from schemas.formats.adapter import Record, Row
from schemas.formats.columns import Form, ManyRows
from schemas.formats.fields import Fields
from schemas.formats.inventory import Entry, plain, site_and_region, the_only, words_of
from schemas.formats.inventory_columns import ManyEntries, forms_of, shape_of
from schemas.formats.remembered import remembered

_CUSTOMER_FACING = frozenset({"cfs", "customerfacing", "customerfacingservice"})
_RESOURCE_FACING = frozenset({"rfs", "resourcefacing", "resourcefacingservice"})


class Tmf638:
    """The adapter."""

    stream = "network_topology"
    name = "tmf638"
    headers_read = frozenset[str]()

    @property
    def forms(self) -> tuple[Form, ...]:
        """Services that are still there and hang on a resource, or face a customer; in an event and alone."""
        return _FORMS

    def adapt(self, record: Record) -> list[Row]:
        """Turn one resource-facing service, or one event that carries it, into one row."""
        entry = Entry.of(record, "service")
        service = entry.entity
        facing = {plain(word) for word in words_of(service, "category", "@type", "@baseType")}
        if facing & _CUSTOMER_FACING:
            return []
        below = _below(service)
        is_gone = entry.is_gone(("state",), "endDate")
        if not (below or facing & _RESOURCE_FACING):
            if is_gone:
                raise _unknown_facing(service)
            return []
        row: Row = {
            "element_id": service.required_text("id"),
            "element_type": "service",
            "event_time": entry.event_time,
        }
        if is_gone:
            return [row | {"removed": True}]
        site, region = site_and_region(service, "serviceCharacteristic")
        if entry.is_change and service.values.get("supportingResource") is None:
            if site is None and region is None:
                return []
            raise _partial(service)
        parent_id = the_only(below, service.at("supportingResource"))
        return [row | {"parent_id": parent_id, "site_id": site, "region": region}]


def _below(service: Fields) -> set[str]:
    return {resource.required_text("id") for resource in service.objects("supportingResource")}


def _unknown_facing(service: Fields) -> RecordError:
    return RecordError(
        "missing_field",
        f"{service.at('category')}: expected CFS or RFS where a service is gone and names no supportingResource, "
        "came neither",
    )


def _partial(service: Fields) -> RecordError:
    return RecordError(
        "missing_field",
        f"{service.at('supportingResource')}: expected an array, came nothing; "
        "an event that changes site or region must bring the whole service",
    )


def _many_rows(entries: ManyEntries) -> ManyRows:
    """The rows of many services; those that face customers carry none."""
    services = entries.entities
    entries.leave_gone(("state",), "endDate")
    of_customers = np.zeros(len(services), np.bool_)
    for name in ("category", "@type", "@baseType"):
        of_customers |= services.flag_meaning(name, lambda word: plain(word) in _CUSTOMER_FACING, otherwise=False)
    parent = services.meaning("supportingResource", _parent_of_json)
    services.leave(~of_customers & parent.is_null().to_numpy(zero_copy_only=False))
    site, region = entries.sites_and_regions("serviceCharacteristic")
    return ManyRows(
        services,
        {
            "element_id": services.required_text("id"),
            "element_type": "service",
            "parent_id": parent,
            "site_id": site,
            "region": region,
            "event_time": entries.event_time,
        },
        carried=~of_customers,
    )


@remembered
def _parent_of_json(written: str) -> str | None:
    return the_only(_below(Fields.of({"supportingResource": orjson.loads(written)})), "supportingResource")


_TEXTS = ("id", "category", "@type", "@baseType", "state")
_FORMS = forms_of(shape_of("serviceCharacteristic", _TEXTS, "endDate", "supportingResource"), ("service",), _many_rows)
