"""Compile the codec's kernels before the first record waits for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from schemas.blocks import RecordBlock
from schemas.codec.avro_events import AvroEvents
from schemas.codec.canonical import CanonicalDecoder
from schemas.codec.encoder import Encoder
from schemas.codec.nested import TEXT, Tree, scan
from schemas.codec.nested_cells import are_digits, distinct_texts, flags, joined, moments, whole_numbers, without_prefix
from schemas.codec.registry import Registry
from schemas.contracts import contract


def warm_up() -> None:
    """Encode and decode a few rows both ways, so that every kernel is compiled, or loaded from numba's cache.

    The first time on a machine this takes 15 to 20 seconds of one core, later half a second. Call it at start-up, so
    that no record has to wait.
    """
    fault = contract("network_fault")
    row: dict[str, Any] = {
        "fault_id": "a",
        "element_id": "b",
        "state": "raised",
        "severity": "major",
        "services": ["voice"],
    }
    row |= {"planned": True, "service_affecting": True}
    frame = pl.DataFrame([row]).with_columns(pl.lit(0).cast(fault.polars["event_time"]).alias("event_time"))
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in fault.polars.items() if name not in frame.columns]
    frame = frame.with_columns(missing)
    for registry in (None, Registry.connect("mock://signalbox-warm-up")):
        records = Encoder(fault, registry, "warm-up").encode(frame)
        decoder = CanonicalDecoder(fault, registry)
        # the second record takes the JSON reader's exact path
        block = RecordBlock.from_records("warm-up", 0, [(None, records[0]), (None, b"{}")])
        decoder.decode(block)
        if registry is not None:
            events = AvroEvents(registry)
            events.prepare(block)
            events.read(records[0])
    _warm_up_nested()


def _warm_up_nested() -> None:
    tree = Tree({"id": TEXT})
    record = np.frombuffer(b'{"id":"7"}', np.uint8)
    notes = scan(tree, record, np.array([0]), np.array([len(record)]))
    found = notes.of(tree.root.members["id"])
    for read in (whole_numbers, moments, flags, are_digits, distinct_texts):
        read(record, found)
    without_prefix(record, found, "+")
    joined(record, [found])
