"""Which formats there are, and the decoder of each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from schemas.codec import CanonicalDecoder, Decoder, Registry
from schemas.contracts import contract
from schemas.errors import TerminalError
from schemas.formats.adapter import Adapter
from schemas.formats.debezium import Debezium, DebeziumFlattened
from schemas.formats.decoder import JsonDecoder
from schemas.formats.fields import listed
from schemas.formats.mist import Mist
from schemas.formats.nchf import Nchf
from schemas.formats.pgw_record import PgwRecord
from schemas.formats.salesforce_cdc import SalesforceCdc
from schemas.formats.tmf635 import Tmf635
from schemas.formats.tmf638 import Tmf638
from schemas.formats.tmf639 import Tmf639
from schemas.formats.tmf642 import Tmf642
from schemas.formats.zendesk import Zendesk, ZendeskRequester

CANONICAL = "canonical"
STREAMS = (
    "network_fault",
    "network_topology",
    "usage_event",
    "crm_change",
    "billing_event",
    "care_interaction",
)

_ADAPTERS: tuple[Adapter, ...] = (
    Tmf642(),
    Mist(),
    SalesforceCdc(),
    Debezium(),
    DebeziumFlattened(),
    PgwRecord(),
    Nchf(),
    Tmf635(),
    Tmf639(),
    Tmf638(),
    Zendesk(),
    ZendeskRequester(),
)
_BY_NAME: Mapping[tuple[str, str], Adapter] = MappingProxyType(
    {(adapter.stream, adapter.name): adapter for adapter in _ADAPTERS}
)


def known_formats(stream: str) -> tuple[str, ...]:
    """The formats in which a stream's records may come, `canonical` first.

    Raises:
        TerminalError: There is no such stream.
    """
    if stream not in STREAMS:
        raise TerminalError(f"stream {stream!r}: expected {listed(STREAMS)}")
    return (CANONICAL, *(name for of, name in _BY_NAME if of == stream))


def decoder_for(stream: str, format: str, registry: Registry | None) -> Decoder:  # noqa: A002 - as in topics.toml
    """The decoder of a topic.

    Args:
        stream: The contract its rows follow.
        format: `canonical`, or a vendor's format.
        registry: Where the Avro schemas of canonical records are; None reads JSON only.

    Raises:
        TerminalError: There is no such stream, or it does not come in that format.
    """
    known = known_formats(stream)
    if format == CANONICAL:
        return CanonicalDecoder(contract(stream), registry)
    if format not in known:
        raise TerminalError(f"stream {stream}: format {format!r} is not known, expected {listed(known)}")
    return JsonDecoder(_BY_NAME[stream, format])
