"""Which stream and format each Kafka topic carries: `topics.toml`, the packaged one or the operator's own."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from schemas.errors import TerminalError

STREAMS = frozenset(
    {"network_fault", "network_topology", "usage_event", "crm_change", "billing_event", "care_interaction"}
)

# Kafka's own rule for topic names (org.apache.kafka.common.internals.Topic)
_LEGAL_NAME = re.compile(r"[a-zA-Z0-9._-]{1,249}")
_KEYS = ("stream", "format")
_SIGNING = "secret_env"
_VARIABLE = re.compile(r"SIGNALBOX_(?!KAFKA_)[A-Z0-9_]+")  # SIGNALBOX_KAFKA_… are librdkafka's settings


@dataclass(frozen=True, slots=True)
class TopicConfig:
    """One input topic.

    Attributes:
        topic: The Kafka topic.
        stream: The stream (contract) its records belong to, one of `STREAMS`.
        format: How its records are written: `canonical` or a vendor format of `schemas.formats`.
        secret_env: The environment variable that holds the secret its records are signed with, None for unsigned ones.
            Here stands its name only, so that no secret comes into a file, a log or a `repr`.
    """

    topic: str
    stream: str
    format: str
    secret_env: str | None = None

    def secret(self, environment: Mapping[str, str] = os.environ) -> bytes | None:
        """The secret that the topic's records are signed with; None where they are not.

        Raises:
            TerminalError: The variable is not set, or empty.
        """
        if self.secret_env is None:
            return None
        secret = environment.get(self.secret_env)
        if not secret:
            raise TerminalError(
                f'["{self.topic}"] expects its secret in {self.secret_env}, which is not set: set it, or take '
                f"{_SIGNING} out"
            )
        return os.fsencode(secret)


def load_topics(path: Path | None = None) -> list[TopicConfig]:
    """Read the topics of a file, or of the packaged default.

    Args:
        path: A TOML file with one table per topic; None for the packaged one.

    Returns:
        The topics in the order of the file.

    Raises:
        TerminalError: The file cannot be read or says something it must not; one line per mistake.
    """
    source = str(path) if path else "the packaged topics.toml"
    try:
        text = path.read_text("utf-8") if path else (files("connectors") / "topics.toml").read_text("utf-8")
        tables = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TerminalError(f"{source} cannot be read as TOML: {error}; correct the file or its path") from error
    mistakes = [f"{source}: {mistake}" for topic, table in tables.items() for mistake in _mistakes(topic, table)]
    if not tables:
        mistakes.append(f"{source}: expected one table per topic, it has none")
    if mistakes:
        raise TerminalError("\n".join(mistakes))
    return [
        TopicConfig(topic, table["stream"], table["format"], table.get(_SIGNING)) for topic, table in tables.items()
    ]


def _mistakes(topic: str, table: object) -> list[str]:
    if not _LEGAL_NAME.fullmatch(topic) or topic in (".", ".."):
        return [f"[{topic!r}] is no legal topic name: letters, digits, '.', '_' and '-', at most 249"]
    if not isinstance(table, dict):
        return [f'{topic!r} stands outside of a table: write ["topic.name"] with stream and format below it']
    nested = [key for key, value in table.items() if isinstance(value, dict)]
    if nested:
        return [f'[{topic}.{key}] must be quoted, for its dots make tables: ["{topic}.{key}"]' for key in nested]
    mistakes = [
        f'["{topic}"] does not know {key!r}: only stream, format and {_SIGNING}'
        for key in table
        if key not in (*_KEYS, _SIGNING)
    ]
    mistakes += [
        f'["{topic}"] needs {key} = "…", found {type(table.get(key)).__name__}'
        for key in _KEYS
        if not isinstance(table.get(key), str)
    ]
    if _SIGNING in table and not _VARIABLE.fullmatch(str(table[_SIGNING])):
        # not quoted: it may be the secret itself
        mistakes.append(f'["{topic}"] needs {_SIGNING} = "SIGNALBOX_…", the name of an environment variable')
    stream = table.get("stream")
    if isinstance(stream, str) and stream not in STREAMS:
        mistakes.append(
            f'["{topic}"] names the unknown stream {stream!r}: expected one of {", ".join(sorted(STREAMS))}'
        )
    return mistakes
