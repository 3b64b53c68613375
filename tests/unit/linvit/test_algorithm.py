"""LINVIT: its backward inductions against loops written here, its bounds over many seeds, its edges."""

import math

import numpy as np
import pytest
from scipy import sparse

from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.linvit import (
    LINVIT,
    UCBVI,
    PriorAlone,
    QLearning,
    TabularMDP,
    adversarial,
    deep_sea,
    evaluate,
    grid,
    mix,
    optimal,
    prior_divergence,
    random_mdp,
    regularised_optimal,
    river_swim,
    uniform,
)


def learner(mdp, *, prior=None, **settings):
    settings = {"eps": 0.2, "kl_coef": 0.3} | settings
    return LINVIT(mdp, uniform(mdp) if prior is None else prior, **settings)


def by_loops(learner, lam, scale, delta):
    """V_hi, V_lo, U_hi, W and the empirical value at state 0, from the counts, one state and action at a time."""
    sim, counts = learner.simulator, learner.counts
    S, A, H = sim.states, sim.actions, sim.horizon
    models = [counts.models()[h % counts.stages] for h in range(H)]

    def row(h, s, a):
        model, place = models[h], models[h].position[s]
        for index, cell in enumerate(model.cells):
            if place >= 0 and cell == a * len(model.states) + place:
                P = model.P if isinstance(model.P, np.ndarray) else model.P.toarray()
                return P[index], model.visits[index], model.rewards[index]
        return None

    def soft(q, p):
        if lam == 0:
            return max(x for x, w in zip(q, p, strict=True) if w > 0)
        return lam * math.log(sum(w * math.exp(x / lam) for x, w in zip(q, p, strict=True)))

    hi, lo, top, emp, W = (np.zeros(S) for _ in range(5))
    for h in reversed(range(H)):
        rest = H - 1 - h
        p = learner.prior[h % len(learner.prior)]
        new = [np.zeros(S) for _ in range(5)]
        for s in range(S):
            q = np.zeros((5, A))
            for a in range(A):
                seen = row(h, s, a)
                known = None if sim.rewards is None else sim.rewards[h % len(sim.rewards)][s, a]
                if seen is None:
                    r_hi, r_lo, r = (1, 0, 0) if known is None else (known, known, known)
                    q[:, a] = r_hi + rest, r_lo, r_hi + rest, r, r_lo
                    continue
                P, n, mean = seen
                b = scale * rest * math.sqrt(math.log(3 * S * A * H * (n + 1) ** 2 / delta) / n)
                r_hi = r_lo = r = known
                if known is None:
                    br = scale * math.sqrt(math.log(12 * S * A * H * (n + 1) ** 2 / delta) / (2 * n))
                    r_hi, r_lo, r = min(mean + br, 1), max(mean - br, 0), mean
                q[0, a] = r_hi + min(max(P @ hi + b, 0), rest)
                q[1, a] = r_lo + min(max(P @ lo - b, 0), rest)
                q[2, a] = r_hi + min(max(P @ top + b, 0), rest)
                q[3, a] = r + P @ emp
                q[4, a] = r_lo + min(max(P @ W - b, 0), rest)
            new[0][s], new[1][s] = soft(q[0], p[s]), soft(q[1], p[s])
            new[2][s], new[3][s] = q[2].max(), soft(q[3], p[s])
            best = q[0][p[s] > 0].max()
            pi = p[s] * (q[0] == best if lam == 0 else np.exp((q[0] - best) / lam))
            new[4][s] = pi / pi.sum() @ q[4]
        hi, lo, top, emp, W = new
    return [float(sim.start @ v) for v in (hi, lo, top, emp, W)]


@pytest.mark.parametrize("lam", [0.0, 0.3, 3.0])
@pytest.mark.parametrize("known_rewards", [True, False])
@pytest.mark.parametrize("stage_dependent", [True, False])
def test_the_three_inductions_equal_plain_loops(lam, known_rewards, stage_dependent):
    mdp = random_mdp(4, 3, 4, stage_dependent=stage_dependent, seed=1)
    prior = np.random.default_rng(1).dirichlet(np.ones(3), size=(4, 4) if known_rewards else 4)
    it = learner(mdp, prior=prior, kl_coef=lam, known_rewards=known_rewards, bonus_scale=0.05)
    for episodes in (0, 3, 40):
        it.run(episodes, stop=False)
        expected = by_loops(it, lam, 0.05, 0.1 if known_rewards else 0.05)
        got = it.certificate
        assert [got.v_hi, got.v_lo, got.u_hi, got.v_empirical, got.w] == pytest.approx(expected)


