"""How the household policy judges progress: the subgoals that a task needs, counted in the state's text."""

from __future__ import annotations

from langchain_linvit.models.household.mind import Mind
from langchain_linvit.models.household.reading import Household, HouseholdGoal, kind_of


def held_subgoals(goal: HouseholdGoal, household: Household) -> tuple[int, int]:
    """How many subgoals hold, and of how many: find, take, change, bring, put (for two things: each twice)."""
    if goal.kind == "look":
        return _look(goal, household)
    if goal.kind == "two":
        return _two(goal, household)
    carried = kind_of(household.carried) == goal.thing
    lying = household.lying({goal.thing})
    at_target = kind_of(household.here) == goal.place or any(kind_of(place) == goal.place for place in household.near)
    changed = {item for item, state in household.states if state == goal.state}
    placed = [item for item, place in lying if kind_of(place) == goal.place]
    if not goal.verb:
        done = bool(placed)
        steps = [carried or bool(lying), carried or done, done or (carried and at_target), done]
        return sum(steps), len(steps)
    done = any(item in changed for item in placed)
    in_state = carried and household.carried in changed
    kept = in_state or any(item in changed for item, _ in lying)
    steps = [carried or bool(lying), carried or done, in_state or done or kept, done or (in_state and at_target), done]
    return sum(steps), len(steps)


def _look(goal: HouseholdGoal, household: Household) -> tuple[int, int]:
    carried = kind_of(household.carried) == goal.thing
    lamps = household.lying({goal.place})
    reached = any(place == household.here or place in household.near for _, place in lamps)
    lit = any(kind_of(item) == goal.place for item, _ in household.states)
    steps = [carried or bool(household.lying({goal.thing})), carried, bool(lamps), carried and reached, lit]
    return sum(steps), len(steps)


def _two(goal: HouseholdGoal, household: Household) -> tuple[int, int]:
    carried = kind_of(household.carried) == goal.thing
    lying = household.lying({goal.thing})
    targets = [place for _, place in lying if kind_of(place) == goal.place]
    together = max((targets.count(place) for place in targets), default=0)
    known = len(lying) + carried
    held = min(known, 2) + min(together + carried, 2) + min(together, 2)
    return held, 6


def judgement(goal: HouseholdGoal, household: Household, mind: Mind, state_text: str) -> dict[str, float]:
    """The critic's answers with their weights: mostly the right count, sometimes one off, the same for equal states."""
    held, needed = held_subgoals(goal, household)
    if mind.believes(mind.misjudgement, "critic", goal.thing, goal.place, state_text):
        held += 1 if mind.draw("direction", state_text) < 0.5 else -1
    held = min(max(held, 0), needed - 1)  # the game ends when all hold
    return {f"Holds: {held} of {needed}": 1.0}
