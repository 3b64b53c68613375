"""The node that lets the model alone try first: whole episodes of its policy, in forks, before any search."""

from __future__ import annotations

from dataclasses import dataclass, replace

from langchain_linvit.calls import Caller
from langchain_linvit.errors import BudgetExhaustedError
from langchain_linvit.planner.parts import PlannerParts, Update, spent
from langchain_linvit.planner.records import emit, solution_node, with_solutions
from langchain_linvit.planner.runs import Run
from langchain_linvit.planner.state import PlannerState
from langchain_linvit.prompts import Situation
from langchain_linvit.rollouts import RolloutValue
from langchain_linvit.values import Leaf

PATIENCE = 3
"""Steps in a row without a new state after which an episode is given up: it goes in circles."""


@dataclass(frozen=True)
class PolicyNodes:
    """What the model does without a search: as good as best-of-n, where it solves the task by itself."""

    parts: PlannerParts

    async def try_policy(self, state: PlannerState, run: Run, caller: Caller) -> Update:
        """One episode after the other, the first by the likeliest actions and the others by sampled ones.

        The first that solves the task is the branch to carry out.
        """
        if state["real"]["stepwise"]:
            return {"notes": ["no policy rollouts: an environment that outlives its program is acted in step by step"]}
        root = state["nodes"][state["root"]]
        environment = await self.parts.live(root, root["id"], run, caller)
        sampled = RolloutValue(rollouts=1, patience=PATIENCE, policy=self.parts.prior)
        greedy = replace(sampled, policy=self.parts.prior.greedy())
        situation = Situation.of(environment, [])
        update: Update = {"notes": []}
        for index in range(self.parts.settings.policy_rollouts):
            leaf = Leaf(f"{root['id']}/policy/{index}", situation, environment, state["horizon"])
            try:
                [estimate] = await (sampled if index else greedy).estimate([leaf], caller, {})
            except BudgetExhaustedError:
                break  # the search finds out what is left
            update["notes"] += [estimate.error] if estimate.error else []
            emit("policy_tried", index=index, solved=estimate.solution is not None, error=estimate.error)
            if estimate.solution is not None:
                update |= with_solutions([solution_node(root, estimate.solution)])
                break
        return {**update, **spent(caller)}
