"""One experiment's target and evaluators, ready to run items: in this process, or in a worker of a cluster."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from langsmith.evaluation import EvaluationResult, EvaluationResults, RunEvaluator, run_evaluator
from langsmith.schemas import Example, Run
from pydantic import SecretStr

from langchain_linvit.accounting import Budget
from langchain_linvit.applications import APPLICATIONS, Application, TaskChoice, application
from langchain_linvit.environments.base import Environment, Task, shorten
from langchain_linvit.errors import EnvironmentStateError, InvalidSettingError
from langchain_linvit.evaluation.datasets import to_task, trajectory_messages
from langchain_linvit.evaluation.evaluators import SUCCESS, feedback, reason_of, scores_of
from langchain_linvit.evaluation.method import Method
from langchain_linvit.evaluation.results import ItemRecord
from langchain_linvit.evaluation.rows import judged
from langchain_linvit.evaluation.targets import as_method
from langchain_linvit.models.sampling import named_model
from langchain_linvit.planner.result import PlanResult

REPETITION = "repetition"
"""Metadata of an example that is run: which repetition it is, from 0."""
ITEM = "task_id"
"""Metadata of an example that is run: the id of its task."""
LONGEST_REASON = 2_000
"""Characters of an error that a record keeps."""

Evaluator = Callable[..., Any] | RunEvaluator
"""What LangSmith takes as a row evaluator."""


@dataclass(frozen=True)
class Recipe:
    """What a user asked for: plain names or objects, from which a bench is made here or elsewhere.

    Attributes:
        target: What `as_method` takes.
        benchmark: The application's name, or that of a user's own set.
        model: A chat model, its name, or None for the application's embedded one.
        environment: A prototype or a factory; None for the application's own.
        evaluators: LangSmith row evaluators of the user's.
        budget: What each item may spend.
        seed: Of the first repetition; each further one adds 1.
        settings: Keyword arguments of a method that is made by name.
    """

    target: Any
    benchmark: str
    model: Any = None
    environment: Environment | Callable[[], Environment] | None = None
    evaluators: tuple[Evaluator, ...] = ()
    budget: Budget = field(default_factory=Budget)
    seed: int = 0
    settings: dict[str, Any] = field(default_factory=dict)

    def bench(self) -> Bench:
        """Make what the recipe names.

        Raises:
            InvalidSettingError: Something that it names does not exist, or there is no environment.
        """
        known: Application | None = application(self.benchmark) if self.benchmark in APPLICATIONS else None
        environment = self.environment
        if environment is None:
            if known is None:
                raise InvalidSettingError(f"pass environment=...: {self.benchmark!r} is no benchmark that brings one")
            environment = known.environment(TaskChoice())
        method = as_method(self.target, environment, application=known, **self.settings)
        model: Any = None
        if method.uses_model:
            model = named_model(self.model) if isinstance(self.model, str) else self.model
            if model is None and known is not None:
                model = known.offline_model(TaskChoice(seed=self.seed))
        prototype = environment if isinstance(environment, Environment) else environment()
        evaluators = [item if isinstance(item, RunEvaluator) else run_evaluator(item) for item in self.evaluators]
        return Bench(method, model, prototype, evaluators, self.budget, self.seed)


@dataclass
class Bench:
    """A target that LangSmith can call, and the evaluator that scores and keeps what came of it.

    Attributes:
        method: What solves the tasks.
        model: The chat model; None where the method needs none.
        prototype: An environment that is not touched itself: verdicts are made in fresh instances.
        evaluators: The user's.
        budget: What each item may spend.
        seed: Of the first repetition.
        failures: Why a target failed, by item and repetition, until its record is made.
    """

    method: Method
    model: Any
    prototype: Environment
    evaluators: Sequence[RunEvaluator] = ()
    budget: Budget = field(default_factory=Budget)
    seed: int = 0
    failures: dict[tuple[str, int], str] = field(default_factory=dict)

    def solve(self, task: Task, repetition: int) -> dict[str, Any]:
        """The target's outputs for a task; what the target raises is noted, and raised."""
        try:
            found = self.method.solve(task, model=self.model, budget=self.budget, seed=self.seed + repetition)
        except Exception as error:
            self.failures[task.id, repetition] = _reason(error)
            raise
        return self._outputs(task, found)

    async def asolve(self, task: Task, repetition: int) -> dict[str, Any]:
        """`solve` in an event loop."""
        try:
            found = await self.method.asolve(task, model=self.model, budget=self.budget, seed=self.seed + repetition)
        except Exception as error:
            self.failures[task.id, repetition] = _reason(error)
            raise
        return self._outputs(task, found)

    def scored(self, run: Run, example: Example) -> tuple[ItemRecord, list[EvaluationResult]]:
        """The record of a run and its feedback: the benchmark's verdict, then the user's evaluators."""
        record, results = self._verdict(run, example)
        for evaluator in self.evaluators:
            try:
                found = evaluator.evaluate_run(run, example)
            except Exception as error:
                found = _failed(evaluator, error)
            results += _taken(record, found)
        return record, results

    async def ascored(self, run: Run, example: Example) -> tuple[ItemRecord, list[EvaluationResult]]:
        """`scored`; the verdict, which may block, is made off the event loop."""
        if self.prototype.concurrency == "inline":
            record, results = self._verdict(run, example)
        else:
            record, results = await asyncio.to_thread(self._verdict, run, example)
        for evaluator in self.evaluators:
            try:
                found = await evaluator.aevaluate_run(run, example)
            except Exception as error:
                found = _failed(evaluator, error)
            results += _taken(record, found)
        return record, results

    def _outputs(self, task: Task, result: PlanResult) -> dict[str, Any]:
        outputs: dict[str, Any] = {"result": result, "outcome": result.outcome, "plan": result.plan}
        if self._tools is not None:
            outputs["messages"] = trajectory_messages(task.text, result.plan, self._tools)
        return outputs

    @cached_property
    def _tools(self) -> Any:
        try:
            return self.prototype.action_tools()
        except EnvironmentStateError:  # this environment's tools depend on the task
            return None

    def _verdict(self, run: Run, example: Example) -> tuple[ItemRecord, list[EvaluationResult]]:
        task, repetition = to_task(example), repetition_of(example)
        error = self.failures.pop((task.id, repetition), None)
        result: PlanResult | None = (run.outputs or {}).get("result")
        if result is None and error is None:
            error = shorten(run.error or "the target gave no result", LONGEST_REASON)
        elif result is not None:
            try:
                result = judged(result, task, self.prototype)
            except Exception as failure:
                error = f"the benchmark's check failed: {_reason(failure)}"
        scores: dict[str, float | None] = scores_of(result) if result is not None else {SUCCESS: 0.0}
        record = ItemRecord(
            item=task.id,
            repetition=repetition,
            text=task.text,
            metadata={key: value for key, value in (example.metadata or {}).items() if key not in _INTERNAL},
            scores=scores,
            result=result,
            error=error,
            seconds=_seconds(run, result),
        )
        return record, feedback(scores, error or (reason_of(result) if result is not None else None))


