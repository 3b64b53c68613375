"""BlocksWorld in the English of PlanBench, and back: pure functions of the text.

Source of the wording: PlanBench (Valmeekam et al., arXiv 2206.10498), which calls the objects a, b, c, ...
by colours. The parsers forgive case, articles and PDDL forms, and read a bounded part of any text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from langchain_linvit.environments.base import shorten
from langchain_linvit.environments.blocksworld.state import (
    Fact,
    Goal,
    Move,
    Operator,
    Problem,
    State,
    check_goal,
    facts,
    state_from_facts,
)
from langchain_linvit.errors import InvalidTaskError

COLOURS: Final[dict[str, str]] = {
    "a": "red", "b": "blue", "c": "orange", "d": "yellow", "e": "white", "f": "magenta",
    "g": "black", "h": "cyan", "i": "green", "j": "violet", "k": "silver", "l": "gold",
}  # fmt: skip
"""PlanBench's colours of the PDDL objects."""

RESERVED: Final = frozenset({"an", "and", "block", "hand", "is", "on", "table", "the", "top"})
"""Words of the sentences, which no block can be called by."""

MAX_CHARACTERS: Final = 200_000
"""Length of the longest task or state that is read: about two thousand blocks."""

_MAX_SENTENCE: Final = 300
_CACHEABLE: Final = 4_000  # longer texts are not remembered, so that the memory stays bounded
_OBJECTS: Final = {colour: name for name, colour in COLOURS.items()}
_TEMPLATES: Final[dict[str, str]] = {
    "pick-up": "pick up the {} block",
    "put-down": "put down the {} block",
    "stack": "stack the {} block on top of the {} block",
    "unstack": "unstack the {} block from on top of the {} block",
    "clear": "the {} block is clear",
    "handempty": "the hand is empty",
    "holding": "the hand is currently holding {} block",
    "on": "the {} block is on top of the {} block",
    "ontable": "the {} block is on the table",
}

_NAME = rf"(?!(?:{'|'.join(sorted(RESERVED))})(?![\w-]))[a-z0-9_][\w-]*"
_BLOCK = rf"(?:(?:the|an?) )?(?:block )?({_NAME})(?: block)?"
_ACTIONS: Final[list[tuple[Operator, re.Pattern[str]]]] = [
    ("pick-up", re.compile(rf"pick[ -]?up {_BLOCK}(?: from (?:on )?(?:the )?table)?")),
    ("put-down", re.compile(rf"put[ -]?down {_BLOCK}(?: on(?:to)? (?:the )?table)?")),
    ("stack", re.compile(rf"stack {_BLOCK}(?: on(?: ?to)?(?: (?:the )?top of)?)? {_BLOCK}")),
    ("unstack", re.compile(rf"unstack {_BLOCK}(?: from(?: on)?(?: (?:the )?top of)?)? {_BLOCK}")),
]
_CLAUSES: Final[list[tuple[str, re.Pattern[str]]]] = [
    ("clear", re.compile(rf"{_BLOCK} is clear")),
    ("handempty", re.compile(r"(?:the |my )?hand is empty")),
    ("holding", re.compile(rf"(?:the |my )?hand is (?:currently )?holding {_BLOCK}")),
    ("ontable", re.compile(rf"{_BLOCK} (?:is )?on (?:the )?table")),
    ("on", re.compile(rf"{_BLOCK} (?:is )?on (?:top of )?{_BLOCK}")),
]
_SEPARATOR = re.compile(r"[,.;\n]|\band\b")
_GOAL_MARK = re.compile(r"(?:\b(?:my|the|your)\s+)?\bgoal\b(?: is)?(?: to have)?(?: that)?\s*[:,]?")
_START_MARK = re.compile(
    r"\b(?:i have|initially|initial (?:state|conditions?))\b(?: i have)?(?: is| are)?(?: that)?\s*[:,]?"
)


def block_name(name: str) -> str:
    """What a PDDL object is called in English: its colour, else its own name."""
    return COLOURS.get(name, name)


def object_name(block: str) -> str:
    """The PDDL object that is called `block` in English."""
    return _OBJECTS.get(block, block)


