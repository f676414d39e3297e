"""4G charging records of a packet gateway (PGWRecord), as JSON of a mediation system, to `usage_event`: kind data.

Identity: `event_id` is `p-GWAddress:chargingID:recordSequenceNumber`. A session is cut into partial records, each with
its own number, so they are events of their own, and a record that is sent twice is one event. Where a session has one
record the number may be left out; then `@` and the microsecond of `recordOpeningTime` stand for it.

Customer: no field of the record is the CRM's. `servedIMSI` names a SIM and `servedMSISDN` a number, and both can pass
to another customer. So the mediation system adds `customerId`; a record without it is refused. `servedMSISDN` becomes
`msisdn`: it must be digits, not the octets of an ISDN-AddressString. `servedIMSI` is not read: no column takes it.

Volume: the sums over `listOfTrafficVolumes` (`dataVolumeGPRSUplink`, `dataVolumeGPRSDownlink`). Where the gateway
charges by flow that list is missing or has no volumes, and the sums are those over `listOfServiceData`
(`datavolumeFBCUplink`, `datavolumeFBCDownlink`); the two are never added, for they count the same traffic.

Time and cell: those of the record's end, `recordOpeningTime` plus `duration`. A record is told when it is closed, up to
hours after it was opened. Told with its opening time it would be too late to count for anybody's presence, and it would
say where the customer was, not where the customer is. One record opens when the last one closes, so only the opening of
a session goes untold. The cell is the last one told: `lastUserLocationInformation`, else that of the last container
with a `userLocationInformation`, else the record's own, which is where the customer was at the opening. Cells passed
through within a record are not told: an event has one. `cellId`, if the mediation system adds it, comes before all.

Other records (`recordType` is given, and is not 85 or `pGWRecord`) are refused: those of a serving gateway would count
the traffic of the same session once more.

Source:
    3GPP TS 32.298 (Rel-14): PGWRecord, ChangeOfCharCondition, ChangeOfServiceCondition, TimeStamp. *Unverified*: that a
    certain mediation system keeps these names. Times are read as ISO 8601 with an offset, and in the form of TS 32.298
    (`YYMMDDhhmmss`, sign, `hhmm`) as text or as its nine octets in hexadecimal.
"""

from __future__ import annotations

import re

import pyarrow.compute as pc

from schemas.codec.nested import INTEGER, NOTHING, TEXT, TIME
from schemas.errors import RecordError
from schemas.formats.adapter import Record, Row
from schemas.formats.columns import MOST_SECONDS, Form, ManyFields, ManyRows, first_given
from schemas.formats.fields import Fields
from schemas.formats.remembered import remembered
from schemas.formats.usage import CELL_ID, CUSTOMER_ID, cell_of_octets, count, e164

_RECORD_TYPES = ("85", "pgwrecord")
_BY_BEARER = ("dataVolumeGPRSUplink", "dataVolumeGPRSDownlink")
_BY_FLOW = ("datavolumeFBCUplink", "datavolumeFBCDownlink")
_OPENING = "recordOpeningTime"
_LOCATION = "userLocationInformation"
# The sign is a character, in hexadecimal that character's ASCII code.
_COMPACT_TIME = re.compile(r"(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)([+-]|2[BbDd])(\d{4})", re.ASCII)
_SIGNS = {"2b": "+", "2d": "-"}


class PgwRecord:
    """The adapter."""

    stream = "usage_event"
    name = "pgw_record"
    headers_read = frozenset[str]()

    @property
    def forms(self) -> tuple[Form, ...]:
        """Records that charge by bearer."""
        return (_BEARER,)

    def adapt(self, record: Record) -> list[Row]:
        """Turn one record into one row."""
        cdr = record.fields()
        _check(cdr.text("recordType") or "85")
        opened, seconds = _opening(cdr), cdr.required_integer("duration")
        traffic, services = cdr.objects("listOfTrafficVolumes"), cdr.objects("listOfServiceData")
        up, down = _volumes(traffic, _BY_BEARER) or _volumes(services, _BY_FLOW) or (0, 0)
        return [
            {
                "event_id": _identity(cdr, opened),
                "customer_id": cdr.required_text(CUSTOMER_ID),
                "msisdn": e164(cdr.text("servedMSISDN")),
                "cell_id": cdr.text(CELL_ID) or _cell(cdr, [*services, *traffic]),
                "kind": "data",
                "duration_seconds": seconds,
                "bytes_up": up,
                "bytes_down": down,
                "event_time": opened + seconds * 1_000_000,
            }
        ]


