"""Properties of the KL-regularised operator (algorithms section 0)."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.regularised import kl_divergence, soft_policy, soft_value

value = st.floats(-5, 5)
temperature = st.floats(1e-3, 1e3)


@st.composite
def problems(draw, size=st.integers(1, 6)):
    n = draw(size)
    q = np.array(draw(st.lists(value, min_size=n, max_size=n)))
    weights = np.array(draw(st.lists(st.sampled_from([0.0, 0.01, 0.3, 1.0, 2.0]), min_size=n, max_size=n)))
    weights[draw(st.integers(0, n - 1))] = 1.0
    return q, weights / weights.sum()


@given(problems(), temperature)
def test_lies_between_the_mean_and_the_maximum(problem, lam):
    q, p = problem
    v = soft_value(q, p, lam)
    assert p @ q - 1e-9 <= v <= q[p > 0].max() + 1e-9


@given(problems(), temperature, st.floats(-100, 100))
def test_shifts_with_its_values(problem, lam, shift):
    q, p = problem
    assert soft_value(q + shift, p, lam) == pytest.approx(soft_value(q, p, lam) + shift, abs=1e-7)


@given(problems(), temperature, st.floats(1.0, 10.0))
def test_falls_as_the_temperature_rises(problem, lam, factor):
    q, p = problem
    assert soft_value(q, p, lam * factor) <= soft_value(q, p, lam) + 1e-9


@given(problems(), temperature)
def test_soft_policy_attains_the_value(problem, lam):
    q, p = problem
    pi = soft_policy(q, p, lam)
    assert pi.sum() == pytest.approx(1)
    assert (pi[p == 0] == 0).all()
    assert pi @ q - lam * kl_divergence(pi, p) == pytest.approx(soft_value(q, p, lam), abs=1e-6)


@given(problems(), st.floats(0.05, 50))
def test_gradient_is_the_soft_policy(problem, lam):
    q, p = problem
    step = 1e-5
    for a, expected in enumerate(soft_policy(q, p, lam)):
        d = np.eye(len(q))[a] * step
        slope = (soft_value(q + d, p, lam) - soft_value(q - d, p, lam)) / (2 * step)
        assert slope == pytest.approx(expected, abs=1e-4)


@given(problems(size=st.just(3)), st.floats(0.05, 20))
def test_is_the_maximum_over_a_simplex_grid(problem, lam):
    q, p = problem
    n = 60
    grid = np.array([(i, j, n - i - j) for i, j in itertools.product(range(n + 1), repeat=2) if i + j <= n]) / n
    grid = grid[(grid[:, p == 0] == 0).all(axis=1)]
    best = (grid @ q - lam * kl_divergence(grid, p[None, :])).max()
    v = float(soft_value(q, p, lam))
    assert best <= v + 1e-9
    assert v - best < 0.02 * (1 + lam + np.ptp(q))


def test_does_not_overflow():
    q = np.array([[1e6, -1e6, 0.0], [-1e6, 1e6, 1e6]])
    v = soft_value(q, np.array([0.2, 0.3, 0.5]), 1.0)
    assert v == pytest.approx([1e6 + np.log(0.2), 1e6 + np.log(0.8)], rel=1e-12)


def test_large_temperature_is_exact():
    q, p = np.array([0.0, 1.0]), np.array([0.25, 0.75])
    for lam in (1e9, 1e15, np.inf):
        assert soft_value(q, p, lam) == pytest.approx(0.75, abs=1e-9)
    assert soft_policy(q, p, np.inf) == pytest.approx(p)


def test_rare_best_action_is_exact():
    q, p = np.array([0.0, 100.0]), np.array([1 - 1e-12, 1e-12])
    assert soft_value(q, p, 1.0) == pytest.approx(100 + np.log(1e-12), rel=1e-12)


def test_zero_temperature_is_the_limit():
    q, p = np.array([1.0, 3.0, 3.0, 9.0]), np.array([0.5, 0.3, 0.2, 0.0])
    assert soft_value(q, p, 0.0) == 3.0
    assert soft_policy(q, p, 0.0) == pytest.approx([0, 0.6, 0.4, 0])


def test_minus_infinity_is_never_chosen():
    q, p = np.array([-np.inf, 1.0]), np.array([0.5, 0.5])
    for lam in (0.0, 0.1, 1.0):
        assert soft_policy(q, p, lam) == pytest.approx([0, 1])
        assert np.isfinite(soft_value(q, p, lam))
    assert soft_value(q, p, 1.0) == pytest.approx(1 + np.log(0.5))


def test_leading_axes_are_independent():
    rng = np.random.default_rng(0)
    q, p = rng.normal(size=(4, 3, 5)), rng.dirichlet(np.ones(5), size=(4, 3))
    together = soft_value(q, p, 0.7)
    assert together.shape == (4, 3)
    assert together[2, 1] == pytest.approx(soft_value(q[2, 1], p[2, 1], 0.7))


@pytest.mark.parametrize(
    ("q", "p", "lam", "message"),
    [
        ([[0, 0], [np.nan, 0]], [0.5, 0.5], 1, "row 1"),
        ([[0, 0], [0, 0]], [[0.5, 0.5], [0.7, 0.7]], 1, r"sums to 1.4, not 1, in row 1"),
        ([0, 0], [-0.5, 1.5], 1, "negative entries in row 0"),
        ([0, 0], [0.5, 0.5], -1, "lam must be at least 0"),
        ([0, 0], [0.5, 0.5], float("nan"), "lam must be at least 0"),
        ([-np.inf, 0], [1.0, 0.0], 1, "no action of row 0"),
        ([], [], 1, "at least one action"),
    ],
)
def test_bad_input_names_the_row(q, p, lam, message):
    with pytest.raises(InvalidSettingError, match=message):
        soft_value(q, p, lam)


def test_divergence_is_infinite_outside_of_the_support():
    assert kl_divergence([0.5, 0.5], [1.0, 0.0]) == np.inf
    assert kl_divergence([1.0, 0.0], [0.5, 0.5]) == pytest.approx(np.log(2))
