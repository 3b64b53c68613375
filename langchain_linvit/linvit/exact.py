"""Exact solutions of a known MDP: what a learner is measured against.

Values are arrays `[H+1, S]` (0 after the last step), action values `[H, S, A]`, policies `[H, S, A]`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.linvit.mdp import TabularMDP
from langchain_linvit.linvit.planning import at_step
from langchain_linvit.regularised import check_distributions, soft_policy_unchecked, soft_value_unchecked

Floats = NDArray[np.float64]

_TIE = 1e-9
"""Action values this close to the best count as optimal."""


@dataclass(frozen=True)
class Solution:
    """Values, action values and policy of an MDP.

    Attributes:
        V: `[H+1, S]`.
        Q: `[H, S, A]`.
        policy: `[H, S, A]`.
        start_value: Value at the start of an episode.
    """

    V: Floats
    Q: Floats
    policy: Floats
    start_value: float


def regularised_optimal(mdp: TabularMDP, prior: ArrayLike, lam: float) -> Solution:
    """V*_lam and its policy: the best of `<pi, Q> - lam * KL(pi || prior)`, step by step."""
    p = checked_policy(prior, mdp.states, mdp.actions, mdp.horizon, "prior")
    if not lam >= 0:
        raise InvalidSettingError(f"lam must be at least 0, not {lam}")
    V, Q, policy = _empty(mdp)
    for h in reversed(range(mdp.horizon)):
        Q[h] = mdp.reward(h) + mdp.backup(h, V[h + 1])
        V[h] = soft_value_unchecked(Q[h], at_step(p, h), lam)
        policy[h] = soft_policy_unchecked(Q[h], at_step(p, h), lam)
    return Solution(V, Q, policy, float(mdp.start @ V[0]))


def optimal(mdp: TabularMDP) -> Solution:
    """V*, Q* and an optimal policy, which splits evenly over all optimal actions."""
    V, Q, policy = _empty(mdp)
    for h in reversed(range(mdp.horizon)):
        Q[h] = mdp.reward(h) + mdp.backup(h, V[h + 1])
        V[h] = Q[h].max(axis=1)
        best = Q[h] >= V[h][:, None] - _TIE
        policy[h] = best / best.sum(axis=1, keepdims=True)
    return Solution(V, Q, policy, float(mdp.start @ V[0]))


def evaluate(mdp: TabularMDP, policy: ArrayLike) -> Solution:
    """V^pi and Q^pi, without any regularisation, of a policy `[S, A]` or `[H, S, A]`."""
    pi = checked_policy(policy, mdp.states, mdp.actions, mdp.horizon, "policy")
    V, Q, full = _empty(mdp)
    for h in reversed(range(mdp.horizon)):
        full[h] = at_step(pi, h)
        Q[h] = mdp.reward(h) + mdp.backup(h, V[h + 1])
        V[h] = (full[h] * Q[h]).sum(axis=1)
    return Solution(V, Q, full, float(mdp.start @ V[0]))


def start_values(mdp: TabularMDP, *policies: Floats) -> Floats:
    """Start values of several valid policies `[H, S, A]` at once: `evaluate` for inner loops."""
    V = np.zeros((mdp.states, len(policies)))
    for h in reversed(range(mdp.horizon)):
        following = np.asarray(mdp.transition(h) @ V).reshape(mdp.states, mdp.actions, len(policies))
        V = np.stack(
            [(pi[h] * (mdp.reward(h) + following[..., i])).sum(axis=1) for i, pi in enumerate(policies)], axis=1
        )
    return np.asarray(mdp.start @ V)


def prior_divergence(mdp: TabularMDP, prior: ArrayLike) -> float:
    """KL(pi* || prior) of Definition 5.1, for the optimal policy that is closest to the prior.

    With K_{H+1} = 0, it is the expectation at the start of

        K_h(s) = min over pi on the optimal actions of  KL(pi || p) + <pi, P K_{h+1}>
               = -log sum over optimal a of  p_a * exp(-(P K_{h+1})(s, a)),

    which is a soft value at temperature 1. Infinite where the prior excludes every optimal policy.
    """
    p = checked_policy(prior, mdp.states, mdp.actions, mdp.horizon, "prior")
    Q = optimal(mdp).Q
    K = np.zeros(mdp.states)
    for h in reversed(range(mdp.horizon)):
        ahead = mdp.backup(h, K)
        allowed = (Q[h] >= Q[h].max(axis=1, keepdims=True) - _TIE) & (at_step(p, h) > 0) & np.isfinite(ahead)
        possible = allowed.any(axis=1)
        q = np.where(allowed, -ahead, -np.inf)[possible]
        K = np.full(mdp.states, np.inf)
        K[possible] = -soft_value_unchecked(q, at_step(p, h)[possible], 1.0)
    reached = mdp.start > 0
    return max(float(mdp.start[reached] @ K[reached]), 0.0)


def checked_policy(policy: ArrayLike, states: int, actions: int, horizon: int, name: str) -> Floats:
    """A policy as `[1, S, A]` (the same in every step) or `[H, S, A]`.

    Raises:
        InvalidSettingError: The wrong shape, or a row that is no distribution; the message names it.
    """
    array = np.asarray(policy, float)
    shapes = ((states, actions), (1, states, actions), (horizon, states, actions))
    if array.shape not in shapes:
        raise InvalidSettingError(
            f"{name} must have shape [S, A] = {shapes[0]} or [H, S, A] = {shapes[2]}, not {array.shape}"
        )
    check_distributions(array, name)
    return array[None] if array.ndim == 2 else array


def _empty(mdp: TabularMDP) -> tuple[Floats, Floats, Floats]:
    H, S, A = mdp.horizon, mdp.states, mdp.actions
    return np.zeros((H + 1, S)), np.zeros((H, S, A)), np.zeros((H, S, A))
