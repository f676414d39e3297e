"""The command line without a Kafka: usage, exit codes, messages."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import orjson
import polars as pl
import pytest

from flows.cli import main
from flows.cli.dead_letters import _printable
from privacy import Keyring, Tokenizer

COMMANDS = (
    "demo",
    "run",
    "topics create",
    "generate",
    "dlq list",
    "dlq show",
    "dlq replay",
    "lint",
    "keys create",
    "keys rotate",
    "pii reveal",
    "pii audit verify",
    "doctor",
)


@pytest.fixture(autouse=True)
def settings(monkeypatch, tmp_path):
    """A clean environment with a data directory of its own."""
    monkeypatch.setenv("SIGNALBOX_DATA_DIR", str(tmp_path / "data"))
    for name in ("BROKERS", "KEYRING", "TOPICS", "SCHEMA_REGISTRY_URL"):
        monkeypatch.delenv(f"SIGNALBOX_{name}", raising=False)


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_version_is_shown_when_asked_for(capsys):
    code, out, err = run(capsys, "--version")
    assert (code, err) == (0, "")
    assert re.fullmatch(r"signalbox \d+\.\d+\.\d+\n", out)


def test_help_names_every_command_when_asked_for(capsys):
    _, out, _ = run(capsys, "--help")
    for command in COMMANDS:
        assert command.split()[0] in out
    assert "..." not in out.partition("Commands:")[2], "a summary does not fit its line"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_explains_itself_when_asked_for_help(capsys, command):
    code, out, err = run(capsys, *command.split(), "--help")
    assert (code, err) == (0, "")
    assert f"Usage: signalbox {command}" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rum",), "signalbox: No such command 'rum'. Did you mean 'run'? (see `signalbox --help`)"),
        (("run",), "signalbox: Missing argument 'flow' (see `signalbox run --help`)"),
        (("dlq", "show", "t", "x", "0"), None),
        (("run", "fault-notifications", "--workers", "0"), None),
        (
            ("run", "fault-notification"),
            "signalbox: expected a flow (fault-notifications), got another name: fault-notification",
        ),
        (
            ("doctor", "--flow", "x"),
            "signalbox: expected a flow (fault-notifications), got another name: x",
        ),
        (("generate", "--out", "x", "--rate", "5"), None),
        (
            ("dlq", "replay"),
            "signalbox: Invalid value: choose dead letters with --topic, --reason, --since or --until, or take --all "
            "of them (see `signalbox dlq replay --help`)",
        ),
        (("dlq", "replay", "--all", "--topic", "t"), None),
        (("dlq", "list", "--since", "yesterday"), None),
        (
            ("dlq", "list", "--since", "2026-04-28", "--until", "2026-04-28"),
            "signalbox: expected a time until that is later than the time since: nothing lies between them",
        ),
        (("lint",), "signalbox: Invalid value: expected either --topic or --file (see `signalbox lint --help`)"),
        (("lint", "--file", "pyproject.toml", "--topic", "t"), None),
        (("lint", "--file", "no such file"), None),
        (("lint", "--file", "pyproject.toml", "--format", "debezium", "--limit", "0"), None),
        (
            ("lint", "--file", "pyproject.toml"),
            "signalbox: Invalid value: a file does not say what it holds: give --stream (network_fault, "
            "network_topology, usage_event, crm_change, billing_event, care_interaction), or --format "
            "(see `signalbox lint --help`)",
        ),
        (
            ("lint", "--file", "pyproject.toml", "--format", "fax"),
            "signalbox: Invalid value: format fax: no stream comes in it; give --stream too "
            "(see `signalbox lint --help`)",
        ),
        (
            ("lint", "--file", "pyproject.toml", "--stream", "usage_event", "--format", "fax"),
            "signalbox: stream usage_event: format 'fax' is not known, expected canonical, pgw_record, nchf or tmf635",
        ),
        (
            ("lint", "--topic", "no.such.topic"),
            "signalbox: Invalid value: no.such.topic is not in topics.toml: give --stream (network_fault, "
            "network_topology, usage_event, crm_change, billing_event, care_interaction), or --format "
            "(see `signalbox lint --help`)",
        ),
    ],
)
def test_a_mistake_ends_in_one_line_and_code_2(capsys, arguments, message):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("signalbox: ")
    if message is not None:
        assert err == f"{message}\n"


def test_a_setting_is_named_when_it_is_wrong(capsys, monkeypatch):
    monkeypatch.setenv("SIGNALBOX_BROKERS", "secret-host")
    assert run(capsys, "topics", "create") == (
        2,
        "",
        "signalbox: SIGNALBOX_BROKERS: expected host:port[,host:port…]\n",
    )


def test_a_run_is_refused_when_there_is_no_keyring(capsys, tmp_path):
    code, out, err = run(capsys, "run", "fault-notifications")
    path = tmp_path / "data" / "keyring.json"
    assert (code, out) == (2, "")
    assert err == f"signalbox: no keyring at {path}: expected the file that `signalbox keys create` makes\n"


def test_a_run_is_refused_when_its_config_cannot_be_used(capsys, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text("[fault-notifications]\nshard = 3\n")
    Keyring.create(tmp_path / "data" / "keyring.json")
    code, _, err = run(capsys, "run", "fault-notifications", "--config", str(config))
    assert code == 2
    assert err.startswith("signalbox: [fault-notifications] does not know shard: expected one of ")


def test_keys_are_made_once(capsys, tmp_path):
    path = tmp_path / "data" / "keyring.json"
    code, out, _ = run(capsys, "keys", "create")
    assert code == 0
    assert out == f"made the keyring {path}, primary key k1: keep a copy in a safe place\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    code, out, err = run(capsys, "keys", "create")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert path.read_bytes() == before


def test_a_key_is_added_when_keys_rotate(capsys, tmp_path):
    path = tmp_path / "data" / "keyring.json"
    token = Tokenizer(Keyring.create(path)).tokens(pl.Series(["447700900123"]), "msisdn")[0]
    code, out, err = run(capsys, "keys", "rotate")
    assert (code, err) == (0, "")
    assert out == (
        f"added primary key k2 to the keyring {path}: a running flow takes it up within seconds; "
        "keep a new copy in a safe place\n"
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    rotated = Tokenizer(Keyring.load(path))
    assert rotated.open(token) == "447700900123"
    assert rotated.tokens(pl.Series(["447700900123"]), "msisdn")[0].startswith("msisdn.k2.")


def test_a_rotation_is_refused_when_there_is_no_keyring(capsys, tmp_path):
    path = tmp_path / "other.json"
    assert run(capsys, "keys", "rotate", str(path)) == (
        2,
        "",
        f"signalbox: no keyring at {path}: expected the file that `signalbox keys create` makes\n",
    )
    assert not path.exists()


def test_generated_files_are_the_same_when_the_seed_is(capsys, tmp_path):
    options = ("--customers", "200", "--hours", "0.5", "--start", "2026-03-02T08:00:00", "--usage-per-hour", "2")
    for name in ("a", "b"):
        code, out, err = run(capsys, "generate", "--out", str(tmp_path / name), *options)
        assert (code, err) == (0, "")
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*") if path.is_file())
    assert Path("usage.events/0.jsonl") in files
    for path in files:
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes()
    lines = sum(len((tmp_path / "a" / path).read_bytes().splitlines()) for path in files if path.suffix == ".jsonl")
    manifest = orjson.loads((tmp_path / "a" / "manifest.json").read_bytes())
    assert manifest["total"] == lines
    assert f"wrote {lines:,} records" in out


def test_generated_files_are_refused_when_the_directory_is_in_use(capsys, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    code, _, err = run(capsys, "generate", "--out", str(tmp_path / "out"))
    assert (code, err) == (
        2,
        f"signalbox: expected {tmp_path / 'out'} to be empty or not there: choose another directory\n",
    )


def test_the_demo_is_refused_when_its_directory_is_in_use(capsys, tmp_path):
    (tmp_path / "mine").touch()
    code, _, err = run(capsys, "demo", "--data-dir", str(tmp_path))
    assert code == 2
    line = f"signalbox: expected {tmp_path} to be empty or not there: choose another directory for the demo"
    assert err.splitlines() == ["starting", line]


def test_a_fault_of_ours_ends_in_one_line_and_a_log_without_values(capsys, tmp_path, monkeypatch):
    def broken(_: object) -> None:
        raise ValueError("could not read 'Ada Lovelace'")

    monkeypatch.setattr("privacy.Keyring.create", broken)
    code, out, err = run(capsys, "keys", "create")
    log = tmp_path / "data" / "errors.log"
    assert (code, out) == (1, "")
    assert err == f"signalbox: unexpected ValueError: a fault of Signalbox, please report it with {log}\n"
    assert "in broken" in log.read_text()
    assert "Ada" not in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (None, "null"),
        (b"Ada", "Ada"),
        ("Łódź".encode(), "Łódź"),
        (b"\x1b[2J\n", "\\x1b[2J\\n"),
        (b"\xff{}", "\\xff{}"),
        (b"x" * 5000, "x" * 4096 + " … and 904 bytes more"),
    ],
)
def test_revealed_bytes_command_no_terminal(data, text):
    assert _printable(data) == text
