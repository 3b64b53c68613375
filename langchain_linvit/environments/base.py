"""The environment contract: what a task is played in, by an agent, a planner or an evaluation.

Only `reset`, `step` and `state_text` have to be written. Everything else has a default that is correct
and at worst slow: forks, snapshots and restores replay the actions that were taken. The checker
`langchain_linvit.testing.check_environment` holds an environment to all that stands here.
"""

from __future__ import annotations

import functools
import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from langchain_linvit.errors import EnvironmentStateError

Snapshot = dict[str, Any]
"""Plain serialisable data from which an environment's state can be rebuilt, in any process."""

MAX_ACTION_LENGTH = 4_000
"""Characters of a model's answer that are read as an action; the rest is cut."""


class Task(BaseModel):
    """One task of an environment.

    `data` is what the environment sets itself up from (it may hold the gold answer, which the
    environment keeps to itself); `metadata` is for evaluations only (hardness, optimal length).
    """

    model_config = ConfigDict(frozen=True)

    id: str
    text: str = Field(description="What the task says, as its author wrote it.")
    data: dict[str, Any] = Field(default_factory=dict)
    metadata: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """A task that is nothing but its text; equal texts have equal ids."""
        return cls(id=hashlib.sha256(text.encode()).hexdigest()[:12], text=text)


@dataclass(frozen=True, slots=True)
class Transition:
    """What one action brought about, as far as the agent may observe it.

    Attributes:
        observation: What the agent reads.
        reward: Reward of this step in [0, 1]; never the benchmark's hidden verdict.
        done: Whether the episode is over.
        solved: Whether the task is plainly solved; None where the agent can't see that.
        error: Why the action could not be taken; the state is unchanged then.
        info: Plain data for people and evaluators; the planner doesn't read it.
    """

    observation: str
    reward: float = 0.0
    done: bool = False
    solved: bool | None = None
    error: str | None = None
    info: dict[str, Any] = field(default_factory=dict)


class Outcome(BaseModel):
    """The benchmark's verdict on the current state: for evaluators and the oracle estimator only."""

    success: bool
    score: float = Field(ge=0, le=1, description="The benchmark's own score; 1.0 where it has only success.")
    info: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ParsedAction:
    """What `parse_action` made of a model's text: an action, or an error that says what was wrong."""

    action: str | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ActionTool:
    """A typed form of an environment's actions: a call renders to exactly one action string and back.

    Attributes:
        name: Name of the tool, as a model calls it.
        description: What it does, for the model.
        args_schema: Pydantic model of its arguments, each with a description.
        render: From validated arguments to the action string.
        parse: From an action string back to the arguments; None where it is not this tool's.
    """

    name: str
    description: str
    args_schema: type[BaseModel]
    render: Callable[[BaseModel], str]
    parse: Callable[[str], dict[str, Any] | None]


class Act(BaseModel):
    """Arguments of the default action tool."""

    action: str = Field(description="The action, exactly as the environment's description spells it.")


