"""What a planner is made of, and the views of its state that all of its nodes share."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal

from langchain_linvit.accounting import Account, add_counts
from langchain_linvit.calls import IO, Caller, Retry
from langchain_linvit.environments.base import Environment
from langchain_linvit.environments.imagined import ImaginedEnvironment
from langchain_linvit.errors import BudgetExhaustedError
from langchain_linvit.planner.runs import Run
from langchain_linvit.planner.settings import PlannerSettings
from langchain_linvit.planner.state import PlannerState
from langchain_linvit.planner.tree import Node, Tree, View, analyse, value_key
from langchain_linvit.priors import PolicyPrior
from langchain_linvit.values import ValueEstimator

Update = dict[str, Any]
Simulation = Literal["fork", "imagine"]
"""How candidates are tried: in forks of the environment, or in a chat model's imagination of it."""


@dataclass(frozen=True)
class PlannerParts:
    """Settings, prior, value and environment of one compiled planner; nothing of any run."""

    settings: PlannerSettings
    prior: PolicyPrior
    value: ValueEstimator
    spawn: Callable[[], Environment]
    simulation: Simulation = "fork"
    model: Any = None

    def tree(self, state: PlannerState, update: Update | None = None) -> Tree:
        """The search as the state, with `update` applied, knows it."""
        nodes, children = state["nodes"], state["children"]
        if update and update.get("nodes"):
            nodes = {**nodes, **update["nodes"]}
        if update and update.get("children"):
            children = {**children, **update["children"]}
        return Tree(
            nodes=nodes,
            children=children,
            values=state["values"],
            root=state["root"],
            visited=frozenset(state["visited"]),
            horizon=state["horizon"],
            by_horizon=self.value.uses_horizon,
        )

    def view(self, tree: Tree) -> View:
        """The analysis of a search under the planner's settings."""
        settings = self.settings
        return analyse(
            tree,
            depth=settings.depth,
            breadth=settings.breadth,
            beam=settings.beam,
            kl_coef=settings.kl_coef,
            layerwise=settings.layerwise,
        )

    def advance(self, state: PlannerState, view: View, run: Run, update: Update | None = None) -> Update:
        """`phase` and `batch`: what comes next. A spent budget leaves only the best that is known to select."""
        update = update or {}
        gone = [*update.get("exhausted", []), *self.gone(state, run, len(view.batch), update.get("usage"))]
        phase = "select" if gone or state["exhausted"] else view.phase
        return {"phase": phase, "batch": view.batch, "exhausted": gone, "refused": None}

    def gone(self, state: PlannerState, run: Run, units: int, counts: Mapping[str, Any] | None = None) -> list[str]:
        """The budgets that refused a unit and no longer suffice for one call or step of `units` more.

        Otherwise what was refused goes on, with a share of what other units have left.
        """
        account = self.account(state, run, counts)
        lefts = {what: account.left(what) for what in dict.fromkeys(state["refused"])}
        return [what for what, left in lefts.items() if left is not None and left < max(units, 1)]

    def account(self, state: PlannerState, run: Run, counts: Mapping[str, Any] | None = None) -> Account:
        """What is left of the budget, with `counts` spent beside what the state knows of."""
        budget, usage = self.settings.budget, add_counts(state.get("usage") or {}, counts or {})

        def left(limit: int | None, *names: str) -> int | None:
            return None if limit is None else limit - sum(usage.get(name, 0) for name in names)

        deadline = None
        if budget.seconds is not None:
            deadline = run.lap_started + budget.seconds - usage.get("seconds", 0.0)
        return Account(
            left(budget.completions, "llm_calls"),
            left(budget.tokens, "prompt_tokens", "completion_tokens"),
            left(budget.env_steps, "env_steps_simulated", "env_steps_real"),
            deadline,
        )

    def caller(self, io: IO, account: Account, run: Run) -> Caller:
        """What one node or unit calls models and environments through."""
        settings = self.settings
        return Caller(io, account, settings.seed, Retry(settings.retries + 1, settings.retry_delay), run.lock)

    def simulated(self, real: Environment, history: Sequence[tuple[str, str]]) -> Environment:
        """What a search forks at the real state: the environment itself, or a model's imagination of it."""
        return real if self.simulation == "fork" else ImaginedEnvironment.of(real, self.model, history)

    async def live(self, node: Node, root: str, run: Run, caller: Caller) -> Environment:
        """The live environment of a node, rebuilt from its snapshot where it is missing."""
        environment = run.live.get(node["id"])
        if environment is not None:
            return environment
        rebuilt = self.spawn() if self.simulation == "fork" else ImaginedEnvironment(self.model)
        await caller.io.run(rebuilt, lambda: rebuilt.restore(node["snapshot"]))
        if rebuilt.persistent and node["id"] != root:
            rebuilt = await self._simulated_again(rebuilt, node, caller)
        return run.live.setdefault(node["id"], rebuilt)

    async def _simulated_again(self, real: Environment, node: Node, caller: Caller) -> Environment:
        """A node below the root of an environment that outlives its program: only forks of it can go there."""
        with closing(real):
            fork = await caller.fork(real)
        await caller.io.run(fork, lambda: fork.restore(node["snapshot"]))
        return fork

    def value_key(self, node: Node, horizon: int) -> str:
        """What a node's value is memoised by."""
        return value_key(node, horizon if self.value.uses_horizon else None)


def spent(caller: Caller) -> Update:
    """What a unit has spent."""
    return {"usage": caller.account.spent}


def refused(caller: Caller, error: BudgetExhaustedError) -> Update:
    """What a unit has spent that its share cut short."""
    return {"usage": caller.account.spent, "refused": [error.what]}


def share_account(share: dict[str, Any]) -> Account:
    """The account of a unit, from the share that it was sent with."""
    seconds = share["seconds"]
    deadline = None if seconds is None else time.monotonic() + seconds
    return Account(share["completions"], share["tokens"], share["env_steps"], deadline)
