"""MDPs from arrays, from Gymnasium and from environments; samples; errors that name the row."""

import numpy as np
import pytest
from scipy import sparse

from langchain_linvit.environments.base import Environment, Transition
from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.linvit import (
    TabularMDP,
    deep_sea,
    evaluate,
    from_environment,
    from_gymnasium,
    grid,
    optimal,
    random_mdp,
    river_swim,
    uniform,
)

P = np.array([[[0.5, 0.5], [1, 0]], [[0, 1], [0.25, 0.75]]])
R = np.array([[0.0, 0.5], [1.0, 0.2]])


def test_dense_sparse_and_stage_dependent_forms_agree():
    forms = [P, sparse.csr_array(P.reshape(4, 2)), np.stack([P] * 3), [sparse.coo_array(P.reshape(4, 2))] * 3]
    values = [optimal(TabularMDP(form, R, 3)).start_value for form in forms]
    assert values == pytest.approx([values[0]] * 4)
    assert [TabularMDP(form, R, 3).stage_dependent for form in forms] == [False, False, True, True]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"transitions": P * 0.9}, "sum to 0.9, not 1, in state 0, action 0"),
        ({"transitions": np.where(P == 0.25, -0.25, P)}, "negative entries in state 1, action 1"),
        ({"transitions": np.where(P == 0.75, np.nan, P)}, "NaN.*in state 1, action 1"),
        ({"transitions": np.stack([P, P, P * 2])}, "sum to 2, not 1, in step 2, state 0, action 0"),
        ({"transitions": P[0]}, r"must have shape \[S, A, S\] = \(2, 2, 2\)"),
        ({"transitions": np.stack([P, P])}, "given for 2 steps; give one for all, or H = 3"),
        ({"transitions": sparse.eye_array(3)}, r"must have shape \[S\*A, S\] = \(4, 2\)"),
        ({"rewards": R * 3}, r"reward of state 0, action 1 is 1.5; rewards must lie in \[0, 1\]"),
        ({"rewards": np.stack([R, R, R * np.nan])}, "reward of step 2, state 0, action 0 is nan"),
        ({"rewards": R[0]}, r"rewards must have shape \[S, A\]"),
        ({"horizon": 0}, "horizon must be at least 1, not 0"),
        ({"start": 2}, "start state 2 does not exist; there are 2 states"),
        ({"start": [0.5, 0.6]}, "start must be a state, or a distribution"),
        ({"state_names": ["a"]}, "1 state names are given for 2 states"),
        ({"admissible": [[True, True], [False, False]]}, "at least one action in every state"),
    ],
)
def test_bad_input_names_the_row(change, message):
    settings = {"transitions": P, "rewards": R, "horizon": 3} | change
    with pytest.raises(InvalidSettingError, match=message):
        TabularMDP(**settings)


def test_samples_follow_the_transitions_and_rewards():
    mdp = TabularMDP(P, R, 3, [0.25, 0.75], bernoulli_rewards=True)
    simulator, rng = mdp.simulator(), np.random.default_rng(0)
    starts = np.mean([simulator.reset(rng) for _ in range(4000)])
    drawn = np.array([simulator.step(1, 1, 1, rng) for _ in range(4000)])
    assert starts == pytest.approx(0.75, abs=0.03)
    assert drawn.mean(axis=0) == pytest.approx([0.2, 0.75], abs=0.03)
    assert set(drawn[:, 0]) == {0.0, 1.0}


def test_unknown_rewards_are_not_shown():
    mdp = TabularMDP(P, R, 3)
    assert mdp.simulator(known_rewards=False).rewards is None
    assert (mdp.simulator().rewards == R).all()


def test_stage_dependent_samples_come_from_their_step():
    stages = np.stack([P, P[:, ::-1], P])
    simulator, rng = TabularMDP(stages, np.stack([R, R * 0, R]), 3).simulator(), np.random.default_rng(0)
    assert {simulator.step(0, 0, 1, rng) for _ in range(50)} == {(0.5, 0)}
    assert {simulator.step(1, 0, 1, rng) for _ in range(50)} == {(0.0, 0), (0.0, 1)}


class Ring(Environment):
    """Positions 0 to 4 on a line; `stay` is listed but illegal at 2, and 4 solves."""

    description = "A line."

    def __init__(self, keyed=True):
        self.keyed = keyed

    def reset(self, task):
        self.position = 0
        return "start"

    def step(self, action):
        if action == "stay" and self.position == 2:
            return Transition("no", error="not here")
        self.position += {"right": 1, "left": -1, "stay": 0}[action]
        return Transition("moved", solved=self.position == 4, done=self.position == 4)

    def state_text(self):
        return f"at {self.position}"

    def state_key(self):
        return str(self.position) if self.keyed else None

    def admissible_actions(self):
        return ["right", "stay"] + (["left"] if self.position > 0 else [])


