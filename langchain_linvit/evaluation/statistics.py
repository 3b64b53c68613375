"""Intervals and tests for success and costs; SciPy does the mathematics (imported where used: it takes a while)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

CONFIDENCE = 0.95
RESAMPLES = 4_999
_BATCH_CELLS = 4_000_000
"""Numbers that one batch of resamples may hold: 32 MB."""


class Interval(BaseModel):
    """An estimate with its confidence interval; no bounds where the data can't give any."""

    model_config = ConfigDict(frozen=True)

    estimate: float
    low: float | None = None
    high: float | None = None


def mean_interval(
    values: Sequence[float], *, seed: int = 0, resamples: int = RESAMPLES, confidence: float = CONFIDENCE
) -> Interval:
    """The mean with its bootstrap interval (bias-corrected and accelerated; Efron 1987).

    Args:
        values: One per item, at least one; for a paired comparison, the differences within the pairs.
        seed: Of the resampling: the same seed gives the same interval.
        resamples: How often `values` is drawn anew.
        confidence: Of the interval.

    Returns:
        The mean; without bounds where all values are equal, since resampling them shows no spread.
    """
    sample = np.asarray(values, dtype=float)
    mean = math.fsum(sample) / len(sample)
    if np.all(sample == sample[0]):
        return Interval(estimate=mean)
    from scipy import stats

    found = stats.bootstrap(
        (sample,),
        np.mean,
        n_resamples=resamples,
        confidence_level=confidence,
        method="BCa",
        batch=max(1, _BATCH_CELLS // len(sample)),
        rng=np.random.default_rng(seed),
    ).confidence_interval
    low, high = float(found.low), float(found.high)
    return Interval(estimate=mean, low=low, high=high) if math.isfinite(low + high) else Interval(estimate=mean)


def share_interval(solved: int, n: int, *, confidence: float = CONFIDENCE) -> Interval:
    """The share of `n` independent items that were solved, with Wilson's interval: sound at 0 and n too."""
    from scipy import stats

    found = stats.binomtest(solved, n).proportion_ci(confidence_level=confidence, method="wilson")
    return Interval(estimate=solved / n, low=float(found.low), high=float(found.high))


class McNemar(BaseModel):
    """McNemar's exact test: whether two methods differ in which items they solve.

    An item with several repetitions counts once, for the method that solved it more often; this makes it a sign
    test over items, which with one repetition is McNemar's.
    """

    model_config = ConfigDict(frozen=True)

    both: int
    """Items that both solved (with repetitions: equally often, and at least once)."""
    only_first: int
    """Items that the first alone solved (solved more often)."""
    only_second: int
    """Items that the second alone solved (solved more often)."""
    neither: int
    """Items that neither solved."""
    p_value: float
    """Two-sided and exact: of a fair coin's falling as unevenly on the items that tell the methods apart."""


def mcnemar(first: Sequence[float], second: Sequence[float]) -> McNemar:
    """McNemar's exact test (1947; the exact form is a binomial test on the discordant pairs).

    Args:
        first: The share of repetitions that the first method solved, 0 to 1, item by item.
        second: The same of the second method, for the same items.
    """
    from scipy import stats

    pairs = list(zip(first, second, strict=True))
    only_first, only_second = sum(a > b for a, b in pairs), sum(b > a for a, b in pairs)
    neither = sum(a == b == 0 for a, b in pairs)
    discordant = only_first + only_second
    p_value = float(stats.binomtest(only_first, discordant, 0.5).pvalue) if discordant else 1.0
    both = len(pairs) - discordant - neither
    return McNemar(both=both, only_first=only_first, only_second=only_second, neither=neither, p_value=p_value)
