"""The network as inventories write it, and its links as routers tell of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.vendor_records.moments import iso


def tmf639(number: int, random: np.random.Generator) -> dict[str, Any]:
    """A cell and the site that it is in."""
    cell, site, region = random.integers(0, (20_000, 7_000, 10)).tolist()
    name = f"cell-{cell:05d}"
    return _event(
        number,
        "ResourceAttributeValueChangeEvent",
        "resource",
        {
            "id": name,
            "href": f"/resourceInventoryManagement/v4/resource/{name}",
            "@type": "LogicalResource",
            "category": "Cell",
            "name": f"Cell {cell} of site {site}",
            "administrativeState": "unlocked",
            "operationalState": "enable",
            "resourceStatus": "available",
            "resourceVersion": str(number % 7),
            "startOperatingDate": iso(-86_400 * (cell % 1_000)),
            "place": [{"id": f"site-{site:04d}", "name": f"Site {site}", "role": "site"}],
            "resourceCharacteristic": [
                {"name": "band", "value": "n78"},
                {"name": "region", "value": f"region-{region}"},
            ],
            "resourceRelationship": [
                {
                    "relationshipType": "isContainedIn",
                    "resource": {"id": f"site-{site:04d}", "href": f"/resource/site-{site:04d}"},
                }
            ],
        },
    )


def tmf638(number: int, random: np.random.Generator) -> dict[str, Any]:
    """A service that a router supports."""
    service, router, site = random.integers(0, (20_000, 300, 7_000)).tolist()
    name = f"rfs-{service:05d}"
    return _event(
        number,
        "ServiceAttributeValueChangeEvent",
        "service",
        {
            "id": name,
            "href": f"/serviceInventory/v4/service/{name}",
            "@type": "Service",
            "category": "RFS",
            "name": f"IP transport {service}",
            "serviceType": "transport",
            "hasStarted": True,
            "state": "active",
            "startDate": iso(-86_400 * (service % 1_000)),
            "place": [{"id": f"site-{site:04d}", "role": "site"}],
            "supportingResource": [
                {"id": f"rtr-{router}", "href": f"/resource/rtr-{router}", "@referredType": "PhysicalResource"}
            ],
        },
    )


def junos_syslog(number: int, random: np.random.Generator) -> bytes:
    """A link that goes down, or comes back."""
    router, port = random.integers(0, (300, 40)).tolist()
    state, meaning = ("DOWN", "down(2)") if number % 2 == 0 else ("UP", "up(1)")
    name, index = f"ge-{port // 10}/{port % 10}/0", 500 + port
    return (
        f"<28>1 {iso(number)} rtr-{router} mib2d 18654 SNMP_TRAP_LINK_{state} [junos@2636.1.1.1.2.25 "
        f'snmp-interface-index="{index}" admin-status="up(1)" operational-status="{meaning}" interface-name="{name}"] '
        f"ifIndex {index}, ifAdminStatus up(1), ifOperStatus {meaning}, ifName {name}"
    ).encode()


def _event(number: int, kind: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "eventId": f"e-{number:010d}",
        "eventTime": iso(number),
        "eventType": kind,
        "correlationId": f"{number * 7919 % (1 << 32):08x}",
        "event": {name: body},
    }
