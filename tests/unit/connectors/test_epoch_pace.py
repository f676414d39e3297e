"""Parts of sources under Bytewax's rules for epochs, played with a clock of our own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import pytest

from connectors.epoch_pace import SLACK_SECONDS, EpochClock, EpochPace

EPOCH = 0.5
NOON = 1_790_000_000.0
STEP = 0.001
QUICK = (0.005, 0.08)
SLOW = (0.3, 0.4)


@dataclass
class Clock:
    now: float = NOON

    def __call__(self) -> float:
        return self.now


@dataclass
class Part:
    """As Bytewax 0.21 sees a part: it begins epochs by a timer of its own."""

    clock: Clock
    pace: EpochPace
    poll_seconds: float
    began: float = field(init=False)
    awake: float = field(init=False)
    ended: list[float] = field(default_factory=list)
    looks: int = 0
    waited: float = 0.0

    def __post_init__(self) -> None:
        self.began = self.awake = self.clock.now

    def activate(self) -> None:
        self.looks += 1
        self.awake = self.pace.awake_at(self.poll_seconds)
        if self.clock.now - self.began >= EPOCH - SLACK_SECONDS:
            self.pace.epoch_ended()
            self.began = self.clock.now
            self.ended.append(self.clock.now)


@dataclass(frozen=True)
class Plan:
    """A part: when it is built, how long it pauses, and in which process it is."""

    after: float
    poll_seconds: float = 0.004
    process: int = 0


def play(
    plans: Sequence[Plan], epoch_seconds: float, closing: tuple[float, float] = QUICK, minutes: int = 1
) -> list[Part]:
    clock, random = Clock(), Random(7)
    processes = {plan.process: EpochClock(epoch_seconds, clock) for plan in plans}
    waiting, built = list(plans), []
    durable, closed = 0.0, 0
    while clock.now < NOON + 60 * minutes:
        for plan in [each for each in waiting if NOON + each.after <= clock.now]:
            built.append(Part(clock, EpochPace(processes[plan.process]), plan.poll_seconds))
            waiting.remove(plan)
        if not waiting and all(len(part.ended) > closed for part in built):
            closed += 1
            durable = clock.now + random.uniform(*closing)
        for part in built:
            if len(part.ended) > closed or clock.now < durable:
                part.waited += STEP
            elif part.awake <= clock.now:
                part.activate()
        clock.now += STEP
    return built


def apart(parts: list[Part]) -> float:
    """How far the ends of the same epoch lie apart, in the last ten seconds at most."""
    ends = list(zip(*(part.ended for part in parts), strict=False))[-20:]
    return max(max(each) - min(each) for each in ends)


@pytest.mark.parametrize("late", [0.004, 0.1, 0.31, 0.45, 1.3])
def test_parts_end_their_epochs_together_when_they_were_built_apart(late: float) -> None:
    parts = play([Plan(0), Plan(late, 0.1), Plan(late + 0.02, 0.01)], EPOCH)

    assert apart(parts) < 0.1
    assert max(part.waited for part in parts) < 60 * 0.2
    assert len(parts[0].ended) > 100


@pytest.mark.parametrize("late", [0.2, 0.31, 0.45])
def test_processes_end_their_epochs_together_when_they_were_started_apart(late: float) -> None:
    parts = play([Plan(0), Plan(0.01, 0.1), Plan(late, process=1), Plan(late + 0.01, 0.1, process=1)], EPOCH, minutes=3)

    assert apart(parts) < 0.1
    assert len(parts[0].ended) > 300


def test_parts_wait_for_each_other_when_nobody_sets_their_pace() -> None:
    parts = play([Plan(0), Plan(0.4, 0.1), Plan(0.42, 0.01)], 0)

    assert max(part.waited for part in parts) > 60 * 0.5


def test_parts_go_on_reading_when_epochs_close_slowly() -> None:
    [part, _] = play([Plan(0), Plan(0.02, 0.1)], EPOCH, SLOW)

    assert part.looks > 10 * len(part.ended)


def test_part_looks_when_it_wants_to_when_its_epoch_is_young() -> None:
    clock = Clock()
    pace = EpochPace(EpochClock(EPOCH, clock))
    clock.now += 0.2

    assert pace.awake_at(0.004) == clock.now + 0.004


@pytest.mark.parametrize(
    ("into_the_epoch", "quiet"), [(0.0, True), (0.06, True), (0.07, False), (0.42, False), (0.43, True), (0.6, True)]
)
def test_epoch_is_quiet_when_it_has_only_begun_or_is_about_to_end(into_the_epoch: float, quiet: bool) -> None:
    clock = Clock()
    pace = EpochPace(EpochClock(EPOCH, clock))
    pace.epoch_ended()
    clock.now += into_the_epoch

    assert pace.is_quiet() is quiet


@pytest.mark.parametrize(("into_the_epoch", "quiet"), [(0.11, True), (0.12, False), (0.43, True)])
def test_epoch_is_quiet_for_longer_when_a_part_has_a_later_turn(into_the_epoch: float, quiet: bool) -> None:
    clock = Clock()
    pace = EpochPace(EpochClock(EPOCH, clock))
    clock.now += into_the_epoch

    assert pace.is_quiet(0.05) is quiet


def test_no_time_is_quiet_when_somebody_else_ends_the_epochs() -> None:
    assert EpochPace(EpochClock(0, Clock())).is_quiet() is False
