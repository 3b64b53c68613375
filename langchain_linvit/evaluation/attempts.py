"""Whole episodes in forks: attempts at a task, of which the best is carried out in the real environment."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from langchain_linvit.environments.base import Environment
from langchain_linvit.errors import InvalidSettingError, ModelCallError
from langchain_linvit.evaluation.method import Episode, commit
from langchain_linvit.priors import ChatPrior, PolicyPrior
from langchain_linvit.prompts import Situation
from langchain_linvit.values import BlendValue, Leaf, ValueEstimator


@dataclass(slots=True)
class Attempt:
    """One episode in a fork.

    Attributes:
        actions: What was done, illegal actions left out.
        history: (action, observation) pairs, the illegal ones included.
        end: How it looked there; None while it is under way.
        key: The state there; equal states have equal keys. Empty where it did nothing, or is not known.
        solved: Whether it plainly solved the task.
        value: V^ of its end; below every estimate where it was not rated.
    """

    actions: list[str] = field(default_factory=list)
    history: list[tuple[str, str]] = field(default_factory=list)
    end: Situation | None = None
    key: str = ""
    solved: bool = False
    value: float = -1.0


class Attempts:
    """The attempts of one run, rated by the planner's value estimators.

    Args:
        episode: The real episode, not begun yet.
        value: Rates ends that are not plainly solved.
        model: The chat model.

    Raises:
        InvalidSettingError: A blend compares ends with one another: whole attempts are compared alone.
    """

    def __init__(self, episode: Episode, value: ValueEstimator, model: Any) -> None:
        if value.compares and isinstance(value, BlendValue):
            raise InvalidSettingError("attempts can't be rated by a blend with agreement; take value='agreement' alone")
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
            attempt.key = (fork.state_key() or "") if attempt.actions else ""
            if attempt.solved:
                attempt.value = 1.0
            elif not self._value.compares:
                await self._rate(attempt, index, fork)
        episode.failures = 0
        return attempt

    async def _rate(self, attempt: Attempt, index: int, environment: Environment, agreement: float = 1.0) -> None:
        """V^ of an attempt's end."""
        episode = self._episode
        situation = attempt.end or Situation.of(environment, attempt.history)
        left = episode.horizon - len(attempt.history)
        leaf = Leaf(f"attempt-{index}", situation, environment, left, agreement=agreement)
        attempt.value = (await self._value.estimate([leaf], episode.caller, self._prepared))[0].value

    async def _rate_together(self) -> None:
        """V^ of all ends, once they can be compared: an attempt agrees with those that reached the same state.

        Source: execution-based self-consistency (Shi et al., arXiv 2204.11454), each sample with one vote.
        """
        ended = [(index, attempt) for index, attempt in enumerate(self.made) if attempt.key and not attempt.solved]
        for index, attempt in ended:
            same = sum(attempt.key == other.key for _, other in ended)
            await self._rate(attempt, index, self._episode.environment, same / len(ended))

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
        if self._value.compares:
            await self._rate_together()
        if self.made:
            await commit(self._episode, max(self.made, key=lambda attempt: (attempt.solved, attempt.value)).actions)
