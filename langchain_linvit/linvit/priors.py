"""Priors for tabular MDPs: of a chosen divergence from the optimal policy, misleading, or smoothed.

Each returns a policy `[S, A]` or `[H, S, A]`, as `LINVIT` takes it. A prior from a chat model is in
`chat_prior.py`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.linvit.exact import optimal, prior_divergence
from langchain_linvit.linvit.mdp import TabularMDP

Floats = NDArray[np.float64]


def uniform(mdp: TabularMDP, *, admissible_only: bool = False) -> Floats:
    """All actions alike, `[S, A]`; with `admissible_only`, those that exist in the state."""
    allowed = mdp.admissible if admissible_only else np.ones((mdp.states, mdp.actions), bool)
    return np.asarray(allowed / allowed.sum(axis=1, keepdims=True))


def smooth(prior: ArrayLike, alpha: float) -> Floats:
    """`(1 - alpha) * prior + alpha / A`: no action has probability 0, and `H * log(A / alpha)` bounds the divergence.

    Raises:
        InvalidSettingError: alpha outside of [0, 1].
    """
    if not 0 <= alpha <= 1:
        raise InvalidSettingError(f"alpha must lie in [0, 1], not {alpha}")
    p = np.asarray(prior, float)
    return np.asarray((1 - alpha) * p + alpha / p.shape[-1])


def mix(mdp: TabularMDP, eta: float) -> Floats:
    """`(1 - eta) * pi* + eta * uniform`, `[H, S, A]`: from optimal (eta = 0) to no knowledge (eta = 1)."""
    return smooth(optimal(mdp).policy, eta)


def mix_of_divergence(mdp: TabularMDP, divergence: float) -> Floats:
    """The `mix` whose `prior_divergence` is `divergence`, in nats.

    Raises:
        InvalidSettingError: More than the uniform policy's divergence, or less than 0.
    """
    best = optimal(mdp).policy
    highest = prior_divergence(mdp, uniform(mdp))
    if not 0 <= divergence <= highest:
        raise InvalidSettingError(
            f"mixtures have a divergence from 0 to {highest:.3g} (the uniform policy's), not {divergence}"
        )
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if prior_divergence(mdp, smooth(best, middle)) < divergence else (low, middle)
    return smooth(best, high)


def adversarial(mdp: TabularMDP, p_min: float) -> Floats:
    """The worst action of every state with all the mass but `p_min` for each other action, `[H, S, A]`.

    Raises:
        InvalidSettingError: `p_min` is not in (0, 1/A].
    """
    if not 0 < p_min <= 1 / mdp.actions:
        raise InvalidSettingError(f"p_min must lie in (0, 1/A] = (0, {1 / mdp.actions:.3g}], not {p_min}")
    worst = optimal(mdp).Q.argmin(axis=-1)
    prior = np.full((mdp.horizon, mdp.states, mdp.actions), p_min)
    np.put_along_axis(prior, worst[..., None], 1 - (mdp.actions - 1) * p_min, axis=-1)
    return prior
