"""What the usage formats share: telephone numbers, cells, and the names of the fields that an operator adds.

Networks know a subscriber's SIM and telephone number and the radio cell, not the CRM's customer nor the inventory's
name of the cell. So whoever sends us usage adds two fields to what 3GPP defines: `customerId`, the customer's id as the
CRM writes it, and, where the topology names cells in another way than below, `cellId`, the cell's `element_id`.

Cells are written `mcc-mnc-cell`: the country code's three digits, the network code's two or three, and the cell's
identity in lower-case hexadecimal, 7 digits for LTE and 9 for NR, as in `262-01-0019b01`. So a cell has one name,
whichever format it comes in.

Source:
    3GPP TS 23.003 (identities), TS 29.274, 8.21 (User Location Information), TS 29.571, 5.4.4 (UserLocation).
"""

from __future__ import annotations

import re

from schemas.errors import RecordError
from schemas.formats.fields import Fields

CUSTOMER_ID = "customerId"
CELL_ID = "cellId"

# The identities in an ULI come in this order, each where its flag is set: the flag, and how many octets it has.
_BEFORE_ECGI = ((0x01, 7), (0x02, 7), (0x04, 7), (0x08, 5))  # CGI, SAI, RAI, TAI
_ECGI, _ECGI_OCTETS = 0x10, 7

_MCC = re.compile(r"\d{3}", re.ASCII)
_MNC = re.compile(r"\d{2,3}", re.ASCII)
_LTE_CELL = re.compile(r"[0-9a-f]{7}")
_NR_CELL = re.compile(r"[0-9a-f]{9}")


def e164(number: str | None) -> str | None:
    """A telephone number in E.164, which networks write without the plus sign.

    Returns:
        `+` and the digits; anything that is not an international number's digits (which never begin with 0) as it came.
    """
    if number is None or not number.isascii() or not number.isdigit() or number.startswith("0"):
        return number
    return f"+{number}"


def count(fields: Fields, name: str) -> int | None:
    """Seconds or bytes: a whole number of at least 0.

    Raises:
        RecordError: It is something else.
    """
    found = fields.integer(name)
    if found is not None and found < 0:
        raise RecordError("out_of_range", f"{fields.at(name)}: expected at least 0, came less")
    return found


def cell_of_octets(fields: Fields, name: str) -> str | None:
    """The LTE cell (ECGI) in the octets of a User Location Information of TS 29.274, as hexadecimal text.

    None where they name no LTE cell. A CGI is not taken: in records of GPRS the field is coded as in TS 29.060, and
    the two codings of a GSM cell and an UMTS service area cannot be told apart.

    Raises:
        RecordError: It is no text of that form, or its octets end too early.
    """
    text = fields.text(name)
    if text is None:
        return None
    place = fields.at(name)
    try:
        octets = bytes.fromhex(text)
    except ValueError:
        raise RecordError("wrong_type", f"{place}: expected octets as hexadecimal text, came another text") from None
    if not octets:
        return None
    flags = octets[0]
    if not flags & _ECGI:
        return None
    start = 1 + sum(length for flag, length in _BEFORE_ECGI if flags & flag)
    ecgi = octets[start : start + _ECGI_OCTETS]
    if len(ecgi) < _ECGI_OCTETS:
        raise RecordError("out_of_range", f"{place}: expected {start + _ECGI_OCTETS} octets or more, came fewer")
    # The digits of the codes lie in half-octets, the lower half first; a network code of two digits is filled with f.
    digits = "".join(f"{octet & 0x0F:x}{octet >> 4:x}" for octet in ecgi[:3])
    mnc = (digits[4:] + digits[3]).removesuffix("f")
    return _cell_name(digits[:3], mnc, ecgi[3:].hex()[1:], _LTE_CELL, place)


def cell_of_location(location: Fields | None) -> str | None:
    """The cell of a UserLocation of TS 29.571: NR, else LTE; None for other accesses, and where it is to be ignored.

    Raises:
        RecordError: It names a cell in another form.
    """
    if location is None:
        return None
    for access, identity, number, ignored, form in (
        ("nrLocation", "ncgi", "nrCellId", "ignoreNcgi", _NR_CELL),
        ("eutraLocation", "ecgi", "eutraCellId", "ignoreEcgi", _LTE_CELL),
    ):
        there = location.inner(access)
        cell = there.inner(identity) if there and not there.flag(ignored, default=False) else None
        if cell:
            plmn = cell.required_inner("plmnId")
            codes = plmn.required_text("mcc"), plmn.required_text("mnc")
            return _cell_name(*codes, cell.required_text(number).lower(), form, cell.place)
    return None


def _cell_name(mcc: str, mnc: str, cell: str, form: re.Pattern[str], place: str) -> str:
    if not (_MCC.fullmatch(mcc) and _MNC.fullmatch(mnc) and form.fullmatch(cell)):
        raise RecordError("out_of_range", f"{place}: expected the codes and the identity of a cell, came others")
    return f"{mcc}-{mnc}-{cell}"
