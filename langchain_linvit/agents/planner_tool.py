"""The planner as a tool: an agent states a goal, and gets back a plan or what came of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool, StructuredTool, ToolException
from pydantic import BaseModel, Field, create_model

from langchain_linvit.agents.under_way import EpisodeUnderWay, is_under_way
from langchain_linvit.environments.base import Environment, Task, shorten
from langchain_linvit.errors import InvalidSettingError, InvalidTaskError, LinvitError
from langchain_linvit.planner.graph import Planner, create_slinvit_planner
from langchain_linvit.planner.result import PlanResult
from langchain_linvit.planner.settings import setting_errors

Mode = Literal["plan", "act"]
"""What a call does: `plan` in an instance or fork that is thrown away, or `act`."""

NAMED_TASKS = 20
"""Tasks whose ids the tool's schema lists."""
NAMES: dict[Mode, str] = {"plan": "make_plan", "act": "reach_goal"}
PURPOSES: dict[Mode, str] = {
    "plan": "Search for a sequence of actions that reaches a goal. Nothing is carried out: the plan comes back.",
    "act": "Search for the actions that reach a goal, and carry them out. What was done and its outcome come back.",
}


def create_slinvit_tool(
    model: BaseChatModel | Runnable[Any, Any] | str | None,
    environment: Environment | Callable[[], Environment],
    *,
    name: str | None = None,
    description: str | None = None,
    mode: Mode = "plan",
    tasks: Sequence[Task] | Callable[[str], Task] | None = None,
    **settings: Any,
) -> BaseTool:
    """A tool that plans with SLINVIT, for an agent's list of tools.

    Search events go to the custom stream: a parent graph's stream shows them with `subgraphs=True`. The
    artifact is the whole `PlanResult` as plain data. What can't be planned comes back as an error message.

    Args:
        model: As for `create_slinvit_planner`: the prior's chat model.
        environment: A prototype or a factory: every call resets an instance of its own to the goal. An instance
            whose episode is under way can also be planned from where it stands: the call leaves `goal` empty.
        name: What the agent calls it; default `make_plan` or `reach_goal`.
        description: What the agent reads; default: what it does, and the environment's description.
        mode: `plan` searches and tries its plan out in an instance or fork of its own; `act` acts in the episode
            that is under way, or, with a goal, in a new instance.
        tasks: What a goal may name: tasks by id, or a function from the agent's words to a task. None: the words
            are the task.
        **settings: As for `create_slinvit_planner`: value, depth, candidates, budget (for each call), and more.

    Raises:
        InvalidSettingError: A setting is wrong; the message says which.
    """
    if mode not in NAMES:
        raise InvalidSettingError(f"mode must be 'plan' or 'act', not {mode!r}")
    if "checkpointer" in settings:
        raise InvalidSettingError("a planner tool has no checkpointer of its own: pass it to the agent's graph")
    calls = _Calls(model, environment, mode, tasks, settings)
    about = getattr(environment, "description", "")  # of an instance, or of a class as the factory
    return StructuredTool.from_function(
        func=calls.plan,
        coroutine=calls.aplan,
        name=name or NAMES[mode],
        description=description or "\n\n".join(filter(None, [PURPOSES[mode], shorten(str(about), 1_500)])),
        args_schema=_arguments(environment, tasks),
        response_format="content_and_artifact",
        handle_tool_error=True,
        handle_validation_error=setting_errors,
    )


def _arguments(
    environment: Environment | Callable[[], Environment], tasks: Sequence[Task] | Callable[[str], Task] | None
) -> type[BaseModel]:
    meaning = "The goal, as the environment states its tasks."
    if isinstance(tasks, Sequence):
        ids = [task.id for task in tasks]
        rest = f" and {len(ids) - NAMED_TASKS} more" if len(ids) > NAMED_TASKS else ""
        meaning = f"The id of a task: {', '.join(ids[:NAMED_TASKS])}{rest}."
    if isinstance(environment, Environment):
        meaning += " Leave it empty to go on from where the environment stands."
    default: Any = "" if isinstance(environment, Environment) else ...
    return create_model("PlanArguments", goal=(str, Field(default, description=meaning)))


