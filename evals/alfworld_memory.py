"""Resident memory of one process that plays ALFWorld games, one after the other: it must level off.

    python -m evals.alfworld_memory --data json_2.1.1/valid_seen --json evals/results/alfworld_memory.json

Every game is loaded, played by its walkthrough, and forked at every step into all its children.
"""

from __future__ import annotations

import gc
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from rich.progress import track

from evals.common import parser, print_table, write_results
from langchain_linvit.environments.alfworld import AlfworldEnvironment, load_games, own_games
from langchain_linvit.environments.base import Task

GAMES = 200
EVERY = 20


def resident() -> float:
    """Resident memory of this process in megabytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def play(task: Task) -> int:
    """Play a game and visit all children on the way; how many states were visited."""
    environment = AlfworldEnvironment()
    environment.reset(task)
    states = 0
    for action in task.metadata["walkthrough"]:
        for command in environment.admissible_actions():
            child = environment.fork()
            child.step(command)
            states += 1
        environment.step(action)
    return states


def curve(tasks: list[Task], games: int) -> list[dict[str, Any]]:
    """Memory after every `EVERY` games; beyond the end of `tasks` they are played again."""
    rows = []
    states = 0
    for number, task in enumerate(track(list(islice(cycle(tasks), games)), "games", transient=True), 1):
        states += play(task)
        if number % EVERY == 0:
            gc.collect()
            rows.append({"games": number, "states": states, "resident_mb": round(resident(), 1)})
    return rows


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """The curve as a picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot([row["games"] for row in rows], [row["resident_mb"] for row in rows], marker="o")
    axes.set(xlabel="games played in one process", ylabel="resident memory (MB)", ylim=(0, None))
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def main(argv: list[str] | None = None) -> None:
    """Play the games, print the curve, and draw it beside the results."""
    arguments = parser(__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--data", type=Path, help="a folder of official games; default: generated games")
    options = arguments.parse_args(argv)
    games = options.limit or GAMES
    tasks = own_games(games, seed=options.seed) if options.data is None else load_games(options.data)
    rows = curve(tasks, games)
    settings = {"games": "generated" if options.data is None else options.data.name, "distinct": len(tasks)}
    write_results(options.json, "alfworld_memory", settings, rows)
    if options.json:
        draw(rows, options.json.with_suffix(".png"))
    print_table("Resident memory", rows, ("games", "states", "resident_mb"))


if __name__ == "__main__":
    main()
