"""Usage as 4G gateways, 5G session management and usage management systems write it."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.vendor_records.moments import iso

_NETWORK = {"mcc": "262", "mnc": "01"}
_MOST = (100_000, 2_000, 3_600, 10**7, 10**9)
"""What there is of customers, cells, seconds, and bytes up and down in a record."""


def pgw_record(number: int, random: np.random.Generator) -> dict[str, Any]:
    """A session of three partial records."""
    customer, cell, duration, up, down = random.integers(0, _MOST).tolist()
    location = f"18 62f210 1234 62f210 {cell:08x}".replace(" ", "")
    return {
        "recordType": 85,
        "p-GWAddress": f"10.0.0.{number // 3 % 8}",
        "chargingID": 110_690_000 + number // 3,
        "recordSequenceNumber": number % 3 + 1,
        "servedIMSI": f"26201{customer:010d}",
        "servedMSISDN": f"4917{customer:08d}",
        "accessPointNameNI": "internet",
        "pdpPDNType": "0121",
        "rATType": 6,
        "mSTimeZone": "8000",
        "userLocationInformation": location,
        "recordOpeningTime": iso(number - duration),
        "duration": duration,
        "causeForRecClosing": "timeLimit",
        "listOfTrafficVolumes": [
            {"dataVolumeGPRSUplink": up, "dataVolumeGPRSDownlink": down, "changeCondition": "recordClosure"}
        ],
        "localSequenceNumber": number,
        "nodeID": f"pgw-{number // 3 % 8}",
        "customerId": f"C{customer:08d}",
    }


def nchf(number: int, random: np.random.Generator) -> dict[str, Any]:
    """A request that reports one rating group, or two in one of four."""
    customer, cell, duration, up, down = random.integers(0, _MOST).tolist()
    location = {"nrLocation": {"ncgi": {"plmnId": _NETWORK, "nrCellId": f"{cell:09x}"}}}
    used = {
        "localSequenceNumber": number,
        "triggerTimestamp": iso(number),
        "time": duration,
        "totalVolume": up + down,
        "uplinkVolume": up,
        "downlinkVolume": down,
        "pDUContainerInformation": {"timeofLastUsage": iso(number), "userLocationInformation": location},
    }
    return {
        "subscriberIdentifier": f"imsi-26201{customer:010d}",
        "nfConsumerIdentification": {"nFName": f"smf-{number // 3 % 8}", "nodeFunctionality": "SMF"},
        "invocationTimeStamp": iso(number),
        "invocationSequenceNumber": number % 3,
        "multipleUnitUsage": [
            {"ratingGroup": 100 * (group + 1), "requestedUnit": {"time": 3600}, "usedUnitContainer": [used]}
            for group in range(2 if number % 4 == 0 else 1)
        ],
        "pDUSessionChargingInformation": {
            "chargingId": 110_690_000 + number // 3,
            "userInformation": {"servedGPSI": f"msisdn-4917{customer:08d}", "roamerInOut": "IN_BOUND"},
            "userLocationinfo": location,
            "pduSessionInformation": {"pduSessionID": 5, "dnnId": "internet"},
        },
        "customerId": f"C{customer:08d}",
    }


def tmf635(number: int, random: np.random.Generator) -> dict[str, Any]:
    """A usage with the characteristics that are read, and one that is not."""
    customer, cell, duration, up, down = random.integers(0, _MOST).tolist()
    characteristics = {
        "duration": duration,
        "bytesUp": up,
        "bytesDown": down,
        "originatingNumber": f"4917{customer:08d}",
        "msisdn": f"4917{customer:08d}",
        "cellId": f"cell-{cell:05d}",
    }
    return {
        "id": f"u-{number:010d}",
        "href": f"/usageManagement/v4/usage/u-{number:010d}",
        "usageDate": iso(number),
        "usageType": ("VOICE", "SMS", "mobileData")[number % 3],
        "status": "received",
        "usageSpecification": {"id": "1", "name": "usage"},
        "usageCharacteristic": [{"name": name, "value": value} for name, value in characteristics.items()],
        "relatedParty": [
            {"id": "1", "role": "serviceProvider", "@referredType": "Organization"},
            {"id": f"C{customer:08d}", "role": "customer", "@referredType": "Individual"},
        ],
    }
