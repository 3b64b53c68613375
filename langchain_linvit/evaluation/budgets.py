"""Equal budgets: what makes methods comparable at the same cost."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_linvit.accounting import Budget
from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.planner.result import PlanResult


def equal_budgets(completions: Sequence[int], *, env_steps: int | None = None) -> list[Budget]:
    """The budgets that every method gets alike, one for each point of a curve of success against completions.

    Args:
        completions: Completions per task, rising.
        env_steps: Environment steps per task, the same at every point; None is no bound.

    Raises:
        InvalidSettingError: There is no point, or they don't rise from at least 1.
    """
    points = list(completions)
    if not points or points[0] < 1 or points != sorted(set(points)):
        raise InvalidSettingError(f"budgets need rising numbers of completions from at least 1, not {points}")
    return [Budget(completions=point, env_steps=env_steps) for point in points]


def budget_of(result: PlanResult) -> Budget:
    """What another method may spend to be compared with this run, task by task: its completions, at least one."""
    return Budget(completions=max(result.usage.llm_calls, 1))