_INTERNAL = (REPETITION, ITEM, "benchmark", "dataset_split")
"""Metadata of an example that a record has elsewhere."""


def repetition_of(example: Example) -> int:
    """Which repetition an example stands for."""
    return int((example.metadata or {}).get(REPETITION, 0))


def secrets_of(model: Any) -> list[str]:
    """The keys that a chat model holds."""
    fields = getattr(type(model), "model_fields", {})
    found = (getattr(model, name, None) for name in fields)
    return [value.get_secret_value() for value in found if isinstance(value, SecretStr)]


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {shorten(str(error), LONGEST_REASON)}" if str(error) else type(error).__name__


def _seconds(run: Run, result: PlanResult | None) -> float:
    if result is not None:
        return result.usage.seconds
    return (run.end_time - run.start_time).total_seconds() if run.end_time and run.start_time else 0.0


def _failed(evaluator: RunEvaluator, error: Exception) -> EvaluationResults:
    """An evaluator that raised: no score, and why."""
    keys = inspect.getattr_static(evaluator, "feedback_keys", None) and getattr(evaluator, "feedback_keys", None)
    names = keys or [getattr(evaluator, "_name", type(evaluator).__name__)]
    return EvaluationResults(results=[EvaluationResult(key=name, score=None, comment=_reason(error)) for name in names])


def _taken(record: ItemRecord, found: Any) -> list[EvaluationResult]:
    """The results of a user's evaluator, under names of their own in the record."""
    if isinstance(found, EvaluationResult):
        results = [found]
    else:
        results = [EvaluationResult(**item) if isinstance(item, dict) else item for item in found["results"]]
    for result in results:
        if result.key in record.scores:
            result.key = f"{result.key} (evaluator)"
        record.scores[result.key] = None if result.score is None else float(result.score)
    return results
