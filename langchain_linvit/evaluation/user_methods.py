"""A user's graph, agent or function as a method: what it answers becomes a plan, and what it spends is counted."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
import uuid
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from contextvars import ContextVar
from typing import Any, get_type_hints

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.outputs import LLMResult
from langchain_core.runnables import Runnable, RunnableBinding
from langchain_core.tracers.context import register_configure_hook
from pydantic import ValidationError

from langchain_linvit.accounting import Budget, Usage, add_counts
from langchain_linvit.calls import token_counts
from langchain_linvit.environments.base import Environment, Task, shorten
from langchain_linvit.errors import InvalidSettingError, LinvitError
from langchain_linvit.evaluation.datasets import without_answer
from langchain_linvit.evaluation.method import UNLIMITED, Method
from langchain_linvit.planner.result import PlanOutcome, PlanResult, PlanStep

EXPECTED = (
    "a PlanResult, {'result': PlanResult}, {'plan': [action, ...]}, {'messages': [...]} with calls of the "
    "environment's tools, a list of actions, or the text of one action"
)
"""What a target of a user's own may answer."""


class UserMethod(Method):
    """What a graph or function of a user's own has in common: its answer is a plan, its model calls are counted.

    The environment's tools (`Environment.action_tools`) say which action a tool call means. A budget can't be
    imposed on what the library does not run: where one is exceeded, the result says so.

    Args:
        environment: A prototype or a factory; the plan is carried out in a fresh instance.
        name: What tables call it.
    """

    uses_model = False
    own_prior = "own"

    def __init__(self, environment: Environment | Callable[[], Environment], *, name: str) -> None:
        self.name = name
        self._spawn = environment.spawn if isinstance(environment, Environment) else environment

    @abstractmethod
    def answer(self, task: Task) -> Any:
        """What the target says to a task without its gold answer."""

    @abstractmethod
    async def aanswer(self, task: Task) -> Any:
        """`answer` in an event loop."""

    def solve(self, task: Task, *, model: Any = None, budget: Budget = UNLIMITED, seed: int = 0) -> PlanResult:
        """Ask the target, and carry out what it answered. Its model and seeds are its own."""
        del model, seed
        started = time.monotonic()
        with _counted() as spent:
            answer = self.answer(without_answer(task))
        return self._result(task, answer, spent, time.monotonic() - started, budget)

    async def asolve(self, task: Task, *, model: Any = None, budget: Budget = UNLIMITED, seed: int = 0) -> PlanResult:
        """`solve` in an event loop; the plan is carried out off it."""
        del model, seed
        started = time.monotonic()
        with _counted() as spent:
            answer = await self.aanswer(without_answer(task))
        seconds = time.monotonic() - started
        return await asyncio.to_thread(self._result, task, answer, spent, seconds, budget)

    def _result(
        self, task: Task, answer: Any, spent: _UsageCounter, seconds: float, budget: Budget
    ) -> PlanResult:  # fmt: skip
        with closing(self._spawn()) as environment:
            environment.reset(task)
            found = read_answer(answer, environment)
            if isinstance(found, PlanResult):
                return found.model_copy(update={"method": self.name, "task_id": task.id})
            steps, (outcome, reason) = _carried_out(found, environment)
            usage = Usage(**{**spent.counts, "env_steps_real": len(steps), "seconds": seconds})
            return PlanResult(
                task_id=task.id,
                goal=environment.goal,
                method=self.name,
                outcome=outcome,
                reason=reason,
                plan=[step.action for step in steps if step.error is None],
                trajectory=steps,
                usage=usage,
                budget_exhausted=_exceeded(usage, budget),
            )


