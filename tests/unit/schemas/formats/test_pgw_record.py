from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.unit.schemas.formats import reading
from tests.unit.schemas.formats.reading import at, usage

rows = partial(reading.rows, "usage_event", "pgw_record")
row = partial(reading.row, "usage_event", "pgw_record")
rejection = partial(reading.rejection, "usage_event", "pgw_record")

# TS 29.274, 8.21: TAI and ECGI, of network 262-01.
HOME = "18 62f210 1234 62f210 00019b01".replace(" ", "")
WORK = "18 62f210 1234 62f210 00019b02".replace(" ", "")
TAI_ONLY = "08 62f210 1234".replace(" ", "")


def cdr(**changes: Any) -> dict[str, Any]:
    """A record with all that is required, and its number; a change to None takes the field away."""
    fields = {
        "recordType": 85,
        "p-GWAddress": "10.0.0.1",
        "chargingID": 110690084,
        "recordSequenceNumber": 3,
        "recordOpeningTime": "2026-04-28T14:00:00+02:00",
        "duration": 1800,
        "customerId": "C-1",
    } | changes
    return {name: value for name, value in fields.items() if value is not None}


def traffic(up: int, down: int, **more: Any) -> dict[str, Any]:
    return {"dataVolumeGPRSUplink": up, "dataVolumeGPRSDownlink": down, "changeCondition": "recordClosure", **more}


def service(up: int, down: int, **more: Any) -> dict[str, Any]:
    return {"ratingGroup": 100, "datavolumeFBCUplink": up, "datavolumeFBCDownlink": down, **more}


WHOLE = cdr(
    servedIMSI="262011234567890",
    servedMSISDN="36201234567",
    accessPointNameNI="internet",
    rATType=6,
    mSTimeZone="8000",
    causeForRecClosing="timeLimit",
    localSequenceNumber=9,
    nodeID="pgw-1",
    userLocationInformation=HOME,
    listOfTrafficVolumes=[traffic(1000, 20000), traffic(7, 300)],
)
LEAST = usage(
    event_id="10.0.0.1:110690084:3",
    customer_id="C-1",
    kind="data",
    duration_seconds=1800,
    event_time=at("2026-04-28T12:30:00Z"),
)
READ = LEAST | {"msisdn": "+36201234567", "cell_id": "262-01-0019b01", "bytes_up": 1007, "bytes_down": 20300}


def test_record_reads_when_only_required_fields_are_there() -> None:
    assert row(cdr()) == LEAST


def test_every_field_reads_when_all_are_there() -> None:
    assert row(WHOLE) == READ


def test_row_is_the_same_when_fields_are_added_that_we_do_not_know() -> None:
    assert row(WHOLE | {"aPNRateControl": {"x": [1]}, "causeForRecClosing": "somethingNew", "rATType": 77}) == READ


def test_partial_records_are_events_of_their_own_when_a_session_is_cut() -> None:
    first, second = rows(WHOLE, WHOLE | {"recordSequenceNumber": 4, "recordOpeningTime": "2026-04-28T12:30:00Z"})
    assert first == READ
    assert second == READ | {"event_id": "10.0.0.1:110690084:4", "event_time": at("2026-04-28T13:00:00Z")}


@pytest.mark.parametrize("again", [{}, {"retransmission": None}, {"localSequenceNumber": 77, "nodeID": "cg-2"}])
def test_record_is_the_same_event_when_it_is_sent_twice(again: dict[str, Any]) -> None:
    assert rows(WHOLE, WHOLE | again) == [READ, READ]


@pytest.mark.parametrize("other", [{"chargingID": 110690085}, {"p-GWAddress": "10.0.0.2"}], ids=["session", "gateway"])
def test_events_differ_when_sessions_or_gateways_do(other: dict[str, Any]) -> None:
    assert row(WHOLE | other)["event_id"] != READ["event_id"]


def test_opening_identifies_when_a_record_has_no_number() -> None:
    first, again, next_one = rows(
        cdr(recordSequenceNumber=None),
        cdr(recordSequenceNumber=None),
        cdr(recordSequenceNumber=None, recordOpeningTime="2026-04-28T12:30:00Z"),
    )
    assert first == again == LEAST | {"event_id": "10.0.0.1:110690084@1777377600000000"}
    assert next_one["event_id"] == "10.0.0.1:110690084@1777379400000000"


