from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.unit.schemas.formats import reading
from tests.unit.schemas.formats.reading import at
from tests.unit.schemas.formats.reading import usage as usage_row

row = partial(reading.row, "usage_event", "tmf635")
rows = partial(reading.rows, "usage_event", "tmf635")
rejection = partial(reading.rejection, "usage_event", "tmf635")
nothing = partial(reading.nothing, "usage_event", "tmf635")

PROVIDER = {"id": "1", "role": "serviceProvider", "@referredType": "Organization"}
CUSTOMER = {"id": "C-1", "role": "customer", "@referredType": "Individual"}


def usage(characteristics: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A usage with what we require; a change to None takes the field away."""
    fields = {
        "id": "u-1",
        "usageDate": "2026-04-28T14:00:00+02:00",
        "usageType": "VOICE",
        "status": "received",
        "relatedParty": [PROVIDER, CUSTOMER],
        "usageCharacteristic": [{"name": name, "value": value} for name, value in (characteristics or {}).items()],
    } | changes
    return {name: value for name, value in fields.items() if value is not None}


def event(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"eventId": "e1", "eventTime": "2026-04-28T12:30:00Z", "eventType": kind, "event": body}


LEAST = usage_row(event_id="u-1", customer_id="C-1", kind="voice", event_time=at("2026-04-28T12:00:00Z"))
# The names of TMF's reference implementation, and ours.
CALL = {
    "originatingCountryCode": "43",
    "originatingNumber": "676123456789",
    "destinationCountryCode": "49",
    "destinationNumber": "170123456789",
    "duration": "20",
    "unit": "SEC",
    "startDateTime": "2026-04-28T12:00:00Z",
    "msisdn": "36201234567",
    "cellId": "cell-17",
}
READ = LEAST | {"msisdn": "+36201234567", "cell_id": "cell-17", "duration_seconds": 20}


def test_usage_reads_when_only_required_fields_are_there() -> None:
    assert row(usage(status=None, usageCharacteristic=None)) == LEAST


def test_every_field_reads_when_all_are_there() -> None:
    rated = {"taxIncludedRatingAmount": {"unit": "EUR", "value": 12.5}, "isBilled": True}
    assert row(usage(CALL, description="a call", href="/usage/1", ratedProductUsage=[rated])) == READ


def test_data_reads_when_volumes_are_given() -> None:
    volumes = {"bytesUp": 300, "bytesDown": "2000", "duration": 60}
    assert row(usage(volumes, usageType="mobileData")) == LEAST | {
        "kind": "data",
        "duration_seconds": 60,
        "bytes_up": 300,
        "bytes_down": 2000,
    }


@pytest.mark.parametrize(
    ("name", "value", "column", "read"),
    [
        ("servedMSISDN", "36201234567", "msisdn", "+36201234567"),
        ("MSISDN", "+36201234567", "msisdn", "+36201234567"),
        ("cell-id", "cell-17", "cell_id", "cell-17"),
        ("serving cell id", "cell-17", "cell_id", "cell-17"),
        ("Duration", 20, "duration_seconds", 20),
        ("duration_seconds", "20", "duration_seconds", 20),
        ("bytes_up", 7, "bytes_up", 7),
        ("uplinkVolume", 7, "bytes_up", 7),
        ("uploadVolume", 7, "bytes_up", 7),
        ("bytes_down", 7, "bytes_down", 7),
        ("downlinkVolume", 7, "bytes_down", 7),
        ("downloadVolume", 7, "bytes_down", 7),
        ("duration", "", "duration_seconds", 0),
        ("duration", None, "duration_seconds", 0),
    ],
)
def test_characteristic_reads_when_its_name_is_one_of_ours(name: str, value: object, column: str, read: object) -> None:
    assert row(usage({name: value})) == LEAST | {column: read}


@pytest.mark.parametrize(
    "unknown",
    [
        {"name": "apn", "value": "internet"},
        {"name": "apn", "value": {"deep": [1, None]}},
        {"name": "destinationNumber"},
        {"name": ["duration"], "value": "x"},
        {"value": "x"},
        {},
    ],
)
def test_row_is_the_same_when_a_characteristic_is_unknown(unknown: dict[str, Any]) -> None:
    whole = usage(CALL)
    whole["usageCharacteristic"] = [unknown, *whole["usageCharacteristic"], unknown]
    assert row(whole) == READ


@pytest.mark.parametrize("unit", ["SEC", "s", "Seconds", "octets", "BYTE", "", None])
def test_numbers_read_when_their_unit_is_seconds_or_bytes(unit: object) -> None:
    assert row(usage({"duration": 20, "unit": unit})) == LEAST | {"duration_seconds": 20}


def test_unit_never_matters_when_there_is_nothing_to_measure() -> None:
    assert row(usage({"unit": "message"}, usageType="SMS")) == LEAST | {"kind": "sms"}


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        ({"usageType": "VOICE"}, "voice"),
        ({"usageType": "voice call"}, "voice"),
        ({"usageType": "VoLTE"}, "voice"),
        ({"usageType": "SMS"}, "sms"),
        ({"usageType": "internet"}, "data"),
        ({"usageType": None, "type": "SMS"}, "sms"),
        ({"usageType": "CDR", "usageSpecification": {"id": "22", "name": "Voice usage specification"}}, "voice"),
    ],
)
def test_kind_reads_when_type_or_specification_name_it(names: dict[str, Any], kind: str) -> None:
    assert row(usage(**names)) == LEAST | {"kind": kind}


@pytest.mark.parametrize("status", ["received", "recieved", "guided", "rated", "rerated", "billed", "RATED", None])
def test_usage_carries_a_row_when_its_status_says_it_is_used(status: object) -> None:
    assert row(usage(status=status)) == LEAST


@pytest.mark.parametrize("status", ["rejected", "Rejected", "recycled"])
def test_usage_carries_no_row_when_its_status_says_it_is_not_used(status: str) -> None:
    assert nothing(usage(status=status))


def test_usage_is_one_event_when_it_passes_through_its_states() -> None:
    states = ("received", "guided", "rated", "billed")
    assert rows(*(usage(CALL, status=status) for status in states)) == [READ] * len(states)


@pytest.mark.parametrize(
    "kind",
    ["UsageCreateEvent", "UsageAttributeValueChangeEvent", "UsageStateChangeEvent", "UsageCreateNotification"],
)
@pytest.mark.parametrize("wrap", [lambda body: {"usage": body}, lambda body: body], ids=["event.usage", "event"])
def test_usage_reads_when_an_event_carries_it(kind: str, wrap: Any) -> None:
    assert row(event(kind, wrap(usage(CALL)))) == READ


@pytest.mark.parametrize("kind", ["UsageDeleteEvent", "UsageSpecificationCreateEvent", "UsageSpecificationDeleteEvent"])
def test_event_carries_no_row_when_it_brings_no_usage(kind: str) -> None:
    assert nothing(event(kind, {"usage": {"id": "u-1"}}))


@pytest.mark.parametrize(
    ("parties", "characteristics"),
    [
        ([{"id": "C-1", "role": "Customer"}], {}),
        ([CUSTOMER, PROVIDER, CUSTOMER], {}),
        (CUSTOMER, {}),
        ([CUSTOMER], {"customerId": "C-2"}),
        ([PROVIDER], {"customerId": "C-1"}),
        (None, {"customerId": "C-1"}),
    ],
    ids=["case", "twice", "one alone", "party before characteristic", "characteristic", "no parties"],
)
def test_customer_reads_when_a_party_or_a_characteristic_names_it(parties: object, characteristics: Any) -> None:
    assert row(usage(characteristics, relatedParty=parties)) == LEAST


def test_date_reads_when_it_has_the_name_of_version_2() -> None:
    assert row(usage(usageDate=None, date="2026-04-28T12:00:00Z")) == LEAST


@pytest.mark.parametrize("came", [17, "17"])
def test_id_reads_when_it_is_an_integer(came: object) -> None:
    assert row(usage(id=came)) == LEAST | {"event_id": "17"}


@pytest.mark.parametrize(
    ("value", "reason", "message"),
    [
        (None, "null_value", "value: expected an object, came null"),
        ([], "wrong_type", "value: expected an object, came an array"),
        (usage(id=None), "missing_field", "id: expected a string, came nothing"),
        (usage(usageDate=None), "missing_field", "usageDate: expected a time, came nothing"),
        (
            usage(usageDate="2026-04-28"),
            "wrong_type",
            "usageDate: expected an ISO 8601 time with offset, came another text",
        ),
        (
            usage(status="pending"),
            "out_of_range",
            "status: expected received, recieved, guided, rated, rerated, billed, recycled or rejected, "
            "came another word",
        ),
        (
            usage(usageType="MMS"),
            "unknown_type",
            "usageType: expected words for voice, sms or data, came others",
        ),
        (
            usage(usageType="voice and data"),
            "unknown_type",
            "usageType: expected words for voice, sms or data, came others",
        ),
        (usage(usageType=None), "unknown_type", "usageType: expected words for voice, sms or data, came others"),
        (
            usage(relatedParty=[PROVIDER]),
            "missing_field",
            "relatedParty: expected one with role customer, came none",
        ),
        (
            usage(relatedParty=[CUSTOMER, CUSTOMER | {"id": "C-2"}]),
            "out_of_range",
            "relatedParty: expected one customer, came several",
        ),
        (
            usage(relatedParty=[{"role": "customer"}]),
            "missing_field",
            "relatedParty[0].id: expected a string, came nothing",
        ),
        (
            usage({"duration": "00:00:20"}),
            "wrong_type",
            "usageCharacteristic[0].value: expected an integer, came a string",
        ),
        (
            usage({"msisdn": "36201234567", "bytesUp": -1}),
            "out_of_range",
            "usageCharacteristic[1].value: expected at least 0, came less",
        ),
        (
            usage({"bytesUp": 5, "unit": "MB"}),
            "out_of_range",
            "usageCharacteristic[1].value: expected s, sec, second, seconds, b, byte, bytes, octet or octets, "
            "came another word",
        ),
        (
            usage({"bytesUp": 5, "uplinkVolume": 5}),
            "out_of_range",
            "usageCharacteristic[1].name: expected one that is not there yet, came one again",
        ),
        (
            usage(usageCharacteristic=["duration"]),
            "wrong_type",
            "usageCharacteristic[0]: expected an object, came a string",
        ),
        (
            event("SomethingEvent", {"usage": usage()}),
            "unknown_type",
            "eventType: expected an event of a usage or its specification, came another",
        ),
    ],
)
def test_usage_is_rejected_when_it_cannot_be_read(value: object, reason: str, message: str) -> None:
    assert rejection(value) == (reason, message)
