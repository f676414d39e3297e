import pytest
from confluent_kafka import KafkaError, KafkaException

from connectors.kafka.errors import error_for, error_from
from schemas.errors import TerminalError, TransientError


@pytest.mark.parametrize("code", [KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED])
def test_error_is_terminal_when_the_writer_is_fenced(code):
    error = error_for("writer f/s/0", code, "X")
    assert type(error) is TerminalError
    assert str(error) == "writer f/s/0: another process has taken over; stop one of the two (Kafka error X)"


def test_error_is_transient_when_waiting_may_help():
    error = error_from("t[0]@7", KafkaException(KafkaError(KafkaError._TRANSPORT, "canary")))
    assert type(error) is TransientError
    assert str(error) == "t[0]@7: Kafka error _TRANSPORT; trying again may help"


def test_error_leaves_the_clients_text_out_when_it_may_quote_a_value():
    cause = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "canary")
    assert str(error_from("topic t", cause)) == (
        "topic t: this user may not use the topic; grant it the topic's ACL (Kafka error TOPIC_AUTHORIZATION_FAILED)"
    )
