"""Why a record was refused and what to do about it: a text for each of the closed list of reasons."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Explanation(NamedTuple):
    """A reason in words.

    Attributes:
        why: What was wrong with the record.
        what_to_do: Who has to change what, and whether a replay helps then.
    """

    why: str
    what_to_do: str


_SEND_AGAIN = "The bytes stay what they are, so a replay is refused again"
_REPLAY = "then `signalbox dlq replay`"

EXPLANATIONS: Mapping[str, Explanation] = MappingProxyType(
    {
        "malformed_avro": Explanation(
            "The bytes do not follow the schema that the record names: it was cut, or written by something else.",
            f"Have the producer corrected and send the record again. {_SEND_AGAIN}.",
        ),
        "trailing_bytes": Explanation(
            "The Avro record ends before its bytes do: the producer wrote with another schema than it named.",
            f"Have the producer name the schema it writes with, and send the record again. {_SEND_AGAIN}.",
        ),
        "unknown_schema": Explanation(
            "The registry does not know the schema id in the record's first five bytes.",
            f"Register the schema under this id, or set SIGNALBOX_SCHEMA_REGISTRY_URL to the registry that has it; "
            f"{_REPLAY}.",
        ),
        "incompatible_schema": Explanation(
            "The producer's schema cannot be read as our contract: a required field is missing or has another type.",
            "Have the producer keep to the contract (docs/data-dictionary.md) and send it again. A replay helps "
            "where the contract was changed since.",
        ),
        "malformed_json": Explanation(
            "The bytes are no JSON document, or the topic's format in topics.toml is not the one that is sent.",
            f"Look at the record with --reveal. If the format is wrong, correct topics.toml, restart the flow, "
            f"{_REPLAY}; else have the producer corrected and send the record again.",
        ),
        "malformed_syslog": Explanation(
            "The message does not follow RFC 5424, or the topic's format in topics.toml is not the one that is sent.",
            f"Look at the record with --reveal. If the format is wrong, correct topics.toml, restart the flow, "
            f"{_REPLAY}; else let the router write structured data.",
        ),
        "nested_too_deep": Explanation(
            "The JSON document is nested deeper than any format we read.",
            f"Have the producer send the event itself, not what it is wrapped in. {_SEND_AGAIN}.",
        ),
        "invalid_utf8": Explanation(
            "A text is no valid UTF-8: the producer used another encoding, or cut a character in two.",
            f"Have the producer write UTF-8 and send the record again. {_SEND_AGAIN}.",
        ),
        "wrong_type": Explanation(
            "A field has another type than its contract or its format says; the message names it.",
            f"If the topic's stream or format in topics.toml is not what is sent, correct it, restart the flow, "
            f"{_REPLAY}; else have the producer corrected and send the record again.",
        ),
        "missing_field": Explanation(
            "A field that the contract or the format requires is not there; the message names it.",
            f"If the topic's stream or format in topics.toml is not what is sent, correct it, restart the flow, "
            f"{_REPLAY}; else have the producer fill the field and send the record again.",
        ),
        "out_of_range": Explanation(
            "A field has the right type and an impossible value; the message names it and what is allowed.",
            f"Have the producer corrected and send the record again. {_SEND_AGAIN}.",
        ),
        "too_large": Explanation(
            "The record is larger than we take.",
            f"Have the producer send smaller records, such as one event in each. {_SEND_AGAIN}.",
        ),
        "missing_key": Explanation(
            "The record has no key, or none that names the customer, and its format needs one.",
            "Have the producer set the key (for Debezium: the table needs a primary key) and send the record again. "
            f"{_SEND_AGAIN}.",
        ),
        "null_value": Explanation(
            "The record has no value, and in this format that means nothing.",
            "If these are the tombstones of flattened Debezium rows, the topic's format is debezium_flattened: correct "
            f"topics.toml, restart the flow, {_REPLAY}. Else have the producer leave them out.",
        ),
        "future_event_time": Explanation(
            "Its event time lies too far after the time Kafka received it.",
            "Check the producer's clock, and the unit and time zone of its times. If the times are right and meant to "
            f"run ahead, raise max_future_seconds, restart the flow, {_REPLAY}.",
        ),
        "unknown_type": Explanation(
            "The vendor's event is of a type that we do not know; the message says where it names its type.",
            "If the topic's format in topics.toml is not what is sent, correct it, or take a version of Signalbox that "
            f"knows the type; restart the flow, {_REPLAY}. Else have these events sent elsewhere.",
        ),
        "gap": Explanation(
            "It tells of changes that it does not hold, such as lost events, a truncated table, long values left out.",
            "See the message. Fetch what it names at the source and send it again, whole; send deletes of what is no "
            "longer there. A replay brings nothing. The table stale_profiles has the customers of whom it is known.",
        ),
        "bad_signature": Explanation(
            "Its signature is missing or is not that of the topic's secret.",
            f"Compare the secret with the sender's, and see that whoever writes to Kafka takes header and body along "
            f"as they are. If the secret was wrong, set it, restart the flow, {_REPLAY}. Else it may be forged.",
        ),
        "internal": Explanation(
            "A fault of Signalbox, not of the record.",
            f"Report the message. Install the version that corrects it, restart the flow, {_REPLAY}.",
        ),
    }
)
"""By reason, a member of `schemas.codec.REASONS`."""

UNKNOWN = Explanation("This version of Signalbox does not know the reason.", "See the message.")
"""For a dead letter of a newer version, or of somebody else."""
