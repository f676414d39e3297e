"""Where benchmarks and tests find Apache Kafka's jars."""

from __future__ import annotations

from pathlib import Path

from schemas.errors import TerminalError


def kafka_libraries() -> Path:
    """The folder that `make kafka` fills.

    Raises:
        TerminalError: It is empty.
    """
    folder = Path(__file__).parents[1] / "build" / "kafka" / "lib"
    if not any(folder.glob("kafka_*.jar")):
        raise TerminalError("Apache Kafka is not here: run 'make kafka' (it needs Java and Maven)")
    return folder
