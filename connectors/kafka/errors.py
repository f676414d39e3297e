"""What a Kafka error means for a flow: try again, or stop."""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException

from schemas.errors import SignalboxError, TerminalError, TransientError

PARTITION_EOF: int = KafkaError._PARTITION_EOF

_ADVICE: dict[int, str] = {
    KafkaError._AUTO_OFFSET_RESET: (
        "the stored offset is no longer in the topic (retention deleted it, or the topic was made anew), so records "
        "would be lost; lengthen the topic's retention, or remove the flow's recovery and state directories to begin "
        "at the earliest record"
    ),
    KafkaError.UNKNOWN_TOPIC_OR_PART: "it does not exist; make it with `signalbox topics create`",
    KafkaError._UNKNOWN_TOPIC: "it does not exist; make it with `signalbox topics create`",
    KafkaError._UNKNOWN_PARTITION: "the partition does not exist; was the topic made anew with fewer?",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "this user may not use the topic; grant it the topic's ACL",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "this user may not use the cluster; grant it the cluster's ACL",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "this user may not use the transactional id; grant it its ACL",
    KafkaError.SASL_AUTHENTICATION_FAILED: "the broker refuses the credentials; check SIGNALBOX_KAFKA_SASL_…",
    KafkaError._AUTHENTICATION: "the broker refuses the credentials; check SIGNALBOX_KAFKA_SASL_…",
    KafkaError.MSG_SIZE_TOO_LARGE: "a record is larger than the topic takes; raise its max.message.bytes",
    KafkaError._FENCED: "another process has taken over; stop one of the two",
    KafkaError.INVALID_PRODUCER_EPOCH: "another process has taken over; stop one of the two",
    KafkaError.PRODUCER_FENCED: "another process has taken over; stop one of the two",
}
_ADVICE[KafkaError.OFFSET_OUT_OF_RANGE] = _ADVICE[KafkaError._AUTO_OFFSET_RESET]


def error_for(place: str, code: int, name: str) -> SignalboxError:
    """The error to raise for one of librdkafka's.

    Args:
        place: Where it came up, such as `usage.events[3]@1042`.
        code: librdkafka's error code.
        name: The code's name; librdkafka's text is left out, for it may quote what was sent.

    Returns:
        A `TerminalError` with advice where waiting will not help, else a `TransientError`.
    """
    advice = _ADVICE.get(code)
    if advice is not None:
        return TerminalError(f"{place}: {advice} (Kafka error {name})")
    return TransientError(f"{place}: Kafka error {name}; trying again may help")


def error_from(place: str, cause: KafkaException | KafkaError) -> SignalboxError:
    """The error to raise for one of confluent-kafka's."""
    error = cause.args[0] if isinstance(cause, KafkaException) else cause
    return error_for(place, error.code(), error.name())
