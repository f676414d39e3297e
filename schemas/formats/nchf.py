"""5G charging data (Nchf_ConvergedCharging), as charging data requests or as a CHF's records in JSON, to `usage_event`.

A row per used unit container, not per request: a container has its own time and its own cell, and a request may bring
those of hours together. `requestedUnit` asks for quota and is no consumption; a request without a used unit container
carries no row.

Identity: `event_id` is `node:session:number:usage.container`: the node that charges (`nFName` of
`nfConsumerIdentification`, else its domain name or address), its charging id (`sMFchargingId`, `chargingId`), the
number of the request (`invocationSequenceNumber`), and the places in it of the unit usage and the container, from 0. A
request that is sent again, with `retransmissionIndicator` or without, brings the same. `localSequenceNumber` is not
used: senders are seen that begin at 1 with every request, and their usage would vanish as repeated.

Customer: `subscriberIdentifier` (SUPI) names a SIM and `servedGPSI` a number; neither is the CRM's. So whoever hands
us the requests adds `customerId`; one without it is refused. A `servedGPSI` of the form `msisdn-…` becomes `msisdn`.

Kind: with `pDUSessionChargingInformation` data, with `sMSChargingInformation` sms. Used units of anything else are
refused: their form does not say what they count.

Volume: `uplinkVolume` and `downlinkVolume`. Where one is missing it is the rest of `totalVolume`; where only the total
is given it counts as `bytes_down`, so that the sum is true, for the contract has no column for it. `time` is the
duration. `serviceSpecificUnits` are not read.

Time and cell, for where the customer is: `timeofLastUsage` of the container, else its `triggerTimestamp` (when it was
closed), else the request's `invocationTimeStamp`. The cell is `cellId` of the container, if that is added, else the
container's `userLocationInformation`, else `userLocationinfo` of the request.

A CHF's record is read with the names that TS 32.298 gives it: `recordingNetworkFunctionID` is its node,
`pDUSessionChargingID` or `chargingSessionIdentifier` its session, `recordSequenceNumber` its number, and its time is
`recordOpeningTime` plus `duration`.

A request carries many containers. Those that cannot be read make it a dead letter; the rows of the others go on.

Source:
    3GPP TS 32.291 (Rel-18), ChargingDataRequest; TS 29.571, UserLocation; TS 32.298 (Rel-18), ChargingRecord.
    *Unverified*: the JSON of a CHF's record, whose locations are read in the form of TS 29.571 too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from schemas.codec.kernel import Longs
from schemas.codec.nested import INTEGER, JSON, NOTHING, TEXT, TIME, Shape
from schemas.codec.nested_cells import Numbers
from schemas.codec.nested_scan import MOST_ITEMS
from schemas.errors import RecordError
from schemas.formats.adapter import Record, Row, rows_of_parts
from schemas.formats.columns import MOST_SECONDS, TEXTUAL, Form, ManyFields, ManyRows, first_given
from schemas.formats.fields import Fields, listed
from schemas.formats.remembered import remembered
from schemas.formats.usage import CELL_ID, CUSTOMER_ID, cell_of_location, count, e164

_KINDS: Mapping[str, str] = MappingProxyType({"pDUSessionChargingInformation": "data", "sMSChargingInformation": "sms"})
_NODE_NAMES = ("nFName", "nFFqdn", "nFIPv4Address", "nFIPv6Address")
_MSISDN = "msisdn-"
_NUMBERS = ("invocationSequenceNumber", "recordSequenceNumber")
_SESSIONS = ("sMFchargingId", "chargingId", "pDUSessionChargingID")
_PLACES = ("userLocationinfo", "userLocationInformation")
_UPS = ("uplinkVolume", "dataVolumeUplink")
_DOWNS = ("downlinkVolume", "dataVolumeDownlink")
_TOTALS = ("totalVolume", "dataTotalVolume")
_CLOSINGS = ("triggerTimestamp", "triggerTimeStamp")
_LAST_USAGES = ("timeofLastUsage", "timeOfLastUsage")


class Nchf:
    """The adapter."""

    stream = "usage_event"
    name = "nchf"
    headers_read = frozenset[str]()

    @property
    def forms(self) -> tuple[Form, ...]:
        """Requests and records of data sessions, and of messages."""
        return _FORMS

    def adapt(self, record: Record) -> list[Row]:
        """Turn one request into a row per used unit container."""
        request = record.fields()
        used = list(_used_units(request))
        if not used:
            return []
        shared = _shared(request)
        return rows_of_parts(used, lambda part: [_row(shared, *part)])


@dataclass(frozen=True, slots=True)
class _Shared:
    """What all containers of a request have in common; times in microseconds."""

    identity: str
    customer_id: str
    msisdn: str | None
    kind: str
    cell_id: str | None
    sent: int | None


def _used_units(request: Fields) -> Iterator[tuple[str, Fields]]:
    """The used unit containers, each with its places in the request."""
    usages = request.objects(_either(request, "multipleUnitUsage", "listOfMultipleUnitUsage"))
    for i, usage in enumerate(usages):
        for j, container in enumerate(usage.objects(_either(usage, "usedUnitContainer", "usedUnitContainers"))):
            yield f"{i}.{j}", container


def _shared(request: Fields) -> _Shared:
    name = next((name for name in _KINDS if request.values.get(name) is not None), None)
    if name is None:
        raise RecordError("unknown_type", f"value: expected used units of {listed(_KINDS)}, came those of another")
    session = request.required_inner(name)
    user = session.inner("userInformation") or Fields({})
    gpsi = user.text("servedGPSI") or ""
    return _Shared(
        identity=_identity(request, session),
        customer_id=request.required_text(CUSTOMER_ID),
        msisdn=e164(gpsi.removeprefix(_MSISDN)) if gpsi.startswith(_MSISDN) else None,
        kind=_KINDS[name],
        cell_id=cell_of_location(session.inner(_either(session, *_PLACES))),
        sent=_sent(request),
    )


def _identity(request: Fields, session: Fields) -> str:
    consumer = request.inner("nfConsumerIdentification") or Fields({}, "nfConsumerIdentification")
    node = request.text("recordingNetworkFunctionID") or consumer.required_text(*_NODE_NAMES)
    charging = session.text(_either(session, *_SESSIONS))
    if charging is None:
        charging = request.required_text("chargingId", "chargingSessionIdentifier")
    number = request.required_integer(_either(request, *_NUMBERS))
    return f"{node}:{charging}:{number}"


def _sent(request: Fields) -> int | None:
    opened = request.instant("recordOpeningTime")
    if opened is None:
        return request.instant("invocationTimeStamp")
    return opened + (count(request, "duration") or 0) * 1_000_000


def _row(shared: _Shared, places: str, container: Fields) -> Row:
    details = container.inner("pDUContainerInformation") or Fields({}, container.at("pDUContainerInformation"))
    place = details.inner("userLocationInformation")
    up, down = _volumes(container)
    return {
        "event_id": f"{shared.identity}:{places}",
        "customer_id": shared.customer_id,
        "msisdn": shared.msisdn,
        "cell_id": container.text(CELL_ID) or (shared.cell_id if place is None else cell_of_location(place)),
        "kind": shared.kind,
        "duration_seconds": count(container, "time") or 0,
        "bytes_up": up,
        "bytes_down": down,
        "event_time": _event_time(container, details, shared.sent),
    }


def _volumes(container: Fields) -> tuple[int, int]:
    """Bytes up and down."""
    up = count(container, _either(container, *_UPS))
    down = count(container, _either(container, *_DOWNS))
    total = count(container, _either(container, *_TOTALS)) or 0
    if down is None:
        down = max(total - (up or 0), 0)
    return max(total - down, 0) if up is None else up, down


def _event_time(container: Fields, details: Fields, sent: int | None) -> int:
    closed = _either(container, *_CLOSINGS)
    moments = (details.instant(_either(details, *_LAST_USAGES)), container.instant(closed), sent)
    for moment in moments:
        if moment is not None:
            return moment
    raise RecordError("missing_field", f"{container.at(closed)}: expected a time, came nothing")


def _either(fields: Fields, *names: str) -> str:
    """The first of several names of a field under which something is given; the first of all where nothing is."""
    return next((name for name in names if fields.values.get(name) is not None), names[0])


def _many_rows(name: str, requests: ManyFields) -> ManyRows:
    """The rows of many requests, see `_form`."""
    requests.leave(~requests.is_there(name))
    session, usages = requests.inner(name), requests.objects("multipleUnitUsage")
    used = usages.objects("usedUnitContainer")
    details = used.inner("pDUContainerInformation")
    place = "userLocationInformation"
    cell = pc.if_else(
        pa.array(details.is_there(place)),
        details.meaning(place, _cell_of_json),
        used.spread(session.meaning(session.either(*_PLACES), _cell_of_json)),
    )
    up, down = _many_volumes(used)
    last_used, closed = details.instant(details.either(*_LAST_USAGES)), used.instant(used.either(*_CLOSINGS))
    return ManyRows(
        used,
        {
            "event_id": pc.binary_join_element_wise(
                used.spread(_many_identities(requests, session)), _places_in(usages, used), pa.scalar(":", TEXTUAL)
            ),
            "customer_id": used.spread(requests.required_text(CUSTOMER_ID)),
            "msisdn": used.spread(session.e164(session.inner("userInformation").without_prefix("servedGPSI", _MSISDN))),
            "cell_id": pc.coalesce(used.text(CELL_ID), cell),
            "kind": _KINDS[name],
            "duration_seconds": used.count("time").filled(0),
            "bytes_up": up,
            "bytes_down": down,
            "event_time": last_used.or_else(closed).or_else(_many_sent(requests, used)),
        },
    )


def _many_identities(requests: ManyFields, session: ManyFields) -> pa.Array:
    consumer = requests.inner("nfConsumerIdentification")
    node = first_given(requests.notes("recordingNetworkFunctionID"), consumer.notes(*_NODE_NAMES))
    number = requests.either(*_NUMBERS)
    requests.integer(number)
    return requests.joined(node, session.either(*_SESSIONS), number, separator=":")


def _many_sent(requests: ManyFields, used: ManyFields) -> Numbers:
    opened, seconds = requests.instant("recordOpeningTime"), requests.count("duration", MOST_SECONDS)
    closed = Numbers(opened.values + seconds.filled(0) * 1_000_000, opened.null, opened.unfit)
    return closed.or_else(requests.instant("invocationTimeStamp")).take(used.records)


def _places_in(usages: ManyFields, used: ManyFields) -> pa.Array:
    """The places of the unit usage and the container, as they end an identity."""
    places = usages.ordinals[used.parents] * MOST_ITEMS + used.ordinals
    distinct, codes = np.unique(places, return_inverse=True)
    texts = [f"{place // MOST_ITEMS}.{place % MOST_ITEMS}" for place in distinct.tolist()]
    return pa.array(texts, TEXTUAL).take(pa.array(codes))


def _many_volumes(used: ManyFields) -> tuple[Longs, Longs]:
    up, down, total = (used.count(used.either(*names)) for names in (_UPS, _DOWNS, _TOTALS))
    whole = total.filled(0)
    bytes_down = np.where(down.null, np.maximum(whole - up.filled(0), 0), down.values)
    return np.where(up.null, np.maximum(whole - bytes_down, 0), up.values), bytes_down


@remembered
def _cell_of_json(location: str) -> str | None:
    return cell_of_location(Fields.of(orjson.loads(location)))


def _form(name: str) -> Form:
    """Requests of one kind of session, and records of a CHF whose containers have the names of a request's."""
    container: Shape = {
        **dict.fromkeys(("time", *_UPS, *_DOWNS, *_TOTALS), INTEGER),
        **dict.fromkeys(_CLOSINGS, TIME),
        CELL_ID: TEXT,
        "pDUContainerInformation": {**dict.fromkeys(_LAST_USAGES, TIME), "userLocationInformation": JSON},
    }
    usage: Shape = {"usedUnitContainer": [container], "usedUnitContainers": NOTHING}
    session: Shape = {
        **dict.fromkeys(_SESSIONS, TEXT),
        **dict.fromkeys(_PLACES, JSON),
        "userInformation": {"servedGPSI": TEXT},
    }
    shape: dict[str, Shape] = {
        "recordingNetworkFunctionID": TEXT,
        "nfConsumerIdentification": dict.fromkeys(_NODE_NAMES, TEXT),
        **dict.fromkeys(_NUMBERS, INTEGER),
        **dict.fromkeys(("recordOpeningTime", "invocationTimeStamp"), TIME),
        "duration": INTEGER,
        CUSTOMER_ID: TEXT,
        "multipleUnitUsage": [usage],
        "listOfMultipleUnitUsage": NOTHING,
    }
    others = dict.fromkeys(_KINDS.keys() - {name}, NOTHING)
    return Form.of({**shape, **others, name: session}, partial(_many_rows, name))


_FORMS = tuple(map(_form, _KINDS))
