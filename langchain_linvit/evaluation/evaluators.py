"""What an experiment measures: the benchmark's own verdict and what it cost, as LangSmith evaluators.

    evaluate(target, data=examples, evaluators=[BenchmarkEvaluator(environment)])

A target's outputs are `{"result": PlanResult, "plan": [...], "messages": [...]}`; evaluators of a user's own, and those
of `agentevals`, read the same outputs, and the reference outputs of `datasets.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from langsmith.evaluation import EvaluationResult, EvaluationResults, RunEvaluator
from langsmith.schemas import Example, Run

from langchain_linvit.environments.base import Environment
from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.evaluation.datasets import to_task
from langchain_linvit.evaluation.rows import judged
from langchain_linvit.planner.result import PlanResult

SUCCESS = "success"
"""The score that every record has."""


def success(result: PlanResult) -> float:
    """1 where the benchmark's own check says that the task is solved, else 0."""
    return float(result.verdict is not None and result.verdict.success)


def plan_valid(result: PlanResult) -> float:
    """1 where every action that was tried could be taken, else 0."""
    replayed = result.verdict is None or bool(result.verdict.info.get("plan_valid", True))
    return float(replayed and all(step.error is None for step in result.trajectory))


def goal_share(result: PlanResult) -> float | None:
    """The share of the goal that is reached: ALFWorld's goal conditions, else the benchmark's own score."""
    if result.verdict is None:
        return None
    return float(result.verdict.info.get("goal_conditions", result.verdict.score))


METRICS: dict[str, Callable[[PlanResult], float | None]] = {
    SUCCESS: success,
    "plan_valid": plan_valid,
    "goal_share": goal_share,
    "steps": lambda result: float(len(result.trajectory)),
    "llm_calls": lambda result: float(result.usage.llm_calls),
    "requests": lambda result: float(result.usage.requests),
    "tokens": lambda result: float(result.usage.tokens),
    "env_steps": lambda result: float(result.usage.env_steps),
    "unique_states": lambda result: float(result.unique_states),
    "seconds": lambda result: result.usage.seconds,
    "budget_hit": lambda result: float(result.budget_exhausted is not None),
}
"""Of a judged result, by name."""


def prior_shares(result: PlanResult) -> dict[str, float]:
    """The share of the proposals that each source of probabilities gave, as `prior.SOURCE`."""
    total = sum(result.prior.values())
    return {f"prior.{source}": count / total for source, count in sorted(result.prior.items())} if total else {}


def scores_of(result: PlanResult) -> dict[str, float | None]:
    """All metrics of a judged result."""
    return {**{name: metric(result) for name, metric in METRICS.items()}, **prior_shares(result)}


class BenchmarkEvaluator(RunEvaluator):
    """The benchmark's verdict on a plan, carried out in a fresh environment, and what the plan cost.

    Args:
        environment: A prototype or a factory.
    """

    def __init__(self, environment: Environment | Callable[[], Environment]) -> None:
        self._prototype = environment if isinstance(environment, Environment) else environment()

    def evaluate_run(
        self, run: Run, example: Example | None = None, evaluator_run_id: Any = None, **kwargs: Any
    ) -> EvaluationResults:
        """Every metric as feedback; `success` carries the verdict's reason."""
        del evaluator_run_id, kwargs
        if example is None:
            raise InvalidSettingError("the benchmark's verdict needs the example that the run is about")
        judged_result = judged(result_of(run.outputs), to_task(example), self._prototype)
        return EvaluationResults(results=feedback(scores_of(judged_result), reason_of(judged_result)))

    async def aevaluate_run(
        self, run: Run, example: Example | None = None, evaluator_run_id: Any = None, **kwargs: Any
    ) -> EvaluationResults:
        """`evaluate_run`, off the event loop."""
        return await asyncio.to_thread(self.evaluate_run, run, example, evaluator_run_id, **kwargs)


def result_of(outputs: Mapping[str, Any] | None) -> PlanResult:
    """The plan's result in a target's outputs.

    Raises:
        InvalidSettingError: There is none.
    """
    result = (outputs or {}).get("result")
    if result is None:
        raise InvalidSettingError("the target's outputs hold no `result`: it failed, or it is no method")
    return result if isinstance(result, PlanResult) else PlanResult.model_validate(result)


def reason_of(result: PlanResult) -> str:
    """Why the verdict is what it is, where the benchmark says so."""
    return str(result.verdict.info.get("reason", "")) if result.verdict is not None else ""


def feedback(scores: Mapping[str, float | None], reason: str | None = None) -> list[EvaluationResult]:
    """Scores as LangSmith's feedback."""
    return [
        EvaluationResult(key=key, score=score, comment=(reason or None) if key == SUCCESS else None)
        for key, score in scores.items()
    ]
