"""Records to rows and back: Confluent Avro and JSON, many records at a time."""

from schemas.codec.avro_events import AvroEvent, AvroEvents, EventSchema
from schemas.codec.canonical import CanonicalDecoder
from schemas.codec.encoder import Encoder
from schemas.codec.json_read import parse_json
from schemas.codec.registry import Registry
from schemas.codec.rows import empty_frame, rows_to_frame
from schemas.codec.times import parse_time
from schemas.codec.types import REASONS, Decoded, Decoder, Rejected
from schemas.codec.warm import warm_up

__all__ = [
    # decoding
    "CanonicalDecoder",
    "Decoded",
    "Decoder",
    "Rejected",
    "REASONS",
    # encoding
    "Encoder",
    # at start-up
    "warm_up",
    # schemas by id
    "Registry",
    # for adapters of vendor formats
    "AvroEvent",
    "AvroEvents",
    "EventSchema",
    "empty_frame",
    "parse_json",
    "parse_time",
    "rows_to_frame",
]
