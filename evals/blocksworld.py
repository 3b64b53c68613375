"""BlocksWorld: SLINVIT against its baselines, for priors from good to adversarial and every value estimator.

    python -m evals.blocksworld --problems step_6.json --json results.json

Success is the independent plan validator's verdict on the actions taken, within the label's horizon. The
embedded models were frozen before the planner was measured; settings were chosen on generated problems.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.progress import track

from evals.common import parser, print_table, write_results
from langchain_linvit.accounting import Budget
from langchain_linvit.environments.base import Task
from langchain_linvit.environments.blocksworld import (
    BlocksWorldEnvironment,
    blocks_in_place,
    generate_problems,
    load_problem_list,
)
from langchain_linvit.evaluation import (
    BeamSearch,
    BestOfN,
    BreadthFirst,
    Greedy,
    Method,
    SlinvitMethod,
    judged,
    summary_row,
)
from langchain_linvit.models.blocksworld import VERSION, blocksworld_model
from langchain_linvit.models.sampling import named_model
from langchain_linvit.planner import PlanResult

PRIORS = ("novice-0", "novice-1", "novice-2", "novice-3", "novice-4", "uniform", "adversarial")
"""Embedded models: the novice at five noise levels, one without an opinion, one that is wrong."""
COLUMNS = (
    "method", "prior", "value", "n", "solved", "success", "llm_calls", "requests", "unique_states", "env_steps",
    "seconds", "errors", "note",
)  # fmt: skip
SEARCH: dict[str, Any] = {"candidates": None, "beam": 3, "depth": 6, "retry_delay": 0.0}
"""SLINVIT where a value is cheap: every action scored by the prior, three states kept per layer."""
FAILURE_RATE = 0.3
"""Share of the calls that fail in the rows on failures."""
ROLLOUTS: dict[str, Any] = {"candidates": None, "beam": 3, "depth": 3, "retry_delay": 0.0}
"""SLINVIT with rollouts: less deep, since each state costs four episodes."""


def without_model() -> Iterator[tuple[Method, str, str | None]]:
    """The rows that no model has a part in, and the rule value under a uniform prior."""
    environment = BlocksWorldEnvironment()
    yield BreadthFirst(environment), "none", None
    yield BeamSearch(environment, beam=3, value=blocks_in_place), "none", "rules"
    yield SlinvitMethod(environment, value=blocks_in_place, **SEARCH), "uniform (no model)", "rules"
    paper = {"candidates": None, "breadth": 2, "depth": 6, "kl_coef": 0.0}
    yield (
        SlinvitMethod(environment, name="slinvit (paper's k=2)", value=blocks_in_place, **paper),
        "uniform (no model)",
        "rules",
    )


def with_model() -> list[tuple[Method, str | None]]:
    """SLINVIT with each value estimator; the baselines come beside them."""
    environment = BlocksWorldEnvironment()
    return [
        (SlinvitMethod(environment, value=blocks_in_place, **SEARCH), "rules"),
        (SlinvitMethod(environment, value="rules", **SEARCH), "llm_rules"),
        (SlinvitMethod(environment, value="critic", **SEARCH), "critic"),
        (SlinvitMethod(environment, value="rollouts", **ROLLOUTS), "rollouts"),
    ]


def run(method: Method, tasks: list[Task], model: Any, seed: int, budgets: list[Budget] | None = None) -> list[Any]:
    """Results with their verdict; a run that raises is kept as its exception, and counts as unsolved."""
    environment = BlocksWorldEnvironment()
    results: list[PlanResult | Exception] = []
    for index, task in enumerate(track(tasks, method.name, transient=True)):
        budget = budgets[index] if budgets else Budget()
        try:
            results.append(judged(method.solve(task, model=model, budget=budget, seed=seed), task, environment))
        except Exception as error:
            results.append(error)
    return results


def rows_for(prior: str, make_model: Callable[[str], Any], tasks: list[Task], seed: int) -> Iterator[dict[str, Any]]:
    """Greedy, SLINVIT with every estimator, and best-of-n at the completions that its rollouts took."""
    environment = BlocksWorldEnvironment()
    greedy = run(Greedy(environment, retry_delay=0.0), tasks, make_model(prior), seed)
    yield summary_row(greedy, method="greedy", prior=prior, value=None).model_dump()
    for method, value in with_model():
        results = run(method, tasks, make_model(prior), seed)
        yield summary_row(results, method=method.name, prior=prior, value=value).model_dump()
        if value == "rollouts":
            budgets = [
                Budget(completions=max((getattr(r, "usage", None) and r.usage.llm_calls) or 0, 1)) for r in results
            ]
            best = run(BestOfN(environment, value="critic", retry_delay=0.0), tasks, make_model(prior), seed, budgets)
            note = "at most the completions of slinvit with rollouts, task by task"
            yield summary_row(best, method="best_of_n", prior=prior, value="critic", note=note).model_dump()


def failure_rows(prior: str, tasks: list[Task], seed: int) -> Iterator[dict[str, Any]]:
    """SLINVIT while 30% of the calls fail at random: freely, and with 1/0.7 of each clean run's completions."""
    for method, value in with_model():
        if value not in {"rules", "rollouts"}:
            continue
        clean = run(method, tasks, blocksworld_model(prior), seed)
        caps = [Budget(completions=math.ceil(completions(result) / (1 - FAILURE_RATE))) for result in clean]
        for budgets, cap in ((None, "no cap"), (caps, f"each task at most 1/{1 - FAILURE_RATE:.1f} of its clean run")):
            failing = blocksworld_model(prior, failure_rate=FAILURE_RATE, failure_seed=seed)
            row = summary_row(
                run(method, tasks, failing, seed, budgets),
                method="slinvit, 30% of calls fail",
                prior=prior,
                value=value,
            )
            note = f"{row.llm_calls / sum(map(completions, clean)) * len(clean):.2f} x the clean completions; {cap}"
            yield row.model_copy(update={"note": note}).model_dump()


