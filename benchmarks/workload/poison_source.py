"""Puts poison among the good records of each topic."""

from __future__ import annotations

from collections import Counter
from itertools import cycle

from benchmarks.workload.poison import AVRO_KINDS, kinds_of, poison
from benchmarks.workload.randomness import columns, singles
from benchmarks.workload.records import Draft
from benchmarks.workload.samples import FORMATS, Samples
from benchmarks.workload.spec import WorkloadSpec


class PoisonSource:
    """Spoils samples; every kind that a topic's format knows takes its turn.

    Of "huge_record" a topic gets one only.
    """

    def __init__(self, spec: WorkloadSpec, samples: Samples, *, avro: bool) -> None:
        self._share, self._large_bytes, self._avro = spec.poison_share, spec.poison_large_bytes, avro
        self._rng, self._singles = columns(spec.seed, "poison"), singles(spec.seed, "poison")
        self._samples = samples
        self._turns: dict[str, cycle[str]] = {}
        self._had_large: set[str] = set()

    def between(self, start_us: int, end_us: int, good: Counter[str]) -> list[Draft]:
        """Poison for a span of time in which each topic has so many good records."""
        if not self._share:
            return []
        drafts = []
        for topic in sorted(good):
            n = int(self._rng.binomial(good[topic], self._share))
            for arrival in self._rng.integers(start_us, end_us, n).tolist():
                drafts.append(self._draft(topic, arrival))
        return drafts

    def _draft(self, topic: str, arrival_us: int) -> Draft:
        record_format = FORMATS.get(topic, "canonical")
        avro = self._avro and record_format == "canonical"
        if topic not in self._turns:
            kinds = list(kinds_of(record_format, avro=avro))
            self._singles.shuffle(kinds)
            self._turns[topic] = cycle(kinds)
        kind = next(self._turns[topic])
        if kind == "huge_record":
            if topic in self._had_large:
                kind = next(self._turns[topic])
            self._had_large.add(topic)
        key, row = self._samples.of(topic, arrival_us, self._singles)
        good = self._samples.encoded(topic, row) if kind in AVRO_KINDS else None
        spoilt = poison(kind, (key, good), row, self._singles, large_bytes=self._large_bytes)
        return Draft(arrival_us, topic, *spoilt, (), kind, "poison")
