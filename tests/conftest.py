"""Brokers for the tests: an embedded one, and a real Apache Kafka for tests marked `kafka`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from connectors.broker import ApacheKafka, EmbeddedBroker
from connectors.kafka import KafkaConfig, create_topics
from tests.schema_registry import LIBRARIES, running_registry
from tests.upstream.postgres import newest_programs

KAFKA_LIBRARIES = Path(__file__).parents[1] / "build" / "kafka" / "lib"
DEBEZIUM_LIBRARIES = Path(__file__).parents[1] / "build" / "debezium" / "lib"

NewTopics = Callable[..., str]


@pytest.fixture(scope="session")
def embedded() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(scope="session")
def kafka_libraries() -> Path:
    if not any(KAFKA_LIBRARIES.glob("kafka_2.13-*.jar")):
        pytest.fail(f"Apache Kafka is not in {KAFKA_LIBRARIES}: run make kafka", pytrace=False)
    return KAFKA_LIBRARIES


@pytest.fixture(scope="session")
def kafka(kafka_libraries: Path) -> Iterator[ApacheKafka]:
    with ApacheKafka(kafka_libraries) as broker:
        yield broker


@pytest.fixture(scope="session")
def debezium_libraries() -> Path:
    """Kafka Connect and Debezium; for tests marked `debezium`."""
    if not any(DEBEZIUM_LIBRARIES.glob("debezium-connector-postgres-*.jar")):
        pytest.fail(f"Debezium is not in {DEBEZIUM_LIBRARIES}: run make debezium", pytrace=False)
    return DEBEZIUM_LIBRARIES


@pytest.fixture(scope="session")
def postgres_programs() -> Path:
    """Where PostgreSQL's programs lie; for tests marked `debezium`."""
    programs = newest_programs()
    if programs is None:
        pytest.fail("PostgreSQL is not in /usr/lib/postgresql: install Debian's postgresql", pytrace=False)
    return programs


@pytest.fixture(scope="session")
def registry_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The url of a real schema registry; for tests marked `kafka`, which fetch it with Apache Kafka."""
    if not any(LIBRARIES.glob("*-runner.jar")):
        pytest.fail(f"the schema registry is not in {LIBRARIES}: run make kafka", pytrace=False)
    with running_registry(tmp_path_factory.mktemp("registry") / "registry.log") as url:
        yield url


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def kafka_config(request: pytest.FixtureRequest) -> KafkaConfig:
    """How to reach the embedded broker and, in turn, Apache Kafka."""
    return KafkaConfig(request.getfixturevalue(request.param).brokers)


@pytest.fixture
def apache_config(kafka: ApacheKafka) -> KafkaConfig:
    """How to reach Apache Kafka; for what the embedded broker cannot do. Mark the test `kafka`."""
    return KafkaConfig(kafka.brokers)


@pytest.fixture
def new_topic() -> NewTopics:
    """Makes a topic that no other test uses: `new_topic(config, partitions=2, **topic_settings)`."""

    def make(config: KafkaConfig, partitions: int = 1, **settings: str) -> str:
        topic = f"test.{uuid4().hex[:12]}"
        named = {name.replace("_", "."): value for name, value in settings.items()}
        create_topics(config, {topic: partitions}, settings=named)
        return topic

    return make
