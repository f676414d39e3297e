"""Checks of everything a flow needs. Nothing is changed by them."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from connectors.kafka import KafkaConfig, partition_counts
from connectors.settings import Settings
from flows.data_directory import DataDirectory
from flows.flow_config import load_flow_table
from flows.persisted_format import refuse_mismatch, stored_format
from flows.preparation import equal_partitions, wanted_format
from flows.topic_plan import NOTIFICATION_TOPICS, inputs_of, reject_topics
from privacy import Keyring, KeyringError
from schemas.codec import Registry
from schemas.errors import SignalboxError, TerminalError

_FREE_BYTES = 1 << 30


@dataclass(frozen=True)
class Check:
    """The outcome of one check.

    Attributes:
        name: What was checked.
        passed: Whether it is as it must be.
        detail: What was found; if it failed, also what to do.
    """

    name: str
    passed: bool
    detail: str


def examine(settings: Settings, flow: str, config: Path | None = None) -> Iterator[Check]:
    """Run all checks, each as soon as the one before is told.

    Args:
        settings: Where everything is.
        flow: The flow that is to run.
        config: Its `--config` file.
    """
    kafka = _Kafka(settings, flow)
    checks: dict[str, Callable[[], str]] = {
        "python": _python,
        "packages": _packages,
        "block reader": _block_reader,
        "brokers": kafka.brokers,
        "input topics": kafka.inputs,
        "output topics": kafka.outputs,
        "schema registry": lambda: _registry(settings.schema_registry_url),
        "keyring": lambda: _keyring(settings.keyring_path),
        "data directory": lambda: _data_directory(settings.data_dir),
        "saved state": lambda: _saved_state(settings, flow, config),
        "disk space": lambda: _disk_space(settings.data_dir),
    }
    for name, check in checks.items():
        try:
            yield Check(name, True, check())
        except (SignalboxError, KeyringError) as error:
            yield Check(name, False, " ".join(str(error).split()))


def _python() -> str:
    found = sys.version.split()[0]
    if not (3, 11) <= sys.version_info < (3, 13):
        raise TerminalError(f"expected Python 3.11 or 3.12, got {found}: make the environment anew with one of these")
    return found


def _packages() -> str:
    needed = [
        re.split(r"[^A-Za-z0-9._-]", each, maxsplit=1)[0] for each in requires("signalbox") or [] if ";" not in each
    ]
    missing = []
    for package in needed:
        try:
            version(package)
        except PackageNotFoundError:
            missing.append(package)
    if missing:
        raise TerminalError(f"missing {', '.join(missing)}: install signalbox again")
    return f"{len(needed)} found, bytewax {version('bytewax')}, polars {version('polars')}"


def _block_reader() -> str:
    try:
        from connectors.kafka.librdkafka import PATH
    except OSError:
        return "not available with this confluent-kafka, records are read one by one: slower, same results"
    return f"{PATH.name}"


class _Kafka:
    """Checks that need the brokers; when those do not answer the later ones do not wait for them again."""

    def __init__(self, settings: Settings, flow: str) -> None:
        self._settings = settings
        self._flow = flow
        self._reachable = False

    def brokers(self) -> str:
        config = self._settings.kafka_config()
        partition_counts(config, [])
        self._reachable = True
        return config.brokers

    def inputs(self) -> str:
        counts = partition_counts(self._config(), self._inputs())
        return f"{len(counts)} topics, {sum(counts.values())} partitions"

    def outputs(self) -> str:
        topics = [*NOTIFICATION_TOPICS, *reject_topics(self._inputs())]
        return f"{len(topics)} topics, {equal_partitions(self._config(), topics)} partitions each"

    def _config(self) -> KafkaConfig:
        if not self._reachable:
            raise TerminalError("not checked, for no broker answered")
        return self._settings.kafka_config()

    def _inputs(self) -> list[str]:
        return [each.topic for each in inputs_of(self._flow, self._settings.load_topics())]


def _registry(url: str | None) -> str:
    if url is None:
        return "none configured: canonical records are JSON"
    Registry.connect(url).schema(1)  # an unknown id is an answer too
    return "answers"


def _keyring(path: Path) -> str:
    return f"{path}, primary key {Keyring.load(path).primary_id}"


def _data_directory(path: Path) -> str:
    existing = _existing(path)
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise TerminalError(f"{existing} cannot be written to: change its owner or set SIGNALBOX_DATA_DIR")
    for private in (path / "recovery", path / "state"):
        if private.exists() and private.stat().st_mode & 0o077:
            raise TerminalError(f"{private} is open to others: run chmod 700 {private}, for it holds pickles")
    return str(path) if path.exists() else f"{path}, made at the first start"


def _saved_state(settings: Settings, flow: str, config: Path | None) -> str:
    stored = stored_format(DataDirectory(settings.data_dir), flow)
    if stored is None:
        return "none yet: the first start reads from the earliest record"
    refuse_mismatch(stored, wanted_format(settings, flow, load_flow_table(config, flow)))
    return f"fits: {stored.shards} shards, {stored.writers} writers"


def _disk_space(path: Path) -> str:
    free = shutil.disk_usage(_existing(path)).free
    if free < _FREE_BYTES:
        raise TerminalError(
            f"{free >> 20} MiB free, expected at least {_FREE_BYTES >> 20}: free some, or move the data"
        )
    return f"{free >> 30} GiB free"


def _existing(path: Path) -> Path:
    """The path itself, or the closest directory above it that exists."""
    path = path.absolute()
    return path if path.exists() else _existing(path.parent)
