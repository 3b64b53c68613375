"""Benchmarks as lists of LangSmith examples, and examples as tasks again.

    examples = load_dataset("alfworld", data="json_2.1.1/valid_seen", limit=30)

An example's `inputs` are what a target sees: `{"task": {...}}`, which a planner takes as it is. Its reference
`outputs` hold what a target must not see: the gold answer, a plan that solves the task, and the same plan as messages,
which `agentevals` compares trajectories with. Its metadata are the task's (hardness, file system, kind, steps), with
`benchmark`, `task_id` and LangSmith's `dataset_split`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from langsmith.schemas import Example
from pydantic import ValidationError

from langchain_linvit.applications import Application, TaskChoice, application
from langchain_linvit.environments.base import ActionTool, Task
from langchain_linvit.environments.strata import stratified
from langchain_linvit.errors import InvalidSettingError, LinvitError

NAMESPACE = UUID("5b0d4a5e-6f0c-5f5e-9a53-1d1c9a5f2f10")
"""What the ids of examples and datasets derive from: equal tasks have equal ids, everywhere."""
HIDDEN = ("gold", "walkthrough")
"""Fields of a task's data and metadata that give its answer away."""


def load_dataset(
    benchmark: str, *, data: str | Path | None = None, split: str | None = None, limit: int | None = None, seed: int = 0
) -> list[Example]:
    """The examples of a benchmark.

    Args:
        benchmark: `blocksworld`, `intercode-sql`, `intercode-bash` or `alfworld`.
        data: Where the full set lies: a list `step_6.json` or its folder, `ic_spider_dev.json`, a clone of InterCode's
            repository, a folder of ALFWorld games. Default: what packages ship, or generated problems.
        split: Only the tasks of this split, e.g. `step_6`, `fs_2`, `valid_seen`.
        limit: At most so many, spread evenly over splits and over hardness, file systems, kinds or steps.
        seed: Seed of generated problems.

    Raises:
        InvalidSettingError: There is no such benchmark, or no such split; the message names those there are.
        InvalidTaskError: The data can't be read.
        MissingDependencyError: The benchmark's extra is not installed.
    """
    chosen = application(benchmark)
    choice = TaskChoice(data=Path(data).expanduser() if data is not None else None, seed=seed)
    splits = chosen.splits(choice)
    if split is not None:
        if split not in splits:
            raise InvalidSettingError(f"{benchmark} has no split {split!r} here; there are {', '.join(splits)}")
        splits = {split: splits[split]}
    tasks = [_in_split(task, name) for name, found in splits.items() for task in found]
    if limit is not None:
        if limit < 1:
            raise InvalidSettingError(f"limit is {limit}; it must be at least 1")
        tasks = stratified(tasks, limit, chosen.stratum if len(splits) < 2 else "split")
    return to_examples(tasks, benchmark=benchmark, source=chosen, choice=choice)


def to_examples(
    tasks: Sequence[Task],
    *,
    benchmark: str = "custom",
    source: Application | None = None,
    choice: TaskChoice | None = None,
) -> list[Example]:
    """Tasks as examples, in their order.

    Args:
        tasks: Any tasks; a split in their metadata becomes the example's.
        benchmark: What the set is called.
        source: The application that knows plans for them, where there is one.
        choice: What the application's environment is made for.
    """
    plans = [source.reference(task) if source else None for task in tasks]
    tools = _tools(source, choice or TaskChoice()) if source and any(plans) else None
    return [
        _example(task, benchmark, plan, trajectory_messages(task.text, plan, tools) if plan and tools else None)
        for task, plan in zip(tasks, plans, strict=True)
    ]


def to_task(example: Example) -> Task:
    """The whole task of an example, its gold answer included: for the benchmark's verdict.

    Raises:
        InvalidSettingError: The example's inputs hold no task.
    """
    seen, hidden = (example.inputs or {}).get("task"), (example.outputs or {}).get("task") or {}
    try:
        shown = Task.model_validate(seen) if not isinstance(seen, str) else Task.from_text(seen)
    except ValidationError as error:
        raise InvalidSettingError(
            f"example {example.id} holds no task: its inputs need `task`, with an `id` and a `text`"
        ) from error
    return shown.model_copy(
        update={
            "data": {**shown.data, **hidden.get("data", {})},
            "metadata": {**shown.metadata, **hidden.get("metadata", {})},
        }
    )


def without_answer(task: Task) -> Task:
    """The task as a target may see it."""
    return task.model_copy(update={"data": _shown(task.data), "metadata": _shown(task.metadata)})


def dataset_digest(examples: Sequence[Example]) -> str:
    """Equal for equal examples in the same order."""
    return hashlib.blake2b(b"".join(example.id.bytes for example in examples), digest_size=8).hexdigest()


def trajectory_messages(goal: str, actions: Sequence[str], tools: Sequence[ActionTool]) -> list[dict[str, Any]]:
    """A plan as messages of OpenAI's form: the goal, then every action as a call of the environment's own tools."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": goal}]
    for number, action in enumerate(actions):
        name, arguments = _tool_call(action, tools)
        call = {"name": name, "arguments": json.dumps(arguments)}
        messages.append(
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": f"call-{number}", "type": "function", "function": call}],
            }
        )
    return messages


def _tools(source: Application, choice: TaskChoice) -> list[ActionTool] | None:
    try:
        return source.environment(choice).action_tools()
    except LinvitError:  # no sandbox on this machine, say: its tasks can be looked at all the same
        return None


def _tool_call(action: str, tools: Sequence[ActionTool]) -> tuple[str, dict[str, Any]]:
    for tool in tools:
        arguments = tool.parse(action)
        if arguments is not None:
            return tool.name, arguments
    return "act", {"action": action}


def _in_split(task: Task, split: str) -> Task:
    return task.model_copy(update={"metadata": {**task.metadata, "split": split}})


def _example(
    task: Task, benchmark: str, plan: list[str] | None, messages: list[dict[str, Any]] | None
) -> Example:  # fmt: skip
    content = "\0".join((benchmark, task.id, task.text, str(task.data.get("gold", ""))))  # no paths: they differ
    split = task.metadata.get("split")
    outputs = {
        "task": {"data": _hidden(task.data), "metadata": _hidden(task.metadata)},
        **({"plan": plan} if plan else {}),
        **({"messages": messages} if messages else {}),
    }
    return Example(
        id=uuid5(NAMESPACE, content),
        dataset_id=uuid5(NAMESPACE, benchmark),
        inputs={"task": without_answer(task).model_dump(mode="json")},
        outputs=outputs,
        metadata={
            **_shown(task.metadata),
            "benchmark": benchmark,
            "task_id": task.id,
            **({"dataset_split": [split]} if split else {}),
        },
    )


def _shown(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key not in HIDDEN}


def _hidden(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key in HIDDEN}