@pytest.mark.parametrize("came", [85, "85", "pGWRecord", "PGWRecord", None])
def test_record_reads_when_its_type_is_a_number_a_name_or_missing(came: object) -> None:
    assert row(cdr(recordType=came)) == LEAST


@pytest.mark.parametrize(
    "came",
    [
        "2026-04-28T12:00:00Z",
        "2026-04-28 14:00:00.000+0200",
        "260428140000+0200",
        "2604281400002B0200",
        "2604280700002d0500",
    ],
    ids=["utc", "offset", "text", "octets", "octets west of Greenwich"],
)
def test_end_is_the_event_time_when_the_opening_comes_in_any_form(came: str) -> None:
    assert row(cdr(recordOpeningTime=came)) == LEAST


def test_numbers_read_when_they_are_strings() -> None:
    text = cdr(chargingID="110690084", recordSequenceNumber="3", duration="1800")
    text["listOfTrafficVolumes"] = [{"dataVolumeGPRSUplink": "5", "dataVolumeGPRSDownlink": "6"}]
    assert row(text) == LEAST | {"bytes_up": 5, "bytes_down": 6}


@pytest.mark.parametrize(
    ("lists", "up", "down"),
    [
        ({}, 0, 0),
        ({"listOfTrafficVolumes": []}, 0, 0),
        ({"listOfTrafficVolumes": [{"changeCondition": "recordClosure"}]}, 0, 0),
        ({"listOfTrafficVolumes": traffic(1, 2)}, 1, 2),
        ({"listOfServiceData": [service(1, 2), service(10, 20)]}, 11, 22),
        ({"listOfTrafficVolumes": [], "listOfServiceData": [service(1, 2)]}, 1, 2),
        ({"listOfTrafficVolumes": [{"changeCondition": "x"}], "listOfServiceData": [service(1, 2)]}, 1, 2),
        ({"listOfTrafficVolumes": [{"dataVolumeGPRSUplink": 4}], "listOfServiceData": [service(1, 2)]}, 4, 0),
        ({"listOfTrafficVolumes": [traffic(11, 22)], "listOfServiceData": [service(1, 2), service(10, 20)]}, 11, 22),
    ],
    ids=[
        "none",
        "empty",
        "no volume",
        "one alone",
        "by flow",
        "by flow alone",
        "by flow, places apart",
        "up alone",
        "both count the same",
    ],
)
def test_volumes_are_summed_when_containers_carry_them(lists: dict[str, Any], up: int, down: int) -> None:
    assert row(cdr(**lists)) == LEAST | {"bytes_up": up, "bytes_down": down}


@pytest.mark.parametrize(
    ("places", "cell"),
    [
        ({"userLocationInformation": HOME}, "262-01-0019b01"),
        ({"userLocationInformation": HOME, "lastUserLocationInformation": WORK}, "262-01-0019b02"),
        (
            {
                "userLocationInformation": HOME,
                "listOfTrafficVolumes": [traffic(0, 0), traffic(0, 0, userLocationInformation=WORK), traffic(0, 0)],
            },
            "262-01-0019b02",
        ),
        (
            {"userLocationInformation": HOME, "listOfServiceData": [service(0, 0, userLocationInformation=WORK)]},
            "262-01-0019b02",
        ),
        (
            {
                "listOfTrafficVolumes": [traffic(0, 0, userLocationInformation=WORK)],
                "listOfServiceData": [service(0, 0, userLocationInformation=HOME)],
            },
            "262-01-0019b02",
        ),
        ({"userLocationInformation": HOME, "lastUserLocationInformation": TAI_ONLY}, None),
        ({"userLocationInformation": HOME, "cellId": "cell-17"}, "cell-17"),
        ({"userLocationInformation": "no octets", "cellId": "cell-17"}, "cell-17"),
        ({}, None),
    ],
    ids=[
        "opening",
        "release",
        "container",
        "flow",
        "bearer before flow",
        "left for no cell",
        "named",
        "named alone",
        "none",
    ],
)
def test_cell_is_the_last_one_told_when_the_customer_moves(places: dict[str, Any], cell: str | None) -> None:
    assert row(cdr(**places)) == LEAST | {"cell_id": cell}


