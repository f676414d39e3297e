"""The `--config` file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from flows.flow_config import flow_config, load_flow_table
from schemas.errors import TerminalError


@dataclass(frozen=True, kw_only=True)
class Config:
    shards: int = 16
    severity: str = "minor"
    delays: Mapping[str, int] = field(default_factory=lambda: {"usage": 60, "crm": 300})

    def __post_init__(self) -> None:
        if self.shards < 1:
            raise ValueError("expected at least one shard")


def test_defaults_hold_when_nothing_is_said():
    assert flow_config(Config, {}, "flow") == Config()


def test_entries_of_a_table_are_changed_one_by_one():
    assert flow_config(Config, {"delays": {"crm": 10}}, "flow").delays == {"usage": 60, "crm": 10}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"shard": 1}, "[flow] does not know shard: expected one of shards, severity, delays"),
        (
            {"shards": "many"},
            "[flow] shards: Input should be a valid integer, unable to parse string as an integer",
        ),
        ({"delays": {"crm": "x"}, "severity": 3}, None),
    ],
)
def test_a_mistake_is_told_by_its_key(values, message):
    with pytest.raises(TerminalError) as raised:
        flow_config(Config, values, "flow")
    lines = str(raised.value).splitlines()
    assert lines == [message] if message else len(lines) == 2


def test_a_mistake_is_told_when_the_configuration_refuses_itself():
    with pytest.raises(TerminalError, match="expected at least one shard"):
        flow_config(Config, {"shards": 0}, "flow")


def test_only_the_flows_own_table_is_read(tmp_path):
    path = tmp_path / "signalbox.toml"
    path.write_text("[flow]\nshards = 4\n[other]\nshards = 2\n")
    assert load_flow_table(path, "flow") == {"shards": 4}
    assert load_flow_table(path, "third") == {}
    assert load_flow_table(None, "flow") == {}


@pytest.mark.parametrize("content", ["[flow", "flow = 3", None])
def test_a_file_is_refused_when_it_cannot_be_read(tmp_path: Path, content):
    path = tmp_path / "signalbox.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(TerminalError, match=str(path)):
        load_flow_table(path, "flow")
