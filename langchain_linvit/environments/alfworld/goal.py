"""The share of a game's goal conditions that hold, derived from its goal and the facts.

A diagnostic, as ALFRED's goal-condition success is: for a clean cloth on the countertop, the two conditions
are that a cloth is clean and that the same cloth lies on a countertop. Conditions that no action can change
(what is a cloth, what can be cleaned) only say which objects are meant, and don't count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from langchain_linvit.environments.alfworld.engine import Facts
from langchain_linvit.environments.alfworld.knowledge import arguments
from langchain_linvit.environments.alfworld.parts import engine_parts

Atom = tuple[str, ...]
"""A predicate and its terms; terms that begin with `?` are variables. `!=` says that two terms differ."""

Table = Mapping[str, set[Atom]]
"""The arguments of the facts that hold, by predicate."""

_CHANGEABLE = {
    "atlocation", "inreceptacle", "holds", "isclean", "ishot", "iscool", "istoggled", "ison", "issliced", "opened",
}  # fmt: skip


@dataclass(frozen=True)
class GoalConditions:
    """The conditions of one goal: groups that each speak of objects of their own.

    Attributes:
        groups: For each group, its atoms; one assignment of objects must satisfy all of them.
    """

    groups: tuple[tuple[Atom, ...], ...]

    def share(self, start: Facts, now: Facts) -> float:
        """The share of conditions that hold, in [0, 1], over the objects that do best; 1 only at the goal.

        Args:
            start: The facts at the start of the game, which say what can change.
            now: The facts that are judged.
        """
        table = {name: set(arguments(now, name)) for name in {atom[0] for group in self.groups for atom in group}}
        movable = {item for (item,) in arguments(start, "pickupable")}
        agent = next(fact[0] for fact in arguments(now, "atlocation"))
        counts = [_best(group, table, movable, agent) for group in self.groups]
        return sum(held for held, _ in counts) / sum(total for _, total in counts)


@lru_cache(maxsize=64)
def goal_conditions(problem: str) -> GoalConditions:
    """The goal of a PDDL problem, which may use `and`, `exists`, `not (= ...)` and atoms.

    Raises:
        ValueError: The goal uses something else.
    """
    nested = engine_parts().lisp_parser.parse_nested_list(problem.split("\n"))
    goal = next(part[1] for part in nested if part[0] == ":goal")
    conjuncts = goal[1:] if goal[0] == "and" else [goal]
    return GoalConditions(tuple(tuple(_atoms(conjunct)) for conjunct in conjuncts))


def _atoms(condition: Sequence[Any]) -> Iterator[Atom]:
    head = condition[0]
    if head == "and":
        for part in condition[1:]:
            yield from _atoms(part)
    elif head == "exists":
        yield from _atoms(condition[-1])
    elif head == "not" and condition[1][0] == "=":
        yield ("!=", *condition[1][1:])
    elif head in {"or", "forall", "when", "not"}:
        raise ValueError(f"goal conditions with {head!r} are not supported")
    else:
        yield tuple(condition)


def _best(group: Sequence[Atom], table: Table, movable: set[str], agent: str) -> tuple[int, int]:
    """How many changeable conditions of a group hold at best, and of how many."""
    given = [atom for atom in group if atom[0] not in _CHANGEABLE and atom[0] != "!="]
    asked = [atom for atom in group if atom[0] in _CHANGEABLE]
    different = [atom for atom in group if atom[0] == "!="]
    best = (0, len(asked))
    for bound in _assignments(given, table, {}):
        if any(bound[left] == bound[right] for _, left, right in different):
            continue
        facts = [(atom[0], *(bound.get(term, agent) for term in atom[1:])) for atom in asked]
        settled = [fact for fact in facts if fact[0] == "inreceptacle" and fact[1] not in movable]
        if all(fact[1:] in table[fact[0]] for fact in settled):
            held = sum(fact[1:] in table[fact[0]] for fact in facts) - len(settled)
            best = max(best, (held, len(facts) - len(settled)))
    return best


def _assignments(atoms: Sequence[Atom], table: Table, bound: dict[str, str]) -> Iterator[dict[str, str]]:
    """Every way to bind the variables of `atoms` so that all of them hold."""
    if not atoms:
        yield bound
        return
    first = min(atoms, key=lambda atom: sum(term not in bound for term in atom[1:]))
    rest = [atom for atom in atoms if atom is not first]
    for fact in table[first[0]]:
        extended = dict(bound)
        if all(_agrees(extended, term, name) for term, name in zip(first[1:], fact, strict=True)):
            yield from _assignments(rest, table, extended)


def _agrees(bound: dict[str, str], term: str, name: str) -> bool:
    """Whether `term` can stand for `name`; binds it where it is a free variable."""
    return bound.setdefault(term, name) == name if term.startswith("?") else term == name
