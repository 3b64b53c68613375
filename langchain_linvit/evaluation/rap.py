"""RAP: planning by Monte-Carlo tree search in a world model (Hao et al., arXiv 2305.14992)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.evaluation.branches import Branch, ForkSearch
from langchain_linvit.evaluation.tree_search import TreeSearchMethod, TreeWorld


class RAP(TreeSearchMethod):
    """Monte-Carlo tree search in forks (or in an imagined world); the reward is log-likelihood and V^.

    Source: Reasoning via Planning (arXiv 2305.14992, section 3 and algorithm 1). The world model is a fork of the
    environment, or with `simulation="imagine"` the chat model, as in the paper. The reward of an action is
    `weight * log pi_LLM(action) + (1 - weight) * V^(state)`, whose second part stands for the paper's rewards of
    confidence and heuristics; the first part alone guides the choice among unvisited children. Differences: a solved
    branch ends the search, and what is carried out otherwise is the branch with the largest sum of rewards among
    those that reach an end (the deepest ones, where none does).

    Args:
        environment: A prototype or a factory.
        candidates: d, proposals asked per state; None scores every admissible action.
        weight: Of the log-likelihood in the reward, in [0, 1].
        **options: Those of `TreeSearchMethod`, and of `ForkSearchMethod`.

    Raises:
        InvalidSettingError: A setting is out of range.
    """

    name = "rap"

    def __init__(self, environment: Any, *, candidates: int | None = 4, weight: float = 0.5, **options: Any) -> None:
        super().__init__(environment, candidates=candidates, **options)
        if not 0 <= weight <= 1:
            raise InvalidSettingError(f"weight must be in [0, 1], not {weight}")
        self._weight = weight

    def world(self, search: ForkSearch, root: Branch, model: Any) -> TreeWorld:
        """Branches, with RAP's reward."""
        del model
        return _RAPWorld(search, root, self._weight)

    def best(self, search: ForkSearch) -> Branch:
        """The branch with the largest sum of rewards among those at an end, else among the deepest."""
        live = [branch for branch in search.branches if branch.parent and branch.environment]
        rated = [branch for branch in live if branch.value is not None]
        ends = [branch for branch in rated if search.is_over(branch)]
        if not ends:
            deepest = max((len(branch.plan) for branch in rated), default=0)
            ends = [branch for branch in rated if len(branch.plan) == deepest]
        return max(ends, key=lambda branch: _sum_of_rewards(branch, self._weight), default=super().best(search))


class _RAPWorld(TreeWorld):
    def __init__(self, search: ForkSearch, root: Branch, weight: float) -> None:
        super().__init__(search, root)
        self._weight = weight

    async def guesses(self, children: Sequence[Branch]) -> list[float]:
        return [self._weight * child.log_prob for child in children]

    def reward(self, branch: Branch) -> float:
        return _reward(branch, self._weight)


def _reward(branch: Branch, weight: float) -> float:
    return weight * branch.log_prob + (1 - weight) * (branch.value or 0.0)


def _sum_of_rewards(branch: Branch, weight: float) -> float:
    total = 0.0
    while branch.parent is not None:
        total += _reward(branch, weight)
        branch = branch.parent
    return total
