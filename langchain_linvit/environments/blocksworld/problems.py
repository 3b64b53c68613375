"""Problems to plan: from PDDL files, from PlanBench's lists, or generated with an optimal length."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from langchain_linvit.environments.base import Task
from langchain_linvit.environments.blocksworld.pddl import read_problem, write_problem
from langchain_linvit.environments.blocksworld.state import (
    TABLE,
    Goal,
    Move,
    Problem,
    State,
    apply,
    facts,
    goal_holds,
    legal_moves,
)
from langchain_linvit.environments.blocksworld.text import action_text, block_name
from langchain_linvit.errors import InvalidSettingError, InvalidTaskError

MAX_STATES = 1_000_000
"""States that the exact solver visits at most (9 blocks have 15 million)."""

_FRUITLESS = 300


def load_problem(path: str | Path) -> Task:
    """The problem in a PDDL file, as a task.

    Raises:
        InvalidTaskError: The file can't be read, or `read_problem` refuses it; the message names the file.
    """
    path = Path(path)
    return _loaded(path, path.stem, str(path), {})


def load_problem_list(path: str | Path) -> list[Task]:
    """The problems of a PlanBench/RAP list: JSON rows `[pddl_path, reference plan, optimal steps]`.

    The paths are relative to the list's folder. The tasks keep the list's order, and carry its step
    counts as `optimal_steps`, which is the horizon that the benchmark grants.

    Raises:
        InvalidTaskError: The list or one of its problems can't be read; the message names the file.
    """
    path = Path(path)
    try:
        rows = json.loads(_content(path))
        entries = [(str(row[0]), int(row[2])) for row in rows]
    except (ValueError, TypeError, LookupError) as error:
        raise InvalidTaskError(f"{path}: expected JSON rows [pddl_path, plan, steps]: {error}") from error
    return [_loaded(path.parent / file, Path(file).stem, file, {"optimal_steps": steps}) for file, steps in entries]


def generate_problems(
    *, blocks: int, steps: int, count: int, seed: int = 0, goal_atoms: int | None = None
) -> list[Task]:
    """Different random problems whose shortest plans have exactly `steps` actions.

    A start is drawn by putting the blocks one by one on the table or on a random tower; the goal is a random
    part of the `on` facts of a random state that lies `steps` actions away.

    Args:
        blocks: Number of blocks, from 2 to 8.
        steps: Optimal plan length: even, since goals of `on` facts are reached with an empty hand.
        count: Number of problems.
        seed: The same seed gives the same problems.
        goal_atoms: Number of `on` facts in each goal; None for a random number.

    Raises:
        InvalidSettingError: No such problems exist, or not so many were found.
    """
    _check_demand(blocks, steps, count, goal_atoms)
    rng = random.Random(f"{seed}/{blocks}/{steps}/{goal_atoms}")
    found: dict[tuple[State, Goal], Task] = {}
    fruitless = 0
    while len(found) < count:
        drawn = _draw(rng, blocks, steps, goal_atoms)
        if drawn is None or drawn in found:
            fruitless += 1
            if fruitless > _FRUITLESS:
                raise InvalidSettingError(
                    f"found only {len(found)} of {count} problems with {blocks} blocks and {steps} optimal steps: "
                    "ask for fewer, or for more blocks"
                )
            continue
        fruitless = 0
        name = f"generated-{blocks}-{steps}-{seed}-{len(found)}"
        metadata = {"optimal_steps": steps, "blocks": blocks, "source": f"generated with seed {seed}"}
        found[drawn] = Task(id=name, text=write_problem(Problem(name, *drawn)), metadata=metadata)
    return list(found.values())


def solve_optimally(problem: Problem | Task, *, max_states: int = MAX_STATES) -> list[str]:
    """A shortest plan by breadth-first search, in English; empty where the goal holds already.

    Raises:
        InvalidTaskError: The task is no PDDL problem.
        InvalidSettingError: More than `max_states` states would have to be visited.
    """
    if isinstance(problem, Task):
        problem = read_problem(problem.text, source=problem.id)
    came: dict[State, tuple[State, Move] | None] = {}
    for layer in _layers(problem.start, came):
        if len(came) > max_states:
            raise InvalidSettingError(f"more than {max_states} states: too many blocks for the exact solver")
        for state in layer:
            if goal_holds(state, problem.goal):
                return _path(state, came)
    raise InvalidTaskError("no plan reaches the goal")


def _layers(start: State, came: dict[State, tuple[State, Move] | None]) -> Iterator[list[State]]:
    """The states at distance 0, 1, 2, ... from `start`; `came` says how each was reached first."""
    came[start] = None
    layer = [start]
    while layer:
        yield layer
        reached: list[State] = []
        for state in layer:
            for move in legal_moves(state):
                child = apply(state, move)
                if child not in came:
                    came[child] = (state, move)
                    reached.append(child)
        layer = reached


def _path(state: State, came: dict[State, tuple[State, Move] | None]) -> list[str]:
    plan: list[str] = []
    while (step := came[state]) is not None:
        state, move = step
        plan.append(action_text(move))
    return plan[::-1]


def _check_demand(blocks: int, steps: int, count: int, goal_atoms: int | None) -> None:
    if count < 0:
        raise InvalidSettingError(f"count must be at least 0, not {count}")
    if not 2 <= blocks <= 8:
        raise InvalidSettingError(f"blocks must be from 2 to 8, not {blocks}")
    longest = 4 * (blocks - 1)
    if steps % 2 or not 2 <= steps <= longest:
        raise InvalidSettingError(f"steps must be even and from 2 to {longest} for {blocks} blocks, not {steps}")
    if goal_atoms is not None and not 1 <= goal_atoms < blocks:
        raise InvalidSettingError(f"goal_atoms must be from 1 to {blocks - 1} for {blocks} blocks, not {goal_atoms}")


def _draw(rng: random.Random, blocks: int, steps: int, goal_atoms: int | None) -> tuple[State, Goal] | None:
    """A random start and goal; None where the draw has no goal at that distance."""
    start = _random_state(rng, blocks)
    layers = []
    for layer in _layers(start, {}):
        layers.append(layer)
        if len(layers) > steps:
            break
    if len(layers) <= steps:
        return None
    on = [fact for fact in facts(rng.choice(layers[steps])) if fact[0] == "on"]
    size = rng.randint(1, len(on)) if goal_atoms is None and on else goal_atoms or 1
    if size > len(on):
        return None
    chosen = set(rng.sample(on, size))
    goal = tuple(fact for fact in on if fact in chosen)
    nearer = any(goal_holds(state, goal) for layer in layers[:steps] for state in layer)
    return None if nearer else (start, goal)


def _random_state(rng: random.Random, blocks: int) -> State:
    supports = [TABLE] * blocks
    tops: list[int] = []
    for block in rng.sample(range(blocks), blocks):
        place = rng.randrange(-1, len(tops))
        if place == TABLE:
            tops.append(block)
        else:
            supports[block], tops[place] = tops[place], block
    return State(tuple(block_name("abcdefgh"[i]) for i in range(blocks)), tuple(supports))


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidTaskError(f"{path}: can't be read: {error}") from error


def _loaded(path: Path, name: str, source: str, metadata: dict[str, Any]) -> Task:
    text = _content(path)
    problem = read_problem(text, source=str(path))
    return Task(id=name, text=text, metadata={**metadata, "blocks": len(problem.start.blocks), "source": source})
