"""Parts of sources under Bytewax's rules for epochs, played with a clock of our own."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from connectors.epoch_pace import SLACK_SECONDS, EpochPace

EPOCH = 0.5
CLOSING = 0.03
NOON = 1_790_000_000.0


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
    polls: int = 0

    def __post_init__(self) -> None:
        self.began = self.awake = self.clock.now

    def activate(self) -> None:
        self.polls += 1
        self.awake = self.pace.awake_at(self.poll_seconds)
        if self.clock.now - self.began >= EPOCH - SLACK_SECONDS:
            self.pace.epoch_ended()
            self.began = self.clock.now
            self.ended.append(self.clock.now)


def play(parts: dict[float, float], epoch_seconds: float) -> tuple[list[Part], float]:
    """Parts by when they are built, with their pauses, for a minute; and the share of time that one is kept waiting."""
    clock, built = Clock(), []
    waited = 0.0
    while clock.now < NOON + 60:
        for after in [each for each in parts if NOON + each <= clock.now]:
            built.append(Part(clock, EpochPace(epoch_seconds, clock), parts.pop(after)))
        closed = 0 if parts else min(len(part.ended) for part in built)
        durable = max(part.ended[closed - 1] for part in built) + CLOSING if closed else 0.0
        for part in built:
            if len(part.ended) > closed or clock.now < durable:
                waited += 0.001 / len(built)
            elif part.awake <= clock.now:
                part.activate()
        clock.now += 0.001
    return built, waited / 60


@pytest.mark.parametrize("late", [0.004, 0.1, 0.31, 0.45, 1.3])
def test_parts_end_their_epochs_together_when_they_were_built_apart(late: float) -> None:
    parts, waited = play({0.0: 0.004, late: 0.1, late + 0.02: 0.01}, EPOCH)

    ends = list(zip(*(part.ended for part in parts), strict=False))[12:]
    assert max(max(each) - min(each) for each in ends) < 0.02
    assert waited < 0.1
    assert len(ends) > 100


def test_parts_wait_for_each_other_when_nobody_sets_their_pace() -> None:
    _, waited = play({0.0: 0.004, 0.4: 0.1, 0.42: 0.01}, 0)

    assert waited > 0.25


def test_part_looks_when_it_wants_to_when_its_epoch_is_young() -> None:
    clock = Clock()
    pace = EpochPace(EPOCH, clock)
    clock.now += 0.2

    assert pace.awake_at(0.004) == clock.now + 0.004
