"""Recorded steps of InterCode's logs, carried out again: which rewards come out the same, and why others don't."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import track

from evals.intercode import read_log
from langchain_linvit.environments.base import Environment, Task

TOLERANCE = 0.011
"""Rewards are rounded to two digits in their parts; those that differ by no more are the same."""
REFUSALS = ("No SQL code was found", "Error executing query: Your last `execute` action did not contain")
"""How the scripts' own replies begin where they found no code in an answer: nothing was run."""
LISTED = 200
"""How many different steps a row lists."""

TaskOf = Callable[[Path, dict[str, Any]], Task | None]
"""Which task an episode of a log is about; None leaves it out."""


@dataclass(frozen=True)
class ReplayedStep:
    """A submitted step of a log and what came out here.

    Attributes:
        number: Its place in the episode, from 0.
        action: The last command before the submission.
        observation: The log's observation, cut there.
        recorded: The log's reward.
        output: The last observation here.
        reward: The reward here.
    """

    number: int
    action: str
    observation: str
    recorded: float
    output: str
    reward: float

    @property
    def agrees(self) -> bool:
        """Whether both rewards are the same, but for rounding."""
        return abs(self.recorded - self.reward) <= TOLERANCE


Cause = Callable[[ReplayedStep, Task], str]
"""Why the rewards of a step differ, in a few words."""


def replays(
    environment: Environment, logs: Sequence[Path], task_of: TaskOf
) -> Iterator[tuple[str, Task, ReplayedStep]]:
    """The log's name, the task and the step, for all submitted steps of logs; each episode starts afresh."""
    for path in logs:
        for episode in track(read_log(path), f"replay {path.name}", transient=True):
            task = task_of(path, episode)
            if task is not None:
                yield from ((path.name, task, step) for step in replayed(environment, task, episode))


def replay_row(
    steps: Iterable[tuple[str, Task, ReplayedStep]], backend: str, cause: Cause | None = None
) -> dict[str, Any]:  # fmt: skip
    """The share of recorded steps whose recorded reward is reproduced here; with `cause`, why the others differ.

    InterCode's scripts submit after every action (ReAct: at the end). Steps without a submission have the integer 0
    in the logs: they are carried out, and not counted.
    """
    by_log: dict[str, list[int]] = {}
    solved = Counter[str]()
    different: list[dict[str, Any]] = []
    for log, task, step in steps:
        counts = by_log.setdefault(log, [0, 0])
        counts[0] += step.agrees
        counts[1] += 1
        solved[_solved_where(step)] += 1
        if not step.agrees:
            row = {"log": log, "task": task.id, "step": step.number, "here": step.reward, "log_has": step.recorded}
            different.append({**row, "cause": cause(step, task)} if cause else row)
    total = sum(counts[1] for counts in by_log.values())
    same = total - len(different)
    row = {"method": "replay", "backend": backend, "n": total, "solved": same, "success": same / max(total, 1)}
    if cause:
        row["causes"] = dict(Counter(one["cause"] for one in different).most_common())
    row["steps_at_1"] = {where: solved[where] for where in ("both", "here only", "log only")}
    row["same_by_log"] = {log: f"{same} of {total}" for log, (same, total) in by_log.items()}
    return {**row, "different": different[:LISTED]}


def _solved_where(step: ReplayedStep) -> str:
    here, there = (reward > 1 - TOLERANCE / 2 for reward in (step.reward, step.recorded))
    return "both" if here and there else "here only" if here else "log only" if there else "neither"


def replayed(environment: Environment, task: Task, episode: dict[str, Any]) -> Iterator[ReplayedStep]:
    """The steps of an episode that were submitted, after all its steps before."""
    environment.reset(task)
    failed, last, output = False, "", ""
    recorded = zip(episode["actions"], episode["observations"], episode["rewards"], strict=False)
    for number, (action, observation, expected) in enumerate(recorded):
        if str(observation).startswith(REFUSALS):
            continue
        text = action.removeprefix("execute[").removesuffix("]") if action.startswith("execute[") else action
        if not text.startswith("submit"):
            transition = environment.step(text)
            failed, last, output = transition.error is not None, text, transition.observation
        if isinstance(expected, float):
            reward = 0.0 if failed else environment.evaluate().info["intercode_reward"]
            yield ReplayedStep(number, last, str(observation), expected, output, reward)
