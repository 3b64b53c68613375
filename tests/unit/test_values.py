"""V^: every estimator's formula, and what failures turn into."""

import math

import pytest
from valuing import always, caller, estimated, leaf, rollouts
from worlds import Corridor, closeness, walker, walker_model

from langchain_linvit.calls import drive
from langchain_linvit.environments.base import Outcome
from langchain_linvit.errors import InvalidSettingError, ModelCallError
from langchain_linvit.models import PolicyChatModel, ScriptedChatModel
from langchain_linvit.priors import ChatPrior
from langchain_linvit.rollouts import RolloutValue
from langchain_linvit.values import (
    BlendValue,
    CriticValue,
    FunctionValue,
    OracleValue,
    ValueEstimate,
    ValueEstimator,
    held_share,
)

# functions


def test_a_function_values_the_state_against_the_goal():
    [near, far] = estimated(FunctionValue(closeness), leaf(at=2), leaf(at=1))
    assert (near.value, far.value) == pytest.approx((2 / 3, 1 / 3))
    assert near.source == "rules"


@pytest.mark.parametrize("value", [1.5, -0.1, math.nan])
def test_a_function_outside_of_its_range_is_an_error(value):
    with pytest.raises(InvalidSettingError, match="must stay in"):
        estimated(FunctionValue(lambda state, goal: value))


# the critic


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("Holds: 2 of 5", 0.4),
        ("2 out of 5", 0.4),
        ("Holds: 3/4.", 0.75),
        ("of 1 of 2 I hold: 0 of 3", 0.0),
        ("Holds: 7 of 5", 1.0),
        ("Holds: 0 of 0", None),
        ("Holds: two of five", None),
        ("", None),
        ("9" * 10_000 + " of 3", 1.0),
    ],
)
def test_the_share_that_holds_is_read_from_the_last_line(text, share):
    assert held_share(text) == share


def test_the_critic_averages_its_readable_samples():
    model = ScriptedChatModel(replies=["Holds: 1 of 2", "no idea", "Holds: 2 of 2"])
    [estimate] = estimated(CriticValue(model, samples=3))
    assert estimate == ValueEstimate(0.75, "critic", "Holds: 1 of 2")


def test_an_unreadable_critic_is_asked_once_more_and_then_counts_as_an_error():
    model = ScriptedChatModel(replies=["hm", "Holds: 1 of 4"])
    assert estimated(CriticValue(model))[0].value == 0.25
    [estimate] = estimated(CriticValue(always("hm")))
    assert (estimate.value, estimate.source) == (0.0, "critic")
    assert "no line `Holds: a of b`: 'hm'" in estimate.error


def test_each_leaf_is_judged_in_its_own_situation_with_a_seed_of_its_own():
    asked = []

    def policy(messages, tools):
        asked.append(messages[-1].text)
        return walker(messages, tools)

    near, far = estimated(CriticValue(PolicyChatModel(policy=policy)), leaf(at=2, name="a"), leaf(at=1, name="b"))
    assert (near.value, far.value) == pytest.approx((2 / 3, 1 / 3))
    assert len(asked) == 2


def test_the_critic_takes_the_planners_model_only_where_it_has_none():
    own, planners = always("Holds: 1 of 1"), always("Holds: 1 of 2")
    assert estimated(CriticValue().bound_to(None, planners))[0].value == 0.5
    assert estimated(CriticValue(own).bound_to(None, planners))[0].value == 1.0
    with pytest.raises(InvalidSettingError, match="the critic has no model"):
        estimated(CriticValue())
    with pytest.raises(InvalidSettingError, match="samples"):
        CriticValue(samples=0)


# the oracle


class Judged(Corridor):
    """A corridor whose hidden verdict is the share of the way."""

    asked = 0

    def evaluate(self):
        Judged.asked += 1
        return Outcome(success=False, score=self.position / 10)


def test_the_oracle_tells_the_benchmarks_score():
    assert estimated(OracleValue(), leaf(Judged(), at=2))[0] == ValueEstimate(0.2, "oracle")
    value = rollouts(always("Action: go right"), rollouts=1, oracle=True)
    [estimate] = estimated(value, leaf(Judged(), at=1, target=9, remaining=3))
    assert estimate.value == 0.4
    assert (estimate.source, value.name) == ("oracle_rollouts", "oracle_rollouts")


def test_nothing_but_the_oracle_asks_for_the_verdict():
    Judged.asked = 0
    blend = BlendValue([(1, FunctionValue(closeness)), (1, CriticValue(walker_model()))])
    for value in (FunctionValue(closeness), CriticValue(walker_model()), rollouts(rollouts=2), blend):
        estimated(value, leaf(Judged()))
    assert Judged.asked == 0
    estimated(OracleValue(), leaf(Judged()))
    assert Judged.asked == 1


# blends


class Fixed(ValueEstimator):
    def __init__(self, values, name="fixed", error=None, **flags):
        self.values, self.name, self.error = values, name, error
        for flag, is_set in flags.items():
            setattr(self, flag, is_set)

    async def prepare(self, situation, caller):
        return {"name": self.name}

    async def estimate(self, leaves, caller, prepared):
        assert prepared == {"name": self.name}
        return [ValueEstimate(value, self.name, error=self.error) for value in self.values]


def test_a_blend_is_the_weighted_mean_leaf_by_leaf():
    blend = BlendValue([(3, Fixed([0.2, 1.0], "a")), (1, Fixed([0.6, 0.0], "b", error="lost"))])
    prepared = drive(blend.prepare(leaf().situation, caller()))
    first, second = estimated(blend, leaf(), leaf(), prepared=prepared)
    assert (first.value, second.value) == pytest.approx((0.3, 0.75))
    assert (first.source, first.detail, first.error) == ("a+b", "a 0.20, b 0.60", "lost")


def test_a_blend_has_the_demands_of_its_parts():
    assert BlendValue([(1, RolloutValue()), (1, FunctionValue(closeness))]).per_leaf
    assert not BlendValue([(1, RolloutValue()), (1, Fixed([0], per_leaf=False))]).per_leaf
    assert BlendValue([(1, RolloutValue()), (1, CriticValue())]).uses_horizon
    assert not BlendValue([(1, CriticValue())]).uses_horizon
    bound = BlendValue([(1, RolloutValue()), (1, CriticValue())]).bound_to(ChatPrior(walker_model()), walker_model())
    assert bound.parts[0][1].policy is not None
    assert bound.parts[1][1].sampling is not None


@pytest.mark.parametrize("parts", [[], [(0, CriticValue())], [(math.inf, CriticValue())], [(math.nan, CriticValue())]])
def test_a_blend_needs_sound_weights(parts):
    with pytest.raises(InvalidSettingError):
        BlendValue(parts)


def test_a_failing_part_fails_the_blend():
    blend = BlendValue([(1, FunctionValue(closeness)), (1, CriticValue(walker_model(failure_rate=1.0)))])
    with pytest.raises(ModelCallError):
        estimated(blend)
