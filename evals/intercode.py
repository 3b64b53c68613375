"""What the two InterCode evaluations share: gold scores, and decisions on one recording."""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.progress import track

from langchain_linvit.accounting import Budget
from langchain_linvit.environments.base import Environment, Task
from langchain_linvit.evaluation import Greedy, Method, SlinvitMethod, judged, summary_row
from langchain_linvit.planner import PlanResult

TRIES = 3
"""How often a gold is run before it counts as scoring below 1."""
TOLD = {
    "try again (log)": "submits after every action, and stops at a gold reward of 1",
    "Plan & Solve (log)": "submits after every action; its best reward counts",
    "SLINVIT, oracle": "the search sees the gold reward",
}
"""Which rows of a table were told the gold reward, or judged by the best of many submissions, and how."""
CANDIDATES = 10
"""Proposals per task: what InterCode's scripts grant in turns."""


def gold_row(environment: Environment, tasks: Sequence[Task], wrong: str, backend: str) -> dict[str, Any]:
    """How many gold answers score 1, and whether a wrong answer scores less, each in a fresh episode.

    A gold that scores less is tried twice again: some print the time, or race with a process that they start. Those
    that only then score 1 count, and are listed.
    """
    below, late, not_less = [], [], []
    for task in track(tasks, f"golds ({backend})", transient=True):
        tries = 0
        while tries < TRIES and _score(environment, task, task.data["gold"]) < 1:
            tries += 1
        below += [task.id] if tries == TRIES else []
        late += [task.id] if 0 < tries < TRIES else []
        not_less += [task.id] if _score(environment, task, wrong) >= 1 else []
    solved = len(tasks) - len(below)
    return {
        "method": "gold",
        "backend": backend,
        "n": len(tasks),
        "solved": solved,
        "success": solved / len(tasks),
        "golds_below_1": below,
        "golds_at_1_later": late,
        "wrong_answers_at_1": not_less,
    }


def _score(environment: Environment, task: Task, action: str) -> float:
    environment.reset(task)
    failed = environment.step(action).error
    return 0.0 if failed else environment.evaluate().score


def decisions(make_environment: Callable[[], Environment], recorded: bool) -> list[tuple[Method, str | None]]:
    """The same proposals, different decisions: one answer per task, from one proposal or from ten.

    A recorded model proposes the same at every step, so that a task is one decision; a live one gets the
    environment's whole horizon.
    """
    one: dict[str, Any] = {"horizon": 1} if recorded else {}
    search: dict[str, Any] = {"depth": 1, "retry_delay": 0.0, **one}
    single = {**search, "candidates": 1, "value": no_value}
    likeliest = {**search, "candidates": CANDIDATES, "value": no_value, "kl_coef": 1.0}
    ten = {**search, "candidates": CANDIDATES}
    return [
        (SlinvitMethod(make_environment, name="first proposal", **single), None),
        (Greedy(make_environment, retry_delay=0.0, **one), None),
        (SlinvitMethod(make_environment, name="majority of those that run", **likeliest), None),
        (SlinvitMethod(make_environment, value="agreement", **ten), "agreement"),
        (SlinvitMethod(make_environment, value="oracle", **ten), "oracle"),
    ]


def no_value(state: str, goal: str) -> float:
    """All states alike: the prior decides."""
    del state, goal
    return 0.0


def decision_rows(
    make_environment: Callable[[], Environment], tasks: Sequence[Task], model: Any, *, prior: str, recorded: bool,
    seed: int, group: str,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """One row per method, with its success by a group of the tasks' metadata."""
    prototype = make_environment()
    for method, value in decisions(prototype.spawn, recorded):
        results = [_solved(method, task, model, seed, prototype) for task in track(tasks, method.name, transient=True)]
        row = summary_row(results, method=method.name, prior=prior, value=value).model_dump()
        yield {**row, **by_group(tasks, [_success(result) for result in results], group)}


def _solved(method: Method, task: Task, model: Any, seed: int, prototype: Environment) -> PlanResult | Exception:
    try:
        return judged(method.solve(task, model=model, budget=Budget(), seed=seed), task, prototype)
    except Exception as error:
        return error


def _success(result: PlanResult | Exception) -> bool:
    return isinstance(result, PlanResult) and result.verdict is not None and result.verdict.success


def by_group(tasks: Sequence[Task], successes: Sequence[bool], group: str) -> dict[str, float]:
    """The success of each group of tasks, as `success_GROUP`."""
    groups: dict[str, list[bool]] = {}
    for task, success in zip(tasks, successes, strict=True):
        if group in task.metadata:
            groups.setdefault(str(task.metadata[group]), []).append(success)
    return {f"success_{name}": sum(found) / len(found) for name, found in sorted(groups.items())}


def log_row(
    name: str, logs: Sequence[Path], task_of: Callable[[Path, dict[str, Any]], Task | None], group: str
) -> dict[str, Any]:  # fmt: skip
    """What logs themselves report of the given tasks: one counts if any submission got 1 (InterCode's rule).

    A script that submits after every action is told the gold reward, or judged by its best one: see `TOLD`.
    """
    episodes = [(task, episode) for path in logs for episode in read_log(path) if (task := task_of(path, episode))]
    successes = [max(episode["rewards"] or [0]) == 1 for _, episode in episodes]
    calls = sum(len(episode["actions"]) for _, episode in episodes) / max(len(episodes), 1)
    row = {"method": name, "prior": "gpt-3.5 (log)", "value": None, "n": len(episodes), "solved": sum(successes)}
    row |= {"success": sum(successes) / max(len(episodes), 1), "llm_calls": calls, "note": TOLD.get(name, "")}
    return {**row, **by_group([task for task, _ in episodes], successes, group)}


def print_golds(rows: Sequence[dict[str, Any]]) -> None:
    """The tasks whose gold scores below 1, or that a wrong answer solves."""
    for row in rows:
        if row["method"] == "gold":
            below, late, wrong = row["golds_below_1"], row["golds_at_1_later"], row["wrong_answers_at_1"]
            print(f"{row['backend']}: golds below 1: {below}; at 1 on a later try: {late}; wrong answers at 1: {wrong}")


def read_log(path: Path) -> list[dict[str, Any]]:
    """The episodes of a recorded log, each with `task_id`, `query`, `actions`, `rewards`."""
    raw = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
    content = json.loads(raw)
    content = content.get("logs", content) if isinstance(content, dict) else content
    episodes = list(content.values()) if isinstance(content, dict) else content
    return [{**episode.get("turn_history", {}), **episode} for episode in episodes]
