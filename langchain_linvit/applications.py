"""The applications that the command line and the served graphs offer: an environment with its defaults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel

from langchain_linvit.environments.base import Environment, Task
from langchain_linvit.errors import InvalidSettingError


@dataclass(frozen=True, slots=True)
class TaskChoice:
    """Which task a user asks for; every application reads what concerns it.

    Attributes:
        problem: A problem file.
        data: A folder of benchmark data.
        task: The number or id of one of several tasks.
        seed: Seed of generated problems.
    """

    problem: Path | None = None
    data: Path | None = None
    task: str | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Application:
    """An environment, where its tasks come from, and what plans them well by default.

    Attributes:
        name: What users call it.
        summary: One line for people.
        environment: Makes the environment for a choice of task.
        tasks: The tasks for a choice.
        offline_model: The embedded chat model that serves where no other is named.
        settings: Keyword arguments of `create_slinvit_planner`.
    """

    name: str
    summary: str
    environment: Callable[[TaskChoice], Environment]
    tasks: Callable[[TaskChoice], list[Task]]
    offline_model: Callable[[TaskChoice], BaseChatModel]
    settings: dict[str, Any] = field(default_factory=dict)


def application(name: str) -> Application:
    """The application of that name, imported only now.

    Raises:
        InvalidSettingError: There is none.
        MissingDependencyError: Its extra is not installed.
    """
    if name not in APPLICATIONS:
        raise InvalidSettingError(f"no application {name!r}; there are {', '.join(sorted(APPLICATIONS))}")
    return APPLICATIONS[name]()


def chosen(tasks: list[Task], choice: TaskChoice) -> Task:
    """The one task that a user named by its number (from 1) or id; the first where none was named.

    Raises:
        InvalidSettingError: There is no such task.
    """
    if choice.task is None:
        return tasks[0]
    for number, task in enumerate(tasks, 1):
        if choice.task in {str(number), task.id}:
            return task
    raise InvalidSettingError(f"no task {choice.task!r}; there are {len(tasks)}, by number from 1 or by id")


def _blocksworld() -> Application:
    from langchain_linvit.environments.blocksworld import (
        BlocksWorldEnvironment,
        blocks_in_place,
        generate_problems,
        load_problem,
        load_problem_list,
    )
    from langchain_linvit.models.blocksworld import blocksworld_model

    def tasks(choice: TaskChoice) -> list[Task]:
        if choice.problem is None:
            return generate_problems(blocks=4, steps=6, count=10, seed=choice.seed)
        if choice.problem.suffix == ".json":
            return load_problem_list(choice.problem)
        return [load_problem(choice.problem)]

    return Application(
        name="blocksworld",
        summary="Stack blocks as a PDDL problem asks for (PlanBench).",
        environment=lambda _: BlocksWorldEnvironment(),
        tasks=tasks,
        offline_model=lambda _: blocksworld_model("novice"),
        settings={"value": blocks_in_place, "candidates": None, "beam": 3, "depth": 6},
    )


def _alfworld() -> Application:
    from langchain_linvit.environments.alfworld import AlfworldEnvironment, load_games, own_games
    from langchain_linvit.models.household import household_model
    from langchain_linvit.planner.settings import PRESETS

    def tasks(choice: TaskChoice) -> list[Task]:
        folder = choice.problem or choice.data
        return own_games(12, seed=choice.seed) if folder is None else load_games(folder)

    return Application(
        name="alfworld",
        summary="Household tasks in text (ALFWorld).",
        environment=lambda _: AlfworldEnvironment(),
        tasks=tasks,
        offline_model=lambda _: household_model("novice"),
        settings=PRESETS["paper-alfworld"],
    )


def _intercode_sql() -> Application:
    from langchain_linvit.environments.intercode import SqlEnvironment, sql_tasks
    from langchain_linvit.models.intercode import intercode_model

    return Application(
        name="intercode-sql",
        summary="Answer questions about databases by SQL (InterCode).",
        environment=lambda _: SqlEnvironment(),
        tasks=lambda choice: sql_tasks(choice.data),
        offline_model=lambda _: intercode_model("sql"),
        settings={"value": "agreement", "candidates": 8, "depth": 1},
    )


def _intercode_bash() -> Application:
    from langchain_linvit.environments.intercode import BashEnvironment, bash_tasks, nl2bash_tasks
    from langchain_linvit.models.intercode import intercode_model

    return Application(
        name="intercode-bash",
        summary="Carry out requests on a file system by bash commands, in a sandbox (InterCode).",
        environment=lambda _: BashEnvironment(),
        tasks=lambda choice: bash_tasks() if choice.data is None else nl2bash_tasks(choice.data),
        offline_model=lambda _: intercode_model("bash"),
        settings={"value": "agreement", "candidates": 8, "depth": 1},
    )


APPLICATIONS: dict[str, Callable[[], Application]] = {
    "alfworld": _alfworld,
    "blocksworld": _blocksworld,
    "intercode-sql": _intercode_sql,
    "intercode-bash": _intercode_bash,
}
"""By name; each is imported when first asked for."""
