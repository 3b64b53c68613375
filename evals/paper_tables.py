"""The paper's tables: SLINVIT against every baseline at equal budgets of completions, on its four benchmarks.

    python -m evals.paper_tables --quick
    python -m evals.paper_tables --data ~/benchmarks --intercode-dir ~/intercode --json evals/results/paper_tables.json

`--data` is a folder with `blocksworld/rap/step_4.json` and `step_6.json`, `intercode/ic_spider_dev.json`,
`intercode/recorded/*.json.xz` and `alfworld/valid_seen`. What is absent is generated, or ships with a package; the
tables say which. Nothing is connected to. A run that was killed goes on where it stopped when it is given its
folder again (`--out`).
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from evals.common import parser, write_results
from evals.paper.benchmarks import BENCHMARKS, Benchmark, Scope
from evals.paper.runs import collected, run_all, runnable
from evals.paper.tables import budget_table, group_table
from evals.paper.verdicts import row_of, sentences, verdicts
from langchain_linvit.errors import LinvitError
from langchain_linvit.evaluation import ExperimentResults
from langchain_linvit.evaluation.tables import rich_table


def main(argv: list[str] | None = None) -> None:
    """Run what is missing, then print the tables of everything that was run."""
    options = _parser().parse_args(argv)
    if options.model:
        sys.exit("the paper's tables are offline ones; for a model of yours: linvit eval BENCHMARK --model NAME")
    os.environ.setdefault("TQDM_DISABLE", "1")  # LangSmith's own bar, one for each experiment
    started = time.monotonic()
    scope = Scope(options.data, options.intercode_dir, options.quick, options.full, options.limit, options.seed)
    out = options.out or Path(tempfile.mkdtemp(prefix="paper-tables-"))
    console = Console(width=160)
    chosen, missing = runnable(options.benchmarks, scope)
    for reason in missing:
        console.print(f"! {reason}", style="yellow", markup=False)
    console.print(f"experiments in {out}; after an interruption the same with --out {out} goes on", markup=False)
    try:
        run_all(chosen, scope, out, methods=options.methods, processes=options.processes)
    except LinvitError as error:
        sys.exit(str(error))
    rows: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    results: list[ExperimentResults] = []
    for each in chosen:
        shown = show(each, out, options.methods, console)
        rows, found, results = rows + shown[0], found + shown[1], results + shown[2]
    settings = {
        "scope": {key: value for key, value in asdict(scope).items() if key not in ("data", "intercode_dir")},
        "benchmarks": {each.name: each.about for each in chosen},
        "left_out": missing,
        "verdicts": found,
        "cpu_seconds": round(_cpu_seconds(), 1),
        "wall_seconds": round(time.monotonic() - started, 1),
        "processes": options.processes,
    }
    write_results(options.json, "paper_tables", settings, rows)
    console.print(f"{settings['wall_seconds']} s, {settings['cpu_seconds']} CPU seconds, {options.processes} processes")
    if options.report:
        _report(results, options.report)


def show(
    chosen: Benchmark, out: Path, methods: list[str] | None, console: Console
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[ExperimentResults]]:  # fmt: skip
    """Print a benchmark's tables; its rows, its verdicts, and its experiments."""
    ran = list(collected(chosen, out, methods))
    rows = [row_of(chosen, *each) for each in ran]
    found = verdicts(chosen, ran)
    console.print(rich_table(budget_table(chosen.about, rows, sentences(found))))
    by_group = group_table(chosen.about, rows)
    if by_group is not None:
        console.print(rich_table(by_group))
    return rows, [{**each.model_dump(), "standing": each.standing} for each in found], [each[2] for each in ran]


def _parser() -> Any:
    arguments = parser(__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--data", type=Path, help="a folder of benchmark data; see above")
    arguments.add_argument("--intercode-dir", type=Path, help="a clone of InterCode's repository, for the Bash tasks")
    arguments.add_argument("--quick", action="store_true", help="a few generated or shipped tasks, at two budgets")
    arguments.add_argument("--full", action="store_true", help="all tasks, not 30 games, 60 SQL and 40 Bash tasks")
    arguments.add_argument("--out", type=Path, help="a folder for the experiments; an interrupted run goes on in it")
    arguments.add_argument("--benchmarks", nargs="*", default=list(BENCHMARKS), choices=list(BENCHMARKS))
    arguments.add_argument("--methods", nargs="*", help="only these rows; default: all")
    arguments.add_argument("--processes", type=int, default=min(os.cpu_count() or 1, 2), help="default: 2")
    arguments.add_argument("--report", type=Path, help="write one HTML page with every run to open and follow")
    return arguments


def _report(results: list[ExperimentResults], path: Path) -> None:
    from langchain_linvit.evaluation import write_report

    write_report(results, path, title="The paper's benchmarks at equal budgets")


def _cpu_seconds() -> float:
    """User and system time of this process and of those that it has started."""
    usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    main()
