"""Exact solvers against recursions written out here."""

import itertools

import numpy as np
import pytest

from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.linvit import (
    TabularMDP,
    adversarial,
    evaluate,
    mix,
    mix_of_divergence,
    optimal,
    prior_divergence,
    random_mdp,
    regularised_optimal,
    smooth,
    uniform,
)
from langchain_linvit.linvit.exact import start_values
from langchain_linvit.regularised import kl_divergence


def dense(mdp):
    shape = (mdp.states, mdp.actions, mdp.states)
    return [mdp.transition(h).toarray().reshape(shape) for h in range(mdp.horizon)]


def value_of(mdp, policy, prior=None, lam=0.0):
    """The value of one policy by plain loops, less `lam * KL(policy || prior)`."""
    V = [0.0] * mdp.states
    for h in reversed(range(mdp.horizon)):
        P, r = dense(mdp)[h], mdp.reward(h)
        V = [
            sum(
                policy[h, s, a] * (r[s, a] + sum(P[s, a, t] * V[t] for t in range(mdp.states)))
                for a in range(mdp.actions)
            )
            - (lam * float(kl_divergence(policy[h, s], prior[s])) if lam else 0.0)
            for s in range(mdp.states)
        ]
    return float(np.dot(mdp.start, V))


def deterministic_policies(mdp):
    for choice in itertools.product(range(mdp.actions), repeat=mdp.horizon * mdp.states):
        yield np.eye(mdp.actions)[np.array(choice).reshape(mdp.horizon, mdp.states)]


@pytest.mark.parametrize("stage_dependent", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_optimal_is_the_best_of_all_deterministic_policies(seed, stage_dependent):
    mdp = random_mdp(2, 2, 3, successors=2, stage_dependent=stage_dependent, seed=seed)
    best = max(value_of(mdp, policy) for policy in deterministic_policies(mdp))
    assert optimal(mdp).start_value == pytest.approx(best)
    assert evaluate(mdp, optimal(mdp).policy).start_value == pytest.approx(best)


@pytest.mark.parametrize("lam", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("stage_dependent", [False, True])
def test_regularised_optimum_beats_every_policy_of_a_fine_grid(lam, stage_dependent):
    mdp = random_mdp(2, 2, 2, successors=2, stage_dependent=stage_dependent, seed=5)
    prior = np.array([[0.2, 0.8], [0.6, 0.4]])
    solution = regularised_optimal(mdp, prior, lam)
    steps = np.linspace(0, 1, 6)
    grid = [
        np.stack([np.array(x), 1 - np.array(x)], axis=-1).reshape(2, 2, 2) for x in itertools.product(steps, repeat=4)
    ]
    values = [value_of(mdp, policy, prior, lam) for policy in grid]
    assert max(values) <= solution.start_value + 1e-9
    assert max(values) >= solution.start_value - 0.08 * (1 + lam)
    assert value_of(mdp, solution.policy, prior, lam) == pytest.approx(solution.start_value)


def test_zero_temperature_is_the_optimum_within_the_support():
    mdp = random_mdp(4, 3, 4, seed=1)
    assert regularised_optimal(mdp, uniform(mdp), 0.0).start_value == pytest.approx(optimal(mdp).start_value)
    without_the_first = np.tile([0.0, 0.5, 0.5], (4, 1))
    restricted = regularised_optimal(mdp, without_the_first, 0.0)
    assert restricted.start_value < optimal(mdp).start_value
    assert (restricted.policy[..., 0] == 0).all()


@pytest.mark.parametrize("stage_dependent", [False, True])
def test_evaluate_follows_the_policy(stage_dependent):
    mdp = random_mdp(3, 2, 3, stage_dependent=stage_dependent, seed=2)
    policy = np.random.default_rng(0).dirichlet(np.ones(2), size=(3, 3))
    expected = value_of(mdp, policy)
    assert evaluate(mdp, policy).start_value == pytest.approx(expected)
    assert start_values(mdp, policy, optimal(mdp).policy) == pytest.approx([expected, optimal(mdp).start_value])


def test_divergence_is_the_least_over_the_optimal_policies():
    # State 0: both actions are optimal and lead to states 1 and 2, whose priors are good and bad.
    P = np.zeros((3, 2, 3))
    P[0, 0, 1] = P[0, 1, 2] = 1
    P[1, :, 1] = P[2, :, 2] = 1
    rewards = [[0, 0], [1, 0], [1, 0]]
    mdp = TabularMDP(P, rewards, horizon=2)
    prior = np.array([[0.5, 0.5], [0.9, 0.1], [0.1, 0.9]])
    by_grid = min(
        float(kl_divergence([x, 1 - x], prior[0])) - x * np.log(0.9) - (1 - x) * np.log(0.1)
        for x in np.linspace(0, 1, 2001)
    )
    assert prior_divergence(mdp, prior) == pytest.approx(by_grid, abs=1e-5)


def test_divergence_of_the_ends():
    mdp = random_mdp(4, 3, 5, seed=3)
    assert prior_divergence(mdp, optimal(mdp).policy) == pytest.approx(0)
    assert prior_divergence(mdp, uniform(mdp)) == pytest.approx(5 * np.log(3))
    excluded = (1 - optimal(mdp).policy) / 2
    assert prior_divergence(mdp, excluded) == np.inf


def test_mixtures_have_the_chosen_divergence():
    mdp = random_mdp(4, 3, 5, seed=3)
    for divergence in (0.0, 0.5, 2.0, 5.4):
        assert prior_divergence(mdp, mix_of_divergence(mdp, divergence)) == pytest.approx(divergence, abs=1e-6)
    with pytest.raises(InvalidSettingError, match=r"from 0 to 5\.49.*not 6"):
        mix_of_divergence(mdp, 6.0)
    rising = [prior_divergence(mdp, mix(mdp, eta)) for eta in (0, 0.1, 0.5, 1)]
    assert rising == sorted(rising)


def test_adversarial_prior_puts_its_mass_on_the_worst_action():
    mdp = random_mdp(4, 3, 5, seed=3)
    prior = adversarial(mdp, 0.05)
    assert prior.min() == pytest.approx(0.05)
    assert prior.sum(axis=-1) == pytest.approx(1)
    assert (prior.argmax(axis=-1) == optimal(mdp).Q.argmin(axis=-1)).all()
    assert prior_divergence(mdp, prior) > prior_divergence(mdp, uniform(mdp))
    with pytest.raises(InvalidSettingError, match=r"p_min must lie in \(0, 1/A\]"):
        adversarial(mdp, 0.5)


def test_smoothing_bounds_the_divergence():
    mdp = random_mdp(4, 3, 5, seed=3)
    bad = np.eye(3)[optimal(mdp).Q.argmin(axis=-1)]
    assert prior_divergence(mdp, smooth(bad, 0.1)) <= 5 * np.log(3 / 0.1)
    with pytest.raises(InvalidSettingError, match=r"alpha must lie in \[0, 1\], not 2"):
        smooth(bad, 2)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (np.full((3, 2), 0.6), r"policy sums to 1.2, not 1, in row \(0, 0\)|policy sums to 1.2, not 1, in row 0"),
        (np.array([[1, 0], [np.nan, 1], [1, 0]]), "NaN.* in row 1"),
        (np.array([[1, 0], [1, 0], [1.5, -0.5]]), "negative entries in row 2"),
        (np.full((2, 2), 0.5), r"must have shape \[S, A\] = \(3, 2\)"),
    ],
)
def test_bad_policies_name_the_row(policy, message):
    with pytest.raises(InvalidSettingError, match=message):
        evaluate(random_mdp(3, 2, 2), policy)
