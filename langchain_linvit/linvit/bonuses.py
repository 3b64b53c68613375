"""Exploration bonuses: how far the empirical model may be off, given n visits.

Each is a function of the next values too, since the Bernstein form looks at their variance. With
`scale = 1` they are what theory asks for; anything less is practice, without a guarantee.

Source: Tiapkin et al., "Demonstration-Regularized RL" (arXiv 2310.17303), appendix on UCBVI-Ent+;
Azar et al., "Minimax Regret Bounds for Reinforcement Learning" (arXiv 1703.05449).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from langchain_linvit.errors import InvalidSettingError

Floats = NDArray[np.float64]
BonusName = Literal["simple", "bernstein", "hoeffding"]
BONUSES: tuple[BonusName, ...] = ("simple", "bernstein", "hoeffding")


@dataclass(frozen=True)
class Bonus:
    """The bonus of a learner, by name.

    - `simple`: `(H-h) * sqrt(beta / n)`, beta = log(3SAH(n+1)^2 / delta). Covers fixed values such as V*.
    - `bernstein`: `2 * sqrt(Var[F] * beta / n) + 3.5 * H * beta / n`, beta = log(3SAH / delta) + S log(8e(n+1)).
      Covers every next value F, the value of the returned policy included.
    - `hoeffding`: `H * sqrt(beta / (2n))` with the same beta.

    Attributes:
        name: Which form.
        scale: Factor on it; 1 is theory.
        delta: Probability with which the bounds may fail.
        states, actions, horizon: S, A and H.
    """

    name: BonusName
    scale: float
    delta: float
    states: int
    actions: int
    horizon: int

    def __post_init__(self) -> None:
        if self.name not in BONUSES:
            raise InvalidSettingError(f"bonus must be one of {', '.join(BONUSES)}, not {self.name!r}")
        if not self.scale >= 0:
            raise InvalidSettingError(f"bonus_scale must be at least 0, not {self.scale}")
        if not 0 < self.delta < 1:
            raise InvalidSettingError(f"delta must lie between 0 and 1, not {self.delta}")

    def radius(self, visits: Floats) -> Floats:
        """The part that depends on visits only, shape of `visits`: `scale * sqrt(beta / n)`."""
        if self.name == "simple":
            beta = self._log_cells(3, visits)
        else:
            cells = 3 * self.states * self.actions * self.horizon
            beta = np.log(cells / self.delta) + self.states * (1 + np.log(8 * (visits + 1)))
        return np.asarray(self.scale * np.sqrt(beta / visits))

    def transition(self, rest: int, radius: Floats, P: Any, following: Floats, mean: Floats) -> Floats:
        """Bonus of each visited pair for the next values F, shape `[R]`.

        Args:
            rest: Steps left after this one, H-h: the largest that F can be.
            radius: `radius(visits)`, shape `[R]`.
            P: Empirical transitions, `[R, S]`.
            following: F, shape `[S]`.
            mean: `P @ F`, shape `[R]`.
        """
        if self.name == "simple":
            return rest * radius
        if self.name == "hoeffding":
            return self.horizon / math.sqrt(2) * radius
        if self.scale == 0:
            return np.zeros_like(mean)
        deviation = np.sqrt(np.maximum(P @ following**2 - mean**2, 0.0))
        return np.asarray(2 * deviation * radius + 3.5 * self.horizon * radius**2 / self.scale)

    def reward(self, visits: Floats) -> Floats:
        """Bonus of an unknown mean reward, shape of `visits`."""
        return np.asarray(self.scale * np.sqrt(self._log_cells(12, visits) / (2 * visits)))

    def _log_cells(self, factor: int, visits: Floats) -> Floats:
        cells = factor * self.states * self.actions * self.horizon
        return np.asarray(np.log(cells * (visits + 1) ** 2 / self.delta))
