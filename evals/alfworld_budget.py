"""ALFWorld: SLINVIT and best-of-n at equal budgets of completions, and at equal real steps.

    python -m evals.alfworld_budget --data json_2.1.1/valid_seen --json evals/results/alfworld_budget.json

`evals.alfworld` gives best-of-n the completions that SLINVIT took, and 50 real steps: more of both than it needs, so
that the two end alike. Here each gets the same fixed budget, from scarce to ample. The budgets are powers of two,
and the lean setting of SLINVIT was chosen on generated games: nothing is tuned to the games that are measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.progress import track

from evals.alfworld import CRITIC, GAMES, attempt
from evals.common import parser, print_table, write_results
from langchain_linvit.accounting import Budget
from langchain_linvit.environments.alfworld import AlfworldEnvironment, in_turn, load_games, map_games, own_games
from langchain_linvit.environments.base import Task
from langchain_linvit.evaluation import BestOfN, Greedy, Method, SlinvitMethod, summary_row
from langchain_linvit.models.household import MINDS, household_model
from langchain_linvit.planner import PlanResult

COMPLETIONS = (16, 32, 64, 128, 256)
"""Budgets of completions, each with ALFWorld's 50 real steps."""
HORIZON = 50
REAL_STEPS = (5, 10, 20)
"""Scarcer real steps, each with the largest budget of completions; plans tried in forks may be no longer."""
LEAN: dict[str, Any] = {"value": "critic", "candidates": 3, "depth": 1}
"""SLINVIT with one layer of three proposals: the best of 16 settings on generated games, with 32 and 64 completions."""
POLICY_FIRST: dict[str, Any] = {**LEAN, "policy_rollouts": 4}
"""The same after up to four episodes of the policy alone: the best of 0, 1, 2 and 4 on generated games, likewise."""
COLUMNS = (
    "method", "prior", "completions", "real_steps", "n", "success", "llm_calls", "requests", "env_steps", "steps",
    "errors",
)  # fmt: skip

Point = tuple[int, int]
"""Completions and real steps that a run may take."""
POINTS: tuple[Point, ...] = (
    *((calls, HORIZON) for calls in COMPLETIONS),
    *((COMPLETIONS[-1], steps) for steps in REAL_STEPS),
)
Played = dict[tuple[str, str, Point], PlanResult | Exception]
"""The results of one game, by method, level and budget."""


def methods(environment: AlfworldEnvironment, horizon: int) -> Iterator[Method]:
    """What is compared, for episodes of `horizon` real steps."""
    options: dict[str, Any] = {"horizon": horizon, "retry_delay": 0.0}
    yield Greedy(environment, **options)
    yield BestOfN(environment, value="critic", **options)
    yield SlinvitMethod(environment, **{**CRITIC, **options})
    yield SlinvitMethod(environment, name="slinvit, lean", **LEAN, **options)
    yield SlinvitMethod(environment, name="slinvit, policy first", **POLICY_FIRST, **options)


def play(task: Task, *, levels: Sequence[str], seed: int) -> Played:
    """Every method at every budget on one game, which is loaded once for all of them."""
    environment = AlfworldEnvironment()
    results: Played = {}
    for level in levels:
        for completions, steps in POINTS:
            for method in methods(environment, steps):
                model = household_model(level, seed=seed)  # type: ignore[arg-type]
                budget = Budget(completions=completions)
                results[method.name, level, (completions, steps)] = attempt(method, task, model, budget, seed)
    return results


def rows_of(played: Sequence[Played]) -> list[dict[str, Any]]:
    """A row per method, level and budget."""
    rows = []
    for method, level, point in played[0]:
        results = [game[method, level, point] for game in played]
        row = summary_row(
            results, method=method, prior=level, value=None if method == "greedy" else "critic"
        ).model_dump()
        good = [result for result in results if isinstance(result, PlanResult)]
        row |= {"completions": point[0], "real_steps": point[1]}
        row["steps"] = round(sum(len(result.trajectory) for result in good) / max(len(good), 1), 2)
        rows.append(row)
    return sorted(rows, key=lambda row: list(MINDS).index(row["prior"]))


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Success against both budgets, a row of panels for each level."""
    from matplotlib.figure import Figure

    levels = list(dict.fromkeys(row["prior"] for row in rows))
    figure = Figure(figsize=(9, 3 * len(levels)), layout="constrained")
    for line, axes in zip(levels, figure.subplots(len(levels), 2, squeeze=False, sharey=True), strict=True):
        own = [row for row in rows if row["prior"] == line]
        calls = [row for row in own if row["real_steps"] == HORIZON]
        steps = [row for row in own if row["completions"] == COMPLETIONS[-1]]
        _panel(axes[0], calls, lambda row: row["completions"], f"completions, {HORIZON} real steps", line)
        _panel(axes[1], steps, lambda row: row["real_steps"], f"real steps, {COMPLETIONS[-1]} completions", line)
    axes[1].legend(fontsize=8)
    figure.savefig(path, dpi=100)


def _panel(
    axes: Any, rows: Sequence[dict[str, Any]], budget: Callable[[dict[str, Any]], int], name: str, level: str
) -> None:
    for method in dict.fromkeys(row["method"] for row in rows):
        points = sorted((budget(row), row["success"]) for row in rows if row["method"] == method)
        axes.plot([x for x, _ in points], [y for _, y in points], marker="o", label=method)
    axes.set_xscale("log", base=2)
    ticks = sorted({budget(row) for row in rows})
    axes.set_xticks(ticks, labels=[str(tick) for tick in ticks])
    axes.set(xlabel=f"at most so many {name}", ylabel=f"games won ({level})", ylim=(-0.03, 1.03))
    axes.grid(alpha=0.3)


def main(argv: list[str] | None = None) -> None:
    """Run the evaluation, print its table, and draw it beside the results."""
    arguments = parser(__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--data", type=Path, help="a folder of official games; default: generated games")
    arguments.add_argument("--levels", nargs="*", default=["novice", "careless"], choices=list(MINDS))
    arguments.add_argument("--processes", type=int, default=1, help="games at once, each in its own process")
    options = arguments.parse_args(argv)
    tasks = own_games(GAMES, seed=1_000 + options.seed) if options.data is None else load_games(options.data)
    tasks = in_turn(tasks, options.limit or GAMES)
    started = time.monotonic()
    games = map_games(partial(play, levels=options.levels, seed=options.seed), tasks, processes=options.processes)
    rows = rows_of(list(track(games, "games", total=len(tasks), transient=True)))
    settings = {
        "games": "generated" if options.data is None else options.data.name,
        "n": len(tasks),
        "seed": options.seed,
        "slinvit": "preset paper-alfworld",
        "slinvit, lean": LEAN,
        "slinvit, policy first": POLICY_FIRST,
        "seconds": round(time.monotonic() - started, 1),
    }
    write_results(options.json, "alfworld_budget", settings, rows)
    if options.json:
        draw(rows, options.json.with_suffix(".png"))
    print_table(f"ALFWorld at equal budgets, {len(tasks)} games", rows, COLUMNS)


if __name__ == "__main__":
    main()
