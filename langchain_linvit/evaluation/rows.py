"""From results to table rows: the benchmark's verdict, and means per task."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from pydantic import BaseModel, Field

from langchain_linvit.environments.base import Environment, Outcome, Task
from langchain_linvit.planner.result import PlanResult


class Row(BaseModel):
    """One method on one set of tasks; the counts are means per task."""

    method: str
    prior: str = Field(description="uniform, novice, recorded, or a model's name.")
    value: str | None = Field(default=None, description="rules, rollouts, critic, agreement, oracle, or none.")
    n: int = Field(description="Tasks.")
    solved: int = Field(description="Tasks solved, by the benchmark's own verdict.")
    success: float = Field(description="solved / n.")
    llm_calls: float
    requests: float
    tokens: float
    env_steps: float
    unique_states: float
    seconds: float
    errors: int = Field(default=0, description="Tasks whose run failed; they count as unsolved.")
    note: str = ""


def judged(result: PlanResult, task: Task, environment: Environment) -> PlanResult:
    """`result` with the benchmark's verdict on its plan, carried out afresh in a new instance.

    The verdict's `info["plan_valid"]` says whether every action of the plan could be taken.

    Args:
        result: What a method made of the task; what the method believed of it is not asked.
        task: The task.
        environment: A prototype; it is not touched itself.
    """
    with closing(environment.spawn()) as fresh:
        fresh.reset(task)
        failed = None
        for action in result.plan:
            failed = fresh.step(action).error
            if failed is not None:
                break
        verdict = fresh.evaluate()
    info = {**verdict.info, "plan_valid": failed is None}
    if failed is not None:
        info["reason"] = f"an action of the plan failed: {failed}"
    verdict = Outcome(success=verdict.success and failed is None, score=verdict.score, info=info)
    return result.model_copy(update={"verdict": verdict})


def summary_row(
    results: Sequence[PlanResult | Exception], *, method: str, prior: str, value: str | None, note: str = ""
) -> Row:
    """The row of one method: results with their verdict, and exceptions for runs that failed.

    Raises:
        ValueError: There are no results, or one has no verdict.
    """
    if not results:
        raise ValueError("a row needs at least one result")
    good = [result for result in results if isinstance(result, PlanResult)]
    unjudged = [result.task_id for result in good if result.verdict is None]
    if unjudged:
        raise ValueError(f"result of task {unjudged[0]!r} has no verdict; pass it through judged() first")
    solved = sum(result.verdict is not None and result.verdict.success for result in good)
    return Row(
        method=method,
        prior=prior,
        value=value,
        n=len(results),
        solved=solved,
        success=solved / len(results),
        llm_calls=_mean([result.usage.llm_calls for result in good]),
        requests=_mean([result.usage.requests for result in good]),
        tokens=_mean([result.usage.tokens for result in good]),
        env_steps=_mean([result.usage.env_steps for result in good]),
        unique_states=_mean([result.unique_states for result in good]),
        seconds=_mean([result.usage.seconds for result in good]),
        errors=len(results) - len(good),
        note=note,
    )


def _mean(values: Sequence[Any]) -> float:
    return round(math.fsum(values) / len(values), 4) if values else 0.0
