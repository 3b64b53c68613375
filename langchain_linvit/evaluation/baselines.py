"""Baselines on the planner's interface: greedy, best-of-n, and two searches without any model."""

from __future__ import annotations

from collections import deque
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import count
from typing import Any

from langchain_linvit.environments.base import Environment
from langchain_linvit.errors import BudgetExhaustedError, InvalidSettingError, ModelCallError
from langchain_linvit.evaluation.attempts import Attempts
from langchain_linvit.evaluation.method import Episode, EpisodeMethod, act_greedily, commit
from langchain_linvit.priors import ChatPrior
from langchain_linvit.prompts import Situation
from langchain_linvit.values import FunctionValue, Leaf


class Greedy(EpisodeMethod):
    """The model alone: its likeliest action (temperature 0) at every step, without any search.

    The "direct" or "act-only" baseline, as in ReAct's comparison (Yao et al., arXiv 2210.03629).
    """

    name = "greedy"

    async def run(self, episode: Episode, model: Any) -> None:
        """Ask for an action, take it, and so on."""
        await act_greedily(episode, ChatPrior(model, temperature=0.0), "greedy")


class BestOfN(EpisodeMethod):
    """Independent episodes of the model's policy in forks; the best by outcome, then by V^, is carried out.

    As best-of-n sampling against a verifier (Cobbe et al., arXiv 2110.14168), with the planner's own value
    estimators as the verifier.

    Args:
        environment: A prototype or a factory.
        n: Episodes; None goes on until the budget is spent or one is solved.
        **options: Those of `EpisodeMethod`; `value` rates the end of each episode.
    """

    name = "best_of_n"

    def __init__(self, environment: Any, *, n: int | None = None, **options: Any) -> None:
        super().__init__(environment, **options)
        self._n = n

    def value_name(self) -> str:
        """The estimator that rates ends."""
        return self._value.name

    async def run(self, episode: Episode, model: Any) -> None:
        """Sample episodes while the budget lasts, and carry the best one out."""
        if self._n is None and episode.caller.account.completions is None:
            raise InvalidSettingError("best-of-n needs n=..., or a budget of completions to spend")
        attempts = Attempts(episode, self._value, model)
        try:
            await attempts.prepare()
            for index in count() if self._n is None else range(self._n):
                try:
                    attempt = await attempts.make(ChatPrior(model), index)
                except ModelCallError as failure:
                    episode.failed(failure)
                    continue
                if attempt.solved:
                    break
        except (BudgetExhaustedError, ModelCallError):
            pass  # the best so far is carried out
        await attempts.commit_best()


class BreadthFirst(EpisodeMethod):
    """Breadth-first search over forks, without any model: what an uninformed search needs.

    Args:
        environment: A prototype or a factory; it must list its admissible actions.
        max_states: States after which it gives up.
        **options: Those of `EpisodeMethod`.
    """

    name = "breadth_first"
    uses_model = False

    def __init__(self, environment: Any, *, max_states: int = 100_000, **options: Any) -> None:
        super().__init__(environment, **options)
        self._max_states = max_states

    async def run(self, episode: Episode, model: Any) -> None:
        """Expand state after state, each once, and carry out the first plan that solves the task."""
        del model
        with ExitStack() as opened:
            plan = await self._search(episode, opened)
        await commit(episode, plan)

    async def _search(self, episode: Episode, opened: ExitStack) -> list[str]:
        queue = deque([await _start(episode, opened)])
        while queue and len(episode.seen) < self._max_states:
            for child in await _children(queue.popleft(), episode, opened):
                if child.environment.solved:
                    return child.plan
                if len(child.plan) < episode.horizon:
                    queue.append(child)
        return []


class BeamSearch(EpisodeMethod):
    """Beam search on the value alone, without any model: what the value function is worth by itself.

    Args:
        environment: A prototype or a factory; it must list its admissible actions.
        beam: States kept per layer.
        **options: Those of `EpisodeMethod`; `value` must be a function of `(state_text, goal)`.
    """

    name = "beam_search"
    uses_model = False

    def __init__(self, environment: Any, *, beam: int = 3, **options: Any) -> None:
        super().__init__(environment, **options)
        self._beam = beam
        if not isinstance(self._value, FunctionValue):
            raise InvalidSettingError("beam search needs value=..., a function of (state_text, goal)")

    def value_name(self) -> str:
        """The function that ranks states."""
        return self._value.name

    async def run(self, episode: Episode, model: Any) -> None:
        """Layer by layer, the best `beam` states of each; the best end is carried out."""
        del model
        with ExitStack() as opened:
            plan = await self._search(episode, opened)
        await commit(episode, plan)

    async def _search(self, episode: Episode, opened: ExitStack) -> list[str]:
        layer = [await _start(episode, opened)]
        best: tuple[float, list[str]] = (-1.0, [])
        try:
            for _ in range(episode.horizon):
                fresh: list[tuple[float, _Reached]] = []
                for parent in layer:
                    for child in await _children(parent, episode, opened):
                        if child.environment.solved:
                            return child.plan
                        fresh.append((await self._rate(child, episode), child))
                fresh.sort(key=lambda item: -item[0])
                layer = [child for _, child in fresh[: self._beam]]
                if fresh and fresh[0][0] > best[0]:
                    best = (fresh[0][0], layer[0].plan)
        except BudgetExhaustedError:
            pass  # the best so far is carried out
        return best[1]

    async def _rate(self, child: _Reached, episode: Episode) -> float:
        situation, left = Situation.of(child.environment, []), episode.horizon - len(child.plan)
        leaf = Leaf(" / ".join(child.plan), situation, child.environment, left)
        return (await self._value.estimate([leaf], episode.caller, {}))[0].value


@dataclass(frozen=True, slots=True)
class _Reached:
    """A state of a search without a model, and the actions that lead there."""

    environment: Environment
    plan: list[str]


async def _start(episode: Episode, opened: ExitStack) -> _Reached:
    episode.seen.add(episode.environment.state_key() or "")
    return _Reached(opened.enter_context(closing(await episode.caller.fork(episode.environment))), [])


async def _children(parent: _Reached, episode: Episode, opened: ExitStack) -> list[_Reached]:
    """The states that one action leads to: new ones, unless the episode is over there without success."""
    actions = parent.environment.admissible_actions()
    if actions is None:
        raise InvalidSettingError("a search without a model needs an environment that lists its admissible actions")
    children = []
    for action in actions:
        with ExitStack() as unless_kept:
            fork = unless_kept.enter_context(closing(await episode.caller.fork(parent.environment)))
            transition = await episode.caller.step(fork, action)
            plan = [*parent.plan, action]
            key = fork.state_key() or " / ".join(plan)
            if transition.error is not None or key in episode.seen:
                continue
            episode.seen.add(key)
            if fork.solved or not transition.done:
                opened.push(unless_kept.pop_all())
                children.append(_Reached(fork, plan))
    return children
