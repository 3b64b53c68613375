"""Every contender at every budget, each an experiment in a folder of its own: resumed where a killed run stopped.

Tasks are run in parts, with all contenders on one part in one process, so that a game is loaded once. Results
depend on the task, the method, the budget and the seed only: neither on the order nor on the number of processes.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from evals.paper.benchmarks import BENCHMARKS, Benchmark, Contender, Scope, benchmark
from langchain_linvit.accounting import Budget
from langchain_linvit.errors import LinvitError
from langchain_linvit.evaluation import ExperimentResults, run_experiment, to_task

HEAVIEST_FIRST = ("alfworld", "intercode-bash", "blocksworld-6", "intercode-sql", "blocksworld-4")
"""So that no process is left alone with the longest part."""
_TICK = 0.5

Counted = Callable[[int], None]
"""Is told how many items were finished."""


@dataclass(frozen=True)
class Part:
    """Some tasks of a benchmark, for all of its contenders, in one process."""

    benchmark: str
    number: int
    scope: Scope
    out: Path
    methods: tuple[str, ...] | None = None


def selected(chosen: Benchmark, methods: Sequence[str] | None) -> list[Contender]:
    """The contenders with these labels, in their own order; all where none are named."""
    return [each for each in chosen.contenders if methods is None or each.label in methods]


def runnable(names: Sequence[str], scope: Scope) -> tuple[list[Benchmark], list[str]]:
    """The benchmarks that can be run here, and why the others can't."""
    found, missing = [], []
    for name in names:
        try:
            made = benchmark(name, scope)
            with closing(made.environment()) as environment:
                environment.reset(to_task(made.examples[0]))
            found.append(made)
        except LinvitError as error:
            missing.append(f"{name} is left out: {error}")
    return found, missing


def run_all(
    chosen: Sequence[Benchmark], scope: Scope, out: Path, *, methods: Sequence[str] | None = None, processes: int = 1
) -> None:
    """Run what is not in `out` yet.

    Args:
        chosen: The benchmarks.
        scope: What they were made for.
        out: Where the experiments lie, `BENCHMARK/METHOD/BUDGET/part-N`.
        methods: Labels of contenders; all where None.
        processes: Parts at once; 1 runs everything in this process.
    """
    order = sorted(chosen, key=lambda each: HEAVIEST_FIRST.index(each.name))
    named = tuple(methods) if methods is not None else None
    parts = [Part(each.name, n, scope, out, named) for each in order for n in range(len(each.parts))]
    total = sum(
        len(each.examples) * sum(len(each.budgets(one)) for one in selected(each, methods)) for each in chosen
    )  # fmt: skip
    with _progress() as progress:
        bar = progress.add_task("items", total=total)
        if processes == 1:
            for part in parts:
                run_part(part, lambda items: progress.advance(bar, items))
        else:
            _in_processes(parts, processes, lambda items: progress.advance(bar, items))


def run_part(part: Part, count: Counted) -> None:
    """Run every contender at every budget on one part of the tasks."""
    made = benchmark(part.benchmark, part.scope)
    examples = made.parts[part.number]
    for contender in selected(made, part.methods):
        for budget in made.budgets(contender):
            run_experiment(
                contender.target,
                examples,
                model=made.model if contender.uses_model else None,
                environment=made.environment,
                budget=budget,
                seed=part.scope.seed,
                out=folder(part.out, made, contender, budget, part.number),
                name=contender.label,
                prior=made.prior if contender.uses_model else None,
                progress=False,
                **contender.settings,
            )
            count(len(examples))


def folder(out: Path, chosen: Benchmark, contender: Contender, budget: Budget, part: int) -> Path:
    """Where one experiment lies."""
    rung = "no-model" if budget.completions is None else str(budget.completions)
    name = "".join(letter if letter.isalnum() or letter in "_-" else "-" for letter in contender.label)
    return out / chosen.name / name / rung / f"part-{part}"


def collected(
    chosen: Benchmark, out: Path, methods: Sequence[str] | None = None
) -> Iterator[tuple[Contender, Budget, ExperimentResults]]:
    """What was run of a benchmark: each contender at each budget, its parts put together."""
    for contender in selected(chosen, methods):
        for budget in chosen.budgets(contender):
            parts = [
                ExperimentResults.load(folder(out, chosen, contender, budget, number))
                for number in range(len(chosen.parts))
            ]
            items = [item for part in parts for item in part.info.items]
            info = parts[0].info.model_copy(
                update={"benchmark": chosen.name, "method": contender.label, "items": items}
            )  # fmt: skip
            yield contender, budget, ExperimentResults(info, [record for part in parts for record in part.records])


def _in_processes(parts: Sequence[Part], processes: int, count: Counted) -> None:
    context = multiprocessing.get_context("spawn")  # forked children could inherit an engine's lock, held
    finished = context.Queue()
    with ProcessPoolExecutor(min(processes, len(parts)), context, _begin, (finished,)) as pool:
        waiting = {pool.submit(_run_counted, part) for part in parts}
        try:
            while waiting:
                done, waiting = wait(waiting, timeout=_TICK, return_when="FIRST_EXCEPTION")
                _drain(finished, count)
                for future in done:
                    future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    _drain(finished, count)


def _drain(finished: Any, count: Counted) -> None:
    try:
        while True:
            count(finished.get_nowait())
    except Empty:
        pass


_finished: Any = None
"""In a worker: where it says how many items it has run."""


def _begin(finished: Any) -> None:
    """Prepare a worker: it ends with the program that started it, also where that one was killed."""
    global _finished
    _finished = finished
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run_counted(part: Part) -> None:
    run_part(part, _finished.put)


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


__all__ = ["BENCHMARKS", "Part", "collected", "folder", "run_all", "run_part", "runnable", "selected"]
