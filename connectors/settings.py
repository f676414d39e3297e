"""What the environment says: brokers, directories, addresses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from connectors.kafka.config import KafkaConfig
from connectors.topics import TopicConfig, load_topics
from schemas.errors import TerminalError

_PREFIX = "SIGNALBOX_"
_KAFKA_PREFIX = "SIGNALBOX_KAFKA_"


def _kafka_from_environment() -> dict[str, str]:
    """`SIGNALBOX_KAFKA_SASL_PASSWORD` sets librdkafka's `sasl.password`, and so on."""
    return {
        name[len(_KAFKA_PREFIX) :].lower().replace("_", "."): value
        for name, value in os.environ.items()
        if name.startswith(_KAFKA_PREFIX)
    }


class Settings(BaseSettings):
    """Settings from the environment, prefix `SIGNALBOX_`.

    Prefer `Settings.load()`: it ends in one clear line per mistake. Secrets never show in `repr`.

    Attributes:
        brokers: Kafka bootstrap servers, `host:port` separated by commas.
        schema_registry_url: The schema registry, or None: canonical records are JSON then.
        data_dir: Where tables, state and recovery live.
        keyring: The keyring's file; `data_dir/keyring.json` if not set.
        metrics_address: `host:port` the Prometheus metrics are served at.
        log_format: `console` or `json`.
        topics: The operator's own topics file; `data_dir/topics.toml` if that exists, else the packaged one.
        policy: The operator's own reveal policy; `data_dir/policy.toml` if that exists, else the packaged one.
        kafka: Further librdkafka settings, from `SIGNALBOX_KAFKA_<KEY WITH _ FOR .>`.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, hide_input_in_errors=True, extra="ignore")

    brokers: str = "127.0.0.1:9092"
    schema_registry_url: str | None = Field(default=None, repr=False)  # may carry user:password@
    data_dir: Path = Path("data")
    keyring: Path | None = None
    metrics_address: str = "127.0.0.1:9464"
    log_format: Literal["console", "json"] = "console"
    topics: Path | None = None
    policy: Path | None = None
    kafka: dict[str, str] = Field(default_factory=_kafka_from_environment, repr=False)

    @field_validator("brokers")
    @classmethod
    def _brokers_have_ports(cls, brokers: str) -> str:
        for broker in brokers.split(","):
            _require_host_and_port(broker.strip(), "host:port[,host:port…]")
        return brokers

    @field_validator("metrics_address")
    @classmethod
    def _address_has_port(cls, address: str) -> str:
        _require_host_and_port(address, "host:port, as in 127.0.0.1:9464")
        return address

    @classmethod
    def load(cls) -> Self:
        """Read the environment.

        Raises:
            TerminalError: One line per setting that cannot be used, naming the variable, never its value.
        """
        try:
            return cls()
        except ValidationError as error:
            lines = [
                f"{_PREFIX}{'_'.join(map(str, mistake['loc'])).upper()}: {mistake['msg'].removeprefix('Value error, ')}"
                for mistake in error.errors(include_input=False, include_url=False)
            ]
            raise TerminalError("\n".join(lines)) from None

    @property
    def keyring_path(self) -> Path:
        """Where the keyring is."""
        return self.keyring or self.data_dir / "keyring.json"

    @property
    def policy_path(self) -> Path | None:
        """The reveal policy: `SIGNALBOX_POLICY`, else `data_dir/policy.toml`, else None, for the packaged one."""
        own = self.data_dir / "policy.toml"
        return self.policy or (own if own.is_file() else None)

    def kafka_config(self) -> KafkaConfig:
        """How to reach Kafka.

        Raises:
            TerminalError: A `SIGNALBOX_KAFKA_…` variable sets what delivery guarantees rest on.
        """
        return KafkaConfig(self.brokers, self.kafka)

    def load_topics(self) -> list[TopicConfig]:
        """The input topics: `SIGNALBOX_TOPICS`, else `data_dir/topics.toml`, else the packaged ones."""
        own = self.data_dir / "topics.toml"
        return load_topics(self.topics or (own if own.is_file() else None))


def _require_host_and_port(address: str, expected: str) -> None:
    host, colon, port = address.rpartition(":")
    if not (host and colon and port.isdigit() and 0 <= int(port) < 65536):
        raise ValueError(f"expected {expected}")
