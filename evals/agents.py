"""Agents with and without SLINVITMiddleware: the same model and tools, on BlocksWorld and InterCode-SQL.

    python -m evals.agents
    python -m evals.agents --problems step_4.json --problems step_6.json --recorded sql_*.json.xz --json agents.json

BlocksWorld: `create_agent` with the embedded novice, at most one message per step of the label's plan and one to end;
success is the plan validator's verdict on what was really done. InterCode-SQL: a recorded gpt-3.5 that proposes what
it wrote on the same question, one submitted answer per task; success is InterCode's reward of 1. Settings were chosen
on generated problems (seeds from 100 on).
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import ModelCallLimitMiddleware, ModelRetryMiddleware
from langchain_core.callbacks import BaseCallbackHandler
from rich.progress import track

from evals.common import parser, print_table, write_results
from langchain_linvit.agents import EnvironmentToolkit, SLINVITMiddleware
from langchain_linvit.environments.base import Environment, Task
from langchain_linvit.environments.blocksworld import (
    BlocksWorldEnvironment,
    blocks_in_place,
    generate_problems,
    load_problem_list,
)
from langchain_linvit.models.blocksworld import VERSION, blocksworld_model
from langchain_linvit.models.recorded import RecordedChatModel, answers_only
from langchain_linvit.models.sampling import named_model

SAMPLED: dict[str, Any] = {"candidates": 16, "temperature": 3.0, "depth": 6, "beam": 3}
"""The middleware in BlocksWorld, with the hand-written rule value: messages sampled for the real state."""
SCORED: dict[str, Any] = {"candidates": None, "depth": 6, "beam": 3}
"""The same with every admissible action scored in one request; what the planner is set to in `evals.blocksworld`."""
SQL: dict[str, Any] = {"candidates": 10, "depth": 1, "value": "agreement"}
"""The middleware in SQL: ten answers, executed in forks; the one whose rows most of them give."""
FAILURE_RATE = 0.3
COLUMNS = (
    "problems", "method", "prior", "value", "n", "solved", "success", "llm_calls", "tokens", "env_steps", "seconds",
    "errors",
)  # fmt: skip


@dataclass
class Counted(BaseCallbackHandler):
    """Completions and tokens of one run, counted in the same way with and without the middleware."""

    run_inline = True
    llm_calls: int = 0
    tokens: int = 0
    lock: Any = field(default_factory=threading.Lock)

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        """Count one request."""
        del kwargs
        usage = response.generations[0][0].message.usage_metadata or {}
        with self.lock:
            self.llm_calls += len(response.generations[0])
            self.tokens += usage.get("total_tokens", 0)

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        """Count one request that failed."""
        del error, kwargs
        with self.lock:
            self.llm_calls += 1


@dataclass(frozen=True)
class Setup:
    """One row: an agent on a set of tasks."""

    problems: str
    method: str
    prior: str
    value: str | None
    environment: Callable[[], Environment]
    model: Callable[[], Any]
    middleware: dict[str, Any] | None
    others: Callable[[], list[Any]] = list


def run_one(setup: Setup, task: Task, seed: int) -> dict[str, Any]:
    """One agent on one task: the environment's verdict, and what it took; an error counts as unsolved."""
    counted, started = Counted(), time.perf_counter()
    with EnvironmentToolkit(setup.environment()) as toolkit:
        told = toolkit.start(task)
        messages = (toolkit.environment.horizon or 10) + 1
        middleware = [SLINVITMiddleware(toolkit=toolkit, seed=seed, **setup.middleware)] if setup.middleware else []
        limit = ModelCallLimitMiddleware(run_limit=messages, exit_behavior="end")
        agent = create_agent(setup.model(), toolkit.get_tools(), middleware=[*middleware, limit, *setup.others()])
        error = None
        try:
            agent.invoke({"messages": [("user", told)]}, {"callbacks": [counted], "recursion_limit": 10 * messages})
        except Exception as failure:
            error = f"{type(failure).__name__}: {failure}"
        return {
            "success": toolkit.environment.evaluate().success,
            "llm_calls": counted.llm_calls,
            "tokens": counted.tokens,
            "env_steps": len(toolkit.history),
            "seconds": time.perf_counter() - started,
            "error": error,
        }


def row(setup: Setup, tasks: list[Task], seed: int) -> dict[str, Any]:
    """The row of one setup: means per task."""
    runs = [run_one(setup, task, seed) for task in track(tasks, f"{setup.problems}, {setup.method}", transient=True)]
    solved = sum(run["success"] for run in runs)
    means = {
        name: round(math.fsum(run[name] for run in runs) / len(runs), 4)
        for name in ("llm_calls", "tokens", "env_steps", "seconds")
    }
    errors = [run["error"] for run in runs if run["error"]]
    return {
        "problems": setup.problems, "method": setup.method, "prior": setup.prior, "value": setup.value, "n": len(runs),
        "solved": solved, "success": round(solved / len(runs), 4), **means, "errors": len(errors),
        "note": "; ".join(dict.fromkeys(errors))[:300],
    }  # fmt: skip


