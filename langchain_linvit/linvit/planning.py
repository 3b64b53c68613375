"""One step of the backward induction over what was visited: the plumbing under `algorithm.py`.

Pairs (s, a) that were never visited have known values in closed form, so only the M visited states of a
step take part in its arrays; the others share one vector that is computed once for a run.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from langchain_linvit.linvit.bonuses import Bonus
from langchain_linvit.linvit.counts import EmpiricalModel
from langchain_linvit.regularised import soft_policy_unchecked, soft_value_unchecked

Floats = NDArray[np.float64]


def at_step(stages: Floats, h: int) -> Floats:
    """The part of step `h` in an array `[1, ...]` (the same for all steps) or `[H, ...]`."""
    return np.asarray(stages[h if len(stages) > 1 else 0])


@dataclass(frozen=True)
class Stage:
    """One step of the episode as far as it was visited: M states, R pairs.

    Arrays `[M, A]` are views of contiguous `[A, M]` ones: sums over few actions are several times faster so.

    Attributes:
        model: The empirical model.
        bonus: The bonus, and its `radius` for the visits of the model, `[R]`.
        log_prior: Logarithm of the prior of the visited states, `[M, A]`.
        unseen_hi, unseen_lo: Rewards that an unseen action may have at most and at least, `[M, A]`.
        reward_hi, reward_lo, reward: The same of the visited pairs, and their mean, `[R]`.
    """

    model: EmpiricalModel
    bonus: Bonus
    radius: Floats
    log_prior: Floats
    unseen_hi: Floats
    unseen_lo: Floats
    reward_hi: Floats
    reward_lo: Floats
    reward: Floats

    @property
    def states(self) -> NDArray[np.int64]:
        """The visited states, `[M]`."""
        return self.model.states

    def expected(self, following: Floats) -> Floats:
        """`P^ F` for the visited pairs: `[S]` to `[R]`."""
        return np.asarray(self.model.P @ following)

    def upper(self, following: Floats, rest: int) -> Floats:
        """`clip(P^ F + b, 0, H-h)` for the visited pairs: `[S]` to `[R]`. F lies between 0 and H-h."""
        mean = self.expected(following)
        return np.asarray(np.minimum(mean + self._bonus(following, mean, rest), rest))

    def lower(self, following: Floats, rest: int) -> Floats:
        """`clip(P^ F - b, 0, H-h)` for the visited pairs: `[S]` to `[R]`. F lies between 0 and H-h."""
        mean = self.expected(following)
        return np.asarray(np.maximum(mean - self._bonus(following, mean, rest), 0.0))

    def q(self, seen: Floats, unseen: Floats, rest: int = 0) -> Floats:
        """Action values of the visited states, `[M, A]`: `seen` for visited pairs `[R]`, `unseen + rest` elsewhere."""
        if len(seen) == unseen.size:  # every action of every visited state, in the order of the cells
            return seen.reshape(unseen.T.shape).T
        values = unseen.T + rest
        values.reshape(-1)[self.model.cells] = seen
        return np.asarray(values.T)

    def _bonus(self, following: Floats, mean: Floats, rest: int) -> Floats:
        return self.bonus.transition(rest, self.radius, self.model.P, following, mean)


@dataclass(frozen=True)
class Unseen:
    """What is known of states without a single visit: each array is `[1, S]` or `[H, S]` (policy: `[.., S, A]`).

    The values leave out the steps that follow: those add H-h to the optimistic ones, and 0 to the others,
    since soft values and maxima shift with their action values.

    Attributes:
        policy: The soft policy of the rewards alone.
        soft_hi, soft_lo: Soft value of the largest and the least rewards.
        best: The largest reward of any action.
        expected_lo: What the policy earns at least.
    """

    policy: Floats
    soft_hi: Floats
    soft_lo: Floats
    best: Floats
    expected_lo: Floats

    @classmethod
    def of(cls, prior: Floats, lam: float, lowest: Floats, highest: Floats) -> Unseen:
        """From a prior and bounds on rewards, each `[1 or H, S, A]`; lowest and highest differ by a constant."""
        rewards, prior = np.broadcast_arrays(lowest, prior)
        policy = soft_policy_unchecked(rewards, prior, lam)
        soft_lo = soft_value_unchecked(rewards, prior, lam)
        return cls(
            policy=policy,
            soft_hi=soft_lo + (highest - lowest).max(),
            soft_lo=soft_lo,
            best=highest.max(axis=-1),
            expected_lo=(policy * rewards).sum(axis=-1),
        )


@dataclass(frozen=True)
class Plan:
    """A policy of the learner: `[M, A]` for the visited states of each step, `unseen` for the others.

    Attributes:
        stages: The model that it was planned on, step by step.
        rows: The policy of the visited states of each step.
        unseen: The policy of all others, `[1 or H, S, A]`.
        upper, lower: V_hi and V_lo of the first step (of the empirical policy: its value in the model, twice), `[S]`.
        widths: `Q_hi - Q_lo` of the visited states of each step; none for the empirical policy.
    """

    stages: list[Stage]
    rows: list[Floats]
    unseen: Floats
    upper: Floats
    lower: Floats
    widths: list[Floats] = field(default_factory=list)

    def row(self, h: int, state: int) -> Floats:
        """Probabilities of the actions in one state, `[A]`."""
        place = self.stages[h].model.position[state]
        return np.asarray(at_step(self.unseen, h)[state] if place < 0 else self.rows[h][place])

    def width(self, h: int, state: int) -> Floats | None:
        """`Q_hi - Q_lo` in one state, `[A]`; None where no action of it was visited: all are equally wide."""
        place = self.stages[h].model.position[state]
        return None if place < 0 else np.asarray(self.widths[h][place])

    def policy(self) -> Floats:
        """The whole policy, `[H, S, A]`."""
        shape = (len(self.stages), *self.unseen.shape[1:])
        full = np.broadcast_to(self.unseen, shape).copy()
        for h, (stage, rows) in enumerate(zip(self.stages, self.rows, strict=True)):
            full[h, stage.states] = rows
        return full
