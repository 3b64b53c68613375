"""The KL-regularised operator that LINVIT and SLINVIT both stand on.

For action values `q`, a prior `p` (rows sum to 1) and a temperature `lam` >= 0:

    soft value    V  = max_pi <pi, q> - lam * KL(pi || p)  =  lam * log sum_a p_a exp(q_a / lam)
    soft policy   pi_a  proportional to  p_a * exp(q_a / lam)

with the limits `lam -> 0` (the maximum of `q` over the support of `p`; ties are split by `p`) and
`lam -> inf` (`<p, q>` and `p` itself).

Source: "How Can LLM Guide RL? A Value-Based Approach" (arXiv 2402.16181), section 4; Tiapkin et al.,
"Demonstration-Regularized RL" (arXiv 2310.17303).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from langchain_linvit.errors import InvalidSettingError

Floats = NDArray[np.float64]

_TOLERANCE = 1e-6
"""How far from 1 the sum of a row of probabilities may be."""

_DIRECT = 1e3
"""Temperatures up to which `lam * log(sum)` loses less than 1e-12 to rounding; above it takes care."""


def soft_value(q: ArrayLike, p: ArrayLike, lam: float) -> Floats:
    """The regularised value of every state: `max_pi <pi, q> - lam * KL(pi || p)`.

    Args:
        q: Action values, shape `[..., A]`. `-inf` is allowed and never chosen.
        p: Prior probabilities, broadcastable to `q`; each row sums to 1.
        lam: Temperature in the units of `q`; 0 and `inf` are allowed as limits.

    Returns:
        Shape `[...]`.

    Raises:
        InvalidSettingError: NaN, a negative temperature, or a row of `p` that is no distribution;
            the message names the row.
    """
    values, prior = validate(q, p, lam)
    return soft_value_unchecked(values, prior, lam)


def soft_policy(q: ArrayLike, p: ArrayLike, lam: float) -> Floats:
    """The policy that attains `soft_value`: proportional to `p * exp(q / lam)`, shape `[..., A]`.

    Arguments and errors are those of `soft_value`.
    """
    values, prior = validate(q, p, lam)
    return soft_policy_unchecked(values, prior, lam)


def kl_divergence(pi: ArrayLike, p: ArrayLike) -> Floats:
    """`KL(pi || p)` in nats over the last axis; infinite where `pi` leaves the support of `p`.

    Raises:
        InvalidSettingError: A row of either argument is no distribution; the message names the row.
    """
    first, second = np.broadcast_arrays(np.asarray(pi, float), np.asarray(p, float))
    check_distributions(first, "pi")
    check_distributions(second, "p")
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(first > 0, first * (np.log(first) - np.log(second)), 0.0)
    return np.asarray(np.maximum(terms.sum(axis=-1), 0.0))


def soft_value_unchecked(q: Floats, p: Floats, lam: float) -> Floats:
    """`soft_value` for inner loops: arrays of equal shape, valid, not checked again."""
    if 0 < lam <= _DIRECT:
        return soft_backup_unchecked(q, _log(p), lam)[0]
    best = np.asarray(np.where(p > 0, q, -np.inf).max(axis=-1))
    if lam == 0:
        return best
    mean = np.asarray((p * np.where(p > 0, np.maximum(q, np.finfo(float).min), 0.0)).sum(axis=-1))
    if np.isinf(lam):
        return mean
    # sum p exp(x) = 1 + sum p expm1(x): exact where lam dwarfs the differences, and the direct
    # logarithm where one rare action holds nearly all of the weight.
    with np.errstate(under="ignore", over="ignore"):
        x = np.minimum(q - best[..., None], 0.0) / lam
        shortfall = np.asarray((p * np.expm1(x)).sum(axis=-1))
        direct = np.log(np.maximum((p * np.exp(x)).sum(axis=-1), np.finfo(float).tiny))
        gain = np.where(shortfall > -0.5, np.log1p(np.maximum(shortfall, -0.5)), direct)
        value = best + lam * gain
    return np.asarray(np.clip(value, np.minimum(mean, best), best))


def soft_policy_unchecked(q: Floats, p: Floats, lam: float) -> Floats:
    """`soft_policy` for inner loops: arrays of equal shape, valid, not checked again."""
    if np.isinf(lam):
        return p.copy()
    if lam > 0:
        return soft_backup_unchecked(q, _log(p), lam)[1]
    weights = p * (q == np.where(p > 0, q, -np.inf).max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def soft_backup_unchecked(q: Floats, log_p: Floats, lam: float) -> tuple[Floats, Floats]:
    """Soft value and soft policy at once, from the logarithm of the prior: for backward inductions.

    Valid arrays, not checked again; `log_p` is broadcast to `q`, and `-inf` where the prior is 0.
    """
    if lam == 0 or np.isinf(lam):
        p = np.broadcast_to(np.exp(log_p), q.shape)
        return soft_value_unchecked(q, p, lam), soft_policy_unchecked(q, p, lam)
    with np.errstate(under="ignore", over="ignore"):
        policy = q / lam
        policy += log_p
        best = policy.max(axis=-1)
        policy -= best[..., None]
        np.exp(policy, out=policy)
        total = policy.sum(axis=-1)
        policy /= total[..., None]
        if lam > _DIRECT:
            return soft_value_unchecked(q, np.broadcast_to(np.exp(log_p), q.shape), lam), policy
        value = lam * (best + np.log(total))
    return np.asarray(value), policy


def _log(p: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(p))


def validate(q: ArrayLike, p: ArrayLike, lam: float) -> tuple[Floats, Floats]:
    """Both arguments as float arrays of one shape, or an error that names the offending row."""
    if not lam >= 0:
        raise InvalidSettingError(f"lam must be at least 0 (0 and inf are allowed), not {lam}")
    values, prior = np.broadcast_arrays(np.asarray(q, float), np.asarray(p, float))
    if values.ndim == 0 or values.shape[-1] == 0:
        raise InvalidSettingError("q and p need a last axis with at least one action")
    bad = np.isnan(values) | (values == np.inf)
    if bad.any():
        raise InvalidSettingError(f"q has NaN or +inf in {_row(bad.any(axis=-1))}; values must be finite or -inf")
    check_distributions(prior, "p")
    hopeless = ~((prior > 0) & (values > -np.inf)).any(axis=-1)
    if hopeless.any():
        raise InvalidSettingError(f"no action of {_row(hopeless)} has both p > 0 and a finite q; drop that state")
    return values, prior


def check_distributions(p: Floats, name: str) -> None:
    """Raise `InvalidSettingError`, naming the first row of `p` that is no probability distribution."""
    wrong = ~np.isfinite(p).all(axis=-1) | (p < 0).any(axis=-1)
    if wrong.any():
        raise InvalidSettingError(f"{name} has NaN, infinite or negative entries in {_row(wrong)}")
    unnormalised = np.abs(p.sum(axis=-1) - 1) > _TOLERANCE
    if unnormalised.any():
        total = np.atleast_1d(p.sum(axis=-1))[tuple(np.argwhere(np.atleast_1d(unnormalised))[0])]
        raise InvalidSettingError(f"{name} sums to {total:g}, not 1, in {_row(unnormalised)}; normalise it first")


def _row(flags: NDArray[np.bool_] | np.bool_) -> str:
    index = np.argwhere(np.atleast_1d(flags))[0]
    return f"row {tuple(int(i) for i in index)}" if len(index) > 1 else f"row {int(index[0])}"
