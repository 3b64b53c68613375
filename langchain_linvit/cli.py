"""The command line `linvit`: thin, over the same public API."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from langchain_linvit.accounting import Budget
from langchain_linvit.applications import Application, TaskChoice, application, chosen
from langchain_linvit.display import SearchProgress, plain, result_view
from langchain_linvit.environments.base import Task
from langchain_linvit.errors import InvalidSettingError, LinvitError
from langchain_linvit.planner.graph import Planner
from langchain_linvit.planner.result import PlanResult

if TYPE_CHECKING:
    from langchain_linvit.evaluation.comparison import Comparison

app = typer.Typer(
    help="Plan with a chat model as a policy prior (LINVIT and SLINVIT).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
PIPED_WIDTH = 140
"""Columns of a table that goes to a file."""
DEMO_STEPS = (4, 6, 8)
"""Optimal lengths of the problems that the demonstration plans."""


@app.command()
def solve(
    environment: Annotated[str, typer.Argument(help="The application: blocksworld, ...")],
    problem: Annotated[Path | None, typer.Option(help="A problem file (BlocksWorld: .pddl, or a .json list).")] = None,
    data: Annotated[Path | None, typer.Option(help="A folder of benchmark data.")] = None,
    task: Annotated[str | None, typer.Option(help="Number (from 1) or id of one of several tasks.")] = None,
    model: Annotated[str | None, typer.Option(help="A chat model, e.g. openai:gpt-4o-mini. Default: offline.")] = None,
    preset: Annotated[str | None, typer.Option(help="Settings by name, e.g. paper-blocksworld-6.")] = None,
    value: Annotated[str | None, typer.Option(help="rollouts, critic, rules, agreement or oracle.")] = None,
    candidates: Annotated[int | None, typer.Option(help="Proposals per node.")] = None,
    breadth: Annotated[int | None, typer.Option(help="Children kept per node.")] = None,
    beam: Annotated[int | None, typer.Option(help="Children kept per layer.")] = None,
    depth: Annotated[int | None, typer.Option(help="Layers to look ahead.")] = None,
    kl_coef: Annotated[float | None, typer.Option(help="Weight of log pi_LLM.")] = None,
    horizon: Annotated[int | None, typer.Option(help="Real steps.")] = None,
    policy_rollouts: Annotated[int | None, typer.Option(help="Episodes of the model alone to try first.")] = None,
    max_completions: Annotated[int | None, typer.Option(help="Budget of completions.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Budget of tokens.")] = None,
    max_env_steps: Annotated[int | None, typer.Option(help="Budget of environment steps.")] = None,
    max_seconds: Annotated[float | None, typer.Option(help="Budget of seconds.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of all random choices.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the whole result to this file.")] = None,
    tree: Annotated[bool, typer.Option(help="Show the search tree.")] = True,
) -> None:
    """Plan one task and show how: progress, plan, search tree, accounting. Exit status 1 if it is not solved."""
    chosen_application = application(environment)
    choice = TaskChoice(problem, data, task, seed)
    the_task = chosen(chosen_application.tasks(choice), choice)
    searching = {
        "candidates": candidates, "breadth": breadth, "beam": beam, "depth": depth, "kl_coef": kl_coef,
        "horizon": horizon, "value": value, "policy_rollouts": policy_rollouts,
    }  # fmt: skip
    limits = {"completions": max_completions, "tokens": max_tokens, "env_steps": max_env_steps, "seconds": max_seconds}
    named = {name: setting for name, setting in searching.items() if setting is not None}
    planner = _planner(chosen_application, choice, model, preset, _budget(limits), seed, named)
    result = _watch(planner, the_task, Console())
    Console().print(result_view(result, tree=tree))
    if json_file is not None:
        _write_json(json_file, result)
    if result.outcome not in {"solved", "done"}:
        raise typer.Exit(1)


@app.command("eval")
def evaluate(
    benchmark: Annotated[str, typer.Argument(help="blocksworld, alfworld, intercode-sql or intercode-bash.")],
    method: Annotated[list[str] | None, typer.Option(help="slinvit (default), greedy, react, ...; repeatable.")] = None,
    data: Annotated[Path | None, typer.Option(help="The full set: a file or folder of benchmark data.")] = None,
    split: Annotated[str | None, typer.Option(help="Only this split, e.g. step_6 or valid_seen.")] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many tasks, spread over their kinds.")] = None,
    budget: Annotated[int | None, typer.Option(min=0, help="Completions per task.")] = None,
    model: Annotated[str | None, typer.Option(help="A chat model, e.g. openai:gpt-4o-mini. Default: offline.")] = None,
    value: Annotated[str | None, typer.Option(help="rollouts, critic, rules, agreement or oracle.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of all random choices.")] = 0,
    repetitions: Annotated[int, typer.Option(help="How often each task is run.")] = 1,
    concurrency: Annotated[int, typer.Option(help="Tasks under way at once.")] = 1,
    shards: Annotated[int, typer.Option(help="Processes on Ray (extra ray); 0: none.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Keep results here, a folder per method; resumes one.")] = None,
    retry_errors: Annotated[bool, typer.Option(help="On a resume, run failed tasks again.")] = False,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report to this file.")] = None,
    upload: Annotated[bool, typer.Option(help="Make LangSmith experiments too; needs a key.")] = False,
) -> None:
    """Run methods on a benchmark, and print a row for each. Exit status 1 if no task could be run."""
    from langchain_linvit.evaluation import load_dataset, run_experiment
    from langchain_linvit.evaluation.summary import experiment_row, summary_table
    from langchain_linvit.evaluation.tables import rich_table

    examples = load_dataset(benchmark, data=data, split=split, limit=limit, seed=seed)
    settings: dict[str, Any] = {} if value is None else {"value": value}
    results = [
        run_experiment(
            name, examples, model=model, budget=Budget(completions=budget), seed=seed, repetitions=repetitions,
            concurrency=concurrency, shards=shards, out=None if out is None else out / name,
            retry_errors=retry_errors, upload=upload, **settings,
        )
        for name in method or ["slinvit"]
    ]  # fmt: skip
    rows = [experiment_row(found) for found in results]
    console = Console() if sys.stdout.isatty() else Console(width=PIPED_WIDTH)
    console.print(rich_table(summary_table(rows, f"{benchmark}, {len(examples)} tasks")))
    for reason, count in Counter(filter(None, (r.trouble for found in results for r in found.records))).most_common(5):
        console.print(Text(f"{count} failed: {plain(reason, 300)}", style="red"))
    if report is not None:
        from langchain_linvit.evaluation.report import write_report

        write_report(results, report)
    if all(row.errors == row.n for row in rows):
        raise typer.Exit(1)


@app.command()
def demo(seed: Annotated[int, typer.Option(help="Seed of the problems.")] = 0) -> None:
    """Plan generated BlocksWorld problems offline: the model alone first, then with the planner."""
    from langchain_linvit.environments.blocksworld import BlocksWorldEnvironment, generate_problems
    from langchain_linvit.evaluation import Greedy

    console = Console()
    blocksworld = application("blocksworld")
    choice = TaskChoice(seed=seed)
    for steps in DEMO_STEPS:
        task = generate_problems(blocks=4, steps=steps, count=1, seed=seed)[0]
        console.rule(f"BlocksWorld, {steps} steps at best")
        alone = Greedy(BlocksWorldEnvironment()).solve(task, model=blocksworld.offline_model(choice))
        console.print(Text(f"The model alone: {alone.outcome} ({plain(alone.reason)})"))
        planner = _planner(blocksworld, choice, None, None, Budget(), seed, {})
        console.print(result_view(_watch(planner, task, console), tree=steps == DEMO_STEPS[0]))


@app.command()
def compare(
    folders: Annotated[list[Path], typer.Argument(help="Folders of results; the first is compared with each other.")],
    by: Annotated[str | None, typer.Option(help="Also by group: a metadata key, e.g. hardness.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the comparison to this file.")] = None,
) -> None:
    """Compare experiments item by item: differences with intervals, McNemar's test, costs."""
    from langchain_linvit.evaluation.comparison import compare as compared

    if len(folders) < 2:
        raise InvalidSettingError("a comparison takes two folders of results or more: linvit compare A B")
    comparison = compared(folders[0], folders[1], *folders[2:], by=by, seed=seed)
    Console().print(comparison)
    if json_file is not None:
        _write_json(json_file, comparison)


