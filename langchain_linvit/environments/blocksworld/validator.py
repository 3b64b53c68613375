"""A plan validator that shares no code with the environment: STRIPS over the parsed PDDL domain."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from langchain_linvit.environments.base import shorten
from langchain_linvit.environments.blocksworld.pddl import DOMAIN
from langchain_linvit.environments.blocksworld.text import COLOURS
from langchain_linvit.errors import InvalidTaskError

_Atom = tuple[str, ...]

_ENGLISH: Final = {
    "pick-up": re.compile(r"pick up the (\S+) block"),
    "put-down": re.compile(r"put down the (\S+) block"),
    "stack": re.compile(r"stack the (\S+) block on top of the (\S+) block"),
    "unstack": re.compile(r"unstack the (\S+) block from on top of the (\S+) block"),
}


@dataclass(frozen=True, slots=True)
class PlanVerdict:
    """What the validator found.

    Attributes:
        valid: Whether every action was possible where it stands.
        solved: Whether the plan is valid and the goal holds at its end.
        failed_step: Number of the first impossible action, from 1; None for a valid plan.
        reason: Why the plan does not solve the problem; empty where it does.
    """

    valid: bool
    solved: bool
    failed_step: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Schema:
    """An action schema: its parameters, and its literals over them."""

    parameters: tuple[str, ...]
    needs: frozenset[_Atom]
    adds: frozenset[_Atom]
    deletes: frozenset[_Atom]


def validate_plan(problem_pddl: str, actions: Sequence[str]) -> PlanVerdict:
    """Carry out `actions` (English or PDDL) from the start of a PDDL problem, and check the goal.

    Raises:
        InvalidTaskError: `problem_pddl` can't be parsed.
    """
    problem = _parsed_problem(problem_pddl)
    objects = {str(constant) for constant in problem.objects}
    state = {_atom(fact) for fact in problem.init}
    for number, text in enumerate(actions, 1):
        ground = _ground(text, objects)
        if ground is None:
            return PlanVerdict(False, False, number, f"step {number}: {shorten(text)!r} is no action of this problem")
        schema, binding = ground
        missing = _bind(schema.needs, binding) - state
        if missing:
            spelled = ", ".join(f"({' '.join(atom)})" for atom in sorted(missing))
            return PlanVerdict(False, False, number, f"step {number}: {shorten(text)!r} needs {spelled}")
        state = (state - _bind(schema.deletes, binding)) | _bind(schema.adds, binding)
    unmet = {_atom(literal) for literal in _literals(problem.goal)} - state
    reason = "the goal lacks " + ", ".join(f"({' '.join(atom)})" for atom in sorted(unmet)) if unmet else ""
    return PlanVerdict(True, not unmet, None, reason)


@functools.cache
def _schemas() -> dict[str, _Schema]:
    from pddl.parser.domain import DomainParser  # type: ignore[import-untyped]

    return {str(action.name): _schema(action) for action in DomainParser()(DOMAIN).actions}


def _schema(action: Any) -> _Schema:
    from pddl.logic.base import Not  # type: ignore[import-untyped]

    effects = _literals(action.effect)
    return _Schema(
        parameters=tuple(str(parameter.name) for parameter in action.parameters),
        needs=frozenset(_atom(literal) for literal in _literals(action.precondition)),
        adds=frozenset(_atom(literal) for literal in effects if not isinstance(literal, Not)),
        deletes=frozenset(_atom(literal.argument) for literal in effects if isinstance(literal, Not)),
    )


@functools.cache
def _problem_parser() -> Any:
    from pddl.parser.problem import ProblemParser  # type: ignore[import-untyped]

    return ProblemParser()


def _parsed_problem(text: str) -> Any:
    try:
        return _problem_parser()(text.lower())
    except Exception as error:  # whatever the parser's grammar and model raise
        raise InvalidTaskError(f"not a PDDL problem: {shorten(str(error))}") from error


def _literals(formula: Any) -> list[Any]:
    operands = getattr(formula, "operands", None)
    return [formula] if operands is None else [literal for part in operands for literal in _literals(part)]


def _atom(literal: Any) -> _Atom:
    return (str(literal.name), *(str(term.name) for term in literal.terms))


def _bind(atoms: Iterable[_Atom], binding: dict[str, str]) -> set[_Atom]:
    return {(atom[0], *(binding[term] for term in atom[1:])) for atom in atoms}


def _ground(text: str, objects: set[str]) -> tuple[_Schema, dict[str, str]] | None:
    """The schema of an action text and the objects that its parameters stand for."""
    named = {COLOURS.get(name, name): name for name in objects} | {name: name for name in objects}
    operator, *terms = _words(text.strip().lower()) or [""]
    schema = _schemas().get(operator)
    if schema is None or len(terms) != len(schema.parameters) or not named.keys() >= set(terms):
        return None
    return schema, {parameter: named[term] for parameter, term in zip(schema.parameters, terms, strict=True)}


def _words(text: str) -> list[str]:
    for operator, pattern in _ENGLISH.items():
        found = pattern.fullmatch(text)
        if found:
            return [operator, *found.groups()]
    return text[1:-1].split() if text.startswith("(") and text.endswith(")") else []
