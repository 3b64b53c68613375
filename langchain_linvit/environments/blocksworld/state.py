"""BlocksWorld as plain immutable values: states, moves, facts and goals.

Blocks are known by the names that they have in English ("red", or "b7" where an object has no colour).
A state says for every block what carries it; all else follows, so equal situations are equal states.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple

from langchain_linvit.errors import InvalidTaskError

TABLE: Final = -1
HAND: Final = -2

Operator = Literal["pick-up", "put-down", "stack", "unstack"]
"""The four operators of the domain `blocksworld-4ops`."""

Fact = tuple[str, ...]
"""A ground atom: a predicate of `ARITY` and its blocks, e.g. `("on", "red", "blue")` or `("handempty",)`."""

Goal = tuple[Fact, ...]
"""Facts that must all hold."""

ARITY: Final[dict[str, int]] = {"clear": 1, "handempty": 0, "holding": 1, "on": 2, "ontable": 1}
"""The predicates of the domain and how many blocks each is about."""


class State(NamedTuple):
    """Which blocks there are and what carries each.

    Attributes:
        blocks: The names, in the task's fixed order.
        supports: For each block the index of the block beneath it, `TABLE`, or `HAND`.
    """

    blocks: tuple[str, ...]
    supports: tuple[int, ...]


class Move(NamedTuple):
    """A ground action; `other` is the block that is stacked on, or unstacked from."""

    operator: Operator
    block: str
    other: str | None = None


class Problem(NamedTuple):
    """Where a task starts and what must hold at its end."""

    name: str
    start: State
    goal: Goal


def held(state: State) -> str | None:
    """The block in the hand; None where the hand is empty."""
    return state.blocks[state.supports.index(HAND)] if HAND in state.supports else None


def clear_blocks(state: State) -> list[int]:
    """Indices of the blocks that carry nothing and are not held, in the task's order."""
    supports = state.supports
    carrying = set(supports)
    return [i for i, support in enumerate(supports) if i not in carrying and support != HAND]


def legal_moves(state: State) -> list[Move]:
    """Every move that is possible in `state`, in a fixed order."""
    blocks, supports = state
    block = held(state)
    if block is not None:
        return [Move("put-down", block), *(Move("stack", block, blocks[i]) for i in clear_blocks(state))]
    return [
        Move("pick-up", blocks[i]) if supports[i] == TABLE else Move("unstack", blocks[i], blocks[supports[i]])
        for i in clear_blocks(state)
    ]


def obstacle(state: State, move: Move) -> str | None:
    """Why `move` is not possible in `state`, in English; None where it is."""
    blocks, supports = state
    for name in move[1:]:
        if name is not None and name not in blocks:
            return f"there is no block {name!r}; the blocks are {', '.join(blocks)}"
    block = blocks.index(move.block)
    if move.operator in ("put-down", "stack"):
        if supports[block] != HAND:
            return f"the hand is not holding the {move.block} block"
        return _occupied(state, move.other)
    if HAND in supports:
        return f"the hand is not empty, it is holding the {held(state)} block"
    if block in supports:
        return f"the {move.block} block is not clear"
    if move.operator == "pick-up":
        return None if supports[block] == TABLE else f"the {move.block} block is not on the table"
    if move.other is None or supports[block] != blocks.index(move.other):
        return f"the {move.block} block is not on top of the {move.other} block"
    return None


def _occupied(state: State, target: str | None) -> str | None:
    if target is None:
        return None
    index = state.blocks.index(target)
    if state.supports[index] == HAND:
        return f"the {target} block is in the hand"
    return f"the {target} block is not clear" if index in state.supports else None


def apply(state: State, move: Move) -> State:
    """The state after `move`, which must be possible (`obstacle` gives None)."""
    blocks, supports = state
    block = blocks.index(move.block)
    if move.operator == "put-down":
        place = TABLE
    elif move.operator == "stack" and move.other is not None:
        place = blocks.index(move.other)
    else:
        place = HAND
    return State(blocks, (*supports[:block], place, *supports[block + 1 :]))


def holds(state: State, fact: Fact) -> bool:
    """Whether one fact holds in `state`."""
    blocks, supports = state
    if fact[0] == "handempty":
        return HAND not in supports
    block = blocks.index(fact[1])
    if fact[0] == "on":
        return supports[block] == blocks.index(fact[2])
    if fact[0] == "clear":
        return supports[block] != HAND and block not in supports
    return supports[block] == (TABLE if fact[0] == "ontable" else HAND)