def test_zero_probability_actions_are_never_taken():
    mdp = random_mdp(4, 3, 5, seed=2)
    prior = np.tile([0.0, 0.4, 0.6], (4, 1))
    for lam in (0.0, 0.5):
        it = learner(mdp, prior=prior, kl_coef=lam)
        result = it.run(60, stop=False)
        assert it.counts.visits()[:, 0].sum() == 0
        assert it.counts.visits().sum() == 60 * 5
        assert (result.policy[..., 0] == 0).all()
        assert (result.empirical[..., 0] == 0).all()
        expected = by_loops(it, lam, 0.1, 0.1)
        assert [it.certificate.v_hi, it.certificate.v_lo] == pytest.approx(expected[:2])


@pytest.mark.parametrize("bonus", ["simple", "bernstein", "hoeffding"])
@pytest.mark.parametrize("known_rewards", [True, False])
def test_bounds_hold_at_the_scale_of_theory(bonus, known_rewards):
    for seed in range(12):
        mdp = random_mdp(4, 2, 3, stage_dependent=seed % 2 == 0, seed=seed)
        mdp.bernoulli_rewards = not known_rewards
        prior = np.random.default_rng(seed).dirichlet(np.ones(2), size=4)
        it = learner(mdp, prior=prior, bonus=bonus, bonus_scale=1.0, seed=seed, known_rewards=known_rewards)
        truth = regularised_optimal(mdp, prior, 0.3).start_value
        best = optimal(mdp).start_value

        def check(it, truth=truth, best=best, mdp=mdp):
            c = it.certificate
            assert c.v_lo <= truth <= c.v_hi
            assert best <= c.u_hi
            assert c.w <= evaluate(mdp, it.policies()[0]).start_value

        it.run(40, stop=False, callback=check)


def test_bounds_are_tight_enough_to_fail_without_a_bonus():
    broken = 0
    for seed in range(10):
        mdp = random_mdp(4, 2, 3, seed=seed)
        it = learner(mdp, bonus_scale=0.0, seed=seed)
        it.run(30, stop=False)
        truth = regularised_optimal(mdp, uniform(mdp), 0.3).start_value
        broken += not it.certificate.v_lo <= truth <= it.certificate.v_hi
    assert broken > 3


def test_bernstein_and_hoeffding_have_their_formulas():
    mdp = random_mdp(3, 2, 4, seed=4)
    for name in ("bernstein", "hoeffding"):
        it = learner(mdp, bonus=name, bonus_scale=0.5)
        it.run(30, stop=False)
        (model,) = it.counts.models()
        n, P = model.visits, model.P
        F = np.array([0.3, 1.7, 0.9])
        beta = math.log(3 * 3 * 2 * 4 / 0.1) + 3 * np.log(8 * math.e * (n + 1))
        variance = P @ F**2 - (P @ F) ** 2
        expected = {
            "bernstein": 0.5 * (2 * np.sqrt(variance * beta / n) + 3.5 * 4 * beta / n),
            "hoeffding": 0.5 * 4 * np.sqrt(beta / (2 * n)),
        }[name]
        got = it.bonus.transition(2, it.bonus.radius(n), P, F, P @ F)
        assert got == pytest.approx(expected)


def test_converges_to_the_regularised_optimum_with_many_samples():
    mdp = random_mdp(3, 2, 3, seed=7)
    it = learner(mdp, bonus_scale=0.01, replan="doubling")
    it.run(4000, stop=False)
    truth = regularised_optimal(mdp, uniform(mdp), 0.3)
    assert it.certificate.v_empirical == pytest.approx(truth.start_value, abs=0.03)
    assert it.certificate.v_hi - it.certificate.v_lo < 0.1
    assert it.policies()[1] == pytest.approx(truth.policy, abs=0.1)


def test_pooled_and_stage_dependent_learning_agree_on_a_stationary_mdp():
    mdp = random_mdp(3, 2, 3, successors=1, seed=8)
    pooled, apart = (learner(mdp, bonus_scale=0.02, stage_dependent=flag) for flag in (False, True))
    for it in (pooled, apart):
        it.run(800, stop=False)
    assert (pooled.counts.stages, apart.counts.stages) == (1, 3)
    assert pooled.certificate.v_empirical == pytest.approx(apart.certificate.v_empirical, abs=0.02)
    assert pooled.counts.visits().sum() == sum(apart.counts.visits(h).sum() for h in range(3))


