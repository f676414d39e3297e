"""Checks of everything a flow needs. Nothing is changed by them."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from connectors.kafka import KafkaConfig, partition_counts
from connectors.kafka.admin import settings_by_topic
from connectors.settings import Settings
from flows.data_directory import DataDirectory
from flows.flow_config import load_flow_table
from flows.persisted_format import refuse_mismatch, stored_format
from flows.preparation import equal_partitions, wanted_format
from flows.topic_plan import NOTIFICATION_TOPICS, dead_letter_topics, inputs_of, reject_topics, require_readable
from privacy import AuditLog, Keyring, Policy, PrivacyError
from schemas.codec import Registry
from schemas.errors import SignalboxError, TerminalError
from schemas.formats.catalog import CANONICAL

_FREE_BYTES = 1 << 30
_HOUR_MS = 3_600_000
_LEAST_HOURS = 24  # to find out what was wrong, to correct it and to replay


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
        "topics file": lambda: _topics_file(settings, flow),
        "brokers": kafka.brokers,
        "input topics": kafka.inputs,
        "output topics": kafka.outputs,
        "dead letters": kafka.dead_letters,
        "schema registry": lambda: _registry(settings.schema_registry_url),
        "keyring": lambda: _keyring(settings.keyring_path),
        "reveal policy": lambda: _policy(settings.policy_path),
        "audit log": lambda: _audit_log(settings),
        "data directory": lambda: _data_directory(settings.data_dir),
        "saved state": lambda: _saved_state(settings, flow, config),
        "disk space": lambda: _disk_space(settings.data_dir),
    }
    for name, check in checks.items():
        try:
            yield Check(name, True, check())
        except (SignalboxError, PrivacyError) as error:
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


def _topics_file(settings: Settings, flow: str) -> str:
    topics = settings.load_topics()
    require_readable(topics)
    vendors = sum(each.format != CANONICAL for each in topics)
    return f"{len(topics)} topics, {vendors} of them in vendors' formats; {flow} reads {len(inputs_of(flow, topics))}"


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

    def dead_letters(self) -> str:
        """They may be personal, so they must go some day; and correcting what they tell of takes a while."""
        topics = partition_counts(self._config(), dead_letter_topics(self._inputs()))
        found = settings_by_topic(self._config(), topics)
        kept = {topic: _hours_kept(topic, settings) for topic, settings in found.items()}
        told = [hours for hours in kept.values() if hours is not None]
        if len(told) < len(kept):
            return f"{len(kept) - len(told)} of {len(kept)} topics have no retention.ms of their own"
        return f"kept for {min(told) / 24:g} days at least" if told else "no input, no dead letters"

    def _config(self) -> KafkaConfig:
        if not self._reachable:
            raise TerminalError("not checked, for no broker answered")
        return self._settings.kafka_config()

    def _inputs(self) -> list[str]:
        return [each.topic for each in inputs_of(self._flow, self._settings.load_topics())]


def _hours_kept(topic: str, settings: Mapping[str, str]) -> int | None:
    """How long a topic of dead letters keeps them; None where the broker does not say."""
    if "retention.ms" not in settings:
        return None
    hours = int(settings["retention.ms"]) // _HOUR_MS
    if hours < 0 or "delete" not in settings.get("cleanup.policy", "delete"):
        raise TerminalError(
            f"{topic} keeps dead letters for ever, and they may be personal: set its cleanup.policy to delete and its "
            "retention.ms, such as to 1209600000, with your Kafka tools"
        )
    if hours < _LEAST_HOURS:
        raise TerminalError(
            f"{topic} keeps dead letters for {hours} hours, expected {_LEAST_HOURS} at least, to correct and replay "
            "them: raise its retention.ms, such as to 1209600000, with your Kafka tools"
        )
    return hours


def _registry(url: str | None) -> str:
    if url is None:
        return "none configured: canonical records are JSON"
    Registry.connect(url).schema(1)  # an unknown id is an answer too
    return "answers"


def _keyring(path: Path) -> str:
    return f"{path}, primary key {Keyring.load(path).primary_id}"


def _policy(path: Path | None) -> str:
    policy = Policy.load(path)
    return f"{policy.source}, {len(policy.roles)} roles"


def _audit_log(settings: Settings) -> str:
    directory = DataDirectory(settings.data_dir).audit
    if not directory.exists():
        return "nothing was revealed yet"
    return f"whole, {AuditLog(directory, Keyring.load(settings.keyring_path)).verify().entries} entries"


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
