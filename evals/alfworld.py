"""ALFWorld: the embedded household policy alone, ReAct-style, best-of-n, and SLINVIT with critic and with rollouts.

    python -m evals.alfworld --data json_2.1.1/valid_seen --json evals/results/alfworld.json

Success is the game's own `won` within 50 real steps, commands that are not possible included. Every method gets
the same embedded policy with the same mistaken beliefs; best-of-n gets, game by game, the completions that SLINVIT
took. The policies' noise was set on generated games and frozen before the planner was measured with them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.progress import track

from evals.common import parser, print_table, write_results
from langchain_linvit.accounting import Budget
from langchain_linvit.environments.alfworld import (
    TASK_TYPES,
    AlfworldEnvironment,
    in_turn,
    load_games,
    map_games,
    own_games,
)
from langchain_linvit.environments.base import Task
from langchain_linvit.evaluation import BestOfN, Greedy, Method, ReAct, SlinvitMethod, judged, summary_row
from langchain_linvit.models.household import MINDS, household_model
from langchain_linvit.models.sampling import named_model
from langchain_linvit.planner import PlanResult
from langchain_linvit.rollouts import RolloutValue

GAMES = 30
"""Games by default, spread over the six types."""
CRITIC: dict[str, Any] = {"preset": "paper-alfworld"}
"""SLINVIT as in the paper: 8 proposals, 2 kept per node, 2 layers, the critic's judgement."""
SUBGOALS: dict[str, Any] = {"preset": "paper-alfworld", "level": "subgoal"}
"""The same over subgoals in words, each carried out by the policy."""
ROLLOUTS: dict[str, Any] = {"preset": "paper-alfworld", "value": RolloutValue(2)}
"""The same with Monte-Carlo values: two episodes of the policy from every state of a layer."""
VALUES = ("critic", "rollouts")
"""Value estimators to measure; rollouts take about twice the completions of the critic."""
COLUMNS = (
    "method", "prior", "value", "n", "success", *TASK_TYPES, "steps", "llm_calls", "env_steps", "seconds", "errors",
)  # fmt: skip

Played = dict[tuple[str, str, str | None], PlanResult | Exception]
"""The results of one game, by method, level and value."""


def play(task: Task, *, levels: Sequence[str], values: Sequence[str], model: str | None, seed: int) -> Played:
    """Every method on one game, which is loaded once for all of them."""
    environment = AlfworldEnvironment()
    results: Played = {}
    for level in levels:
        chat_model = partial(named_model, model) if model else partial(household_model, level, seed=seed)
        searched: list[Method] = []
        if "critic" in values:
            searched.append(SlinvitMethod(environment, retry_delay=0.0, **CRITIC))
            searched.append(SlinvitMethod(environment, name="slinvit, subgoals", retry_delay=0.0, **SUBGOALS))
        if "rollouts" in values:
            searched.append(SlinvitMethod(environment, name="slinvit, rollouts", retry_delay=0.0, **ROLLOUTS))
        for alone in (Greedy(environment, retry_delay=0.0), ReAct(environment, retry_delay=0.0)):
            results[alone.name, level, None] = attempt(alone, task, chat_model(), Budget(), seed)
        for method in searched:
            result = attempt(method, task, chat_model(), Budget(), seed)
            results[method.name, level, "rollouts" if "rollouts" in method.name else "critic"] = result
            best = BestOfN(environment, value="critic", retry_delay=0.0)
            results[f"best_of_n (= {method.name})", level, "critic"] = attempt(
                best, task, chat_model(), completions(result), seed
            )
    return results


def attempt(method: Method, task: Task, model: Any, budget: Budget, seed: int) -> PlanResult | Exception:
    """A judged result; what a run raises is kept, and counts as unsolved."""
    try:
        return judged(method.solve(task, model=model, budget=budget, seed=seed), task, AlfworldEnvironment())
    except Exception as error:
        return error


def completions(result: PlanResult | Exception) -> Budget:
    """A budget of the completions that a run took; at least one."""
    return Budget(completions=max(result.usage.llm_calls, 1) if isinstance(result, PlanResult) else 1)


def rows_of(tasks: Sequence[Task], played: Sequence[Played]) -> list[dict[str, Any]]:
    """A row per method and level, with success by type."""
    rows = []
    for key in played[0]:  # every game was played by the same methods
        method, level, value = key
        results = [results_of_game[key] for results_of_game in played]
        row = summary_row(results, method=method, prior=level, value=value).model_dump()
        for kind in TASK_TYPES:
            won = [_won(r) for task, r in zip(tasks, results, strict=True) if task.metadata["kind"] == kind]
            row[kind] = sum(won) / len(won) if won else None
        good = [result for result in results if isinstance(result, PlanResult)]
        row["steps"] = round(sum(len(result.trajectory) for result in good) / max(len(good), 1), 2)
        rows.append(row)
    return sorted(rows, key=lambda row: list(MINDS).index(row["prior"]) if row["prior"] in MINDS else 0)


def _won(result: PlanResult | Exception) -> bool:
    return isinstance(result, PlanResult) and result.verdict is not None and result.verdict.success


def main(argv: list[str] | None = None) -> None:
    """Run the evaluation and print its table."""
    arguments = parser(__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--data", type=Path, help="a folder of official games; default: generated games")
    arguments.add_argument("--full", action="store_true", help=f"all games, not {GAMES} spread over the types")
    arguments.add_argument("--levels", nargs="*", default=list(MINDS), help="noise levels of the embedded policy")
    arguments.add_argument("--values", nargs="*", default=list(VALUES), choices=VALUES, help="estimators to measure")
    arguments.add_argument("--processes", type=int, default=1, help="games at once, each in its own process")
    options = arguments.parse_args(argv)
    tasks = own_games(GAMES, seed=1_000 + options.seed) if options.data is None else load_games(options.data)
    if not options.full:
        tasks = in_turn(tasks, options.limit or GAMES)
    levels = [options.model] if options.model else options.levels
    started = time.monotonic()
    playing = partial(play, levels=levels, values=options.values, model=options.model, seed=options.seed)
    games = map_games(playing, tasks, processes=options.processes)
    played = list(track(games, "games", total=len(tasks), transient=True))
    rows = rows_of(tasks, played)
    settings = {
        "games": "generated" if options.data is None else options.data.name,
        "n": len(tasks),
        "seed": options.seed,
        "critic": "preset paper-alfworld",
        "rollouts": "preset paper-alfworld with 2 rollouts a state",
        "seconds": round(time.monotonic() - started, 1),
    }
    write_results(options.json, "alfworld", settings, rows)
    print_table(f"ALFWorld, {len(tasks)} games", rows, COLUMNS)


if __name__ == "__main__":
    main()
