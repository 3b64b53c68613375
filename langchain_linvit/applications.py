"""The applications that the command line and the served graphs offer: an environment with its defaults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel

from langchain_linvit.environments.base import Environment, Task
from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.models.sampling import named_model

if TYPE_CHECKING:
    from langchain_linvit.planner.graph import Planner

GENERATED_STEPS = (2, 4, 6)
"""Optimal lengths of the BlocksWorld problems that are generated: those of PlanBench's lists."""
GENERATED_PROBLEMS = 30
"""BlocksWorld problems generated for each of these lengths."""
SOLVED_BLOCKS = 6
"""Blocks up to which an optimal plan is worked out as a reference; it takes milliseconds."""
GENERATED_GAMES = 30
"""ALFWorld games generated where no data are named, the types in turn."""
OFFICIAL_SPLITS = ("train", "valid_train", "valid_seen", "valid_unseen")
"""ALFWorld's own splits, as its folders are called."""
PACKAGE_SPLIT = "package"
"""The tasks that the package intercode-bench ships."""


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
        splits: All tasks of the benchmark for a choice, by split.
        stratum: The metadata by which tables group the tasks, and by which a part of them is spread.
        reference: A plan that solves a task; None where none is known.
        offline_model: The embedded chat model that serves where no other is named.
        settings: Keyword arguments of `create_slinvit_planner`.
    """

    name: str
    summary: str
    environment: Callable[[TaskChoice], Environment]
    tasks: Callable[[TaskChoice], list[Task]]
    splits: Callable[[TaskChoice], dict[str, list[Task]]]
    stratum: str
    reference: Callable[[Task], list[str] | None]
    offline_model: Callable[[TaskChoice], BaseChatModel]
    settings: dict[str, Any] = field(default_factory=dict)

    def planner(
        self, choice: TaskChoice, *, model: str | None = None, preset: str | None = None, **settings: Any
    ) -> Planner:  # fmt: skip
        """The planner of this application.

        Args:
            choice: Which task is asked for.
            model: The name of a chat model; None takes the embedded one.
            preset: Settings by name, in place of the application's own.
            **settings: As for `create_slinvit_planner`; they override both.

        Raises:
            InvalidSettingError: A setting or the model's name is wrong; the message says which.
        """
        from langchain_linvit.planner.graph import create_slinvit_planner

        return create_slinvit_planner(
            self.offline_model(choice) if model is None else named_model(model),
            self.environment(choice),
            **planner_settings(self, preset, settings),
        )

    def task(self, choice: TaskChoice, words: str) -> Task:
        """The task that a person names by number or id, or states in their own words.

        Raises:
            InvalidSettingError: There is no task of that number.
        """
        tasks = self.tasks(choice)
        if words.isdecimal() or words in {task.id for task in tasks}:
            return chosen(tasks, replace(choice, task=words))
        return Task.from_text(words)


def application(name: str) -> Application:
    """The application of that name, imported only now.

    Raises:
        InvalidSettingError: There is none.
        MissingDependencyError: Its extra is not installed.
    """
    if name not in APPLICATIONS:
        raise InvalidSettingError(f"no application {name!r}; there are {', '.join(sorted(APPLICATIONS))}")
    return APPLICATIONS[name]()


def planner_settings(chosen_application: Application, preset: str | None, named: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments of `create_slinvit_planner`: an application's own or those of a preset, then what was named.

    The paper's rule value is hand-written: where a preset asks for rules and the application ships some, it gets them.
    """
    if preset is None:
        return {**chosen_application.settings, **named}
    from langchain_linvit.planner.settings import PRESETS

    own = chosen_application.settings.get("value")
    if callable(own) and PRESETS.get(preset, {}).get("value") == "rules":
        named = {"value": own, **named}
    return {"preset": preset, **named}


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


def _some(splits: dict[str, list[Task]], source: Path, wanted: str) -> dict[str, list[Task]]:
    if not any(splits.values()):
        raise InvalidSettingError(f"no tasks in {source}: expected {wanted}")
    return splits


