"""What is deployed beside the flows speaks of things that are there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from connectors.metrics.catalog import COUNTERS, PREFIX
from connectors.metrics.collectors import build_registry
from connectors.metrics.process import ProcessMetrics
from connectors.settings import Settings
from flows.supervisor import Supervisor

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
RULES = YAML(typ="safe").load(DEPLOY / "prometheus" / "rules.yml")["groups"][0]["rules"]
COMPOSE = YAML(typ="safe").load(ROOT / "docker-compose.yml")
PANELS = json.loads((DEPLOY / "grafana" / "fault-notifications.json").read_text("utf-8"))["panels"]
METRIC = re.compile(rf"\b({PREFIX}[a-z_]+?)(?:_bucket|_sum|_count)?\b(?=[\[{{)\s]|$)")


@pytest.fixture(scope="module")
def known_metrics(tmp_path_factory) -> set[str]:
    exact = {f"{PREFIX}{name}_total" for name in COUNTERS}
    measured = {PREFIX + name for name in ProcessMetrics.__dataclass_fields__}
    directory = tmp_path_factory.mktemp("metrics")
    families = [*build_registry(directory, directory, directory).collect()]
    collected = {f"{each.name}_total" if each.type == "counter" else each.name for each in families}
    return exact | measured | collected


@pytest.mark.parametrize("expression", [rule["expr"] for rule in RULES], ids=[rule["alert"] for rule in RULES])
def test_alert_asks_for_known_metrics_when_it_is_evaluated(expression, known_metrics):
    assert set(METRIC.findall(expression)) <= known_metrics
    assert METRIC.search(expression) or expression.startswith("up{")


@pytest.mark.parametrize("panel", PANELS, ids=[panel["title"] for panel in PANELS])
def test_panel_asks_for_known_metrics_when_it_is_drawn(panel, known_metrics):
    for target in panel["targets"]:
        assert set(METRIC.findall(target["expr"])) <= known_metrics
        assert METRIC.search(target["expr"]) or "up{" in target["expr"]


def test_runbook_tells_what_to_do_when_an_alert_fires():
    runbook = (ROOT / "docs" / "operations.md").read_text("utf-8")
    assert [rule["alert"] for rule in RULES if f"`{rule['alert']}`" not in runbook] == []


def test_port_is_open_on_this_machine_only_when_compose_publishes_it():
    published = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert published
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_settings_are_known_when_compose_sets_them():
    known = {f"SIGNALBOX_{name.upper()}" for name in Settings.model_fields}
    assert set(COMPOSE["services"]["signalbox"]["environment"]) <= known


def test_workers_have_time_to_end_when_the_container_is_stopped():
    grace = int(COMPOSE["services"]["signalbox"]["stop_grace_period"].removesuffix("s"))
    assert Supervisor.__init__.__kwdefaults__["grace_seconds"] < grace