def goal_holds(state: State, goal: Goal) -> bool:
    """Whether every fact of `goal` holds in `state`."""
    return all(holds(state, fact) for fact in goal)


def facts(state: State) -> list[Fact]:
    """Every fact that holds in `state`, in PlanBench's order: clear, the hand, on, ontable."""
    blocks, supports = state
    block = held(state)
    return [
        *(("clear", blocks[i]) for i in clear_blocks(state)),
        ("handempty",) if block is None else ("holding", block),
        *(("on", blocks[i], blocks[support]) for i, support in enumerate(supports) if support >= 0),
        *(("ontable", blocks[i]) for i, support in enumerate(supports) if support == TABLE),
    ]


def state_from_facts(given: Iterable[Fact], blocks: Sequence[str], *, complete: bool) -> State:
    """The state that `given` describes.

    Args:
        given: Facts, each with a known predicate.
        blocks: All the blocks, in the order that the state shall keep.
        complete: Whether what is not given is false (PDDL). Otherwise `clear` and `handempty` may be left out.

    Raises:
        InvalidTaskError: The facts contradict each other, leave out where a block is, or name an unknown one.
    """
    given = list(given)
    places = consistent_places(given, blocks)
    missing = [block for block in blocks if block not in places]
    if missing:
        raise InvalidTaskError(f"nothing says where {missing[0]} is: it must be on a block, on the table, or held")
    index = {block: i for i, block in enumerate(blocks)} | {"the table": TABLE, "the hand": HAND}
    state = State(tuple(blocks), tuple(index[places[block]] for block in blocks))
    true = set(facts(state))
    wrong = [fact for fact in given if fact not in true]
    if wrong:
        raise InvalidTaskError(f"{_spelled(wrong[0])} contradicts where the blocks are")
    absent = true.difference(given)
    if complete and absent:
        raise InvalidTaskError(f"{_spelled(min(absent))} is not given, but follows from where the blocks are")
    return state


def check_goal(goal: Iterable[Fact], blocks: Sequence[str]) -> Goal:
    """`goal` without repetitions, if some state of `blocks` fulfils it.

    Raises:
        InvalidTaskError: The goal is empty, names an unknown block, or contradicts itself.
    """
    unique = tuple(dict.fromkeys(goal))
    if not unique:
        raise InvalidTaskError("the goal is empty")
    places = consistent_places(unique, blocks)
    carrying = set(places.values())
    for fact in unique:
        if fact[0] == "clear" and (fact[1] in carrying or places.get(fact[1]) == "the hand"):
            raise InvalidTaskError(f"the goal contradicts itself: {_spelled(fact)} can't hold beside the rest")
        if fact[0] == "handempty" and "the hand" in carrying:
            raise InvalidTaskError("the goal contradicts itself: the hand can't be empty and hold a block")
    return unique


def consistent_places(given: Iterable[Fact], blocks: Sequence[str]) -> dict[str, str]:
    """Where the facts put each block: a block's name, "the table" or "the hand".

    Raises:
        InvalidTaskError: A block in two places, two blocks in one, a circle, or an unknown block.
    """
    places: dict[str, str] = {}
    carried: dict[str, str] = {}
    known = set(blocks)
    for fact in given:
        unknown = [name for name in fact[1:] if name not in known]
        if unknown:
            raise InvalidTaskError(f"{_spelled(fact)} names {unknown[0]!r}, which is not among the declared blocks")
        if fact[0] not in ("on", "ontable", "holding"):
            continue
        place = fact[2] if fact[0] == "on" else "the table" if fact[0] == "ontable" else "the hand"
        if places.setdefault(fact[1], place) != place:
            raise InvalidTaskError(f"block {fact[1]} is in two places: {places[fact[1]]} and {place}")
        if place != "the table" and carried.setdefault(place, fact[1]) != fact[1]:
            raise InvalidTaskError(f"two blocks are on {place}: {carried[place]} and {fact[1]}")
    if "the hand" in carried and carried["the hand"] in carried:
        raise InvalidTaskError(f"{carried['the hand']} is in the hand and carries {carried[carried['the hand']]}")
    _check_no_circle(places)
    return places


def _check_no_circle(places: dict[str, str]) -> None:
    grounded: set[str] = set()
    for block in places:
        path: dict[str, None] = {}
        while block in places and block not in grounded:
            if block in path:
                raise InvalidTaskError(f"blocks stand on each other in a circle: {', '.join(path)}")
            path[block] = None
            block = places[block]
        grounded.update(path)


def _spelled(fact: Fact) -> str:
    return f"({' '.join(fact)})"
