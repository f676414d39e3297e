"""TrackIncidents comes to the same incidents whether rows come in order or not, while nobody was told of any."""

from __future__ import annotations

import pickle
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from connectors.segments import SegmentFiles
from flows.batch import Batch, Origin
from flows.operators.decode import DecodeSpec, decode_block
from flows.operators.incidents import IncidentRules
from flows.operators.messages import IncidentUpdate, TableOutput
from flows.operators.track_incidents import TrackIncidents, TrackSpec
from schemas.blocks import RecordBlock
from schemas.codec import CanonicalDecoder
from schemas.contracts import contract
from tests.fault_flow import SECOND, START, TOPICS, record
from tests.oracles.fault_notifications import LogRow
from tests.properties.fault_logs import PARTITIONS, logs

AGES = 10**9 * SECOND
NETWORK = {topic: stream for topic, stream in TOPICS.items() if stream.startswith("network_")}
ORIGINS = [Origin(topic, partition) for topic in NETWORK for partition in range(PARTITIONS[topic])]
DECODING = DecodeSpec(
    decoders={topic: CanonicalDecoder(contract(stream), None) for topic, stream in NETWORK.items()}, max_future=AGES
)
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
"""Without shrinking: that takes longer than reading the first failure."""
SPEC = TrackSpec(rules=IncidentRules(hold_down=AGES), delays=dict.fromkeys(ORIGINS, 0), published=(), retention=AGES)


def fingerprint(names: Iterable[str]) -> NDArray[np.uint64]:
    return np.array([int.from_bytes(name.encode()) for name in sorted(names)], np.uint64)


def batches(log: list[LogRow], sizes: list[int]) -> dict[Origin, list[Batch]]:
    """The rows of each origin, cut into batches of these sizes in turn; every batch catches up, so nothing waits."""
    found: dict[Origin, list[Batch]] = defaultdict(list)
    for origin in ORIGINS:
        rows = sorted((row for row in log if (row.topic, row.partition) == origin), key=lambda row: row.offset)
        while rows or not found[origin]:
            size = sizes[len(found[origin]) % len(sizes)]
            part, rows = rows[:size], rows[size:]
            block = RecordBlock.from_records(
                *origin,
                [record(row) for row in part],
                offsets=[row.offset for row in part],
                timestamps_ms=[row.time // 1000 for row in part],
                caught_up=True,
            )
            batch, refused, _ = decode_block(block, DECODING)
            assert refused is None
            found[origin].append(batch)
    return found


class Told:
    """What a tracker last said of every incident, as updates and in the table."""

    def __init__(self) -> None:
        self.incidents: dict[str, dict[str, Any]] = {}
        self.table: dict[str, dict[str, Any]] = {}

    def take(self, emitted: Iterable[object]) -> None:
        for each in emitted:
            if isinstance(each, IncidentUpdate):
                self.incidents |= {incident.incident_id: plain(asdict(incident)) for incident in each.incidents}
            if isinstance(each, TableOutput):
                for row in each.rows.drop("revision", "event_time").to_dicts():
                    self.table[row["incident_id"]] = row
        assert self.incidents.keys() == self.table.keys()


def plain(value: Any) -> Any:
    """Arrays as lists, which compare."""
    match value:
        case dict():
            return {name: plain(cell) for name, cell in value.items()}
        case tuple():
            return [plain(cell) for cell in value]
        case np.ndarray():
            return value.tolist()
    return value


@settings(
    max_examples=25,
    phases=_PHASES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    log=logs(),
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    random=st.randoms(use_true_random=False),
    resumes=st.sets(st.integers(0, 20), max_size=2),
)
def test_incidents_are_the_same_when_rows_come_out_of_order(
    tmp_path_factory: pytest.TempPathFactory, log: list[LogRow], sizes: list[int], random: Random, resumes: set[int]
) -> None:
    directory = tmp_path_factory.mktemp("incidents")
    in_order, out_of_order = Told(), Told()
    whole = TrackIncidents(SPEC, fingerprint, SegmentFiles(directory / "in_order"), "place")
    in_order.take(whole.on_batch([batch for each in batches(log, [len(log)]).values() for batch in each], START))

    parts = batches(log, sizes)
    turns = [origin for origin, own in parts.items() for _ in own]
    random.shuffle(turns)
    tracker = TrackIncidents(SPEC, fingerprint, SegmentFiles(directory / "out_of_order"), "place")
    for step, origin in enumerate(turns):
        if step in resumes:
            state = pickle.loads(pickle.dumps(tracker.snapshot()))
            tracker = TrackIncidents(SPEC, fingerprint, SegmentFiles(directory / "out_of_order"), "place", state)
            # a successor hears anew that the inputs are read to their end
            out_of_order.take(
                tracker.on_batch([batch for each in batches([], sizes).values() for batch in each], START)
            )
        out_of_order.take(tracker.on_batch([parts[origin].pop(0)], START))

    taken_back = out_of_order.incidents.keys() - in_order.incidents.keys()
    for name in taken_back:
        incident = out_of_order.incidents.pop(name)
        assert incident["closed_at"] == incident["opened_at"]
        assert out_of_order.table.pop(name)["state"] == "discarded"
    assert out_of_order.incidents == in_order.incidents
    assert out_of_order.table == in_order.table