@pytest.mark.parametrize(
    ("octets", "cell"),
    [
        ("10 62f210 00019b01", "262-01-0019b01"),
        ("1F 62f21000010002 62f21000010003 62f210000100ff 62f2101234 62F21000019B01", "262-01-0019b01"),
        ("38 130014 1234 130014 0abcdef0 130014 0001", "310-410-abcdef0"),
        ("08 62f210 1234", None),
        ("01 62f210 0001 0002", None),
        ("00 62f210 0001 0002", None),
        ("", None),
    ],
    ids=["alone", "behind all others", "three digits, before LAI", "TAI", "CGI or SAI", "GPRS", "empty"],
)
def test_lte_cell_reads_when_the_octets_name_one(octets: str, cell: str | None) -> None:
    assert row(cdr(userLocationInformation=octets.replace(" ", ""))) == LEAST | {"cell_id": cell}


@pytest.mark.parametrize(
    ("came", "read"),
    [
        ("36201234567", "+36201234567"),
        (36201234567, "+36201234567"),
        ("+36201234567", "+36201234567"),
        ("06201234567", "06201234567"),
    ],
    ids=["digits", "integer", "plus", "national"],
)
def test_msisdn_is_e164_when_the_network_writes_digits(came: object, read: str) -> None:
    assert row(cdr(servedMSISDN=came)) == LEAST | {"msisdn": read}


@pytest.mark.parametrize(
    ("value", "reason", "message"),
    [
        (None, "null_value", "value: expected an object, came null"),
        ([], "wrong_type", "value: expected an object, came an array"),
        (
            cdr(recordType=84),
            "unknown_type",
            "recordType: expected 85 (pGWRecord), came another; send other records elsewhere",
        ),
        (cdr(customerId=None), "missing_field", "customerId: expected a string, came nothing"),
        (cdr(chargingID=None), "missing_field", "chargingID: expected an integer, came nothing"),
        (cdr(chargingID="0xf1"), "wrong_type", "chargingID: expected an integer, came a string"),
        (cdr(**{"p-GWAddress": None}), "missing_field", "p-GWAddress: expected a string, came nothing"),
        (
            cdr(**{"p-GWAddress": {"iPBinV4Address": "CgAAAQ=="}}),
            "wrong_type",
            "p-GWAddress: expected a string, came an object",
        ),
        (cdr(duration=None), "missing_field", "duration: expected an integer, came nothing"),
        (cdr(duration=-1), "out_of_range", "column duration_seconds: expected at least 0, came less"),
        (cdr(recordOpeningTime=None), "missing_field", "recordOpeningTime: expected a time, came nothing"),
        (
            cdr(recordOpeningTime="2026-04-28T12:00:00"),
            "wrong_type",
            "recordOpeningTime: expected an ISO 8601 time with offset, came another text",
        ),
        (
            cdr(recordOpeningTime="261328140000+0200"),
            "out_of_range",
            "recordOpeningTime: expected an ISO 8601 time, came one that does not exist",
        ),
        (
            cdr(recordOpeningTime=1_777_377_600),
            "wrong_type",
            "recordOpeningTime: expected an ISO 8601 string, came an integer",
        ),
        (
            cdr(listOfTrafficVolumes=[traffic(1, 2), traffic(5, -1)]),
            "out_of_range",
            "listOfTrafficVolumes[1].dataVolumeGPRSDownlink: expected at least 0, came less",
        ),
        (
            cdr(listOfTrafficVolumes=[7]),
            "wrong_type",
            "listOfTrafficVolumes[0]: expected an object, came an integer",
        ),
        (
            cdr(userLocationInformation="GGLyEBI0"),
            "wrong_type",
            "userLocationInformation: expected octets as hexadecimal text, came another text",
        ),
        (
            cdr(listOfTrafficVolumes=[traffic(1, 2, userLocationInformation=HOME[:-2])]),
            "out_of_range",
            "listOfTrafficVolumes[0].userLocationInformation: expected 13 octets or more, came fewer",
        ),
        (
            cdr(userLocationInformation="10 ffffff 00019b01".replace(" ", "")),
            "out_of_range",
            "userLocationInformation: expected the codes and the identity of a cell, came others",
        ),
    ],
)
def test_record_is_rejected_when_it_cannot_be_read(value: object, reason: str, message: str) -> None:
    assert rejection(value) == (reason, message)
