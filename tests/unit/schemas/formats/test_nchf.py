from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.unit.schemas.formats import reading
from tests.unit.schemas.formats.reading import at, usage

rows = partial(reading.rows, "usage_event", "nchf")
row = partial(reading.row, "usage_event", "nchf")
rejection = partial(reading.rejection, "usage_event", "nchf")
nothing = partial(reading.nothing, "usage_event", "nchf")

PLMN = {"mcc": "262", "mnc": "01"}
TAI = {"plmnId": PLMN, "tac": "001234"}
NR = {"nrLocation": {"tai": TAI, "ncgi": {"plmnId": PLMN, "nrCellId": "00019B017"}}}
LTE = {"eutraLocation": {"tai": TAI, "ecgi": {"plmnId": PLMN, "eutraCellId": "0019b01"}}}
WIFI = {"n3gaLocation": {"n3gppTai": TAI, "n3IwfId": "12ab"}}
QUOTA = {"totalVolume": 52_428_800, "time": 3600}


def used(**changes: Any) -> dict[str, Any]:
    """A container with all that is required, and its volumes; a change to None takes the field away."""
    fields = {
        "localSequenceNumber": 1,
        "triggerTimestamp": "2026-04-28T12:00:00Z",
        "time": 600,
        "totalVolume": 2300,
        "uplinkVolume": 300,
        "downlinkVolume": 2000,
    } | changes
    return {name: value for name, value in fields.items() if value is not None}


def request(*containers: object, **changes: Any) -> dict[str, Any]:
    """A request of an SMF with all that is required, and these used unit containers in one unit usage."""
    fields = {
        "subscriberIdentifier": "imsi-262011234567890",
        "nfConsumerIdentification": {"nFName": "smf-1", "nodeFunctionality": "SMF"},
        "invocationTimeStamp": "2026-04-28T12:00:01Z",
        "invocationSequenceNumber": 4,
        "multipleUnitUsage": [{"ratingGroup": 100, "requestedUnit": QUOTA, "usedUnitContainer": list(containers)}],
        "pDUSessionChargingInformation": {
            "chargingId": 123,
            "userInformation": {"servedGPSI": "msisdn-36201234567", "roamerInOut": "IN_BOUND"},
            "userLocationinfo": NR,
            "pduSessionInformation": {"pduSessionID": 5, "dnnId": "internet"},
        },
        "customerId": "C-1",
    } | changes
    return {name: value for name, value in fields.items() if value is not None}


def session(**fields: Any) -> dict[str, Any]:
    return {"chargingId": 123, **fields}


READ = usage(
    event_id="smf-1:123:4:0.0",
    customer_id="C-1",
    msisdn="+36201234567",
    cell_id="262-01-00019b017",
    kind="data",
    duration_seconds=600,
    bytes_up=300,
    bytes_down=2000,
    event_time=at("2026-04-28T12:00:00Z"),
)
LEAST = READ | {"msisdn": None, "cell_id": None}


def test_container_reads_when_a_request_has_one() -> None:
    assert row(request(used())) == READ


def test_container_reads_when_only_required_fields_are_there() -> None:
    least = request({"localSequenceNumber": 1}, pDUSessionChargingInformation=session(), subscriberIdentifier=None)
    assert row(least) == LEAST | {
        "duration_seconds": 0,
        "bytes_up": 0,
        "bytes_down": 0,
        "event_time": at("2026-04-28T12:00:01Z"),
    }


def test_row_is_the_same_when_fields_are_added_that_we_do_not_know() -> None:
    more = used(quotaManagementIndicator="SOMETHING_NEW", triggers=[{"triggerType": "X"}], qoS={"a": [1]})
    assert row(request(more, oneTimeEvent=False, notifyUri="http://smf", triggers=[{}], slice=[])) == READ