def test_a_better_prior_needs_fewer_episodes_on_deep_sea():
    mdp = deep_sea(8)
    best = optimal(mdp).start_value

    def episodes(it):
        gaps = []
        it.run(80, stop=False, callback=lambda it: gaps.append(best - evaluate(mdp, it.policies()[1]).start_value))
        return max((i + 2 for i, gap in enumerate(gaps) if gap > 0.1), default=1)

    def mean(make):
        return np.mean([episodes(make(seed)) for seed in range(4)])

    def linvit(eta):
        prior = mix(mdp, eta)
        return lambda seed: LINVIT(mdp, prior, eps=0.1, eps_llm=prior_divergence(mdp, prior), seed=seed)

    good, fair = mean(linvit(0.1)), mean(linvit(0.5))
    ucbvi = mean(lambda seed: UCBVI(mdp, eps=0.1, seed=seed))
    assert good <= fair <= ucbvi
    assert good <= ucbvi / 4


def test_the_learner_sees_samples_only():
    """Transitions that were never sampled don't matter, whatever they are."""
    mdp = random_mdp(30, 3, 4, successors=2, seed=3)
    it = learner(mdp, seed=5)
    it.run(6, stop=False)
    unseen = (it.counts.visits() == 0).ravel()
    assert unseen.any()
    P = mdp.transition(0).toarray()
    P[unseen] = np.eye(30)[0]
    other = learner(TabularMDP(P.reshape(30, 3, 30), mdp.rewards[0], 4), seed=5)
    other.run(6, stop=False)
    assert other.policies()[0] == pytest.approx(it.policies()[0])
    assert other.certificate == it.certificate
    assert not any(isinstance(value, TabularMDP) for value in vars(it).values())


class Coin:
    """A simulator of our own: one state, action 1 pays."""

    states, actions, horizon, start, rewards, stage_dependent = 1, 2, 2, np.ones(1), None, False

    def reset(self, rng):
        return 0

    def step(self, h, state, action, rng):
        return float(action), 0


def test_any_simulator_will_do():
    result = LINVIT(Coin(), [[0.5, 0.5]], eps=0.5, kl_coef=0.1).run(200)
    assert result.stopped == "certified"
    assert result.episodes < 200
    assert result.policy[0, 0, 1] > 0.9


def test_rewards_of_a_simulator_are_checked():
    class Generous(Coin):
        rewards = np.array([[0.0, 3.0]])

    with pytest.raises(InvalidSettingError, match="reward of state 0, action 1 is 3"):
        LINVIT(Generous(), [[0.5, 0.5]], eps=0.5, kl_coef=0.1)
    Generous.rewards = np.array([[0.0, 0.5]])
    assert LINVIT(Generous(), [[0.5, 0.5]], eps=0.5, kl_coef=0.1).certificate.u_hi == 1.5


def test_steps_that_differ_are_not_pooled():
    mdp = random_mdp(3, 2, 2, stage_dependent=True)
    with pytest.raises(InvalidSettingError, match="depends on the step"):
        learner(mdp, stage_dependent=False)


def test_many_states_cost_what_was_visited():
    states, actions = 20_000, 5
    rows = np.arange(states * actions)
    following = np.random.default_rng(0).integers(states, size=len(rows))
    P = sparse.csr_array((np.ones(len(rows)), (rows, following)), shape=(len(rows), states))
    it = learner(TabularMDP(P, np.full((states, actions), 0.5), 6))
    it.run(4, stop=False)
    assert it.counts.triples <= 4 * 6
    assert it.certificate.v_empirical <= 3.0
    (model,) = it.counts.models()
    assert model.P.shape[0] == it.counts.triples


def test_one_step_and_one_action():
    bandit = TabularMDP(np.ones((1, 3, 1)), [[0.1, 0.9, 0.2]], horizon=1)
    result = learner(bandit).run(5)
    assert result.stopped == "certified"
    assert result.policy.shape == (1, 1, 3)
    forced = random_mdp(4, 1, 5, seed=0)
    result = LINVIT(forced, uniform(forced), eps=0.2).run(30, stop=False)
    assert (result.policy == 1).all()
    assert result.certificate.v_empirical == pytest.approx(optimal(forced).start_value, abs=0.5)


