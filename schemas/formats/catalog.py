"""Which formats there are, and the decoder of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from schemas.codec import AvroEvents, CanonicalDecoder, Decoder, Registry
from schemas.contracts import contract
from schemas.errors import TerminalError
from schemas.formats.adapter import Adapter
from schemas.formats.debezium import Debezium, DebeziumFlattened
from schemas.formats.decoder import AdapterDecoder
from schemas.formats.fields import listed
from schemas.formats.junos_syslog import JunosSyslog
from schemas.formats.mist import Mist
from schemas.formats.nchf import Nchf
from schemas.formats.pgw_record import PgwRecord
from schemas.formats.salesforce_cdc import SalesforceCdc
from schemas.formats.stripe import Stripe, StripeMetadata
from schemas.formats.tmf635 import Tmf635
from schemas.formats.tmf638 import Tmf638
from schemas.formats.tmf639 import Tmf639
from schemas.formats.tmf642 import Tmf642
from schemas.formats.tmf678 import Tmf678
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

ADAPTERS: tuple[Adapter, ...] = (
    Tmf642(),
    Mist(),
    JunosSyslog(),
    Tmf639(),
    Tmf638(),
    SalesforceCdc(),
    Debezium(),
    DebeziumFlattened(),
    PgwRecord(),
    Nchf(),
    Tmf635(),
    Stripe(),
    StripeMetadata(),
    Tmf678(),
    Zendesk(),
    ZendeskRequester(),
)
_BY_NAME: Mapping[tuple[str, str], Adapter] = MappingProxyType(
    {(adapter.stream, adapter.name): adapter for adapter in ADAPTERS}
)
_SIGNED: Mapping[tuple[str, str], Callable[[bytes], Adapter]] = MappingProxyType({(Mist.stream, Mist.name): Mist})
"""The formats whose records may be signed, and what makes their adapter with the secret."""
_OF_CONNECT = frozenset((adapter.stream, adapter.name) for adapter in (Debezium, DebeziumFlattened))
"""The formats that Kafka Connect writes, by whatever converter."""
_IN_AVRO = _OF_CONNECT | {(SalesforceCdc.stream, SalesforceCdc.name)}
"""The vendors' formats that come in Confluent Avro too."""


def known_formats(stream: str) -> tuple[str, ...]:
    """The formats in which a stream's records may come, `canonical` first.

    Raises:
        TerminalError: There is no such stream.
    """
    if stream not in STREAMS:
        raise TerminalError(f"stream {stream!r}: expected {listed(STREAMS)}")
    return (CANONICAL, *(name for of, name in _BY_NAME if of == stream))


def comes_in_avro(stream: str, format: str) -> bool:  # noqa: A002 - as in topics.toml
    """Whether records of a format may be Confluent Avro."""
    return format == CANONICAL or (stream, format) in _IN_AVRO


def decoder_for(
    stream: str,
    format: str,  # noqa: A002 - as in topics.toml
    registry: Registry | None,
    secret: bytes | None = None,
) -> Decoder:
    """The decoder of a topic.

    Args:
        stream: The contract its rows follow.
        format: `canonical`, or a vendor's format.
        registry: Where the Avro schemas are, of canonical records and of vendors' that come in Avro too; None reads
            JSON only.
        secret: Signs the topic's records, for formats that have signatures; None takes them unsigned.

    Raises:
        TerminalError: There is no such stream, it does not come in that format, or that format has no signatures.
    """
    known = known_formats(stream)
    if format not in known:
        raise TerminalError(f"stream {stream}: format {format!r} is not known, expected {listed(known)}")
    if secret is not None:
        if (stream, format) not in _SIGNED:
            raise TerminalError(f"stream {stream}: format {format} has no signatures to check; take secret_env out")
        return AdapterDecoder(_SIGNED[stream, format](secret))
    if format == CANONICAL:
        return CanonicalDecoder(contract(stream), registry)
    if not comes_in_avro(stream, format):
        return AdapterDecoder(_BY_NAME[stream, format])
    avro = AvroEvents(registry, of_connect=(stream, format) in _OF_CONNECT)
    return AdapterDecoder(_BY_NAME[stream, format], avro=avro)
