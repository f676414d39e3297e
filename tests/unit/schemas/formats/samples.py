"""Good records of every vendor format, in the shapes that take different ways through its adapter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.unit.schemas.formats import (
    test_mist,
    test_pgw_record,
    test_salesforce_cdc,
    test_stripe,
    test_tmf635,
    test_tmf638,
    test_tmf639,
    test_tmf642,
    test_tmf678,
    test_zendesk,
)
from tests.unit.schemas.formats.test_debezium import COLUMNS, INVENTED, KEY, UNAVAILABLE, envelope
from tests.unit.schemas.formats.test_junos_syslog import link
from tests.unit.schemas.formats.test_nchf import LTE, NR, request, used
from tests.unit.schemas.formats.test_pgw_record import HOME, WORK, cdr, service, traffic

Headers = tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True)
class Sample:
    """A record that can be read: its value and key, to be written as JSON, and its headers."""

    value: Any
    key: Any = None
    headers: Headers = ()


_OLD_KEY = (("__debezium.oldkey", b'{"customer_id":"C-0"}'),)
_ALARM = test_tmf642.alarm(affectedService=[{"id": "voice-1"}], parentAlarm=[{"id": "1"}])
_CLEARED = test_tmf642.alarm(perceivedSeverity="NORMAL", alarmClearedTime="2026-04-28T13:00:00Z")
_SHUT = {"group": "marvis", "details": {"state": "validated"}, "aps": None, "switches": ["s-1", "s-2"]}
_CHF_RECORD = request(
    recordingNetworkFunctionID="chf-1",
    recordOpeningTime="2026-04-28T12:00:00Z",
    duration=60,
    listOfMultipleUnitUsage=[{"ratingGroup": 1, "usedUnitContainers": [used(triggerTimestamp=None)]}],
    multipleUnitUsage=None,
)

SAMPLES: dict[tuple[str, str], list[Sample]] = {
    ("network_fault", "tmf642"): [
        Sample(test_tmf642.event("AlarmCreateEvent", _ALARM)),
        Sample(test_tmf642.event("AlarmStateChangeEvent", {"alarm": _CLEARED})),
        Sample(test_tmf642.alarm(expectedClearTime="2026-04-28T18:00:00Z", plannedOutageIndicator="InService")),
        Sample(test_tmf642.event("AckAlarmsCreateEvent", {"id": "task-1"})),
    ],
    ("network_fault", "mist"): [
        Sample(test_mist.call(test_mist.alarm(), test_mist.alarm(update=True))),
        Sample(test_mist.call(test_mist.alarm(**_SHUT), test_mist.alarm(type="switch_up", severity="info"))),
        Sample(test_mist.call(test_mist.alarm(group="security"))),
    ],
    ("network_fault", "junos_syslog"): [
        Sample({"message": link().decode()}),
        Sample({"message": link("UP").decode()}),
        Sample({"message": link(admin="down(2)").decode()}),
    ],
    ("crm_change", "salesforce_cdc"): [
        Sample(
            test_salesforce_cdc.update(
                {"changedFields": ["Plan__c"], "nulledFields": ["Segment__c"]}, **test_salesforce_cdc.WHOLE_BODY
            )
        ),
        Sample({"data": {"payload": test_salesforce_cdc.event("CREATE", **test_salesforce_cdc.WHOLE_BODY)}}),
        Sample(
            test_salesforce_cdc.event("DELETE", {"recordIds": [test_salesforce_cdc.ANNA, test_salesforce_cdc.BELA]})
        ),
        Sample(test_salesforce_cdc.update({"changedFields": ["OwnerId"]}, OwnerId="0055f000005mc66AAA")),
    ],
    ("crm_change", "debezium"): [
        Sample(envelope("u", COLUMNS | {"address": UNAVAILABLE}), KEY),
        Sample(envelope("c", COLUMNS), KEY, _OLD_KEY),
        Sample({"schema": None, "payload": envelope("d", None, INVENTED)}, {"schema": None, "payload": KEY}),
        Sample(COLUMNS | {"__deleted": "false", "__op": "u", "__lsn": 7, "__source_ts_ms": 1_777_377_600_250}, KEY),
        Sample(None, KEY),
    ],
    ("crm_change", "debezium_flattened"): [
        Sample(COLUMNS | {"__deleted": "false"}, KEY),
        Sample(COLUMNS | {"customer_id": {"scale": 0, "value": "EHU="}}, KEY, _OLD_KEY),
        Sample(None, KEY),
    ],
    ("usage_event", "pgw_record"): [
        Sample(test_pgw_record.WHOLE),
        Sample(
            cdr(
                recordSequenceNumber=None,
                recordOpeningTime="2604281400002B0200",
                listOfServiceData=[service(5, 6, userLocationInformation=HOME), service(7, 8)],
                listOfTrafficVolumes=[{"userLocationInformation": WORK}],
            )
        ),
        Sample(cdr(cellId="cell-17", lastUserLocationInformation=WORK, listOfTrafficVolumes=[traffic(1, 2)])),
    ],
    ("usage_event", "nchf"): [
        Sample(request(used(), used(pDUContainerInformation={"userLocationInformation": NR | LTE}))),
        Sample(_CHF_RECORD),
        Sample(request(used(cellId="cell-17", downlinkVolume=None), used(uplinkVolume=None, downlinkVolume=None))),
        Sample(request()),
    ],
    ("usage_event", "tmf635"): [
        Sample(test_tmf635.usage(test_tmf635.CALL)),
        Sample(
            test_tmf635.event(
                "UsageCreateEvent",
                {"usage": test_tmf635.usage({"bytesUp": 300, "bytesDown": "2000"}, usageType="mobileData")},
            )
        ),
        Sample(test_tmf635.usage({"customerId": "C-1"}, relatedParty=None, usageType=None, type="SMS")),
        Sample(test_tmf635.usage(status="rejected")),
    ],
    ("network_topology", "tmf639"): [
        Sample(
            test_tmf639.event(
                "ResourceAttributeValueChangeEvent",
                test_tmf639.resource(
                    place=[{"id": "site-3", "role": "site"}],
                    resourceCharacteristic=[{"name": "region", "value": "East"}],
                    endOperatingDate="2030-01-01T00:00:00Z",
                ),
            )
        ),
        Sample(test_tmf639.resource()),
    ],
    ("network_topology", "tmf638"): [
        Sample(
            test_tmf638.event(
                "ServiceStateChangeEvent",
                test_tmf638.service(place=[{"id": "site-3", "role": "site"}], endDate="2030-01-01T00:00:00Z"),
            )
        ),
        Sample(test_tmf638.service()),
    ],
    ("billing_event", "stripe"): [
        Sample(test_stripe.event("charge.succeeded", test_stripe.CHARGE)),
        Sample(test_stripe.event("invoice.finalized", test_stripe.INVOICE)),
        Sample(
            test_stripe.event(
                "charge.refunded", test_stripe.CHARGE | {"amount_refunded": 900}, before={"amount_refunded": 400}
            )
        ),
        Sample(test_stripe.event("charge.dispute.funds_withdrawn", test_stripe.DISPUTE | {"customer": "cus_1"})),
        Sample(test_stripe.event("charge.failed", test_stripe.CHARGE)),
    ],
    ("billing_event", "stripe_metadata"): [
        Sample(test_stripe.event("charge.succeeded", test_stripe.CHARGE)),
        Sample(test_stripe.event("invoice.voided", test_stripe.INVOICE)),
    ],
    ("billing_event", "tmf678"): [
        Sample(test_tmf678.BILL | {"appliedPayment": [test_tmf678.PAYMENT]}),
        Sample(test_tmf678.event("CustomerBillStateChangeEvent", test_tmf678.BILL | {"category": "credit note"})),
        Sample(test_tmf678.event("CustomerBillCreateEvent", test_tmf678.BILL | {"state": "new"})),
    ],
    ("care_interaction", "zendesk"): [
        Sample(test_zendesk.event("ticket.comment_added", test_zendesk.comment(test_zendesk.CUSTOMER))),
        Sample(test_zendesk.event("ticket.created")),
        Sample(test_zendesk.event("ticket.comment_added", test_zendesk.comment(test_zendesk.STAFF))),
    ],
    ("care_interaction", "zendesk_requester"): [
        Sample(test_zendesk.event("ticket.created")),
    ],
}
"""By stream and format; the first of each gives at least one row."""