def test_an_environment_is_explored():
    mdp = from_environment(Ring(), "go", horizon=4)
    assert (mdp.states, mdp.actions, mdp.horizon) == (5, 3, 4)
    assert mdp.state_names == tuple(f"at {i}" for i in range(5))
    assert set(mdp.action_names) == {"right", "stay", "left"}
    left, right = mdp.action_names.index("left"), mdp.action_names.index("right")
    assert not mdp.admissible[0, left]
    assert mdp.backup(0, np.arange(5.0))[0, left] == 0
    assert mdp.backup(0, np.arange(5.0))[2, right] == 3
    assert optimal(mdp).start_value == 1
    assert optimal(from_environment(Ring(), "go", horizon=3)).start_value == 0
    assert mdp.reward(0).sum() == 1
    assert (uniform(mdp, admissible_only=True)[0] == np.where(mdp.admissible[0], 0.5, 0)).all()
    always_right = np.eye(3)[[right] * 5]
    assert evaluate(mdp, always_right).start_value == 1


def test_the_end_of_an_episode_is_absorbing():
    mdp = from_environment(Ring(), "go", horizon=9)
    assert optimal(mdp).start_value == 1


def test_an_environment_in_use_is_only_forked():
    ring = Ring()
    ring.reset("go")
    ring.step("right")
    mdp = from_environment(ring, horizon=3)
    assert ring.position == 1
    assert mdp.state_names[0] == "at 1"
    assert optimal(mdp).start_value == 1


def test_environments_that_cannot_be_explored_say_so():
    with pytest.raises(InvalidSettingError, match="no horizon of its own; pass horizon="):
        from_environment(Ring(), "go")
    with pytest.raises(InvalidSettingError, match="more than 3 reachable states; raise max_states"):
        from_environment(Ring(), "go", horizon=4, max_states=3)
    with pytest.raises(InvalidSettingError, match="no state keys"):
        from_environment(Ring(keyed=False), "go", horizon=4)


class Table:
    """A toy-text environment: one risky and one safe action, both end the episode."""

    P = {  # noqa: RUF012
        0: {0: [(0.5, 1, 10.0, True), (0.5, 0, -10.0, False)], 1: [(1.0, 1, 0.0, False)]},
        1: {0: [(1.0, 0, -1.0, False)], 1: [(1.0, 1, 0.0, True)]},
    }


def test_a_transition_table_becomes_an_mdp():
    mdp = from_gymnasium(Table(), 3, reward_range=(-10, 10))
    assert (mdp.states, mdp.actions) == (3, 2)
    assert mdp.backup(0, np.array([0, 0, 1.0]))[:, 0] == pytest.approx([0.5, 0, 1])
    assert mdp.reward(0) == pytest.approx(np.array([[0.5, 0.5], [0.45, 0.5], [0.5, 0.5]]))
    with pytest.raises(InvalidSettingError, match=r"rewards of Table go from -1 to 0, outside of .*reward_range"):
        from_gymnasium(Table(), 3)
    with pytest.raises(InvalidSettingError, match="object has no transition table P"):
        from_gymnasium(object(), 3)


def test_frozen_lake_has_its_known_value():
    pytest.importorskip("gymnasium")
    mdp = from_gymnasium("FrozenLake-v1", 100, is_slippery=False)
    assert (mdp.states, mdp.actions) == (17, 4)
    assert optimal(mdp).start_value == 1
    assert optimal(from_gymnasium("FrozenLake-v1", 5, is_slippery=False)).start_value == 0
    slippery = from_gymnasium("FrozenLake-v1", 100)
    assert optimal(slippery).start_value == pytest.approx(0.73, abs=0.02)


def test_problems_have_their_known_solutions():
    assert optimal(deep_sea(6)).policy[:, :, 1][0, 0] == 1
    assert optimal(deep_sea(6)).start_value == pytest.approx(1)
    assert evaluate(deep_sea(6), uniform(deep_sea(6))).start_value < 0.05
    swim = river_swim(6)
    assert (optimal(swim).policy[0, :, 1] == 1).all()
    assert evaluate(swim, np.tile([1.0, 0.0], (6, 1))).start_value == pytest.approx(0.05 * swim.horizon)
    assert optimal(grid(3, slip=0)).start_value == 12 - 4
    assert optimal(grid(3, slip=0.3)).start_value < 12 - 4
    assert random_mdp(5, 2, 3, stage_dependent=True).stage_dependent
    with pytest.raises(InvalidSettingError, match="size must be at least 2"):
        deep_sea(1)
    with pytest.raises(InvalidSettingError, match="slip must lie"):
        grid(3, slip=2)