class Environment(ABC):
    """A task's world. Abstract: `reset`, `step` and `state_text`; every other method has a default.

    `reset` may be called with a `Task` or its text: implementations always receive a `Task`. Illegal or
    unparsable actions return a `Transition` with `error` set and the state unchanged; they never raise.

    The defaults of `fork`, `snapshot` and `restore` build a new instance by the constructor's arguments
    and replay the actions that changed the state: correct for deterministic environments, and linear in
    the episode's length. Environments with a cheaper way override them and set `records_history = False`;
    they then bring their own `evaluate` too, and see to it that nothing works before `reset`.
    """

    description: str = ""
    """Rules of the world, action format and a short worked example: what a prompt tells a model."""

    concurrency: ClassVar[Literal["inline", "thread"]] = "inline"
    """`inline`: a step takes microseconds and may run on an event loop. `thread`: it blocks, and is
    driven from worker threads; different instances may run in different threads at once."""

    persistent: ClassVar[bool] = False
    """Whether the state outlives this process (a real device, a remote service). `restore` then takes no
    action: it finds the state where it is, and a planner that resumes after a crash never repeats an action
    without asking."""

    records_history: ClassVar[bool] = True
    """Whether `step` is recorded for the default `fork`, `snapshot`, `restore` and `evaluate`."""

    _init_args: tuple[tuple[Any, ...], dict[str, Any]]
    _task: Task | None = None
    _history: list[str]
    _solved: bool | None = None
    _recording: bool = False

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Remember the constructor's arguments, so that `spawn` can make an equal instance."""
        self = super().__new__(cls)
        self._init_args = (args, kwargs)
        self._history = []
        return self

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Record what `reset` and `step` do, where the class stays with the replaying defaults."""
        super().__init_subclass__(**kwargs)
        if "reset" in cls.__dict__:
            setattr(cls, "reset", _recorded_reset(cls.__dict__["reset"]))  # noqa: B010 - mypy forbids the plain form
        if "step" in cls.__dict__ and cls.records_history:
            setattr(cls, "step", _recorded_step(cls.__dict__["step"]))  # noqa: B010

    @abstractmethod
    def reset(self, task: Task | str) -> str:
        """Start `task` afresh, whatever came before, and return the first observation.

        Raises:
            InvalidTaskError: The task can't be set up; the message says why.
        """

    @abstractmethod
    def step(self, action: str) -> Transition:
        """Take one action. Never raises for a bad action: its `error` says what was wrong."""

    @abstractmethod
    def state_text(self) -> str:
        """The current state, as a model should read it."""

    @property
    def task(self) -> Task:
        """The task of the current episode.

        Raises:
            EnvironmentStateError: `reset` was not called yet.
        """
        if self._task is None:
            raise EnvironmentStateError(f"{type(self).__name__} has no task yet: call reset(task) first")
        return self._task

    @property
    def goal(self) -> str:
        """What is to be reached, as a model should read it. Default: the task's text."""
        return self.task.text

    @property
    def solved(self) -> bool | None:
        """Whether the task is plainly solved now; None where the agent can't see that.

        Default: what the last transition said, and None before the first one.
        """
        return self._solved

    @property
    def horizon(self) -> int | None:
        """Steps that the benchmark grants for the current task; None where it says nothing."""
        return None

    def spawn(self) -> Self:
        """A new instance, made with the same constructor arguments and not reset yet."""
        args, kwargs = self._init_args
        return type(self)(*args, **kwargs)

    def fork(self) -> Self:
        """An independent copy at the same state. Default: a new instance, replayed; O(episode)."""
        clone = self.spawn()
        clone.restore(self.snapshot())
        return clone

    def snapshot(self) -> Snapshot:
        """Plain data that `restore` rebuilds this state from. Default: the task and its actions."""
        return {"task": self.task.model_dump(), "actions": list(self._history)}

    def restore(self, snapshot: Snapshot) -> None:
        """Go to the state of `snapshot`, taken here or in another process. Default: replay.

        Raises:
            EnvironmentStateError: The snapshot is not one of this environment's.
        """
        try:
            task, actions = Task.model_validate(snapshot["task"]), [str(action) for action in snapshot["actions"]]
        except (KeyError, TypeError, ValueError) as error:
            raise EnvironmentStateError(
                f"not a snapshot of {type(self).__name__}: it needs a valid 'task' and 'actions'"
            ) from error
        self.reset(task)
        for number, action in enumerate(actions, 1):
            failed = self.step(action).error
            if failed is not None:
                raise EnvironmentStateError(f"the replay of a snapshot failed at step {number}, {action!r}: {failed}")

    def state_key(self) -> str | None:
        """A key that equal states share and different ones don't; None where that is unknown."""
        return None

    def admissible_actions(self) -> Sequence[str] | None:
        """Every action that can be taken now, in a fixed order; None where they are open-ended."""
        return None

    def parse_action(self, text: str) -> ParsedAction:
        """The action in a model's answer, or what is wrong with it.

        Default: the last line that begins with `Action:`, else the only line; matched against the
        admissible actions, where they are known, whatever the case and the spaces.
        """
        return match_action(extract_action(text), self.admissible_actions())

    def action_tools(self) -> list[ActionTool]:
        """The actions as typed tools. Default: one tool, `act`, that takes the action string."""
        return [
            ActionTool(
                name="act",
                description="Take one action in the environment.",
                args_schema=Act,
                render=lambda args: str(getattr(args, "action", "")),
                parse=lambda action: {"action": action},
            )
        ]

    def evaluate(self) -> Outcome:
        """The benchmark's verdict. Default: whether the last transition said that the task is solved."""
        return Outcome(success=bool(self._solved), score=float(bool(self._solved)))

    def close(self) -> None:  # noqa: B027 - an environment without resources has nothing to do here
        """Give back what this instance holds. May be called twice; forks are not affected."""


