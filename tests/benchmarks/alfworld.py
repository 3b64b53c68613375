"""ALFWorld: our engine beside the stock one with reset-and-replay, measured side by side on generated games.

The stock engine's expansion is worked out from its measured parts: for each child a reset, a replay and a step.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from langchain_linvit.environments.alfworld import AlfworldEnvironment, own_game
from langchain_linvit.environments.alfworld.engine import LoadedGame
from langchain_linvit.environments.alfworld.parts import ENGINE_LOCK, engine_parts
from langchain_linvit.environments.alfworld.source import GameSource, game_source
from langchain_linvit.environments.base import Task

GAMES = ("clean", "two")
REPEATS = 3


class StockGame:
    """A game on TextWorld's own environment, as `alfworld` sets it up; its only fork is reset and replay."""

    def __init__(self) -> None:
        from textworld import EnvInfos
        from textworld.envs.pddl.pddl import PddlEnv

        self._env = PddlEnv(EnvInfos())
        self.state: Any = None

    def load(self, source: GameSource) -> None:
        """Load a game and show the names that ALFWorld shows."""
        grammar = source.grammar.replace("UNKNOWN GOAL", source.goal)
        self._env.load({"pddl_domain": source.domain, "grammar": grammar, "pddl_problem": source.problem})
        names = engine_parts().demangler(game_infos=self._env._entity_infos)
        for info in self._env._entity_infos.values():
            info.name = names.demangle_alfred_name(info.id)

    def reset(self) -> str:
        """Start the game; its first answer."""
        self.state = self._env.reset()
        return str(self.state.feedback)

    def step(self, command: str) -> str:
        """Take a command; the answer."""
        self.state, _, _ = self._env.step(command)
        return str(self.state.feedback)

    def replay(self, commands: list[str]) -> None:
        """Go to the state that `commands` lead to."""
        self.reset()
        for command in commands:
            self.step(command)


def run() -> list[dict[str, Any]]:
    """Seconds of both engines for a load, a reset, a step, a fork and an expansion, and their ratio."""
    rows: list[dict[str, Any]] = []
    for kind in GAMES:
        rows += _game_rows(own_game(kind, 7))
    return rows


def _game_rows(task: Task) -> list[dict[str, Any]]:
    source, path = game_source(task), list(task.metadata["walkthrough"][:-1])
    stock, environment = StockGame(), AlfworldEnvironment()
    with ENGINE_LOCK:
        load = _best(lambda: (stock.load(source), stock.reset())), _best(lambda: LoadedGame(source))
        environment.reset(task)
        reset = _best(stock.reset), _best(lambda: environment.reset(task), 20)
        step = _steps(stock, environment, task, path)
        replay = _best(lambda: stock.replay(path))
        fork = replay, _best(lambda: [environment.fork() for _ in range(100)], 20) / 100
        children = list(environment.admissible_actions())[:28]
        one = _best(lambda: stock.step(children[0]))
        expansion = len(children) * (replay + one), _best(lambda: _expand(environment, children), 5)
    note = f"{task.id}, after {len(path)} steps"
    names = ("load and reset", "reset again", "step", "fork", f"expansion into {len(children)} children")
    measured = dict(zip(names, (load, reset, step, fork, expansion), strict=True))
    rows = []
    for name, (theirs, ours) in measured.items():
        rows += [_row(f"{name}, stock", 1e3 * theirs, "ms", note), _row(f"{name}, ours", 1e3 * ours, "ms", note)]
        rows.append(_row(f"{name}, stock / ours", theirs / ours, "times", note))
    return rows


def _steps(stock: StockGame, environment: AlfworldEnvironment, task: Task, path: list[str]) -> tuple[float, float]:
    """Seconds a step along one path, with the commands that are possible next, in both."""
    theirs, ours = [], []
    for _ in range(REPEATS):
        stock.reset()
        environment.reset(task)
        started = time.perf_counter()
        for command in path:
            stock.step(command)
        theirs.append((time.perf_counter() - started) / len(path))
        started = time.perf_counter()
        for command in path:
            environment.step(command)
            environment.admissible_actions()
        ours.append((time.perf_counter() - started) / len(path))
    return min(theirs), min(ours)


def _expand(environment: AlfworldEnvironment, children: list[str]) -> None:
    """Every child of a state, with its text, its key and its commands."""
    for command in children:
        child = environment.fork()
        child.step(command)
        child.state_text(), child.state_key(), child.admissible_actions()


def _best(work: Callable[[], Any], repeats: int = REPEATS) -> float:
    """The least of some timings, in seconds: the one that was disturbed least."""
    timings = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        timings.append(time.perf_counter() - started)
    return min(timings)


def _row(measure: str, value: float, unit: str, note: str) -> dict[str, Any]:
    return {"benchmark": "alfworld", "measure": measure, "value": value, "unit": unit, "note": note}
