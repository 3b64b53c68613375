"""BlocksWorld problems as PDDL: reading, with every check that the parser leaves out, and writing."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, Final

from langchain_linvit.environments.base import shorten
from langchain_linvit.environments.blocksworld.state import (
    ARITY,
    Fact,
    Problem,
    State,
    check_goal,
    facts,
    state_from_facts,
)
from langchain_linvit.environments.blocksworld.text import MAX_CHARACTERS, RESERVED, block_name, object_name
from langchain_linvit.errors import InvalidTaskError

DOMAIN: Final = """\
(define (domain blocksworld-4ops)
  (:requirements :strips)
  (:predicates (clear ?x) (ontable ?x) (handempty) (holding ?x) (on ?x ?y))
  (:action pick-up
    :parameters (?x)
    :precondition (and (clear ?x) (ontable ?x) (handempty))
    :effect (and (holding ?x) (not (clear ?x)) (not (ontable ?x)) (not (handempty))))
  (:action put-down
    :parameters (?x)
    :precondition (holding ?x)
    :effect (and (clear ?x) (ontable ?x) (handempty) (not (holding ?x))))
  (:action stack
    :parameters (?x ?y)
    :precondition (and (holding ?x) (clear ?y))
    :effect (and (on ?x ?y) (clear ?x) (handempty) (not (holding ?x)) (not (clear ?y))))
  (:action unstack
    :parameters (?x ?y)
    :precondition (and (on ?x ?y) (clear ?x) (handempty))
    :effect (and (holding ?x) (clear ?y) (not (on ?x ?y)) (not (clear ?x)) (not (handempty)))))
"""
"""The domain: PlanBench's `blocksworld-4ops`."""


def read_problem(text: str, *, source: str = "problem") -> Problem:
    """The problem that a PDDL text states.

    Args:
        text: The content of a problem file.
        source: What the errors call it, e.g. the file's name.

    Raises:
        InvalidTaskError: The text is no PDDL problem of this domain, its start is inconsistent, or no
            plan can reach its goal. The message names `source`.
    """
    try:
        return _read(text)
    except InvalidTaskError as error:
        raise InvalidTaskError(f"{source}: {error}") from error


def write_problem(problem: Problem) -> str:
    """`problem` as a PDDL problem file."""
    name, start, goal = problem
    objects = " ".join(object_name(block) for block in start.blocks)
    return (
        f"(define (problem {name})\n  (:domain blocksworld-4ops)\n  (:objects {objects})\n"
        f"  (:init {_written(facts(start))})\n  (:goal (and {_written(goal)})))\n"
    )


def _written(given: Iterable[Fact]) -> str:
    return " ".join(f"({' '.join([fact[0], *map(object_name, fact[1:])])})" for fact in given)


def _read(text: str) -> Problem:
    if len(text) > MAX_CHARACTERS:
        raise InvalidTaskError(f"the problem has {len(text)} characters; at most {MAX_CHARACTERS} are read")
    parsed = _parse(text.lower())
    objects = _objects(str(constant) for constant in parsed.objects)
    start = state_from_facts(sorted(_fact(atom, "init") for atom in parsed.init), objects, complete=True)
    goal = check_goal([_fact(atom, "goal") for atom in _conjuncts(parsed.goal)], objects)
    return Problem(
        name=str(parsed.name),
        start=State(tuple(map(block_name, objects)), start.supports),
        goal=tuple((fact[0], *map(block_name, fact[1:])) for fact in goal),
    )


def _parse(text: str) -> Any:
    try:
        return _parser()(text)
    # The parser raises whatever its grammar, its transformer and its model do: syntax, asserts, missing keys.
    except (Exception, RecursionError) as error:
        raise InvalidTaskError(f"not a PDDL problem: {shorten(str(error) or type(error).__name__)}") from error


@functools.cache
def _parser() -> Callable[[str], Any]:
    """Building the grammar takes 0.15 s, and importing it as long: once, and only where PDDL is read."""
    from pddl.parser.problem import ProblemParser  # type: ignore[import-untyped]

    parser: Callable[[str], Any] = ProblemParser()
    return parser


def _objects(declared: Iterable[str]) -> list[str]:
    """The declared objects in a fixed order, if each has a name of its own in English."""
    objects = sorted(declared)
    called: dict[str, str] = {}
    for name in objects:
        block = block_name(name)
        if called.setdefault(block, name) != name:
            raise InvalidTaskError(f"objects {called[block]!r} and {name!r} would both be called the {block} block")
        if block in RESERVED:
            raise InvalidTaskError(f"object {name!r} can't be told from a word of the sentences; rename it")
    if not objects:
        raise InvalidTaskError("no objects are declared")
    return objects


def _conjuncts(formula: Any) -> list[Any]:
    from pddl.logic.base import And  # type: ignore[import-untyped]

    if not isinstance(formula, And):
        return [formula]
    return [atom for operand in formula.operands for atom in _conjuncts(operand)]


def _fact(atom: Any, section: str) -> Fact:
    from pddl.logic.predicates import Predicate  # type: ignore[import-untyped]

    if not isinstance(atom, Predicate):
        raise InvalidTaskError(f"the {section} may hold positive facts only, not {type(atom).__name__!r}")
    name, terms = str(atom.name), [str(term) for term in atom.terms]
    if ARITY.get(name) != len(terms):
        known = ", ".join(f"{predicate}/{arity}" for predicate, arity in ARITY.items())
        raise InvalidTaskError(f"{shorten(str(atom))} in the {section} is no fact of BlocksWorld (which has {known})")
    return (name, *terms)
