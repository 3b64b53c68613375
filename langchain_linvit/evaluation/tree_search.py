"""Baselines by Monte-Carlo tree search over forks: what RAP and LATS have in common."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.evaluation.branches import Branch, ForkSearch, ForkSearchMethod
from langchain_linvit.evaluation.mcts import Aggregate, MCTSTree, Returns, iterate, reward_to_go

ITERATIONS = 10
"""Iterations where neither `iterations` nor a budget of completions bounds them: the paper's."""


class TreeWorld(ABC):
    """What the nodes of a search tree stand for: branches in forks; the `Simulator` of RAP and LATS.

    Args:
        search: Proposes, carries out and rates.
        root: Where it begins.
    """

    def __init__(self, search: ForkSearch, root: Branch) -> None:
        self.search = search
        self.branches = [root]

    @property
    def finished(self) -> bool:
        """Whether a branch is solved."""
        return self.search.solved is not None

    async def reach(self, node: int) -> tuple[float, bool]:
        """The reward of the branch, and whether it is over; the root has none."""
        branch = self.branches[node]
        if branch.parent is None:
            return 0.0, self.search.is_over(branch)
        await self.search.rate([branch])
        return self.reward(branch), self.search.is_over(branch)

    async def expand(self, node: int) -> Sequence[float] | None:
        """First guesses of the live children; they become the next nodes."""
        family = (await self.search.expand([self.branches[node]]))[0]
        if family is None:
            return None
        live = [child for child in family if child.environment is not None]
        guesses = await self.guesses(live)
        self.branches += live
        return guesses

    @abstractmethod
    async def guesses(self, children: Sequence[Branch]) -> list[float]:
        """What each child is taken to be worth before its first visit."""

    @abstractmethod
    def reward(self, branch: Branch) -> float:
        """The reward of arriving at a branch that was rated; an unknown value counts as 0."""

    async def leave(self, end: Branch) -> None:  # noqa: B027 - most searches have nothing to do here
        """What follows an iteration that ended at a branch. Default: nothing."""


class TreeSearchMethod(ForkSearchMethod):
    """A baseline by Monte-Carlo tree search. By default no end is visited twice, since forks hold no chance.

    Args:
        environment: A prototype or a factory.
        candidates: Proposals asked per state; None scores every admissible action.
        iterations: Most iterations; None takes what the budget of completions allows, and 10 where there is none.
        exploration: w, the weight of UCT's exploration term.
        aggregate: What Q is of the returns: their mean or the largest.
        revisit: Visit ends again, as plain UCT does; without a chance event that only repeats what is known.
        **options: Those of `ForkSearchMethod`.

    Raises:
        InvalidSettingError: A setting is out of range.
    """

    returns: Returns = staticmethod(reward_to_go)

    def __init__(
        self, environment: Any, *, candidates: int | None, iterations: int | None = None, exploration: float = 1.0,
        aggregate: Aggregate = "mean", revisit: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(environment, candidates=candidates, **options)
        if iterations is not None and iterations < 1:
            raise InvalidSettingError(f"iterations must be at least 1, not {iterations}")
        if not 0 <= exploration < math.inf:
            raise InvalidSettingError(f"exploration must be finite and not negative, not {exploration}")
        if aggregate not in {"mean", "max"}:
            raise InvalidSettingError(f"aggregate must be 'mean' or 'max', not {aggregate!r}")
        self._iterations = iterations
        self._exploration = exploration
        self._aggregate: Aggregate = aggregate
        self._revisit = revisit

    @abstractmethod
    def world(self, search: ForkSearch, root: Branch, model: Any) -> TreeWorld:
        """What the nodes of this method's tree stand for."""

    async def search(self, search: ForkSearch, root: Branch, model: Any) -> None:
        """Iterate until one branch is solved, the iterations are made, or nothing is left to find out."""
        tree = MCTSTree(self._exploration, self._aggregate, self.returns, self._revisit)
        world = self.world(search, root, model)
        account = search.episode.caller.account
        most = self._iterations or (ITERATIONS if account.completions is None else math.inf)
        made = 0
        while made < most and not (tree.exhausted or world.finished):
            path = await iterate(tree, world)
            made += 1
            if not world.finished:
                await world.leave(world.branches[path[-1]])
