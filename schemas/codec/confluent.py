"""Confluent's framing of a Kafka record's value: a magic byte, the id of the writer's schema, the body.

Source:
    Confluent, "Formats, Serializers, and Deserializers for Schema Registry", "Wire format".
"""

from __future__ import annotations

import numpy as np

from schemas.codec.kernel import Bytes, Longs

MAGIC_BYTE = 0
PREFIX_BYTES = 5
UNKNOWN_IDS_PER_BLOCK = 16
"""Made-up schema ids must not make a block wait for a thousand answers; so frequent ids are asked for first."""


def schema_ids(values: Bytes, starts: Longs) -> Longs:
    """The schema ids of records whose values begin at `starts` and have a whole prefix."""
    prefix = values[starts[:, None] + np.arange(1, PREFIX_BYTES)].astype(np.int64)
    ids: Longs = prefix @ (256 ** np.arange(3, -1, -1))
    return ids


def by_frequency(ids: Longs) -> list[int]:
    """Each id once, the most frequent first."""
    distinct, counts = np.unique(ids, return_counts=True)
    found: list[int] = distinct[np.argsort(-counts, kind="stable")].tolist()
    return found
