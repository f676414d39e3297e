from __future__ import annotations

from dataclasses import replace

from flows.operators.incidents import Incident, Moment, Opening, incident_id
from flows.operators.told_names import ToldNames
from flows.operators.watermark import FOREVER

HOLD_DOWN = 5


def alone(fault_id: str, opened_at: int) -> Incident:
    """The incident of one fault."""
    return Incident(
        incident_id=incident_id(fault_id, opened_at),
        fault_id=fault_id,
        element_id=f"element of {fault_id}",
        element_type="site",
        site_id=None,
        region=None,
        probable_cause=None,
        planned=False,
        opened_at=opened_at,
    )


def opening(incident: Incident) -> Opening:
    return Opening((incident.opened_at, ("network.faults", 0, 0)), incident)


def cleared(at: int) -> Moment:
    return at, ("network.faults", 0, 1)


def names(*told: Incident, ended_at: int | None = None) -> ToldNames:
    found = ToldNames(HOLD_DOWN)
    for each in told:
        found.tell(each.fault_id, each.incident_id, each.opened_at, ended_at)
    return found


def test_incident_goes_by_its_own_id_when_nobody_was_told() -> None:
    incident = alone("f1", 100)

    assert names().views(incident, [opening(incident)], {}, until=100) == [incident]


def test_incident_keeps_the_told_id_when_it_proves_to_have_opened_earlier() -> None:
    told, incident = alone("f1", 100), alone("f1", 90)
    view, *parts = names(told).views(incident, [opening(incident)], {}, until=100)

    assert (view.incident_id, view.opened_at, view.announced_at) == (told.incident_id, 90, 95)
    assert parts == []


def test_incident_takes_its_own_id_when_the_told_one_was_cleared_in_between() -> None:
    told, incident = alone("f1", 90), alone("f1", 100)
    view, *parts = names(told).views(incident, [opening(incident)], {"f1": [cleared(95)]}, until=100)

    assert (view.incident_id, parts) == (incident.incident_id, [])


def test_told_id_becomes_a_part_when_its_fault_proves_to_belong_to_another_incident() -> None:
    whole, joined = replace(alone("f1", 90), announced_at=95, closed_at=200, fault_count=2), alone("f2", 100)
    view, part = names(whole, joined).views(whole, [opening(whole), opening(joined)], {}, until=200)

    assert (view.incident_id, view.parts) == (whole.incident_id, (joined.incident_id,))
    assert (part.incident_id, part.part_of, part.fault_id) == (joined.incident_id, whole.incident_id, "f2")
    assert (part.opened_at, part.announced_at, part.closed_at, part.fault_count) == (100, 105, 200, 2)


def test_incident_takes_a_new_id_when_it_goes_on_after_its_all_clear() -> None:
    incident = replace(alone("f1", 100), announced_at=105)
    known = names(incident, ended_at=150)
    view, part = known.views(incident, [opening(incident)], {}, until=160)
    known.tell("f1", view.incident_id, view.opened_at, None)
    later, same_part = known.views(incident, [opening(incident)], {}, until=170)

    assert view.incident_id not in (incident.incident_id, part.incident_id)
    assert (part.incident_id, part.part_of, part.closed_at) == (incident.incident_id, view.incident_id, 150)
    assert (later, same_part) == (view, part)


def test_all_clear_still_ahead_ends_nothing_when_a_replay_has_not_come_there() -> None:
    incident = replace(alone("f1", 100), announced_at=105)
    views = names(incident, ended_at=150).views(incident, [opening(incident)], {}, until=149)

    assert views == [incident]


def test_id_that_is_still_ahead_is_no_part_when_the_incident_was_told_by_its_own() -> None:
    first, second = alone("f1", 90), alone("f1", 100)
    known = names(first, second)

    assert [view.incident_id for view in known.views(first, [opening(first)], {}, until=95)] == [first.incident_id]
    assert len(known.views(first, [opening(first)], {}, until=100)) == 2


def test_incident_is_not_announced_while_a_told_id_ahead_may_prove_to_be_its_own() -> None:
    told, incident = alone("f1", 100), replace(alone("f1", 90), announced_at=95)
    known = names(told)
    [early] = known.views(incident, [opening(incident)], {}, until=99)
    [cleared_before] = known.views(incident, [opening(incident)], {"f1": [cleared(98)]}, until=99)

    assert (early.incident_id, early.announced_at) == (incident.incident_id, FOREVER)
    assert (cleared_before.incident_id, cleared_before.announced_at) == (incident.incident_id, 95)


def test_opening_counts_by_the_moment_the_id_is_named_after_when_it_was_told_with_another() -> None:
    known, told = ToldNames(HOLD_DOWN), alone("f1", 100)
    news = [known.tell("f1", told.incident_id, at, None) for at in (90, 100, 95)]

    assert news == [True, True, False]
    assert known.opened == {"f1": {told.incident_id: 100}}


def test_old_ids_are_forgotten_when_nothing_is_known_of_them() -> None:
    old, kept, young = alone("f1", 90), alone("f2", 90), alone("f3", 100)
    known = names(old, kept, young, ended_at=FOREVER - 1)
    known.expire(100, {kept.incident_id})

    assert known.opened == {"f2": {kept.incident_id: 90}, "f3": {young.incident_id: 100}}
    assert known.ended.keys() == {kept.incident_id, young.incident_id}
