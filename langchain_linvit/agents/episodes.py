"""Episodes of one environment that a client across a process boundary names by handles."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from langchain_core.messages import ToolMessage
from pydantic import BaseModel, ConfigDict, Field

from langchain_linvit.agents.toolkit import EnvironmentToolkit
from langchain_linvit.calls import AsyncIO
from langchain_linvit.environments.base import Task, printable, shorten
from langchain_linvit.errors import EnvironmentStateError

MAIN: Final = "main"
"""The handle of the episode that is always there."""


class EpisodeLimits(BaseModel):
    """What one client may hold, and for how long."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    forks: int = Field(default=16, ge=0, description="Forks that are held at once.")
    idle_seconds: float = Field(default=600.0, gt=0, description="A fork expires after so long without a request.")
    undos: int = Field(default=32, ge=0, description="Actions that can be taken back, of each episode.")
    request_length: int = Field(default=20_000, gt=0, description="Characters of one request's arguments.")


@dataclass(slots=True)
class _Episode:
    """One episode, and its states before each of the last actions."""

    toolkit: EnvironmentToolkit
    before: deque[EnvironmentToolkit]
    used: float
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def close(self) -> None:
        for toolkit in (self.toolkit, *self.before):
            toolkit.close()


class Episodes:
    """The episode `main`, and forks of episodes, by handle; forks are capped and expire, actions can be undone.

    Requests about one episode are answered one after another, in their order; different episodes at once.

    Args:
        toolkit: The episode `main`; closed with the others by `close`.
        limits: What may be held.
        clock: Seconds, never going back.
    """

    def __init__(
        self,
        toolkit: EnvironmentToolkit,
        limits: EpisodeLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits or EpisodeLimits()
        self._clock = clock
        self._numbers = count(1)
        self._forking = 0
        self._episodes = {MAIN: self._new(toolkit)}

    @property
    def handles(self) -> tuple[str, ...]:
        """The handles that are held, after those that have expired were let go."""
        self._expire()
        return tuple(self._episodes)

    async def take(self, call: Mapping[str, Any], handle: str = MAIN) -> ToolMessage:
        """Take the action of a tool call (`name` and `args`); its answer, with status `error` where it failed."""
        async with self._episode(handle) as episode:
            toolkit = episode.toolkit
            tool = next((tool for tool in toolkit.get_tools() if tool.name == call["name"]), None)
            if tool is None:
                raise EnvironmentStateError(toolkit.action_of(call).error or "no such tool")
            before = await AsyncIO().run(toolkit.environment, toolkit.fork) if self.limits.undos else None
            failed = False
            try:
                message: ToolMessage = await tool.ainvoke({"type": "tool_call", "id": "call", **call})
                failed = message.status == "error"
                return message
            finally:  # a call that was cancelled may have been carried out all the same
                if before is not None and failed:
                    before.close()
                elif before is not None:
                    self._keep(episode, before)

    async def describe(self, handle: str = MAIN) -> str:
        """The rules, the goal and the current state of an episode."""
        async with self._episode(handle) as episode:
            return await AsyncIO().run(episode.toolkit.environment, episode.toolkit.describe)

    async def reset(self, task: Task | str, handle: str = MAIN) -> str:
        """Start `task` in an episode; what an agent should read first. A task that can't be set up changes nothing."""
        async with self._episode(handle) as episode:
            old = episode.toolkit
            toolkit = EnvironmentToolkit(old.environment.spawn(), prefix=old.prefix, show_state=old.show_state)
            told = await toolkit.astart(task)
            episode.close()
            episode.toolkit = toolkit
            episode.before.clear()
            return told

    async def fork(self, handle: str = MAIN) -> str:
        """The handle of an independent copy of an episode, at the same state.

        Raises:
            EnvironmentStateError: There is no such episode, or as many forks are held as may be.
        """
        async with self._episode(handle) as episode:
            held = [name for name in self._episodes if name != MAIN]
            if len(held) + self._forking >= self.limits.forks:
                raise EnvironmentStateError(
                    f"{self.limits.forks} forks are held already ({', '.join(held)}): release one, or wait until one "
                    f"was not used for {self.limits.idle_seconds:g} seconds"
                )
            self._forking += 1  # counted before the await, or forks of several episodes at once would pass the cap
            try:
                fork = await AsyncIO().run(episode.toolkit.environment, episode.toolkit.fork)
            finally:
                self._forking -= 1
            name = f"fork-{next(self._numbers)}"
            self._episodes[name] = self._new(fork)
            return name

    async def undo(self, handle: str = MAIN) -> str:
        """Take back the last action of an episode; returns that action.

        Raises:
            EnvironmentStateError: There is no such episode, or nothing that can be taken back.
        """
        async with self._episode(handle) as episode:
            while episode.before:
                undone, episode.toolkit = episode.toolkit, episode.before.pop()
                undone.close()
                if len(undone.history) > len(episode.toolkit.history):  # else a cancelled call that took no action
                    return undone.history[-1][0]
            raise EnvironmentStateError(
                f"nothing to undo in {handle!r}: no action was taken since its beginning, or the last "
                f"{self.limits.undos} were all taken back"
            )

    async def release(self, handle: str) -> None:
        """Let a fork go.

        Raises:
            EnvironmentStateError: There is no such fork, or it is the episode `main`, which stays.
        """
        if handle == MAIN:
            raise EnvironmentStateError(f"{MAIN!r} can't be released; reset it instead")
        async with self._episode(handle) as episode:
            del self._episodes[handle]
            episode.close()

    def close(self) -> None:
        """Close every episode."""
        for episode in self._episodes.values():
            episode.close()

    def _keep(self, episode: _Episode, before: EnvironmentToolkit) -> None:
        if len(episode.before) == self.limits.undos:
            episode.before.popleft().close()
        episode.before.append(before)

    def _new(self, toolkit: EnvironmentToolkit) -> _Episode:
        return _Episode(toolkit, deque(), self._clock())

    @asynccontextmanager
    async def _episode(self, handle: str) -> AsyncIterator[_Episode]:
        """The episode of that name, alone with it."""
        self._expire()
        episode = self._episodes.get(handle)
        if episode is not None:
            async with episode.lock:
                if self._episodes.get(handle) is episode:  # not released while we waited
                    try:
                        yield episode
                    finally:
                        episode.used = self._clock()
                    return
        raise EnvironmentStateError(
            f"no episode {shorten(printable(handle), 60)!r}: it was never made, was released, or expired after "
            f"{self.limits.idle_seconds:g} seconds without use; there are {', '.join(self._episodes)}"
        )

    def _expire(self) -> None:
        """Let go of forks that were not used for too long; one that is in use stays."""
        latest = self._clock() - self.limits.idle_seconds
        for name, episode in list(self._episodes.items()):
            if name != MAIN and episode.used <= latest and not episode.lock.locked():
                del self._episodes[name]
                episode.close()