@pytest.mark.parametrize(
    "usages",
    [
        [],
        None,
        [{"ratingGroup": 100}],
        [{"ratingGroup": 100, "requestedUnit": QUOTA}],
        [{"ratingGroup": 100, "requestedUnit": QUOTA, "usedUnitContainer": []}],
    ],
)
def test_request_carries_no_row_when_it_asks_for_quota_alone(usages: object) -> None:
    assert nothing(request(multipleUnitUsage=usages))


def test_requested_units_count_for_nothing_when_used_units_stand_beside_them() -> None:
    whole = request()
    whole["multipleUnitUsage"] = [
        {"ratingGroup": 100, "requestedUnit": QUOTA},
        {"ratingGroup": 200, "requestedUnit": QUOTA, "usedUnitContainer": [used()]},
    ]
    assert row(whole) == READ | {"event_id": "smf-1:123:4:1.0"}


def test_containers_give_a_row_each_when_a_request_brings_many() -> None:
    moved = {"timeofLastUsage": "2026-04-28T11:40:00Z", "userLocationInformation": LTE}
    whole = request(used(), used(localSequenceNumber=2, uplinkVolume=1, pDUContainerInformation=moved))
    whole["multipleUnitUsage"].append({"ratingGroup": 200, "usedUnitContainer": [used(time=None)]})
    assert rows(whole) == [
        READ,
        READ
        | {
            "event_id": "smf-1:123:4:0.1",
            "cell_id": "262-01-0019b01",
            "bytes_up": 1,
            "event_time": at("2026-04-28T11:40:00Z"),
        },
        READ | {"event_id": "smf-1:123:4:1.0", "duration_seconds": 0},
    ]


def test_rows_are_equal_when_a_request_is_sent_again() -> None:
    whole = request(used(), used(localSequenceNumber=1))
    first, second, *again = rows(whole, whole | {"retransmissionIndicator": True})
    assert [first, second] == again
    assert first["event_id"] != second["event_id"]


@pytest.mark.parametrize(
    "other",
    [
        {"invocationSequenceNumber": 5},
        {"nfConsumerIdentification": {"nFName": "smf-2"}},
        {"pDUSessionChargingInformation": {"chargingId": 124}},
    ],
    ids=["request", "node", "session"],
)
def test_events_differ_when_requests_nodes_or_sessions_do(other: dict[str, Any]) -> None:
    assert row(request(used(), **other))["event_id"] != READ["event_id"]


@pytest.mark.parametrize(
    ("changes", "event_id"),
    [
        ({"nfConsumerIdentification": {"nFFqdn": "smf.example"}}, "smf.example:123:4:0.0"),
        ({"nfConsumerIdentification": {"nFIPv4Address": "10.0.0.7"}}, "10.0.0.7:123:4:0.0"),
        ({"nfConsumerIdentification": {"nFIPv6Address": "2001:db8::7"}}, "2001:db8::7:123:4:0.0"),
        ({"pDUSessionChargingInformation": session(sMFchargingId="s-9")}, "smf-1:s-9:4:0.0"),
        ({"pDUSessionChargingInformation": {"x": 1}, "chargingId": "77"}, "smf-1:77:4:0.0"),
    ],
)
def test_event_is_named_when_node_or_session_are_given_otherwise(changes: dict[str, Any], event_id: str) -> None:
    assert row(request(used(), **changes))["event_id"] == event_id


@pytest.mark.parametrize(
    ("volumes", "up", "down"),
    [
        ({}, 300, 2000),
        ({"totalVolume": None}, 300, 2000),
        ({"totalVolume": 9999}, 300, 2000),
        ({"uplinkVolume": None}, 300, 2000),
        ({"downlinkVolume": None}, 300, 2000),
        ({"uplinkVolume": None, "downlinkVolume": None}, 0, 2300),
        ({"uplinkVolume": None, "totalVolume": 5}, 0, 2000),
        ({"uplinkVolume": None, "downlinkVolume": None, "totalVolume": None}, 0, 0),
    ],
)
def test_volumes_are_true_in_sum_when_some_are_missing(volumes: dict[str, Any], up: int, down: int) -> None:
    assert row(request(used(**volumes))) == READ | {"bytes_up": up, "bytes_down": down}