def test_a_certain_prior_is_returned():
    mdp = deep_sea(5)
    prior = mix(mdp, 0.0)
    result = LINVIT(mdp, prior, eps=0.1, eps_llm=0.0).run(50)
    assert (result.stopped, result.episodes) == ("prior is optimal", 0)
    assert result.policy == pytest.approx(prior)
    assert result.empirical == pytest.approx(prior)


def test_temperature_follows_from_the_divergence():
    mdp = deep_sea(5)
    assert LINVIT(mdp, uniform(mdp), eps=0.4, eps_llm=2.0).lam == pytest.approx(0.1)
    assert LINVIT(mdp, uniform(mdp), eps=0.4, eps_llm=1e-4).lam == 5
    assert LINVIT(mdp, uniform(mdp), eps=0.4, kl_coef=0.7).lam == 0.7
    unknown = LINVIT(mdp, np.tile([1.0, 0.0], (25, 1)), eps=0.4)
    assert unknown.lam == pytest.approx(0.4 / (2 * 5 * math.log(2 / 0.1)))
    assert unknown.prior[0, 0] == pytest.approx([0.95, 0.05])


def test_certificate_adds_the_bias_only_where_it_is_known():
    mdp = deep_sea(5)
    known = LINVIT(mdp, mix(mdp, 0.1), eps=0.2, eps_llm=0.5).certificate
    assert known.bias == pytest.approx(0.1)
    assert known.gap == pytest.approx(min(known.v_hi + 0.1, known.u_hi) - known.w)
    alone = learner(mdp).certificate
    assert alone.gap == pytest.approx(alone.u_hi - alone.w)
    assert not alone.guaranteed
    assert learner(mdp, bonus="bernstein", bonus_scale=1).certificate.guaranteed


def test_exploration_deviates_only_when_mixed():
    mdp = random_mdp(3, 2, 4, successors=1, seed=0)
    prior = np.tile([1 - 1e-12, 1e-12], (3, 1))
    mixed, followed = (learner(mdp, prior=prior, kl_coef=50, exploration=e) for e in ("mixed", "pi_bar"))
    for it in (mixed, followed):
        it.run(30, stop=False)
    assert mixed.counts.visits()[:, 1].sum() > 0
    assert followed.counts.visits()[:, 1].sum() == 0


def test_doubling_plans_less_often():
    mdp, plans = river_swim(4), []
    it = learner(mdp, replan="doubling")
    it.update = lambda: plans.append(it.episodes)
    it.run(200, stop=False)
    assert 5 < len(plans) < 60


def test_equal_seeds_give_equal_runs():
    mdp = grid(3)
    first, again, other = (learner(mdp, seed=seed).run(20, stop=False) for seed in (1, 1, 2))
    assert first.trace["return"].tolist() == again.trace["return"].tolist()
    assert (first.policy == again.policy).all()
    assert first.trace["return"].tolist() != other.trace["return"].tolist()


def test_a_run_resumes_from_its_saved_counts(tmp_path):
    mdp = grid(3)
    whole = learner(mdp, seed=1).run(30, stop=False)
    first = learner(mdp, seed=1)
    first.run(12, stop=False)
    first.save(tmp_path / "run.npz")
    second = learner(mdp, seed=99)
    second.load(tmp_path / "run.npz")
    assert second.episodes == 12
    resumed = second.run(30, stop=False)
    assert resumed.policy == pytest.approx(whole.policy)
    assert {name: values.tolist() for name, values in resumed.trace.items()} == {
        name: pytest.approx(values.tolist()) for name, values in whole.trace.items()
    }


def test_a_file_that_does_not_fit_is_refused(tmp_path):
    small = learner(grid(3))
    small.run(3, stop=False)
    small.save(tmp_path / "run.npz")
    with pytest.raises(InvalidSettingError, match=r"\(9, 4, 1\), but this problem has \(16, 4, 1\)"):
        learner(grid(4)).load(tmp_path / "run.npz")
    (tmp_path / "broken.npz").write_bytes(b"nothing")
    with pytest.raises(InvalidSettingError, match=r"broken.npz can't be resumed from"):
        small.load(tmp_path / "broken.npz")
    arrays = dict(np.load(tmp_path / "run.npz"))
    arrays["visits_0"] = arrays["visits_0"] + 1
    np.savez(tmp_path / "forged.npz", **arrays)
    with pytest.raises(InvalidSettingError, match="don't add up"):
        small.load(tmp_path / "forged.npz")