def _gold_then_submit(task: Task) -> list[str] | None:
    gold = task.data.get("gold")
    return None if gold is None else [str(gold), "submit"]


def _blocksworld() -> Application:
    from langchain_linvit.environments.blocksworld import (
        BlocksWorldEnvironment,
        blocks_in_place,
        generate_problems,
        load_problem,
        load_problem_list,
        solve_optimally,
    )
    from langchain_linvit.models.blocksworld import blocksworld_model

    def tasks(choice: TaskChoice) -> list[Task]:
        if choice.problem is None:
            return generate_problems(blocks=4, steps=6, count=10, seed=choice.seed)
        if choice.problem.suffix == ".json":
            return load_problem_list(choice.problem)
        return [load_problem(choice.problem)]

    def splits(choice: TaskChoice) -> dict[str, list[Task]]:
        source = choice.data or choice.problem
        if source is None:
            return {
                f"step_{steps}": generate_problems(blocks=4, steps=steps, count=GENERATED_PROBLEMS, seed=choice.seed)
                for steps in GENERATED_STEPS
            }
        if source.is_dir():
            lists, problems = sorted(source.glob("step_*.json")), sorted(source.glob("*.pddl"))
            found = {path.stem: load_problem_list(path) for path in lists}
            return found or _some(
                {source.name: [load_problem(path) for path in problems]}, source, "step_*.json, *.pddl"
            )
        return {source.stem: tasks(TaskChoice(problem=source))}

    def reference(task: Task) -> list[str] | None:
        known = int(task.metadata.get("blocks", 0)) <= SOLVED_BLOCKS
        return solve_optimally(task) if known else None

    return Application(
        name="blocksworld",
        summary="Stack blocks as a PDDL problem asks for (PlanBench).",
        environment=lambda _: BlocksWorldEnvironment(),
        tasks=tasks,
        splits=splits,
        stratum="optimal_steps",
        reference=reference,
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

    def splits(choice: TaskChoice) -> dict[str, list[Task]]:
        folder = choice.problem or choice.data
        if folder is None:
            return {"generated": own_games(GENERATED_GAMES, seed=choice.seed)}
        found: dict[str, list[Task]] = {}
        for task in load_games(folder):
            parts = Path(task.data["game"]).parts
            found.setdefault(next((name for name in OFFICIAL_SPLITS if name in parts), folder.name), []).append(task)
        return found

    return Application(
        name="alfworld",
        summary="Household tasks in text (ALFWorld).",
        environment=lambda _: AlfworldEnvironment(),
        tasks=tasks,
        splits=splits,
        stratum="kind",
        reference=lambda task: list(task.metadata.get("walkthrough") or []) or None,
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
        splits=lambda choice: {choice.data.stem if choice.data else PACKAGE_SPLIT: sql_tasks(choice.data)},
        stratum="hardness",
        reference=_gold_then_submit,
        offline_model=lambda _: intercode_model("sql"),
        settings={"value": "agreement", "candidates": 8, "depth": 1},
    )


def _intercode_bash() -> Application:
    from langchain_linvit.environments.intercode import BashEnvironment, bash_tasks, nl2bash_tasks
    from langchain_linvit.models.intercode import intercode_model

    def tasks(choice: TaskChoice) -> list[Task]:
        return bash_tasks() if choice.data is None else nl2bash_tasks(choice.data)

    def splits(choice: TaskChoice) -> dict[str, list[Task]]:
        if choice.data is None:
            return {PACKAGE_SPLIT: tasks(choice)}
        found: dict[str, list[Task]] = {}
        for task in tasks(choice):
            found.setdefault(f"fs_{task.metadata['file_system']}", []).append(task)
        return found

    return Application(
        name="intercode-bash",
        summary="Carry out requests on a file system by bash commands, in a sandbox (InterCode).",
        environment=lambda _: BashEnvironment(),
        tasks=tasks,
        splits=splits,
        stratum="file_system",
        reference=_gold_then_submit,
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