@pytest.mark.parametrize(
    ("place", "cell"),
    [
        (NR, "262-01-00019b017"),
        (LTE, "262-01-0019b01"),
        (NR | LTE, "262-01-00019b017"),
        (WIFI, None),
        ({"nrLocation": {"tai": TAI}}, None),
        ({"nrLocation": NR["nrLocation"] | {"ignoreNcgi": True}}, None),
        ({"eutraLocation": LTE["eutraLocation"] | {"ignoreEcgi": "true"}}, None),
        ({}, None),
    ],
    ids=["NR", "LTE", "both", "no radio cell", "no identity", "NR ignored", "LTE ignored", "empty"],
)
def test_cell_reads_when_the_location_names_one(place: dict[str, Any], cell: str | None) -> None:
    assert row(request(used(), pDUSessionChargingInformation=session(userLocationinfo=place))) == LEAST | {
        "cell_id": cell
    }


@pytest.mark.parametrize(("place", "cell"), [(LTE, "262-01-0019b01"), (WIFI, None)], ids=["LTE", "no radio cell"])
def test_cell_is_the_containers_when_it_has_a_location_of_its_own(place: dict[str, Any], cell: str | None) -> None:
    assert row(request(used(pDUContainerInformation={"userLocationInformation": place}))) == READ | {"cell_id": cell}


def test_cell_is_the_topologys_when_the_container_names_it() -> None:
    named = used(cellId="cell-17", pDUContainerInformation={"userLocationInformation": LTE})
    assert row(request(named)) == READ | {"cell_id": "cell-17"}


@pytest.mark.parametrize(
    ("changes", "time"),
    [
        ({}, "2026-04-28T12:00:00Z"),
        ({"pDUContainerInformation": {"timeofLastUsage": "2026-04-28T11:59:00Z"}}, "2026-04-28T11:59:00Z"),
        ({"triggerTimestamp": None}, "2026-04-28T12:00:01Z"),
    ],
    ids=["closed", "last used", "sent"],
)
def test_time_is_that_of_the_use_when_the_container_tells_it(changes: dict[str, Any], time: str) -> None:
    assert row(request(used(**changes))) == READ | {"event_time": at(time)}


@pytest.mark.parametrize("gpsi", ["extid-me@example.org", "36201234567", None])
def test_msisdn_is_unknown_when_the_gpsi_is_none(gpsi: object) -> None:
    whole = request(used(), pDUSessionChargingInformation=session(userInformation={"servedGPSI": gpsi}))
    assert row(whole) == LEAST


def test_message_reads_when_it_is_charged() -> None:
    message = request(
        {"localSequenceNumber": 1, "serviceSpecificUnits": 1},
        nfConsumerIdentification={"nFName": "smsf-1", "nodeFunctionality": "SMSF"},
        pDUSessionChargingInformation=None,
        chargingId=9,
        oneTimeEvent=True,
        oneTimeEventType="PEC",
        sMSChargingInformation={
            "originatorInfo": {"originatorGPSI": "msisdn-36201234567"},
            "userLocationinfo": NR,
            "numberofMessagesSent": 1,
        },
    )
    assert row(message) == usage(
        event_id="smsf-1:9:4:0.0",
        customer_id="C-1",
        cell_id="262-01-00019b017",
        kind="sms",
        event_time=at("2026-04-28T12:00:01Z"),
    )