class _Calls:
    """The calls of one tool: which planner serves which, and what comes back."""

    def __init__(
        self, model: Any, environment: Environment | Callable[[], Environment], mode: Mode,
        tasks: Sequence[Task] | Callable[[str], Task] | None, settings: dict[str, Any],
    ) -> None:  # fmt: skip
        self._environment = environment
        self._mode = mode
        self._tasks = tasks
        self._acting = threading.Lock()
        spawn = environment.spawn if isinstance(environment, Environment) else environment
        self._afresh = create_slinvit_planner(model, self._checked(spawn), **settings)
        self._onward = create_slinvit_planner(model, self._view, **settings)

    def plan(self, goal: str = "") -> tuple[str, dict[str, Any]]:
        """One call of the tool."""
        with self._errors_for_the_model(), self._call(goal) as call:
            result: PlanResult = call.planner.invoke({"task": call.task})["result"]
            return report(result, self._mode), result.to_dict()

    async def aplan(self, goal: str = "") -> tuple[str, dict[str, Any]]:
        """One call of the tool in async code."""
        with self._errors_for_the_model(), self._call(goal) as call:
            result: PlanResult = (await call.planner.ainvoke({"task": call.task}))["result"]
            return report(result, self._mode), result.to_dict()

    def _view(self) -> Environment:
        assert isinstance(self._environment, Environment)  # noqa: S101 - `_call` has checked it
        return EpisodeUnderWay(self._environment, acting=self._mode == "act")

    def _checked(self, spawn: Callable[[], Environment]) -> Callable[[], Environment]:
        """A factory that makes nothing whose reset is an action for real where only a plan was asked for."""

        def spawned() -> Environment:
            made = spawn()
            if made.persistent and self._mode == "plan":
                raise InvalidSettingError(
                    f"to start {type(made).__name__} afresh would act for real, since it outlives this program; plan "
                    "from where it stands: reset it, and call this tool with an empty goal"
                )
            return made

        return spawned

    @contextmanager
    def _call(self, goal: str) -> Iterator[_Call]:
        """The planner and the task of a call; only one acts at a time in the episode that is under way."""
        if goal.strip():
            yield _Call(self._afresh, self._task(goal.strip()))
            return
        if not is_under_way(self._environment):
            raise InvalidTaskError("no goal was given, and no episode is under way to go on with")
        assert isinstance(self._environment, Environment)  # noqa: S101 - `is_under_way` has checked it
        if not self._acting.acquire(blocking=False):
            raise InvalidTaskError("another call is working in this environment: make one call per message")
        try:
            yield _Call(self._onward, self._environment.task)
        finally:
            self._acting.release()

    def _task(self, goal: str) -> Task:
        if self._tasks is None:
            return Task.from_text(goal)
        if callable(self._tasks):
            return self._tasks(goal)
        for task in self._tasks:
            if goal in {task.id, task.text.strip()}:
                return task
        ids = ", ".join(task.id for task in self._tasks[:NAMED_TASKS])
        raise InvalidTaskError(f"no task {shorten(goal, 80)!r}; there are {ids}")

    @staticmethod
    @contextmanager
    def _errors_for_the_model() -> Iterator[None]:
        try:
            yield
        except LinvitError as error:
            raise ToolException(str(error)) from error


@dataclass(frozen=True, slots=True)
class _Call:
    """What serves one call."""

    planner: Planner
    task: Task


def report(result: PlanResult, mode: Mode) -> str:
    """What an agent reads of a result: the outcome, the actions, and where they led.

    Args:
        result: What the planner came to.
        mode: Whether the actions were carried out for good.
    """
    taken = "Actions taken" if mode == "act" else "Plan (not carried out)"
    plan = "\n".join(f"{number}. {action}" for number, action in enumerate(result.plan, 1)) or "(none)"
    lines = [f"Outcome: {result.outcome} ({result.reason})", f"{taken}:", plan]
    if result.trajectory:
        lines.append(f"Last observation: {shorten(result.trajectory[-1].observation, 1_000)}")
    return "\n".join(lines)