@app.command()
def report(
    folders: Annotated[list[Path], typer.Argument(help="Folders of results, the one of interest first.")],
    out: Annotated[Path | None, typer.Option(help="Write one self-contained HTML page to this file.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the tables as Markdown to this file.")] = None,
    title: Annotated[str | None, typer.Option(help="Heading of the report.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
) -> None:
    """Report experiments: tables, comparisons, charts, and every run with its search tree to open and follow."""
    from langchain_linvit.evaluation.report import TITLE, write_markdown, write_report
    from langchain_linvit.evaluation.results import ExperimentResults

    if out is None and markdown is None:
        raise InvalidSettingError("name a file to write: --out report.html, --markdown report.md, or both")
    results = [ExperimentResults.load(folder) for folder in folders]
    if out is not None:
        write_report(results, out, title=title or TITLE, seed=seed)
    if markdown is not None:
        write_markdown(results, markdown, title=title or TITLE, seed=seed)
    Console().print(Text(f"written: {', '.join(str(path) for path in (out, markdown) if path is not None)}"))


def _planner(
    chosen_application: Application, choice: TaskChoice, model: str | None, preset: str | None, budget: Budget,
    seed: int, named: dict[str, Any],
) -> Planner:  # fmt: skip
    return chosen_application.planner(choice, model=model, preset=preset, budget=budget, seed=seed, **named)


def _budget(limits: dict[str, Any]) -> Budget:
    negative = [name for name, limit in limits.items() if limit is not None and limit < 0]
    if negative:
        raise InvalidSettingError(
            f"--max-{negative[0].replace('_', '-')} must be at least 0, not {limits[negative[0]]}"
        )
    return Budget(**limits)


def _watch(planner: Planner, task: Task, console: Console) -> PlanResult:
    """Run a planner with live progress; its result."""
    progress = SearchProgress()
    result: PlanResult | None = None
    with Live(progress, console=console, refresh_per_second=8, transient=True):
        for mode, chunk in planner.stream({"task": task}, stream_mode=["custom", "updates"]):
            if mode == "custom" and isinstance(chunk, dict):
                progress.update(chunk)
            elif isinstance(chunk, dict) and "finish" in chunk:
                result = chunk["finish"]["result"]
    if result is None:
        raise LinvitError("the planner ended without a result")
    return result


def _write_json(path: Path, result: PlanResult | Comparison) -> None:
    try:
        path.write_text(json.dumps(result.to_dict(), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise InvalidSettingError(f"the result can't be written to {path}: {error.strerror}") from error


def main() -> None:
    """Run the command line; a library error is one line on stderr and exit status 2, never a traceback."""
    try:
        app()
    except LinvitError as error:
        Console(stderr=True).print(Text(f"linvit: {plain(str(error), 600)}", style="red"))
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