def blocksworld_setups(problems: str, name: str, model: Callable[..., Any], failures: bool) -> Iterator[Setup]:
    """The agent alone (sampling, and at temperature 0), and with the middleware; also while calls fail."""
    world = (problems, name)
    search, scoring = ({"value": blocks_in_place, **settings} for settings in (SAMPLED, SCORED))

    def setup(method: str, value: str | None, make: Callable[[], Any], middleware: Any, others: Any = list) -> Setup:
        return Setup(world[0], method, world[1], value, BlocksWorldEnvironment, make, middleware, others)

    yield setup("agent", None, model, None)
    yield setup("agent, temperature 0", None, lambda: model(temperature=0.0), None)
    yield setup("agent + SLINVIT, candidates=None", "rules", model, scoring)
    yield setup("agent + SLINVIT", "rules", model, search)
    if failures:
        failing = partial(model, failure_rate=FAILURE_RATE)

        def retries() -> list[Any]:
            return [ModelRetryMiddleware(max_retries=4, initial_delay=0)]

        yield setup("agent + retries, 30% of calls fail", None, failing, None, retries)
        yield setup("agent + SLINVIT, candidates=None, 30% of calls fail", "rules", failing, scoring)
        yield setup("agent + SLINVIT, 30% of calls fail", "rules", failing, search)


def sql_setups(recorded: list[Path], model: str | None) -> Iterator[Setup]:
    """The agent alone and with the middleware."""
    from langchain_linvit.environments.intercode import SqlEnvironment

    chat = named_model(model) if model else RecordedChatModel.from_logs(*recorded, keep=answers_only)
    prior = model or "recorded gpt-3.5"
    prototype = SqlEnvironment()
    for method, value, middleware in (("agent", None, None), ("agent + SLINVIT", "agreement", SQL)):
        yield Setup("intercode-sql", method, prior, value, prototype.spawn, lambda: chat, middleware)


def problem_sets(files: list[Path], seed: int, limit: int | None) -> Iterator[tuple[str, list[Task]]]:
    """The BlocksWorld problems by name: of the files, else generated."""
    for file in files:
        yield file.stem, load_problem_list(file)[:limit]
    if not files:
        for steps in (4, 6):
            yield f"generated, {steps} steps", generate_problems(blocks=4, steps=steps, count=limit or 20, seed=seed)


def main(argv: list[str] | None = None) -> None:
    """Run the evaluation and print its table."""
    arguments = parser(__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--problems", type=Path, action="append", default=[], help="a PlanBench list; repeatable")
    arguments.add_argument("--recorded", type=Path, nargs="*", default=[], help="InterCode-SQL logs to propose from")
    arguments.add_argument("--data", type=Path, help="a folder with blocksworld/rap and intercode/recorded")
    arguments.add_argument("--failures", action="store_true", help="also with 30%% of the calls failing")
    options = arguments.parse_args(argv)
    files, logs = list(options.problems), list(options.recorded)
    if options.data:
        files += [options.data / "blocksworld" / "rap" / f"step_{steps}.json" for steps in (4, 6)]
        logs += sorted((options.data / "intercode" / "recorded").glob("sql_*"))
    settings = {
        "sampled": SAMPLED, "scored": SCORED, "sql": SQL, "seed": options.seed, "policies": VERSION,
        "problems": [file.name for file in files] or "generated", "recorded": [log.name for log in logs],
    }  # fmt: skip
    rows: list[dict[str, Any]] = []

    def add(setup: Setup, tasks: list[Task]) -> None:
        rows.append(row(setup, tasks, options.seed))
        write_results(options.json, "agents", settings, rows)

    def model(**fields: Any) -> Any:
        return _with(named_model(options.model), fields) if options.model else blocksworld_model("novice", **fields)

    for name, tasks in problem_sets(files, options.seed, options.limit):
        for setup in blocksworld_setups(name, options.model or "novice", model, options.failures):
            add(setup, tasks)
    if logs or options.model:
        from langchain_linvit.environments.intercode import sql_tasks

        for setup in sql_setups(logs, options.model):
            add(setup, sql_tasks()[: options.limit])
    print_table("Agents, with and without SLINVITMiddleware", rows, COLUMNS)


def _with(model: Any, fields: dict[str, Any]) -> Any:
    """A copy of a real model with those of the fields that it has."""
    return model.model_copy(update={name: value for name, value in fields.items() if name in type(model).model_fields})


if __name__ == "__main__":
    main()
