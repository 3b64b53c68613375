"""What the harness adds to a target: items of a bare loop against the same items as an experiment, side by side."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from langsmith.schemas import Example

from langchain_linvit.environments.base import Environment, Task, Transition
from langchain_linvit.evaluation import (
    BreadthFirst,
    Method,
    arun_experiment,
    judged,
    run_experiment,
    to_examples,
    to_task,
)

ITEMS = 200
ROUNDS = 5


class OneStep(Environment):
    """A world that one action solves: what is measured is all around it."""

    description = "Action: go"

    def reset(self, task: Task) -> str:
        del task
        return "start"

    def step(self, action: str) -> Transition:
        return Transition("end", done=True, solved=action == "go")

    def state_text(self) -> str:
        return "somewhere"

    def admissible_actions(self) -> list[str]:
        return ["go"]


def bare(method: Method, examples: list[Example]) -> None:
    """Every item solved and judged, and nothing else."""
    for example in examples:
        task = to_task(example)
        judged(method.solve(task), task, OneStep())


def harness(method: Method, examples: list[Example]) -> None:
    """The same as an experiment, with its results on disk."""
    with tempfile.TemporaryDirectory() as folder:
        run_experiment(method, examples, environment=OneStep(), out=Path(folder) / "run", progress=False)


def async_harness(method: Method, examples: list[Example]) -> None:
    """The same in an event loop, eight items at once."""
    run = arun_experiment(method, examples, environment=OneStep(), concurrency=8, progress=False)
    asyncio.run(run)


def run() -> list[dict[str, Any]]:
    """All rows: milliseconds of CPU per item, the least of several rounds taken in turn."""
    method, examples = BreadthFirst(OneStep()), to_examples([Task.from_text(f"go {i}") for i in range(ITEMS)])
    runs: dict[str, Callable[[Method, list[Example]], None]] = {
        "bare loop": bare,
        "harness": harness,
        "async harness": async_harness,
    }
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(ROUNDS):
        for name, measured in runs.items():
            started = time.process_time()
            measured(method, examples)
            best[name] = min(best[name], (time.process_time() - started) / ITEMS * 1e3)

    def row(measure: str, value: float, note: str) -> dict[str, Any]:
        return {"benchmark": "evaluation", "measure": measure, "value": value, "unit": "ms an item", "note": note}

    return [
        row("bare loop", best["bare loop"], "solve and judge a one-step world"),
        row("harness, added", best["harness"] - best["bare loop"], "goal: less than 5; results on disk"),
        row("async harness, added", best["async harness"] - best["bare loop"], "goal: less than 5; eight at once"),
    ]
