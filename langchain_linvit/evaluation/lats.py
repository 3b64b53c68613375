"""LATS: tree search over forks, with values and reflections of the model (Zhou et al., arXiv 2310.04406)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from langchain_linvit.errors import InvalidSettingError, ModelCallError
from langchain_linvit.evaluation.branches import Branch, ForkSearch
from langchain_linvit.evaluation.mcts import final_reward
from langchain_linvit.evaluation.thoughts import KEPT_REFLECTIONS, reflection_on, with_reflections
from langchain_linvit.evaluation.tree_search import TreeSearchMethod, TreeWorld
from langchain_linvit.priors import ChatPrior
from langchain_linvit.prompts import Situation


class LATS(TreeSearchMethod):
    """Monte-Carlo tree search over forks; values are V^ and self-consistency, failures are reflected upon.

    Source: Language Agent Tree Search (arXiv 2310.04406, section 4 and algorithm 1). Every child of an expanded state
    is rated by `weight * V^ + (1 - weight) * SC`; SC is the share of the proposals that agree on its action: pi_LLM
    of it. The best child is followed to an end, whose outcome (1 where solved, else V^) is backed up. The first
    three ends that are plainly not solved are reflected upon, and later proposals see it. Differences: the
    estimator is not shown the reflections; where success can't be seen there are none; and a solved branch ends the
    search, else the branch of the highest V^ is carried out.

    Args:
        environment: A prototype or a factory.
        candidates: n, proposals asked per state; None scores every admissible action.
        weight: lambda, the weight of V^ against self-consistency, in [0, 1].
        **options: Those of `TreeSearchMethod`, and of `ForkSearchMethod`.

    Raises:
        InvalidSettingError: A setting is out of range.
    """

    name = "lats"
    returns = staticmethod(final_reward)

    def __init__(self, environment: Any, *, candidates: int | None = 5, weight: float = 0.5, **options: Any) -> None:
        super().__init__(environment, candidates=candidates, **options)
        if not 0 <= weight <= 1:
            raise InvalidSettingError(f"weight must be in [0, 1], not {weight}")
        self._weight = weight

    def world(self, search: ForkSearch, root: Branch, model: Any) -> TreeWorld:
        """Branches, with LATS's value and its reflections."""
        return _LATSWorld(search, root, self._weight, model)


class _LATSWorld(TreeWorld):
    def __init__(self, search: ForkSearch, root: Branch, weight: float, model: Any) -> None:
        super().__init__(search, root)
        self._weight = weight
        self._model = model
        self._first_prior = search.prior
        self._reflections: dict[str, str] = {}

    async def guesses(self, children: Sequence[Branch]) -> list[float]:
        await self.search.rate(children)
        return [
            self._weight * (child.value or 0.0) + (1 - self._weight) * math.exp(child.log_prob) for child in children
        ]

    def reward(self, branch: Branch) -> float:
        return branch.value or 0.0

    async def leave(self, end: Branch) -> None:
        """Reflect on an end that is plainly not solved, and let the prior know; equal ends once."""
        search, prior = self.search, self._first_prior
        failed = search.is_over(end) and end.live.solved is False
        if not failed or not isinstance(prior, ChatPrior) or end.key in self._reflections:
            return
        if len(self._reflections) >= KEPT_REFLECTIONS:
            return
        situation, caller = Situation.of(end.live, end.history), search.episode.caller
        try:
            self._reflections[end.key] = await reflection_on(situation, self._model, caller, path=[end.id])
        except ModelCallError as failure:
            search.episode.failed(failure)
            return
        noted = with_reflections(prior.templates, list(self._reflections.values()))
        search.prior = replace(prior, templates=noted)
