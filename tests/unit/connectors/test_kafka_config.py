import pytest

from connectors.kafka import KafkaConfig
from schemas.errors import TerminalError


def test_repr_redacts_secrets_when_extra_holds_some():
    config = KafkaConfig(
        "k1:9092",
        {
            "security.protocol": "SASL_SSL",
            "sasl.username": "signalbox",
            "sasl.password": "canary",
            "ssl.key.pem": "canary",
            "ssl.key.password": "canary",
            "ssl.keystore.password": "canary",
            "sasl.oauthbearer.client.secret": "canary",
            "sasl.oauthbearer.config": "canary",
        },
    )
    shown = repr(config)
    assert "canary" not in shown
    assert "'security.protocol': 'SASL_SSL'" in shown
    assert "k1:9092" in shown
    assert "canary" not in f"{config}"


@pytest.mark.parametrize(
    "key", ["acks", "isolation.level", "transactional.id", "enable.idempotence", "bootstrap.servers", "group.id"]
)
def test_config_refuses_a_setting_when_delivery_rests_on_it(key):
    with pytest.raises(TerminalError) as error:
        KafkaConfig("k:1", {key: "canary"})
    assert str(error.value) == f"Kafka setting {key} is Signalbox's own and cannot be set: remove it"


def test_extra_reaches_every_client_when_it_is_given():
    config = KafkaConfig("k:1", {"sasl.password": "p", "linger.ms": "7"})
    for settings in (config.consumer(), config.producer(), config.admin()):
        assert settings["sasl.password"] == "p"
        assert settings["bootstrap.servers"] == "k:1"
    assert config.producer()["linger.ms"] == "7"


def test_clients_keep_the_delivery_guarantees_when_nothing_is_set():
    config = KafkaConfig("k:1")
    assert config.consumer()["isolation.level"] == "read_committed"
    assert config.consumer()["auto.offset.reset"] == "error"
    assert (config.producer()["acks"], config.producer()["enable.idempotence"]) == ("all", "true")
