"""An episode that is under way, as an environment that a planner can start in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

from langchain_linvit.environments.base import (
    ActionTool,
    Environment,
    Outcome,
    ParsedAction,
    Snapshot,
    Task,
    Transition,
)


class EpisodeUnderWay(Environment):
    """An environment that someone else has reset and acted in: `reset` goes on from where it stands.

    Acting in it is acting for real: it then counts as persistent, so that nothing moves it but a step.

    Args:
        episode: The environment under way. Whoever made it closes it.
        acting: Whether steps are taken in it; else they are taken in a fork, and it stays as it is.
    """

    records_history = False

    def __init__(self, episode: Environment, *, acting: bool) -> None:
        self._episode = episode
        self._acting = acting
        self._own: Environment | None = None
        self.description = episode.description
        self.concurrency = episode.concurrency  # type: ignore[misc]
        self.persistent = acting  # type: ignore[misc]

    @property
    def _at(self) -> Environment:
        return self._own or self._episode

    def reset(self, task: Task | str) -> str:
        """Begin where the episode stands; the task is the episode's own."""
        del task
        self.close()
        self._own = None if self._acting else self._episode.fork()
        return self.state_text()

    def step(self, action: str) -> Transition:
        """Take one action: for real, or in the fork."""
        return self._at.step(action)

    def state_text(self) -> str:
        """The current state."""
        return self._at.state_text()

    @property
    def task(self) -> Task:
        """The episode's task."""
        return self._episode.task

    @property
    def goal(self) -> str:
        """What is to be reached."""
        return self._at.goal

    @property
    def solved(self) -> bool | None:
        """Whether the task is plainly solved now."""
        return self._at.solved

    @property
    def horizon(self) -> int | None:
        """Steps that the benchmark grants for the task."""
        return self._at.horizon

    def fork(self) -> Environment:  # type: ignore[override]
        """A fork of the environment itself."""
        return self._at.fork()

    def snapshot(self) -> Snapshot:
        """The environment's snapshot."""
        return self._at.snapshot()

    def restore(self, snapshot: Snapshot) -> None:
        """Go to a state in the fork; an episode that is acted in is found where it is."""
        if self._acting:
            return
        self.close()
        self._own = self._episode.fork()
        self._own.restore(snapshot)

    def state_key(self) -> str | None:
        """The environment's key."""
        return self._at.state_key()

    def admissible_actions(self) -> Sequence[str] | None:
        """Every action that can be taken now."""
        return self._at.admissible_actions()

    def parse_action(self, text: str) -> ParsedAction:
        """The action in a model's answer."""
        return self._at.parse_action(text)

    def action_tools(self) -> list[ActionTool]:
        """The environment's actions as tools."""
        return self._at.action_tools()

    def evaluate(self) -> Outcome:
        """The benchmark's verdict."""
        return self._at.evaluate()

    def spawn(self) -> Self:
        """Another view of the same episode."""
        return type(self)(self._episode, acting=self._acting)

    def close(self) -> None:
        """Close the fork; the episode goes on."""
        if self._own is not None:
            self._own.close()
            self._own = None


def is_under_way(environment: Environment | Callable[..., Any]) -> bool:
    """Whether it is an instance that was reset."""
    return isinstance(environment, Environment) and environment._task is not None
