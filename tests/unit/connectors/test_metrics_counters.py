from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest

from connectors.metrics import CounterRows, MetricsSink, read_counters
from connectors.tables import Tick
from schemas.errors import TerminalError

CONSUMED = ("records_consumed", (("topic", "usage.events"),))


def consumed(amount: int) -> CounterRows:
    return CounterRows("records_consumed", {"topic": "usage.events"}, amount)


def test_totals_are_shown_when_their_epoch_is_durable_and_not_before(tmp_path: Path) -> None:
    part = MetricsSink(tmp_path).build_part("count", "0", None)
    part.write_batch([consumed(2), consumed(3), Tick()])
    assert read_counters(tmp_path) == {}
    part.snapshot()
    assert read_counters(tmp_path) == {}
    part.write_batch([consumed(10)])
    assert read_counters(tmp_path) == {}
    part.write_batch([Tick()])
    assert read_counters(tmp_path) == {CONSUMED: 5}


def test_totals_go_on_when_the_flow_resumes(tmp_path: Path) -> None:
    part = MetricsSink(tmp_path).build_part("count", "0", None)
    part.write_batch([consumed(2)])
    state = pickle.loads(pickle.dumps(part.snapshot()))
    part.write_batch([consumed(100)])
    part.snapshot()
    (tmp_path / "counters.json").write_bytes(b"")  # torn by a loss of power
    assert read_counters(tmp_path) == {}

    sink = MetricsSink(tmp_path)
    part = sink.build_part("count", "0", state)
    assert read_counters(tmp_path) == {CONSUMED: 2}
    part.write_batch([consumed(1)])
    part.snapshot()
    sink.finalize()
    assert read_counters(tmp_path) == {CONSUMED: 3}


def test_state_is_untouched_when_more_is_counted_after_its_snapshot(tmp_path: Path) -> None:
    part = MetricsSink(tmp_path).build_part("count", "0", None)
    part.write_batch([consumed(2)])
    state = part.snapshot()
    part.write_batch([consumed(2)])
    assert state["totals"] == {CONSUMED: 2}


def test_no_counters_are_read_when_there_is_no_file(tmp_path: Path) -> None:
    assert read_counters(tmp_path / "nowhere") == {}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (CounterRows("records_consumed", {}), "counter records_consumed: expected the labels ['topic'], came []"),
        (
            CounterRows("incidents", {"customer_key": "c"}),
            "counter incidents: expected the labels [], came ['customer_key']",
        ),
        (CounterRows("signalbox_x"), "expected a counter name of lower case letters"),
        (CounterRows("x_total"), "expected a counter name of lower case letters"),
        (CounterRows("incidents", {}, -1), "counter incidents: expected an amount of at least 0, came a negative one"),
    ],
)
def test_a_count_is_refused_when_it_cannot_be_shown(tmp_path: Path, rows: CounterRows, message: str) -> None:
    part = MetricsSink(tmp_path).build_part("count", "0", None)
    with pytest.raises(TerminalError, match=f"^{re.escape(message)}"):
        part.write_batch([rows])


def test_state_is_refused_when_another_version_wrote_it(tmp_path: Path) -> None:
    with pytest.raises(
        TerminalError, match=r"^expected recovery state of counters in format 1, came 2; run the version"
    ):
        MetricsSink(tmp_path).build_part("count", "0", {"format": 2, "totals": {}})