def _check(record_type: str) -> None:
    if record_type.lower() not in _RECORD_TYPES:
        raise RecordError(
            "unknown_type", "recordType: expected 85 (pGWRecord), came another; send other records elsewhere"
        )


def _identity(cdr: Fields, opened: int) -> str:
    session = f"{cdr.required_text('p-GWAddress')}:{cdr.required_integer('chargingID')}"
    number = cdr.integer("recordSequenceNumber")
    return f"{session}@{opened}" if number is None else f"{session}:{number}"


def _opening(cdr: Fields) -> int:
    written = cdr.values.get(_OPENING)
    compact = _COMPACT_TIME.fullmatch(written) if isinstance(written, str) else None
    if compact:
        year, month, day, hour, minute, second, sign, offset = compact.groups()
        sign = _SIGNS.get(sign.lower(), sign)
        cdr = Fields({_OPENING: f"20{year}-{month}-{day}T{hour}:{minute}:{second}{sign}{offset}"}, cdr.place)
    opened = cdr.instant(_OPENING)
    if opened is None:
        raise RecordError("missing_field", f"{cdr.at(_OPENING)}: expected a time, came nothing")
    return opened


def _volumes(containers: list[Fields], names: tuple[str, str]) -> tuple[int, int] | None:
    """Bytes up and down in all containers; None where no container has any."""
    counted = [(count(each, names[0]), count(each, names[1])) for each in containers]
    if all(pair == (None, None) for pair in counted):
        return None
    return sum(up or 0 for up, _ in counted), sum(down or 0 for _, down in counted)


def _cell(cdr: Fields, containers: list[Fields]) -> str | None:
    """The cell of the last location that is told.

    It counts even where it is no LTE cell: the cell before it is one that the customer has left.
    """
    told = [
        (cdr, "lastUserLocationInformation"),
        *((container, _LOCATION) for container in reversed(containers)),
        (cdr, _LOCATION),
    ]
    return next((cell_of_octets(fields, name) for fields, name in told if fields.text(name) is not None), None)


def _many_rows(cdrs: ManyFields) -> ManyRows:
    """The rows of records that charge by bearer."""
    cdrs.check("recordType", _check)
    opened = cdrs.instant(cdrs.required(_OPENING)).values
    seconds = cdrs.count(cdrs.required("duration"), MOST_SECONDS).values
    session = cdrs.required("p-GWAddress"), cdrs.required("chargingID"), cdrs.required("recordSequenceNumber")
    for number in session[1:]:
        cdrs.integer(number)
    traffic = cdrs.objects("listOfTrafficVolumes")
    told = first_given(cdrs.notes("lastUserLocationInformation"), traffic.last(_LOCATION), cdrs.notes(_LOCATION))
    return ManyRows(
        cdrs,
        {
            "event_id": cdrs.joined(*session, separator=":"),
            "customer_id": cdrs.required_text(CUSTOMER_ID),
            "msisdn": cdrs.e164("servedMSISDN"),
            "cell_id": pc.coalesce(cdrs.text(CELL_ID), cdrs.meaning(told, _cell_of_octets)),
            "kind": "data",
            "duration_seconds": seconds,
            "bytes_up": traffic.total(_BY_BEARER[0]),
            "bytes_down": traffic.total(_BY_BEARER[1]),
            "event_time": opened + seconds * 1_000_000,
        },
    )


@remembered
def _cell_of_octets(octets: str) -> str | None:
    return cell_of_octets(Fields({_LOCATION: octets}), _LOCATION)


_BEARER = Form.of(
    {
        "recordType": TEXT,
        "p-GWAddress": TEXT,
        "chargingID": INTEGER,
        "recordSequenceNumber": INTEGER,
        "servedMSISDN": TEXT,
        "recordOpeningTime": TIME,
        "duration": INTEGER,
        "listOfTrafficVolumes": [{_BY_BEARER[0]: INTEGER, _BY_BEARER[1]: INTEGER, _LOCATION: TEXT}],
        "listOfServiceData": NOTHING,
        _LOCATION: TEXT,
        "lastUserLocationInformation": TEXT,
        CUSTOMER_ID: TEXT,
        CELL_ID: TEXT,
    },
    _many_rows,
)
"""Without volumes by flow; a record that is numbered."""
