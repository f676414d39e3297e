from pathlib import Path

import pytest

from connectors.settings import Settings
from schemas.errors import TerminalError


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch):
    import os

    for name in list(os.environ):
        if name.startswith("SIGNALBOX_"):
            monkeypatch.delenv(name)


def test_settings_have_the_documented_defaults_when_nothing_is_set():
    settings = Settings.load()
    assert settings.brokers == "127.0.0.1:9092"
    assert settings.schema_registry_url is None
    assert settings.data_dir == Path("data")
    assert settings.keyring_path == Path("data/keyring.json")
    assert settings.metrics_address == "127.0.0.1:9464"
    assert settings.log_format == "console"
    assert settings.kafka == {}


def test_settings_reach_librdkafka_when_they_have_the_kafka_prefix(monkeypatch):
    monkeypatch.setenv("SIGNALBOX_BROKERS", "k1:9093,k2:9093")
    monkeypatch.setenv("SIGNALBOX_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("SIGNALBOX_KAFKA_SASL_PASSWORD", "canary")
    config = Settings.load().kafka_config()
    assert config.consumer()["security.protocol"] == "SASL_SSL"
    assert config.producer()["sasl.password"] == "canary"
    assert config.brokers == "k1:9093,k2:9093"


def test_repr_shows_no_secret_when_some_are_set(monkeypatch):
    monkeypatch.setenv("SIGNALBOX_KAFKA_SASL_PASSWORD", "canary")
    monkeypatch.setenv("SIGNALBOX_SCHEMA_REGISTRY_URL", "http://user:canary@registry:8081")
    settings = Settings.load()
    assert "canary" not in repr(settings)
    assert "canary" not in repr(settings.kafka_config())
    assert settings.schema_registry_url == "http://user:canary@registry:8081"


def test_load_tells_each_mistake_in_one_line_when_there_are_several(monkeypatch):
    monkeypatch.setenv("SIGNALBOX_BROKERS", "canary")
    monkeypatch.setenv("SIGNALBOX_METRICS_ADDRESS", "canary:99999")
    monkeypatch.setenv("SIGNALBOX_LOG_FORMAT", "canary")
    with pytest.raises(TerminalError) as error:
        Settings.load()
    assert str(error.value).splitlines() == [
        "SIGNALBOX_BROKERS: expected host:port[,host:port…]",
        "SIGNALBOX_METRICS_ADDRESS: expected host:port, as in 127.0.0.1:9464",
        "SIGNALBOX_LOG_FORMAT: Input should be 'console' or 'json'",
    ]


def test_load_names_the_setting_when_delivery_rests_on_it(monkeypatch):
    monkeypatch.setenv("SIGNALBOX_KAFKA_ACKS", "0")
    with pytest.raises(TerminalError, match="Kafka setting acks is Signalbox's own"):
        Settings.load().kafka_config()


def test_topics_come_from_the_data_directory_when_it_has_a_file(tmp_path):
    (tmp_path / "topics.toml").write_text('["alarms"]\nstream = "network_fault"\nformat = "tmf642"\n')
    assert [topic.topic for topic in Settings(data_dir=tmp_path).load_topics()] == ["alarms"]
    own = tmp_path / "own.toml"
    own.write_text('["bills"]\nstream = "billing_event"\nformat = "canonical"\n')
    assert [topic.topic for topic in Settings(data_dir=tmp_path, topics=own).load_topics()] == ["bills"]
    assert len(Settings(data_dir=tmp_path / "empty").load_topics()) == 10


def test_policy_is_the_operators_own_when_there_is_one(monkeypatch, tmp_path):
    monkeypatch.delenv("SIGNALBOX_POLICY", raising=False)
    assert Settings(data_dir=tmp_path).policy_path is None
    (tmp_path / "policy.toml").touch()
    assert Settings(data_dir=tmp_path).policy_path == tmp_path / "policy.toml"
    monkeypatch.setenv("SIGNALBOX_POLICY", "/etc/signalbox/policy.toml")
    assert str(Settings(data_dir=tmp_path).policy_path) == "/etc/signalbox/policy.toml"
