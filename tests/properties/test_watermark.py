"""Watermarks equal their definition, and promise nothing that a row within its delay could break."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from flows.batch import Origin
from flows.operators.watermark import FOREVER, NEVER, Watermarks

ROWS, ANNOUNCED = [Origin("usage", 0), Origin("usage", 1), Origin("crm", 0)], [Origin("incidents", 0)]
DELAYS = st.dictionaries(st.sampled_from(ROWS), st.integers(0, 5), min_size=1)
SEEN = st.dictionaries(st.sampled_from([*ROWS, Origin("gone", 0)]), st.integers(0, 30))


class Told(NamedTuple):
    origin: Origin
    time: int | None
    caught_up: bool
    finished: bool


@st.composite
def histories(draw: st.DrawFn, delays: dict[Origin, int]) -> list[Told]:
    rows = st.builds(
        Told, st.sampled_from(sorted(delays)), st.none() | st.integers(0, 30), st.booleans(), st.booleans()
    )
    stated = st.builds(Told, st.sampled_from(ANNOUNCED), st.integers(0, 30), st.booleans(), st.booleans())
    return draw(st.lists(rows | stated, max_size=12))


def naive_value(delays: dict[Origin, int], seen: dict[Origin, int], history: list[Told]) -> int:
    marks = []
    for origin in [*delays, *ANNOUNCED]:
        own = [told for told in history if told.origin == origin]
        if own and (own[-1].caught_up or own[-1].finished):
            continue
        if origin in ANNOUNCED:
            marks.append(own[-1].time if own else NEVER)
        else:
            times = [time for time in (seen.get(origin), *(told.time for told in own)) if time is not None]
            marks.append(max(times) - delays[origin] - 1 if times else NEVER)
    return min(marks, default=FOREVER - 1)


@settings(max_examples=100, deadline=None)
@given(delays=DELAYS, seen=SEEN, data=st.data())
def test_watermark_equals_its_definition_when_origins_progress_and_catch_up(
    delays: dict[Origin, int], seen: dict[Origin, int], data: st.DataObject
) -> None:
    history = data.draw(histories(delays))
    marks = Watermarks(delays, ANNOUNCED, seen)
    for until in range(len(history) + 1):
        told = history[:until]
        newest = {each.origin: each for each in told}
        times = [each.time for each in told if each.origin in delays and each.time is not None]
        latest = max([*times, *(at for origin, at in seen.items() if origin in delays)], default=NEVER)
        assert marks.value == naive_value(delays, seen, told)
        assert marks.value < FOREVER
        assert marks.latest == latest
        assert marks.clock == min(marks.value, latest)
        assert marks.caught_up == all(
            origin in newest and (newest[origin].caught_up or newest[origin].finished)
            for origin in [*delays, *ANNOUNCED]
        )
        assert marks.finished == ({each.origin for each in told if each.finished} == {*delays, *ANNOUNCED})
        if until < len(history):
            origin, time, caught_up, finished = history[until]
            if origin in ANNOUNCED:
                assert time is not None
                marks.announce(origin, time, caught_up=caught_up, finished=finished)
            else:
                marks.observe(origin, time, caught_up=caught_up, finished=finished)


@settings(max_examples=50, deadline=None)
@given(delays=DELAYS, data=st.data(), resumed_at=st.integers(0, 20))
def test_no_row_lies_at_or_before_the_watermark_when_rows_keep_to_their_delay(
    delays: dict[Origin, int], data: st.DataObject, resumed_at: int
) -> None:
    marks = Watermarks(delays)
    newest = dict.fromkeys(delays, 0)
    for step in range(20):
        if step == resumed_at:
            marks = Watermarks(delays, seen=marks.seen)
        origin = data.draw(st.sampled_from(sorted(delays)))
        newest[origin] += data.draw(st.integers(0, 3))
        time = newest[origin] - data.draw(st.integers(0, delays[origin]))
        assert time > marks.value
        marks.observe(origin, time, caught_up=False, finished=False)
