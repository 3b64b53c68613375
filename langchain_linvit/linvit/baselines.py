"""Baselines on the interface of `LINVIT`: UCBVI, the prior alone, and Q-learning."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.linvit.algorithm import LINVIT
from langchain_linvit.linvit.exact import checked_policy
from langchain_linvit.linvit.learner import Learner, sample
from langchain_linvit.linvit.mdp import Simulator, TabularMDP
from langchain_linvit.linvit.planning import at_step

Floats = NDArray[np.float64]


class UCBVI(LINVIT):
    """Optimistic value iteration without a prior: LINVIT at lam = 0 with the uniform policy, and the same bonus.

    Args:
        problem: A `TabularMDP`, of which only samples are used, or any `Simulator`.
        actions: Which actions may be taken in which state, `[S, A]`; None: all.
        exploration: "pi_bar" (greedy in V_hi) is UCBVI; "mixed" explores as LINVIT does.
        **settings: Those of `LINVIT`.

    Source: Azar et al., "Minimax Regret Bounds for Reinforcement Learning" (arXiv 1703.05449).
    """

    def __init__(
        self,
        problem: TabularMDP | Simulator,
        *,
        actions: ArrayLike | None = None,
        exploration: Any = "pi_bar",
        **settings: Any,
    ) -> None:
        shape = (problem.states, problem.actions)
        allowed = np.ones(shape, bool) if actions is None else np.asarray(actions, bool)
        if allowed.shape != shape or not allowed.any(axis=1).all():
            raise InvalidSettingError(f"actions must have shape {shape}, with at least one action in every state")
        prior = allowed / allowed.sum(axis=1, keepdims=True)
        super().__init__(problem, prior, kl_coef=0.0, exploration=exploration, **settings)


class PriorAlone(Learner):
    """Follows the prior, and learns nothing."""

    def __init__(self, problem: TabularMDP | Simulator, prior: ArrayLike, *, seed: int = 0) -> None:
        super().__init__(problem, seed=seed)
        sizes = self.simulator.states, self.simulator.actions, self.simulator.horizon
        self.prior = checked_policy(prior, *sizes, "prior")

    def play(self) -> float:
        """Play one episode with the prior."""
        state, earned = self.simulator.reset(self.rng), 0.0
        for h in range(self.simulator.horizon):
            action = sample(at_step(self.prior, h)[state], self.rng)
            reward, state = self.simulator.step(h, state, action, self.rng)
            earned += reward
        return earned

    def policies(self) -> tuple[Floats, Floats]:
        """The prior, twice."""
        policy = np.broadcast_to(self.prior, (self.simulator.horizon, *self.prior.shape[1:])).copy()
        return policy, policy


class QLearning(Learner):
    """Epsilon-greedy Q-learning, with values for each step and the learning rate (H+1)/(H+n).

    Args:
        problem: A `TabularMDP`, of which only samples are used, or any `Simulator`.
        epsilon: Probability of a uniformly random action.
        initial: Initial action values; H would be optimistic.
        seed: Of everything random.

    Source: Watkins and Dayan (1992); the rate is that of Jin et al., "Is Q-Learning Provably Efficient?" (2018).
    """

    def __init__(
        self, problem: TabularMDP | Simulator, *, epsilon: float = 0.1, initial: float = 0.0, seed: int = 0
    ) -> None:
        super().__init__(problem, seed=seed)
        if not 0 <= epsilon <= 1:
            raise InvalidSettingError(f"epsilon must lie in [0, 1], not {epsilon}")
        self.epsilon = epsilon
        shape = (self.simulator.horizon, self.simulator.states, self.simulator.actions)
        self.Q, self._visits = np.full(shape, float(initial)), np.zeros(shape)

    def play(self) -> float:
        """Play one episode, and update one value in each step."""
        H = self.simulator.horizon
        state, earned = self.simulator.reset(self.rng), 0.0
        for h in range(H):
            explore = self.rng.random() < self.epsilon
            best = self.Q[h, state] == self.Q[h, state].max()
            action = sample(np.ones_like(best, float) if explore else best.astype(float), self.rng)
            reward, following = self.simulator.step(h, state, action, self.rng)
            ahead = self.Q[h + 1, following].max() if h + 1 < H else 0.0
            self._visits[h, state, action] += 1
            rate = (H + 1) / (H + self._visits[h, state, action])
            self.Q[h, state, action] += rate * (reward + ahead - self.Q[h, state, action])
            state, earned = following, earned + reward
        return earned

    def policies(self) -> tuple[Floats, Floats]:
        """The greedy policy, twice; ties are split evenly."""
        best = self.Q.max(axis=-1, keepdims=True)
        policy = (best == self.Q) / (best == self.Q).sum(axis=-1, keepdims=True)
        return policy, policy
