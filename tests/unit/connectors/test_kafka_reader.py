import logging
import sys

import pytest

from connectors.kafka import KafkaConfig
from connectors.kafka.block_reader import BlockClient
from connectors.kafka.consume_reader import ConsumeClient
from connectors.kafka.logs import LOGGER, log
from connectors.kafka.reader import open_client
from schemas.errors import TerminalError


def test_messages_are_consumed_one_by_one_when_the_library_cannot_be_loaded(monkeypatch, caplog):
    assert isinstance(open_client(KafkaConfig("127.0.0.1:1")), BlockClient)
    monkeypatch.setitem(sys.modules, "connectors.kafka.block_reader", None)
    with caplog.at_level(logging.WARNING):
        assert isinstance(open_client(KafkaConfig("127.0.0.1:1")), ConsumeClient)
    assert "Kafka is read message by message" in caplog.text


def test_setting_is_named_without_its_value_when_librdkafka_refuses_it():
    with pytest.raises(TerminalError) as error:
        open_client(KafkaConfig("127.0.0.1:1", {"sasl.pasword": "canary"}))
    assert str(error.value) == "librdkafka refuses the setting 'sasl.pasword': check SIGNALBOX_KAFKA_… variables"


def test_log_says_the_same_only_once_when_it_repeats(caplog):
    place = f"broker-of-{test_log_says_the_same_only_once_when_it_repeats.__name__}"
    with caplog.at_level(logging.INFO, logger=LOGGER.name):
        for attempt in range(20):
            log(3, "FAIL", f"{place}: Connection refused (after {attempt}ms in state CONNECT)")
        log(6, "FAIL", f"{place}: something else")
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("ERROR", f"FAIL {place}: Connection refused (after 0ms in state CONNECT)"),
        ("INFO", f"FAIL {place}: something else"),
    ]