def completions(result: PlanResult | Exception) -> int:
    """What best-of-n may spend where this run came from: at least one completion."""
    return max(result.usage.llm_calls, 1) if isinstance(result, PlanResult) else 1


def main(argv: list[str] | None = None) -> None:
    """Run the evaluation and print its table."""
    arguments = parser(__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--problems", type=Path, help="a PlanBench list; default: 30 generated 6-step problems")
    arguments.add_argument("--priors", nargs="*", default=list(PRIORS), help="embedded models to compare")
    arguments.add_argument("--failures", action="store_true", help="also with 30%% of the calls failing")
    options = arguments.parse_args(argv)
    tasks = (
        load_problem_list(options.problems)
        if options.problems
        else generate_problems(blocks=4, steps=6, count=30, seed=options.seed)
    )[: options.limit]
    settings = {
        "problems": options.problems.name if options.problems else "generated: 4 blocks, 6 steps",
        "n": len(tasks),
        "seed": options.seed,
        "policies": VERSION,
        "search": SEARCH,
        "rollouts": ROLLOUTS,
    }
    rows: list[dict[str, Any]] = []
    for method, prior, value in without_model():
        results = run(method, tasks, None, options.seed)
        rows.append(summary_row(results, method=method.name, prior=prior, value=value).model_dump())
    write_results(options.json, "blocksworld", settings, rows)
    for prior in [options.model] if options.model else options.priors:
        rows += rows_for(prior, named_model if options.model else blocksworld_model, tasks, options.seed)
        write_results(options.json, "blocksworld", settings, rows)
    if options.failures:
        rows += failure_rows(options.priors[0], tasks, options.seed)
        write_results(options.json, "blocksworld", settings, rows)
    print_table(f"BlocksWorld, {len(tasks)} problems", rows, COLUMNS)


if __name__ == "__main__":
    main()
