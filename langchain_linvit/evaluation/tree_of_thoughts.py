"""Tree of Thoughts, breadth-first: propose, rate, keep the best b (Yao et al., arXiv 2305.10601)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_linvit.errors import BudgetExhaustedError, InvalidSettingError, ModelCallError
from langchain_linvit.evaluation.branches import Branch, ForkSearch, ForkSearchMethod


class TreeOfThoughts(ForkSearchMethod):
    """Breadth-first search that keeps the best b states of each layer; its best state's plan is carried out.

    Source: Tree of Thoughts (arXiv 2305.10601, algorithm 1, ToT-BFS), its k is `candidates` and its b is `beam`.
    A thought is an action, which a fork carries out, where the paper's are text only; states are rated by the same
    estimator as the planner's; and a state that the search has seen before is not kept again.

    Args:
        environment: A prototype or a factory.
        candidates: k, proposals asked per state; None scores every admissible action.
        beam: b, states kept per layer.
        depth: T, layers; None goes to the horizon.
        **options: Those of `ForkSearchMethod`.

    Raises:
        InvalidSettingError: `beam` or `depth` is below 1.
    """

    name = "tot"

    def __init__(
        self, environment: Any, *, candidates: int | None = 5, beam: int = 5, depth: int | None = None, **options: Any
    ) -> None:  # fmt: skip
        super().__init__(environment, candidates=candidates, **options)
        if beam < 1 or (depth is not None and depth < 1):
            raise InvalidSettingError(f"beam and depth must be at least 1, not {beam} and {depth}")
        self._beam = beam
        self._depth = depth

    async def search(self, search: ForkSearch, root: Branch, model: Any) -> None:
        """Layer by layer, until one is solved or none goes on."""
        del model
        seen, layer = {root.key}, [root]
        while layer and len(layer[0].plan) < (self._depth or search.episode.horizon):
            fresh = []
            for child in await _children(search, layer):
                if child.environment is not None and child.key not in seen:
                    seen.add(child.key)
                    fresh.append(child)
            if search.solved:
                return
            await search.rate(fresh)
            ranked = sorted(fresh, key=lambda child: 1.0 if child.value is None else -child.value)
            layer = [child for child in ranked if not search.is_over(child)][: self._beam]


async def _children(search: ForkSearch, layer: Sequence[Branch]) -> list[Branch]:
    """The children of a layer. Parents whose call failed are tried again; a spent budget leaves those of the others."""
    children: list[Branch] = []
    waiting = list(layer)
    while waiting:
        try:
            families = await search.expand(waiting)
        except (BudgetExhaustedError, ModelCallError):
            if not children:
                raise
            break
        children += [child for family in families for child in family or ()]
        waiting = [parent for parent, family in zip(waiting, families, strict=True) if family is None]
    return children
