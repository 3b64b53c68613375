"""Whole episodes in forks: attempts at a task, of which the best is carried out in the real environment."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from langchain_linvit.environments.base import Environment
from langchain_linvit.errors import ModelCallError
from langchain_linvit.evaluation.method import Episode, commit
from langchain_linvit.priors import ChatPrior, PolicyPrior
from langchain_linvit.prompts import Situation
from langchain_linvit.values import Leaf, ValueEstimator


@dataclass(slots=True)
class Attempt:
    """One episode in a fork.

    Attributes:
        actions: What was done, illegal actions left out.
        history: (action, observation) pairs, the illegal ones included.
        end: How it looked there; None while it is under way.
        solved: Whether it plainly solved the task.
        value: V^ of its end; below every estimate where it was not rated.
    """

    actions: list[str] = field(default_factory=list)
    history: list[tuple[str, str]] = field(default_factory=list)
    end: Situation | None = None
    solved: bool = False
    value: float = -1.0


class Attempts:
    """The attempts of one run, rated by the planner's value estimators.

    Args:
        episode: The real episode, not begun yet.
        value: Rates ends that are not plainly solved.
        model: The chat model.
    """

    def __init__(self, episode: Episode, value: ValueEstimator, model: Any) -> None:
        self._episode = episode
        self._value = value.bound_to(ChatPrior(model), model)
        self._prepared: dict[str, Any] = {}
        self.made: list[Attempt] = []

    async def prepare(self) -> None:
        """What the estimator makes once per task, e.g. rules; a failure is noted."""
        episode = self._episode
        try:
            self._prepared = await self._value.prepare(Situation.of(episode.environment, []), episode.caller)
        except ModelCallError as failure:
            episode.failed(failure)

    async def make(self, policy: PolicyPrior, index: int) -> Attempt:
        """Play one episode of `policy` in a fork to its end, and rate that.

        An attempt that is cut short by an error counts among `made` with what it did until then.

        Raises:
            BudgetExhaustedError: A budget has run out.
            ModelCallError: The policy or the estimator failed for good.
        """
        episode = self._episode
        attempt = Attempt(history=list(episode.history))
        self.made.append(attempt)
        with closing(await episode.caller.fork(episode.environment)) as fork:
            await self._play(attempt, fork, policy, index)
            attempt.end = Situation.of(fork, attempt.history)
            if attempt.solved:
                attempt.value = 1.0
            else:
                leaf = Leaf(f"attempt-{index}", attempt.end, fork, episode.horizon - len(attempt.history))
                estimate = (await self._value.estimate([leaf], episode.caller, self._prepared))[0]
                attempt.value = estimate.value
        episode.failures = 0
        return attempt

    async def _play(self, attempt: Attempt, fork: Environment, policy: PolicyPrior, index: int) -> None:
        episode, history = self._episode, attempt.history
        for step in range(episode.horizon):
            situation = Situation.of(fork, history)
            parsed = await policy.act(situation, None, episode.caller, path=["attempt", index, step])
            if parsed is None or parsed.action is None:
                history.append(("(no action)", (parsed.error if parsed else None) or "no action"))
                continue
            transition = await episode.caller.step(fork, parsed.action)
            history.append((parsed.action, transition.error or transition.observation))
            if transition.error is None:
                attempt.actions.append(parsed.action)
            episode.seen.add(fork.state_key() or f"{index}/{step}")
            attempt.solved = bool(fork.solved)
            if transition.done or attempt.solved:
                break

    async def commit_best(self) -> None:
        """Carry out the best attempt: a solved one, else the first of the highest value."""
        if self.made:
            await commit(self._episode, max(self.made, key=lambda attempt: (attempt.solved, attempt.value)).actions)