@lru_cache(maxsize=8192)
def action_text(move: Move) -> str:
    """A move as PlanBench writes it, e.g. "stack the red block on top of the blue block"."""
    return _TEMPLATES[move.operator].format(move.block, move.other)


def fact_text(fact: Fact) -> str:
    """A fact as PlanBench writes it, e.g. "the red block is clear"."""
    return _TEMPLATES[fact[0]].format(*fact[1:])


@lru_cache(maxsize=8192)
def state_text(state: State) -> str:
    """A state as PlanBench writes it: all its facts, in a fixed order."""
    return facts_text(facts(state))


def facts_text(given: Iterable[Fact]) -> str:
    """Facts as one enumeration: "..., ... and ..."; a goal is written so."""
    sentences = [fact_text(fact) for fact in given]
    return " and ".join(filter(None, [", ".join(sentences[:-1]), sentences[-1]]))


def parse_action(text: str) -> Move | None:
    """The move that `text` spells, whatever its case and articles, or as PDDL: "(stack a b)"; None if none."""
    return _parse_action(text) if len(text) <= _MAX_SENTENCE else None


@lru_cache(maxsize=8192)
def _parse_action(text: str) -> Move | None:
    flat = " ".join(re.sub(r"[()]", " ", text.lower()).split()).strip(" .*`'\"")
    for operator, pattern in _ACTIONS:
        found = pattern.fullmatch(flat)
        if found:
            return Move(operator, *(block_name(name) for name in found.groups()))
    return None


def parse_state(text: str) -> State:
    """The state that `text` describes; `clear` and "the hand is empty" may be left out.

    Raises:
        InvalidTaskError: A part can't be read, or the description is inconsistent.
    """
    _check_length(text)
    return _parse_state(text) if len(text) <= _CACHEABLE else _parse_state.__wrapped__(text)


def parse_goal(text: str) -> Goal:
    """The facts of a goal in English; whether they can hold together is not checked.

    Raises:
        InvalidTaskError: A part can't be read.
    """
    _check_length(text)
    return _parse_facts(text) if len(text) <= _CACHEABLE else _parse_facts.__wrapped__(text)


def parse_problem(text: str) -> Problem:
    """A task in English, as PlanBench states it: "... I have that, ... My goal is to have that ...".

    Of several statements (a prompt with worked examples) the last one counts.

    Raises:
        InvalidTaskError: There is no goal, a part can't be read, or start or goal are inconsistent.
    """
    _check_length(text)
    statement = text.lower().rpartition("[statement]")[2].partition("my plan")[0].partition("[plan]")[0]
    marks = list(_GOAL_MARK.finditer(statement))
    if not marks:
        raise InvalidTaskError(f"the task names no goal ('My goal is to have that ...'): {shorten(text)!r}")
    start, goal = statement[: marks[-1].start()], statement[marks[-1].end() :]
    begin = [mark.end() for mark in _START_MARK.finditer(start)]
    state = parse_state(start[begin[-1] if begin else 0 :])
    return Problem("task", state, check_goal(parse_goal(goal), state.blocks))


@lru_cache(maxsize=8192)
def _parse_state(text: str) -> State:
    given = _parse_facts(text)
    blocks = {name for fact in given for name in fact[1:]}
    return state_from_facts(given, sorted(blocks, key=object_name), complete=False)


@lru_cache(maxsize=8192)
def _parse_facts(text: str) -> Goal:
    clauses = (" ".join(clause.split()) for clause in _SEPARATOR.split(text.lower()))
    return tuple(dict.fromkeys(_parse_clause(clause[:_MAX_SENTENCE]) for clause in clauses if clause))


@lru_cache(maxsize=8192)
def _parse_clause(clause: str) -> Fact:
    for predicate, pattern in _CLAUSES:
        found = pattern.fullmatch(clause)
        if found:
            return (predicate, *(block_name(name) for name in found.groups()))
    raise InvalidTaskError(f"can't read {shorten(clause)!r}: expected a sentence like 'the red block is on the table'")


def _check_length(text: str) -> None:
    if len(text) > MAX_CHARACTERS:
        raise InvalidTaskError(f"the text has {len(text)} characters; at most {MAX_CHARACTERS} are read")