def test_record_of_a_chf_reads_when_it_has_its_own_names() -> None:
    cdr = {
        "recordType": 200,
        "recordingNetworkFunctionID": "chf-1",
        "recordSequenceNumber": 2,
        "recordOpeningTime": "2026-04-28T11:00:00Z",
        "duration": 3600,
        "customerId": "C-1",
        "pDUSessionChargingInformation": {"pDUSessionChargingID": 123, "userLocationInformation": NR},
        "listOfMultipleUnitUsage": [
            {
                "ratingGroup": 100,
                "usedUnitContainers": [
                    {
                        "time": 600,
                        "dataTotalVolume": 2300,
                        "dataVolumeUplink": 300,
                        "dataVolumeDownlink": 2000,
                        "triggerTimeStamp": "2026-04-28T11:30:00Z",
                        "pDUContainerInformation": {"timeOfLastUsage": "2026-04-28T11:29:00Z"},
                    },
                    {"time": 600, "dataTotalVolume": 5, "triggerTimeStamp": "2026-04-28T11:30:00Z"},
                    {},
                ],
            }
        ],
    }
    read = READ | {"msisdn": None}
    assert rows(cdr) == [
        read | {"event_id": "chf-1:123:2:0.0", "event_time": at("2026-04-28T11:29:00Z")},
        read
        | {"event_id": "chf-1:123:2:0.1", "bytes_up": 0, "bytes_down": 5, "event_time": at("2026-04-28T11:30:00Z")},
        read | {"event_id": "chf-1:123:2:0.2", "duration_seconds": 0, "bytes_up": 0, "bytes_down": 0},
    ]


def test_other_containers_go_on_when_one_of_a_request_cannot_be_read() -> None:
    decoded = reading.decode("usage_event", "nchf", request(used(), used(uplinkVolume=-1), used(time=7)))
    assert decoded.rows.drop("_row").to_dicts() == [
        READ,
        READ | {"event_id": "smf-1:123:4:0.2", "duration_seconds": 7},
    ]
    assert decoded.rows["_row"].to_list() == [0, 0]
    assert [(record.row, record.reason, record.message) for record in decoded.rejected] == [
        (
            0,
            "out_of_range",
            "multipleUnitUsage[0].usedUnitContainer[1].uplinkVolume: expected at least 0, came less",
        )
    ]
    assert decoded.empty == 0


@pytest.mark.parametrize(
    ("value", "reason", "message"),
    [
        (None, "null_value", "value: expected an object, came null"),
        ("", "wrong_type", "value: expected an object, came a string"),
        (request(used(), customerId=None), "missing_field", "customerId: expected a string, came nothing"),
        (
            request(used(), nfConsumerIdentification=None),
            "missing_field",
            "nfConsumerIdentification.nFName or nfConsumerIdentification.nFFqdn or "
            "nfConsumerIdentification.nFIPv4Address or nfConsumerIdentification.nFIPv6Address: "
            "expected a string, came nothing",
        ),
        (
            request(used(), pDUSessionChargingInformation={"pduSessionInformation": {}}),
            "missing_field",
            "chargingId or chargingSessionIdentifier: expected a string, came nothing",
        ),
        (
            request(used(), invocationSequenceNumber=None),
            "missing_field",
            "invocationSequenceNumber: expected an integer, came nothing",
        ),
        (
            request(used(), pDUSessionChargingInformation=None, nEFChargingInformation={}),
            "unknown_type",
            "value: expected used units of pDUSessionChargingInformation or sMSChargingInformation, "
            "came those of another",
        ),
        (
            request(used(triggerTimestamp=None), invocationTimeStamp=None),
            "missing_field",
            "multipleUnitUsage[0].usedUnitContainer[0].triggerTimestamp: expected a time, came nothing",
        ),
        (
            request(used(uplinkVolume=1.5)),
            "wrong_type",
            "multipleUnitUsage[0].usedUnitContainer[0].uplinkVolume: expected an integer, came a fraction",
        ),
        (
            request(7),
            "wrong_type",
            "multipleUnitUsage[0].usedUnitContainer[0]: expected an object, came an integer",
        ),
        (
            request(
                used(),
                pDUSessionChargingInformation=session(
                    userLocationinfo={"nrLocation": {"ncgi": {"plmnId": PLMN, "nrCellId": "1"}}}
                ),
            ),
            "out_of_range",
            "pDUSessionChargingInformation.userLocationinfo.nrLocation.ncgi: "
            "expected the codes and the identity of a cell, came others",
        ),
    ],
)
def test_request_is_rejected_when_it_cannot_be_read(value: object, reason: str, message: str) -> None:
    assert rejection(value) == (reason, message)
