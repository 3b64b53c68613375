"""V^ by Monte-Carlo rollouts of the model's own policy; what solves the task on the way is a solution, and is kept.

Source: arXiv 2402.16181, section 4.2 (value estimation in SLINVIT).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from langchain_linvit.calls import Caller
from langchain_linvit.environments.base import Environment
from langchain_linvit.errors import BudgetExhaustedError, InvalidSettingError, ModelCallError
from langchain_linvit.priors import PolicyPrior
from langchain_linvit.prompts import Situation
from langchain_linvit.values import CriticValue, Leaf, Solution, ValueEstimate, ValueEstimator, shortest


@dataclass(frozen=True)
class RolloutValue(ValueEstimator):
    """Monte-Carlo: the mean outcome of `rollouts` episodes of the model's policy, in forks of the leaf.

    The outcome is what the agent may observe: solved or not, else the sum of rewards; where it can observe
    neither, the critic's judgement of the end.

    Args:
        rollouts: Episodes per leaf, run at once.
        discount: Per step, in (0, 1]; below 1 prefers what solves the task sooner.
        length: Most steps of one episode; None goes to the horizon.
        patience: Steps in a row without a state new to the episode after which it is given up; None never does.
        keep_solutions: Whether an episode that solves the task goes with the estimate, so that the search ends with
            it, as best-of-n would; else it counts in the mean alone, as in the paper.
        policy: What acts; None takes the planner's prior.
        critic: Judges ends that can't be observed; None takes the planner's model for it.
        oracle: Ends are judged by the benchmark's verdict instead, as in the paper's InterCode search: for study.
    """

    rollouts: int = 4
    discount: float = 1.0
    length: int | None = None
    patience: int | None = None
    keep_solutions: bool = True
    policy: PolicyPrior | None = None
    critic: CriticValue | None = None
    oracle: bool = False
    uses_horizon: bool = True

    @property
    def name(self) -> str:  # type: ignore[override]
        """`rollouts`, or `oracle_rollouts` where the verdict judges their ends."""
        return "oracle_rollouts" if self.oracle else "rollouts"

    def __post_init__(self) -> None:
        if self.rollouts < 1:
            raise InvalidSettingError(f"rollouts must be at least 1, not {self.rollouts}")
        if not 0 < self.discount <= 1:
            raise InvalidSettingError(f"discount must be in (0, 1], not {self.discount}")
        if self.patience is not None and self.patience < 1:
            raise InvalidSettingError(f"patience must be at least 1, or None, not {self.patience}")

    def bound_to(self, prior: PolicyPrior, model: Any) -> ValueEstimator:
        """With the planner's prior as the policy, and its model as the critic of ends."""
        critic = self.critic or (CriticValue(model=model) if model is not None else None)
        return replace(self, policy=self.policy or prior, critic=critic)

    async def estimate(
        self, leaves: Sequence[Leaf], caller: Caller, prepared: Mapping[str, Any]
    ) -> list[ValueEstimate]:
        """The mean outcome of the episodes from each leaf; episodes that failed or ran dry are left out."""
        del prepared
        rollouts = self._affordable(leaves, caller)
        jobs = [(leaf, index) for leaf in leaves for index in range(rollouts)]
        outcomes = await caller.gather(
            [lambda part, leaf=leaf, index=index: self._outcome(leaf, index, part) for leaf, index in jobs]  # type: ignore[misc]
        )
        return [
            self._mean(outcomes[start : start + rollouts])
            for start in range(0, len(outcomes), rollouts)
        ]  # fmt: skip

    def _affordable(self, leaves: Sequence[Leaf], caller: Caller) -> int:
        """Episodes per leaf: fewer where the budget would cut all of them short, but one at least."""
        left = caller.account.completions
        longest = sum(max(self._length(leaf), 1) for leaf in leaves)
        return self.rollouts if left is None else min(self.rollouts, max(left // longest, 1))

    def _length(self, leaf: Leaf) -> int:
        return leaf.remaining if self.length is None else min(self.length, leaf.remaining)

    def _mean(self, outcomes: Sequence[_Outcome | ModelCallError | BudgetExhaustedError]) -> ValueEstimate:
        ended = [outcome for outcome in outcomes if isinstance(outcome, _Outcome)]
        if not ended:
            refused = next((error for error in outcomes if isinstance(error, BudgetExhaustedError)), None)
            if refused is not None:
                raise refused
            return ValueEstimate(0.0, self.name, error=f"every rollout failed: {outcomes[-1]}")
        detail = f"{sum(outcome.value > 0 for outcome in ended)} of {len(ended)} rollouts reached something"
        solution = shortest(outcome.solution for outcome in ended) if self.keep_solutions else None
        value = math.fsum(outcome.value for outcome in ended) / len(ended)
        return ValueEstimate(value, self.name, detail, solution=solution)

    async def _outcome(
        self, leaf: Leaf, index: int, caller: Caller
    ) -> _Outcome | ModelCallError | BudgetExhaustedError:  # fmt: skip
        try:
            with closing(await caller.fork(leaf.environment)) as environment:
                return await self._episode(leaf, index, environment, caller)
        except (ModelCallError, BudgetExhaustedError) as error:
            return error

    async def _episode(self, leaf: Leaf, index: int, environment: Environment, caller: Caller) -> _Outcome:
        if self.policy is None:
            raise InvalidSettingError("rollouts have no policy; pass RolloutValue(policy=...)")
        history, taken, patience = list(leaf.situation.history), [], _Patience(self.patience)
        rewards, solved = 0.0, environment.solved
        for t in range(self._length(leaf)):
            if patience.is_over(environment):
                break
            situation = Situation.of(environment, history)
            parsed = await self.policy.act(situation, None, caller, path=[leaf.id, index, t])
            if parsed is None or parsed.action is None:
                history.append(("(no action)", (parsed.error if parsed else None) or "nothing done"))
                continue
            transition = await caller.step(environment, parsed.action)
            history.append((parsed.action, transition.error or transition.observation))
            taken += [] if transition.error else [history[-1]]
            rewards += self.discount**t * transition.reward
            solved = transition.solved
            if solved and not self.oracle:
                return _Outcome(float(self.discount ** (t + 1)), Solution(taken, environment.state_key()))
            if transition.done or solved:
                break
        if self.oracle:
            return _Outcome((await caller.io.run(environment, environment.evaluate)).score)
        if solved is None and not rewards and self.critic is not None:
            end = Situation.of(environment, history)
            return _Outcome((await self.critic.judge(end, caller, path=[leaf.id, index, "end"])).value)
        return _Outcome(min(max(rewards, 0.0), 1.0))


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What one episode came to."""

    value: float
    solution: Solution | None = None


class _Patience:
    """How long an episode may go without coming to a state that is new to it; None is for ever."""

    def __init__(self, steps: int | None) -> None:
        self._steps = steps
        self._seen: set[str | None] = set()
        self._without = 0

    def is_over(self, environment: Environment) -> bool:
        """Look at where the episode stands, once a step; states without a key are all taken for new."""
        if self._steps is None:
            return False
        key = environment.state_key()
        self._without = self._without + 1 if key is not None and key in self._seen else 0
        self._seen.add(key)
        return self._without >= self._steps
