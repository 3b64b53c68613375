"""ALFWorld: every walkthrough wins, and forks agree with the stock engine, which can only start again and replay.

    python -m evals.alfworld_forks --data json_2.1.1/valid_seen --json evals/results/alfworld_forks.json

Every game is played by its walkthrough. In two games of each type, random branches are walked from forks of one
start, a step of any of them at a time, and each step is taken in a fork whose original then goes elsewhere.
TextWorld's own engine replays every branch. A node agrees where the game's answer, the possible commands and the
verdict are all the same.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.progress import track

from evals.common import parser, print_table, write_results
from langchain_linvit.environments.alfworld import ENGINE_LOCK, TASK_TYPES, AlfworldEnvironment, load_games
from langchain_linvit.environments.alfworld.parts import engine_parts
from langchain_linvit.environments.alfworld.source import data_folder
from langchain_linvit.environments.base import Task

GAMES = 2
"""Games of each type."""
WALKS = 2
"""Branches in each game."""
LENGTH = 22
"""Steps of each branch; a branch that happens to win ends there."""
STAY = 0.6
"""Share of steps that do something where the player is; a uniform walk would do little but go about."""
COLUMNS = ("kind", "games", "won", "nodes", "agree")

View = tuple[str, list[str], bool]
"""What there is to see at a node: the game's answer, the possible commands, and whether the game is won."""


class StockEngine:
    """TextWorld's engine on one official game: it can only start again and replay."""

    def __init__(self, task: Task) -> None:
        from textworld import EnvInfos
        from textworld.envs.pddl.pddl import PddlEnv

        self._env = PddlEnv(EnvInfos())
        self._env.load(json.loads((data_folder() / task.data["game"]).read_text(encoding="utf-8")))
        names = engine_parts().demangler(game_infos=self._env._entity_infos)
        for info in self._env._entity_infos.values():
            info.name = names.demangle_alfred_name(info.id)

    def replay(self, commands: Sequence[str]) -> list[View]:
        """What is seen at the start and after every command."""
        states = [self._env.reset()]
        states += [self._env.step(command)[0] for command in commands]
        return [(state.feedback, state["admissible_commands"], state["won"]) for state in states]


def interleaved_walks(
    task: Task, rng: random.Random, *, walks: int = WALKS, length: int = LENGTH
) -> list[tuple[list[str], list[View]]]:  # fmt: skip
    """Random branches from forks of one start; the commands of each, and what was seen before and after them."""
    start = AlfworldEnvironment()
    first = _view(start, start.reset(task))
    heads = [start.fork() for _ in range(walks)]
    branches: list[tuple[list[str], list[View]]] = [([], [first]) for _ in heads]
    order = [index for index in range(walks) for _ in range(length)]
    rng.shuffle(order)
    for index in order:
        actions = heads[index].admissible_actions()
        if not actions:
            continue
        here = [action for action in actions if not action.startswith("go to")]
        action = rng.choice(here if rng.random() < STAY else list(actions))
        heads[index], aside = heads[index].fork(), heads[index]
        commands, views = branches[index]
        views.append(_view(heads[index], heads[index].step(action).observation))
        commands.append(action)
        aside.step(rng.choice(actions))
    return branches


def _view(environment: AlfworldEnvironment, answer: str) -> View:
    return answer, list(environment.admissible_actions()), environment.evaluate().success


def compare(task: Task, rng: random.Random, *, walks: int = WALKS, length: int = LENGTH) -> tuple[int, list[list[str]]]:
    """How many nodes of random branches were compared, starts not counted, and the paths of those that differ.

    The stock engine goes on offering commands in a game that is won; there our environment's list must be empty.
    """
    nodes, different = 0, []
    with ENGINE_LOCK:
        branches = interleaved_walks(task, rng, walks=walks, length=length)
        stock = StockEngine(task)
        for commands, views in branches:
            for step, (expected, view) in enumerate(zip(stock.replay(commands), views, strict=True)):
                answer, possible, won = expected
                if view != (answer, [] if won else possible, won):
                    different.append(commands[:step])
            nodes += len(commands)
    return nodes, different


def wins(task: Task) -> bool:
    """Whether the game's own walkthrough wins it, at its last step and not before."""
    environment = AlfworldEnvironment()
    environment.reset(task)
    transitions = [environment.step(action) for action in task.metadata["walkthrough"]]
    *before, last = [transition.solved for transition in transitions]
    failed = any(transition.error for transition in transitions)
    return bool(last) and not any(before) and not failed and environment.evaluate().success


def main(argv: list[str] | None = None) -> None:
    """Play the walkthroughs, compare nodes of every type, and print how many agree."""
    arguments = parser(__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--data", type=Path, required=True, help="a folder of official games")
    options = arguments.parse_args(argv)
    rows: list[dict[str, Any]] = []
    for kind in TASK_TYPES:
        rng = random.Random(f"forks-{kind}-{options.seed}")
        tasks = load_games(options.data, kinds=[kind])[: options.limit]
        won = sum(wins(task) for task in track(tasks, f"walkthroughs, {kind}", transient=True))
        sample = rng.sample(tasks, min(GAMES, len(tasks)))
        compared = [compare(task, rng) for task in track(sample, f"forks, {kind}", transient=True)]
        nodes, different = sum(count for count, _ in compared), [path for _, paths in compared for path in paths]
        row = {"kind": kind, "games": len(tasks), "won": won, "nodes": nodes, "agree": nodes - len(different)}
        rows.append({**row, "different": different})
    total = {key: sum(row[key] for row in rows) for key in COLUMNS[1:]}
    rows.append({"kind": "all", **total, "different": []})
    settings = {"games": options.data.name, "walks": WALKS, "length": LENGTH, "seed": options.seed}
    write_results(options.json, "alfworld_forks", settings, rows)
    print_table("Walkthroughs that win, and forks beside the stock engine's reset and replay", rows, COLUMNS)


if __name__ == "__main__":
    main()