_ACTION_LINE = re.compile(r"^[^\w\n]*action[^\w\n]*?:[*_]*\s*(.+?)\s*$", re.IGNORECASE | re.MULTILINE)


def extract_action(text: str) -> ParsedAction:
    """The one line of `text` that names an action: after the last `Action:`, or the only line there is."""
    text = text.strip()
    if not text:
        return ParsedAction(None, "the answer is empty; reply with one line `Action: <action>`")
    marked = _ACTION_LINE.findall(text[-MAX_ACTION_LENGTH:])
    lines = marked[-1:] or [line.strip() for line in text[:MAX_ACTION_LENGTH].splitlines() if line.strip()]
    if len(lines) > 1 or (len(text) > MAX_ACTION_LENGTH and not marked):
        return ParsedAction(None, f"no line `Action: <action>` in the answer {shorten(text)!r}")
    return ParsedAction(lines[0].strip("`\"' "))


def match_action(parsed: ParsedAction, admissible: Sequence[str] | None) -> ParsedAction:
    """`parsed` as one of the `admissible` actions spells it, or an error; any action where they are unknown."""
    if parsed.action is None or admissible is None:
        return parsed
    spelled = {_folded(action): action for action in admissible}
    action = spelled.get(_folded(parsed.action))
    if action is None:
        return ParsedAction(None, f"{shorten(parsed.action)!r} is not possible here")
    return ParsedAction(action)


def shorten(text: str, limit: int = 200) -> str:
    """`text` on one line, cut to `limit` characters with a note of how many more there are."""
    flat = " ".join(text[: 4 * limit].split())
    return flat if len(flat) <= limit and len(text) <= 4 * limit else f"{flat[:limit]}… ({len(text)} characters)"


def printable(text: str) -> str:
    """`text` without anything that a terminal would obey: every unprintable character is replaced."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def _folded(action: str) -> str:
    return " ".join(action.lower().strip(" .`\"'").split())


def _recorded_reset(reset: Callable[[Any, Task], str]) -> Callable[[Any, Task | str], str]:
    @functools.wraps(reset)
    def wrapper(self: Environment, task: Task | str) -> str:
        before = (self._task, self._history, self._solved)
        self._task = Task.from_text(task) if isinstance(task, str) else task
        self._history, self._solved = [], None
        try:
            return reset(self, self._task)
        except BaseException:
            self._task, self._history, self._solved = before
            raise

    return wrapper


def _recorded_step(step: Callable[[Any, str], Transition]) -> Callable[[Any, str], Transition]:
    @functools.wraps(step)
    def wrapper(self: Environment, action: str) -> Transition:
        if self._recording:  # a subclass's step that calls its parent's: recorded once
            return step(self, action)
        if self._task is None:
            raise EnvironmentStateError(f"{type(self).__name__} has no task yet: call reset(task) first")
        self._recording = True
        try:
            transition = step(self, action)
        finally:
            self._recording = False
        if transition.error is None:
            self._history.append(action)
            self._solved = transition.solved
        return transition

    return wrapper
