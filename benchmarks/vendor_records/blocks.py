"""Blocks of a format's records.

Those of the CRMs and the alarms come from a generated telco (`benchmarks.workload`), in which alarms are raised,
changed and cleared, and customers come, change and go. The others are made up one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import count, cycle, islice
from typing import Any

import numpy as np
import orjson

from benchmarks.vendor_records.billing import stripe, tmf678
from benchmarks.vendor_records.care import zendesk
from benchmarks.vendor_records.moments import FIRST_SECOND
from benchmarks.vendor_records.network import junos_syslog, tmf638, tmf639
from benchmarks.vendor_records.usage import nchf, pgw_record, tmf635
from benchmarks.workload import GeneratedRecord, Workload, WorkloadSpec
from benchmarks.workload.alarms import MIST_TOPIC, TMF642_TOPIC
from benchmarks.workload.debezium import TOPIC as DEBEZIUM_TOPIC
from benchmarks.workload.salesforce import TOPIC as SALESFORCE_TOPIC
from schemas.blocks import RecordBlock

_TELCO: dict[str, Any] = {
    "sites_per_region": 500,
    "faults": 1500,
    "prepaid": 2000,
    "postpaid": 2000,
    "crm_changes_per_customer_per_day": 12.0,
    "usage_per_customer_per_hour": 0.0,
    "canonical_share": 0.0,
}


def format_blocks(form: str, number: int, block_rows: int, seed: int) -> list[RecordBlock]:
    """Blocks of records in a vendor's format.

    Args:
        form: The format's name in the catalogue.
        number: How many records; a telco that has fewer tells them again.
        block_rows: How many to a block.
        seed: Decides everything.
    """
    records = list(islice(_SOURCES[form](seed), number))
    return [_block(records[at : at + block_rows]) for at in range(0, number, block_rows)]


def _block(records: list[GeneratedRecord]) -> RecordBlock:
    return RecordBlock.from_records(
        records[0].topic,
        0,
        [(record.key, record.value) for record in records],
        timestamps_ms=[record.timestamp_ms for record in records],
        headers={at: list(record.headers) for at, record in enumerate(records) if record.headers},
    )


@cache
def _told(seed: int) -> Mapping[str, list[GeneratedRecord]]:
    """What a telco's systems tell, by topic."""
    topics: dict[str, list[GeneratedRecord]] = {}
    for record in Workload(WorkloadSpec(seed=seed, **_TELCO)).records():
        topics.setdefault(record.topic, []).append(record)
    return topics


def _of_topic(topic: str) -> Callable[[int], Iterator[GeneratedRecord]]:
    return lambda seed: cycle(_told(seed)[topic])


def _flattened(seed: int) -> Iterator[GeneratedRecord]:
    """Debezium's rows as its unwrap transform leaves them: deletes are tombstones, and their own are dropped."""
    for record in cycle(_told(seed)[DEBEZIUM_TOPIC]):
        if record.value is not None:
            after = orjson.loads(record.value)["after"]
            yield record._replace(value=None if after is None else orjson.dumps(after))


def _made_up(
    write: Callable[[int, np.random.Generator], dict[str, Any] | bytes],
) -> Callable[[int], Iterator[GeneratedRecord]]:
    """Records that are written a second apart, each as `write` says."""

    def records(seed: int) -> Iterator[GeneratedRecord]:
        random = np.random.default_rng(seed)
        for number in count():
            written = write(number, random)
            value = written if isinstance(written, bytes) else orjson.dumps(written)
            yield GeneratedRecord("made-up", 0, None, value, (), (FIRST_SECOND + number) * 1000)

    return records


_SOURCES: Mapping[str, Callable[[int], Iterator[GeneratedRecord]]] = {
    "tmf642": _of_topic(TMF642_TOPIC),
    "mist": _of_topic(MIST_TOPIC),
    "junos_syslog": _made_up(junos_syslog),
    "tmf639": _made_up(tmf639),
    "tmf638": _made_up(tmf638),
    "salesforce_cdc": _of_topic(SALESFORCE_TOPIC),
    "debezium": _of_topic(DEBEZIUM_TOPIC),
    "debezium_flattened": _flattened,
    "pgw_record": _made_up(pgw_record),
    "nchf": _made_up(nchf),
    "tmf635": _made_up(tmf635),
    "stripe": _made_up(stripe),
    "stripe_metadata": _made_up(stripe),
    "tmf678": _made_up(tmf678),
    "zendesk": _made_up(zendesk),
    "zendesk_requester": _made_up(zendesk),
}
