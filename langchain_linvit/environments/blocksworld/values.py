"""A hand-written value of BlocksWorld states: the share of the work that is done."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from langchain_linvit.environments.blocksworld.state import HAND, TABLE, Goal, State, check_goal, goal_holds
from langchain_linvit.environments.blocksworld.text import parse_goal, parse_state

_STEPS_PER_BLOCK: Final = 4
"""Actions that no block ever needs more of: taken and put aside, taken and put in place."""


def blocks_in_place(state_text: str, goal: str) -> float:
    """The share of blocks in place, counted from the table up, in [0, 1]; 1.0 exactly where the goal holds.

    A block in place counts 1. One that is not counts less by a quarter for each action that it still needs: 1/2
    if it can go straight to its place (3/4 once it is in the hand and its target is clear), and 0 if it must be
    put aside first, since it stands on a tower that must be undone for its own target's sake.

    Args:
        state_text: The state in English.
        goal: The facts to be reached, in English.

    Raises:
        InvalidTaskError: One of the texts can't be read.
    """
    return share_in_place(parse_state(state_text), parse_goal(goal))


@lru_cache(maxsize=8192)
def share_in_place(state: State, goal: Goal) -> float:
    """`blocks_in_place` for a state and a goal that were parsed already."""
    wanted = _wanted(goal, state.blocks)
    if goal_holds(state, goal):
        return 1.0
    tower = _Towers(state, wanted)
    steps = sum(tower.steps_needed(block) for block in range(len(state.blocks)))
    return 1 - steps / (_STEPS_PER_BLOCK * len(state.blocks))


class _Wanted(NamedTuple):
    """A goal by block indices: where blocks belong, what each shall carry (None: nothing)."""

    places: dict[int, int]
    loads: dict[int, int | None]


@lru_cache(maxsize=1024)
def _wanted(goal: Goal, blocks: tuple[str, ...]) -> _Wanted:
    index = {block: i for i, block in enumerate(blocks)}
    place_of = {"ontable": TABLE, "holding": HAND}
    wanted = _Wanted({}, {})
    for predicate, *names in check_goal(goal, blocks):
        if predicate == "on":
            wanted.places[index[names[0]]], wanted.loads[index[names[1]]] = index[names[1]], index[names[0]]
        elif predicate == "clear":
            wanted.loads[index[names[0]]] = None
        elif predicate in place_of:
            wanted.places[index[names[0]]] = place_of[predicate]
    return wanted


class _Towers:
    """The towers of a state, compared with the wanted ones."""

    def __init__(self, state: State, wanted: _Wanted) -> None:
        self.supports = state.supports
        self.wanted = wanted
        self.above = {support: block for block, support in enumerate(state.supports) if support >= 0}
        self.in_place = self._in_place()

    def _in_place(self) -> set[int]:
        """The blocks that need not move any more, counted from the table up."""
        places, loads = self.wanted
        done: set[int] = set()
        for foot, support in enumerate(self.supports):
            block: int | None = foot if support in (TABLE, HAND) and places.get(foot, TABLE) == support else None
            while block is not None:
                done.add(block)
                load = self.above.get(block)
                fits = load is not None and loads.get(block, load) == load and places.get(load, block) == block
                block = load if fits else None
        return done

    def steps_needed(self, block: int) -> int:
        """Actions with this block that the goal still needs, as far as the towers tell."""
        if block in self.in_place:
            return 0
        target = self.wanted.places.get(block, TABLE)
        if self.supports[block] == HAND:
            ready = target == TABLE or (target in self.in_place and target not in self.above)
            return 1 if ready else 3
        if target == HAND:
            return 1
        return 4 if target != TABLE and self._must_be_put_aside(block, target) else 2

    def _must_be_put_aside(self, block: int, target: int) -> bool:
        """Whether the target's place can only be made while `block` is neither there nor where it is now."""
        first = self._moved_before(target)
        while block >= 0:
            if block in first:
                return True
            block = self.supports[block]
        return False

    def _moved_before(self, target: int) -> set[int]:
        """The blocks that must move before something can be put on `target` for good."""
        moved: set[int] = set()
        while target >= 0:
            load = self.above.get(target)
            while load is not None:
                moved.add(load)
                load = self.above.get(load)
            if target in self.in_place:
                break
            moved.add(target)
            target = self.wanted.places.get(target, TABLE)
        return moved
