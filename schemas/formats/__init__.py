"""One adapter per vendor format, and the catalogue that finds the decoder of a topic."""

from schemas.formats.adapter import Adapter, PartlyReadError, Record, Row
from schemas.formats.catalog import decoder_for, known_formats
from schemas.formats.decoder import AdapterDecoder

__all__ = ["Adapter", "AdapterDecoder", "PartlyReadError", "Record", "Row", "decoder_for", "known_formats"]
