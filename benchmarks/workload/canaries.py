"""Personal values that are found nowhere else, so that a byte scan can prove that none got through."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random

from benchmarks.workload.customers import Population
from benchmarks.workload.manifest import Canary
from benchmarks.workload.randomness import singles
from benchmarks.workload.spec import WorkloadSpec

# Nobody alive was born then, so a search for the date finds canaries only.
_OLDEST = date(1800, 1, 1)
_DAYS = 36_000
_VALUES_EACH = 6


class Canaries:
    """Canary people among the customers, spread over all sources, and texts for what they tell the care desk.

    Attributes:
        listed: The values, `spec.canaries` of them (fewer where there are not enough customers). Free
            text is among them when there are care interactions.
        people: Positions of the customers who carry them.
        texts: Free texts to place.
    """

    def __init__(self, spec: WorkloadSpec, population: Population) -> None:
        rng = singles(spec.seed, "canaries")
        found: list[Canary] = []
        columns: dict[int, dict[str, str]] = {}
        self.texts: list[str] = []
        wanted = -(-spec.canaries // _VALUES_EACH)
        count = min(wanted, population.customers, _DAYS)
        for number in range(count):
            who = number * population.customers // count
            person = _person(number, rng)
            columns[who] = {column: value for column, value in person.items() if column != "text"}
            self.texts.append(person["text"])
            identity = {"customer_id": population.ids[who], "msisdn": population.msisdns[who]}
            found += [
                Canary(_CLASSES.get(column, column), _searched(column, value), column)
                for column, value in {**identity, **person}.items()
                if column != "text" or spec.care_per_customer_per_day
            ]
            columns[who]["msisdn"] = identity["msisdn"]
        population.place_canaries(columns)
        self.people = list(columns)
        self.listed = tuple(found[: spec.canaries])


_CLASSES = {"customer_id": "customer"}


def _person(number: int, rng: Random) -> dict[str, str]:
    mark = f"{rng.getrandbits(40):010x}"
    return {
        "name": f"Ottilie Quillfeather-{mark}",
        "email": f"quillfeather.{mark}@example.org",
        "address": f"Quillfeather Row {mark}, 99999 Canaria",
        "birth_date": (_OLDEST + timedelta(days=number)).isoformat(),
        "text": f"My quillfeather lamp {mark} went dark",
    }


def _searched(column: str, value: str) -> str:
    """What to search for: a CRM may take an address apart, but not its street."""
    return value.partition(",")[0] if column == "address" else value
