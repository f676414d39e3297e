"""Thousands of personal values go in; a scan of every byte that comes out, or is kept, finds none of them."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import sqlite3
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import orjson
import polars as pl
import pytest

from benchmarks.workload import Manifest, Workload, WorkloadSpec
from connectors.broker import ApacheKafka, free_port
from connectors.kafka import KafkaConfig
from tests.installation import FLOW, Installation, new_installation, wait_until
from tests.integration.byte_scan import ByteScan, pieces_of_directory
from tests.integration.generated import READ, send

pytestmark = pytest.mark.kafka

CANARIES = 5000
SPEC = WorkloadSpec(
    canaries=CANARIES,
    prepaid=500,
    postpaid=500,
    canonical_share=0.3,
    usage_per_customer_per_hour=6.0,
    faults=20,
    late_share=0.01,
    poison_share=0.02,
    poison_large_bytes=5_000_000,
)
PACED = {"fetch.message.max.bytes": "50000", "queued.min.messages": "1", "fetch.queue.backoff.ms": "100"}
"""Kafka settings that let the log take seconds to read, so that there is something to interrupt."""


@dataclass(frozen=True)
class Aftermath:
    """What a run with a kill has left behind.

    Attributes:
        canaries: The values to look for.
        installation: Where it ran.
        metrics_page: As a scrape saw it when all was read.
    """

    canaries: list[str]
    installation: Installation
    metrics_page: bytes


@pytest.fixture(scope="module")
def aftermath(kafka: ApacheKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    directory = tmp_path_factory.mktemp("run")
    with new_installation(KafkaConfig(kafka.brokers), directory, READ, paced=PACED) as installation:
        manifest = send(installation, Workload(SPEC))
        # a CRM that writes a telephone number with its plus sign may be read by one that does not
        values = [canary.value.removeprefix("+") for canary in manifest.canaries]
        yield Aftermath(values, installation, run_and_kill(installation, manifest))


def run_and_kill(installation: Installation, manifest: Manifest) -> bytes:
    address = f"127.0.0.1:{free_port()}"
    records = sum(manifest.records[topic] for topic in READ)

    def consumed() -> int:
        return sum(total for (name, _), total in installation.counters.items() if name == "records_consumed")

    config = installation.directory / "config.toml"
    config.write_text(f"[{FLOW}]\nshards = 2\n")  # few, so that each has enough rows for a state segment
    arguments = ("--epoch-milliseconds", "100", "--config", str(config))
    environment = {"SIGNALBOX_METRICS_ADDRESS": address, "SIGNALBOX_LOG_FORMAT": "json"}
    with installation.start("run", FLOW, *arguments, **environment) as command:
        wait_until(lambda: consumed() > 0 or command.ended, "the first epoch")
        (worker,) = command.workers
        os.kill(worker.pid, signal.SIGKILL)
        assert consumed() < records, "it had read everything before it was killed"
        wait_until(lambda: consumed() == records or command.ended, "the last epoch")
        with urllib.request.urlopen(f"http://{address}/metrics") as answer:
            page: bytes = answer.read()
        command.process.terminate()
        assert command.wait() == 0, command.said
    assert "killed by SIGKILL" in installation.said
    return page


def records_of(installation: Installation, topics: list[str]) -> Iterator[tuple[str, bytes]]:
    for each in installation.published(topics):
        name = "{}[{}]@{}".format(*each.place)
        yield name, each.key or b""
        yield name, each.value or b""
        for header, value in each.headers.items():
            yield name, header.encode() + b"\n" + (value or b"")


def test_the_scan_finds_the_canaries_when_it_looks_at_what_went_in(aftermath):
    assert len(aftermath.canaries) == CANARIES
    inputs = list(aftermath.installation.topics.values())
    found = {value for _, value in ByteScan(aftermath.canaries).find(records_of(aftermath.installation, inputs))}
    # the birth dates of some are sent as a number of days
    assert len(found) > CANARIES * 0.9


def test_no_canary_is_in_a_topic_when_a_flow_has_written_it(aftermath):
    pieces = list(records_of(aftermath.installation, aftermath.installation.outputs))
    assert ByteScan(aftermath.canaries).find(pieces) == []
    for ending in ("notifications.email", "notifications.sms", ".dlq", ".late"):
        assert any(ending in name for name, _ in pieces), ending


def test_no_canary_is_in_the_data_directory_when_a_flow_has_run(aftermath):
    pieces = list(pieces_of_directory(aftermath.installation.data_dir))
    assert ByteScan(aftermath.canaries).find(pieces) == []
    for ending in (".parquet (read)", ".arrow", ".sqlite3 (read)", ".duckdb (read)", "counters.json", ".db"):
        assert any(name.endswith(ending) for name, _ in pieces), ending


def test_no_canary_is_in_logs_or_metrics_when_a_flow_has_run(aftermath):
    said = aftermath.installation.said.encode()
    assert b"signalbox_records_rejected_total" in aftermath.metrics_page
    assert ByteScan(aftermath.canaries).find([("logs", said), ("metrics", aftermath.metrics_page)]) == []


def in_parquet(directory: Path, value: str) -> None:
    rows = pl.DataFrame({"note": [f"to {value}, yours" for _ in range(1000)]})
    rows.write_parquet(directory / "tables" / "planted.parquet", compression="zstd")


def in_segment(directory: Path, value: str) -> None:
    pl.DataFrame({"note": [value.encode()] * 100}).write_ipc(directory / "state" / "planted.arrow", compression="lz4")


def in_recovery_store(directory: Path, value: str) -> None:
    with closing(sqlite3.connect(next(directory.rglob("*.sqlite3")))) as database:
        database.execute("CREATE TABLE planted (blob BLOB)")
        database.execute("INSERT INTO planted VALUES (?)", [b"\0" * 4070 + value.encode() + b"\0" * 9000])
        database.commit()


def in_json(directory: Path, value: str) -> None:
    (directory / "planted.json").write_bytes(orjson.dumps({"note": value}))


def in_base64(directory: Path, value: str) -> None:
    (directory / "planted").write_bytes(base64.urlsafe_b64encode(b"?" + value.encode() + b"!!"))


def in_hex(directory: Path, value: str) -> None:
    (directory / "planted").write_text(value.encode().hex(" ").replace(" ", ""))


def in_utf_16(directory: Path, value: str) -> None:
    (directory / "planted").write_text(value, "utf-16")


def in_a_name(directory: Path, value: str) -> None:
    (directory / f"{value}.log").touch()


@pytest.mark.parametrize(
    "plant", [in_parquet, in_segment, in_recovery_store, in_json, in_base64, in_hex, in_utf_16, in_a_name]
)
def test_the_scan_finds_a_canary_when_one_is_planted(
    aftermath: Aftermath, tmp_path: Path, plant: Callable[[Path, str], None]
) -> None:
    directory, planted = tmp_path / "copy", next(each for each in aftermath.canaries[4321:] if "@" in each)
    shutil.copytree(aftermath.installation.data_dir, directory)
    plant(directory, planted)
    found = ByteScan(aftermath.canaries).find(pieces_of_directory(directory))
    assert {value for _, value in found} == {planted}