class RunnableMethod(UserMethod):
    """A graph, an agent or any other runnable.

    One that takes a `task` gets it, like the planner; every other one gets the task's text as a human message.

    Args:
        runnable: The graph; it is run on a thread of its own each time.
        environment: A prototype or a factory; the plan is carried out in a fresh instance.
        name: What tables call it; by default the runnable's own name.
    """

    def __init__(
        self, runnable: Runnable[Any, Any], environment: Environment | Callable[[], Environment], *,
        name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(environment, name=name or str(runnable.get_name()))
        self._runnable = runnable
        self._takes_task = "task" in _input_names(runnable)

    def answer(self, task: Task) -> Any:
        """The runnable's output."""
        return self._runnable.invoke(self._input(task), _own_thread())

    async def aanswer(self, task: Task) -> Any:
        """The runnable's output."""
        return await self._runnable.ainvoke(self._input(task), _own_thread())

    def _input(self, task: Task) -> dict[str, Any]:
        return {"task": task} if self._takes_task else {"messages": [HumanMessage(task.text)]}


class FunctionMethod(UserMethod):
    """A function of an example's inputs, `{"task": {"id", "text", ...}}`, as LangSmith calls its targets.

    Args:
        function: Sync or async; an async one runs under `arun_experiment` only.
        environment: A prototype or a factory; the plan is carried out in a fresh instance.
        name: What tables call it; by default the function's own name.
    """

    def __init__(
        self, function: Callable[[dict[str, Any]], Any], environment: Environment | Callable[[], Environment], *,
        name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(environment, name=name or str(getattr(function, "__name__", type(function).__name__)))
        self._function = function
        self._is_async = inspect.iscoroutinefunction(function)

    def answer(self, task: Task) -> Any:
        """What the function returns."""
        if self._is_async:
            raise InvalidSettingError(f"{self.name} is async: run it with `await arun_experiment(...)`")
        return self._function({"task": task.model_dump(mode="json")})

    async def aanswer(self, task: Task) -> Any:
        """What the function returns; a sync one is called off the event loop."""
        inputs = {"task": task.model_dump(mode="json")}
        return await self._function(inputs) if self._is_async else await asyncio.to_thread(self._function, inputs)


def _input_names(runnable: Runnable[Any, Any]) -> set[str]:
    """What a runnable's input is made of; nothing where it does not say."""
    graph: Any = runnable.bound if isinstance(runnable, RunnableBinding) else runnable
    schema = getattr(getattr(graph, "builder", None), "input_schema", None)
    if schema is not None:
        return set(getattr(schema, "model_fields", None) or get_type_hints(schema))
    return set(graph.get_input_jsonschema().get("properties", {}))


def read_answer(answer: Any, environment: Environment) -> PlanResult | list[str]:
    """The result or the plan in what a target answered.

    Raises:
        LinvitError: There is none; the message says what is read.
    """
    if isinstance(answer, dict):
        if "result" in answer:
            return read_answer(answer["result"], environment) if not isinstance(answer["result"], dict) else (
                _validated(answer["result"])
            )  # fmt: skip
        if "plan" in answer:
            return read_answer(answer["plan"], environment)
        if "messages" in answer:
            return _called(answer["messages"], environment)
    if isinstance(answer, PlanResult):
        return answer
    if isinstance(answer, str):
        parsed = environment.parse_action(answer)
        if parsed.action is None:
            raise LinvitError(f"the target's answer is no action: {parsed.error}")
        return [parsed.action]
    if isinstance(answer, list | tuple) and all(isinstance(action, str) for action in answer):
        return list(answer)
    raise LinvitError(f"the target answered {shorten(repr(answer), 120)}; it should answer {EXPECTED}")


def _validated(result: dict[str, Any]) -> PlanResult:
    try:
        return PlanResult.model_validate(result)
    except ValidationError as error:
        raise LinvitError(f"the target's result is no PlanResult; it should answer {EXPECTED}") from error


def _called(messages: Sequence[Any], environment: Environment) -> list[str]:
    """The actions that an agent's tool calls mean, those left out whose tool reported an error."""
    tools = {tool.name: tool for tool in environment.action_tools()}
    failed = {item.tool_call_id for item in messages if isinstance(item, ToolMessage) and item.status == "error"}
    calls = [call for message in messages if isinstance(message, AIMessage) for call in message.tool_calls]
    actions = []
    for call in calls:
        tool = tools.get(call["name"])
        if tool is None or call["id"] in failed:
            continue
        try:
            actions.append(tool.render(tool.args_schema.model_validate(call["args"])))
        except ValidationError:
            continue
    return actions


def _carried_out(plan: Sequence[str], environment: Environment) -> tuple[list[PlanStep], tuple[PlanOutcome, str]]:
    """The steps of a plan in a fresh episode, as far as it goes, and how the episode ended."""
    steps: list[PlanStep] = []
    horizon = environment.horizon or len(plan)
    for action in plan[:horizon]:
        found = environment.step(action)
        observation = found.error or found.observation
        steps.append(PlanStep(action=action, observation=observation, reward=found.reward, error=found.error))
        if environment.solved:
            return steps, ("solved", f"in {len(steps)} steps")
        if found.done:
            return steps, ("done" if environment.solved is None else "failed", "the episode is over")
    if not plan:
        return steps, ("no_candidates", "the target's answer has no action")
    if len(plan) > horizon:
        return steps, ("horizon", f"not solved within {horizon} steps")
    return steps, ("done" if environment.solved is None else "failed", "the plan is at its end")


def _exceeded(usage: Usage, budget: Budget) -> str | None:
    """The first budget that was exceeded."""
    spent = {
        "completions": usage.llm_calls,
        "tokens": usage.tokens,
        "env_steps": usage.env_steps,
        "seconds": usage.seconds,
    }
    limits = budget.model_dump()
    return next((what for what, count in spent.items() if limits[what] is not None and count > limits[what]), None)


def _own_thread() -> Any:
    return {"configurable": {"thread_id": uuid.uuid4().hex}}


class _UsageCounter(BaseCallbackHandler):
    """Counts every model call under way in its context, by the names of `Usage`."""

    def __init__(self) -> None:
        self.counts: dict[str, Any] = {}
        self._lock = threading.Lock()

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        del kwargs
        if response.generations and all(response.generations):
            completions = sum(map(len, response.generations))
            made = {"llm_calls": completions, "requests": 1, **token_counts(response)}
            with self._lock:
                self.counts = add_counts(self.counts, made)


_counter: ContextVar[_UsageCounter | None] = ContextVar("linvit_usage", default=None)
register_configure_hook(_counter, inheritable=True)


@contextmanager
def _counted() -> Iterator[_UsageCounter]:
    counter = _UsageCounter()
    token = _counter.set(counter)
    try:
        yield counter
    finally:
        _counter.reset(token)
