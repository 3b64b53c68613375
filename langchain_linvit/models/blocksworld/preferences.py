"""What the embedded BlocksWorld policies like to do: weights of moves and subgoals, from state and goal alone.

The novice is myopic: it looks at the goal's facts one by one and at what lies on top right now, and never at
what a move leads to. It takes moves that seem to make a fact of the goal true at once, whether or not the
block beneath has still to move; it likes to uncover blocks that the goal speaks of; and part of its mass is
on moves that are not possible. Its numbers were set on generated problems, and are frozen (`VERSION`).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from functools import lru_cache
from typing import Final, Literal, TypeVar

from langchain_linvit.environments.blocksworld.state import (
    Fact,
    Goal,
    Move,
    State,
    apply,
    clear_blocks,
    held,
    holds,
    legal_moves,
)
from langchain_linvit.environments.blocksworld.values import share_in_place

VERSION: Final = 1
"""Changes whenever any weight does: results are comparable within one version only."""

Style = Literal["novice", "uniform", "adversarial"]
"""The novice; all possible moves alike; moves away from the goal."""

# Logits of the novice. What speaks for taking a block, with an empty hand:
_FITS_NOW: Final = 3.0  # its target in the goal is clear
_BELONGS: Final = 1.9  # it has a target, which is not clear
_AT_HAND: Final = 0.6  # and it is on the table, so that picking it up is easy
_TOPMOST: Final = 0.5  # nothing shall be on it in the end: towers are begun at their top
_COVERS: Final = 2.0  # it lies on a block that the goal speaks of
_ABOVE: Final = 1.0  # such a block lies deeper beneath it
_PLACED: Final = -2.5  # it is where the goal wants it
# What speaks for where to put the block in the hand:
_COMPLETES: Final = 4.0  # it makes a fact of the goal true
_ON_TABLE: Final = 1.5
_ON_WANTED: Final = -0.7  # it covers a block that the goal speaks of
# What else counts:
_UNDOES: Final = -0.5  # it takes back the last move
_BLOCKED: Final = -1.8  # not possible: the block, its target, or the hand is not free
_LOW_SLIP: Final = 0.1  # not possible: "picks up" a block that lies on one other, as if from the table
_HIGH_SLIP: Final = -1.5  # not possible: "picks up" a block that lies on more
_NOT_HELD: Final = -0.3  # not possible: stacks a block that is not in the hand

_SHARPNESS: Final = 1.7  # how decided the novice is

_SPITE: Final = 0.75
"""Logits that the adversary gives to an action of progress lost."""

_Key = TypeVar("_Key", bound=Hashable)


@lru_cache(maxsize=16_384)
def move_weights(style: Style, noise: float, state: State, goal: Goal, last: Move | None) -> dict[Move, float]:
    """The probability of each move that a policy considers, possible or not; not to be changed.

    Args:
        style: Which policy.
        noise: Share of the mass that is spread evenly over all that is considered.
        state: The current state.
        goal: The goal, whose blocks must be among the state's.
        last: The move that led here, where it is known.
    """
    if style == "novice":
        logits = _novice_moves(state, goal, last)
    elif style == "adversarial":
        logits = {move: -_SPITE * _progress(state, move, goal) for move in legal_moves(state)}
    else:
        logits = dict.fromkeys(legal_moves(state), 0.0)
    return mixed(softmax({move: _SHARPNESS * logit for move, logit in logits.items()}), noise)


def subgoal_weights(style: Style, noise: float, state: State, goal: Goal) -> dict[Fact, float]:
    """The probability of each fact that a policy would name as the next small subgoal."""
    unmet = [fact for fact in goal if not holds(state, fact)]
    logits: dict[Fact, float] = {}
    for fact in unmet or goal:
        covered = [name for name in fact[1:] if not holds(state, ("clear", name))]
        logits[fact] = _BELONGS if covered else _FITS_NOW
        logits.update({("clear", name): _COVERS for name in covered if name != held(state)})
    block = held(state)
    if block is not None:
        logits[("ontable", block)] = _ON_TABLE
    if style == "uniform":
        logits = dict.fromkeys(logits, 0.0)
    elif style == "adversarial":
        logits = {fact: -logit for fact, logit in logits.items()}
    return mixed(softmax(logits), noise)


def softmax(logits: Mapping[_Key, float]) -> dict[_Key, float]:
    """Probabilities proportional to the exponentials of `logits`."""
    peak = max(logits.values(), default=0.0)
    weights = {key: math.exp(logit - peak) for key, logit in logits.items()}
    total = sum(weights.values())
    return {key: weight / total for key, weight in weights.items()}


def mixed(weights: Mapping[_Key, float], noise: float) -> dict[_Key, float]:
    """A distribution with the share `noise` of its mass spread evenly over its keys."""
    return {key: (1 - noise) * weight + noise / len(weights) for key, weight in weights.items()}


def _progress(state: State, move: Move, goal: Goal) -> float:
    """Actions of progress that a possible move makes, by the rule value."""
    gained = share_in_place(apply(state, move), goal) - share_in_place(state, goal)
    return gained * 4 * len(state.blocks)


def _novice_moves(state: State, goal: Goal, last: Move | None) -> dict[Move, float]:
    wanted = {name for fact in goal if not holds(state, fact) for name in fact[1:]}
    block = held(state)
    logits = _takes(state, goal, wanted) if block is None else _places(state, goal, wanted, block)
    undone = None if last is None else _reverse(last)
    if undone in logits:
        logits[undone] += _UNDOES
    return logits


def _takes(state: State, goal: Goal, wanted: set[str]) -> dict[Move, float]:
    logits: dict[Move, float] = {}
    clear = {state.blocks[i] for i in clear_blocks(state)}
    targets = {fact[2] for fact in goal if fact[0] == "on"}
    for move in legal_moves(state):
        logits[move] = sum(_pull(state, fact, clear) for fact in goal if fact[1:2] == (move.block,))
        logits[move] += _TOPMOST if move.block in wanted and move.block not in targets else 0.0
        beneath = _beneath(state, move.block)
        if beneath and move.block in wanted:
            logits[Move("pick-up", move.block)] = logits[move] + (_LOW_SLIP if len(beneath) == 1 else _HIGH_SLIP)
        if beneath:
            logits[move] += _COVERS if beneath[0] in wanted else _ABOVE if wanted.intersection(beneath) else 0.0
    for fact in goal:
        if fact[0] == "on" and not holds(state, fact):
            logits[Move("stack", fact[1], fact[2])] = _NOT_HELD
            if fact[1] not in clear:
                logits[Move("pick-up", fact[1])] = _BLOCKED + _pull(state, fact, clear)
    return logits


def _pull(state: State, fact: Fact, clear: set[str]) -> float:
    """What a fact of the goal says for taking its first block."""
    if fact[0] == "clear":
        return 0.0
    if holds(state, fact):
        return _PLACED
    if fact[0] != "on" or fact[2] in clear:
        return _FITS_NOW
    return _BELONGS + (_AT_HAND if holds(state, ("ontable", fact[1])) else 0.0)


def _places(state: State, goal: Goal, wanted: set[str], block: str) -> dict[Move, float]:
    logits: dict[Move, float] = {}
    for move in legal_moves(state):
        made = ("ontable", block) if move.other is None else ("on", block, move.other)
        if made in goal:
            logits[move] = _COMPLETES
        elif move.other is None:
            logits[move] = _ON_TABLE
        else:
            logits[move] = _ON_WANTED if move.other in wanted else 0.0
    for fact in goal:
        if fact[0] == "on" and fact[1] == block:
            logits.setdefault(Move("stack", block, fact[2]), _BLOCKED)
        elif fact[0] == "on" and fact[1] in wanted and not holds(state, fact):
            logits[Move("pick-up", fact[1])] = _BLOCKED
    return logits


def _beneath(state: State, block: str) -> list[str]:
    """The blocks under `block`, from the top down."""
    found: list[str] = []
    support = state.supports[state.blocks.index(block)]
    while support >= 0:
        found.append(state.blocks[support])
        support = state.supports[support]
    return found


def _reverse(move: Move) -> Move:
    back = {"pick-up": "put-down", "put-down": "pick-up", "stack": "unstack", "unstack": "stack"}
    return Move(back[move.operator], move.block, move.other)  # type: ignore[arg-type]