def test_progress_is_shown_on_request(capsys):
    learner(grid(2)).run(3, stop=False)
    assert capsys.readouterr().out == ""
    learner(grid(2)).run(3, stop=False, progress=True)
    assert "3/3" in capsys.readouterr().out


def test_trace_has_one_entry_for_each_episode():
    result = learner(grid(2)).run(7, stop=False)
    assert result.trace["episode"].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert result.trace["gap"][-1] == result.certificate.gap
    assert set(result.trace) >= {"return", "v_hi", "v_lo", "u_hi", "w", "w_empirical", "v_empirical", "gap"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"eps": 0}, "eps must be positive, not 0"),
        ({"eps_llm": 1.0}, "either kl_coef or eps_llm, not both"),
        ({"kl_coef": -1}, "kl_coef must be at least 0, not -1"),
        ({"kl_coef": None, "eps_llm": math.inf}, "eps_llm must be finite.*smooth a prior"),
        ({"kl_coef": None, "eps_llm": -1}, "eps_llm must be finite and at least 0, not -1"),
        ({"delta": 0}, "delta must lie between 0 and 1, not 0"),
        ({"bonus": "huge"}, "bonus must be one of simple, bernstein, hoeffding, not 'huge'"),
        ({"bonus_scale": -1}, "bonus_scale must be at least 0, not -1"),
        ({"exploration": "none"}, "exploration must be 'mixed' or 'pi_bar', not 'none'"),
        ({"replan": "never"}, "replan must be 'always' or 'doubling', not 'never'"),
        ({"prior": np.full((9, 4), 0.3)}, r"prior sums to 1.2, not 1, in row 0"),
        ({"prior": np.full((9, 4), np.nan)}, "prior has NaN"),
        ({"prior": np.full((3, 4), 0.25)}, r"prior must have shape \[S, A\] = \(9, 4\)"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(InvalidSettingError, match=message):
        learner(grid(3), **settings)


def test_negative_episodes_are_refused():
    with pytest.raises(InvalidSettingError, match="max_episodes must be at least 0, not -1"):
        learner(grid(2)).run(-1)


def test_ucbvi_is_plain_optimism():
    mdp = random_mdp(4, 3, 4, seed=1)
    it = UCBVI(mdp, eps=0.1)
    it.run(20, stop=False)
    assert it.certificate.v_hi == pytest.approx(it.certificate.u_hi)
    assert it.certificate.v_hi == pytest.approx(by_loops(it, 0.0, 0.1, 0.1)[0])
    allowed = np.array([[True, False, True]] * 4)
    restricted = UCBVI(mdp, eps=0.1, actions=allowed)
    restricted.run(20, stop=False)
    assert restricted.counts.visits()[:, 1].sum() == 0
    with pytest.raises(InvalidSettingError, match="at least one action in every state"):
        UCBVI(mdp, eps=0.1, actions=np.zeros((4, 3)))


def test_the_prior_alone_stays_the_prior():
    mdp = river_swim(4)
    prior = adversarial(mdp, 0.1)
    result = PriorAlone(mdp, prior).run(50)
    assert (result.policy == prior).all()
    assert result.trace["return"].mean() == pytest.approx(evaluate(mdp, prior).start_value, abs=0.15)


@pytest.mark.parametrize("prior", [np.full((4, 2), 0.6), np.full((4, 3), 1 / 3)])
def test_the_prior_alone_checks_its_prior(prior):
    with pytest.raises(InvalidSettingError, match=r"row 0|shape"):
        PriorAlone(river_swim(4), prior)


def test_q_learning_solves_a_small_grid():
    mdp = grid(3, slip=0)
    result = QLearning(mdp, epsilon=0.3, seed=0).run(2000)
    assert evaluate(mdp, result.policy).start_value > 0.8 * optimal(mdp).start_value
    with pytest.raises(InvalidSettingError, match="epsilon must lie"):
        QLearning(mdp, epsilon=2)


def test_q_learning_starts_indifferent():
    policy = QLearning(grid(2)).run(0).policy
    assert (policy == 0.25).all()
