"""V^ by rollouts: against the exact value, what failures and budgets turn into, and the solutions that are kept."""

import math
from functools import cache

import pytest
from langchain_core.messages import HumanMessage
from valuing import always, estimated, leaf, rollouts
from worlds import Corridor, CountedCorridor, closeness, walker, walker_model

from langchain_linvit.accounting import Account
from langchain_linvit.calls import AsyncIO, Caller
from langchain_linvit.environments.base import Transition
from langchain_linvit.errors import BudgetExhaustedError, InvalidSettingError
from langchain_linvit.models import PolicyChatModel, ScriptedChatModel
from langchain_linvit.priors import ChatPrior
from langchain_linvit.rollouts import RolloutValue
from langchain_linvit.values import BlendValue, FunctionValue

P_RIGHT, P_LEFT, P_STAY = 0.4, 0.4, 0.2  # of `walker`; `fly` can't be done, and changes nothing


@cache
def exact(position, steps, target=3, discount=1.0):
    """The chance that `walker` reaches `target` within `steps`, discounted by the steps it takes."""
    if position == target:
        return 1.0
    if steps == 0:
        return 0.0
    after = [(P_RIGHT, position + 1), (P_LEFT, max(position - 1, 0)), (P_STAY, position)]
    return discount * sum(p * exact(cell, steps - 1, target, discount) for p, cell in after)


def test_the_walker_is_as_the_exact_value_says():
    assert walker([HumanMessage("hello")], []) == {
        "Action: go right": P_RIGHT, "Action: go left": P_LEFT, "Action: wait": 0.1, "Action: fly": 0.1,
    }  # fmt: skip


@pytest.mark.parametrize("discount", [1.0, 0.8])
@pytest.mark.parametrize(("at", "remaining"), [(1, 4), (2, 3), (0, 6)])
def test_rollouts_estimate_the_exact_value(at, remaining, discount):
    n = 200
    [estimate] = estimated(rollouts(rollouts=n, discount=discount), leaf(at=at, remaining=remaining))
    expected = exact(at, remaining, 3, discount)
    # four standard deviations of the mean of n values in [0, 1]; the seed is fixed
    assert estimate.value == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / n))
    assert estimate.source == "rollouts"


def test_rollouts_have_seeds_of_their_own_and_repeat():
    values = {seed: estimated(rollouts(rollouts=8), seed=seed)[0].value for seed in range(12)}
    assert len(set(values.values())) > 2
    assert estimated(rollouts(rollouts=8), seed=3)[0].value == values[3]


async def test_rollouts_are_the_same_sync_and_async():
    value, where = rollouts(rollouts=16), leaf()
    [first] = await value.estimate([where], Caller(AsyncIO(), seed=5), {})
    assert first == estimated(value, where, seed=5)[0]


def test_no_rollout_is_longer_than_what_remains_or_was_asked_for():
    for value, remaining, steps in (
        (rollouts(always("Action: wait"), rollouts=1), 4, 4),
        (rollouts(always("Action: wait"), rollouts=1, length=2), 4, 2),
        (rollouts(always("Action: wait"), rollouts=1, length=9), 4, 4),
    ):
        account = Account()
        assert estimated(value, leaf(remaining=remaining), account=account)[0].value == 0
        assert account.spent["env_steps_simulated"] == steps


def test_discounting_counts_the_steps_to_success():
    value = rollouts(always("Action: go right"), rollouts=2, discount=0.5)
    assert estimated(value, leaf(at=1, target=3))[0].value == 0.25
    assert estimated(value, leaf(at=2, target=3))[0].value == 0.5


class Paying(Corridor):
    """Every step to the right pays 0.3; success can't be seen."""

    def step(self, action):
        transition = super().step(action)
        return Transition(transition.observation, reward=0.3 if action == "go right" else 0.0, error=transition.error)


def test_rewards_add_up_discounted_and_clipped():
    right = always("Action: go right")
    assert estimated(rollouts(right, rollouts=1), leaf(Paying(), remaining=2))[0].value == pytest.approx(0.6)
    assert estimated(rollouts(right, rollouts=1), leaf(Paying(), remaining=9))[0].value == 1.0
    discounted = estimated(rollouts(right, rollouts=1, discount=0.5), leaf(Paying(), remaining=3))[0].value
    assert discounted == pytest.approx(0.3 * (1 + 0.5 + 0.25))


@pytest.mark.parametrize("remaining", [2, 0])
def test_the_critic_judges_ends_that_show_neither_success_nor_reward(remaining):
    value = RolloutValue(rollouts=2).bound_to(ChatPrior(always("Action: wait")), always("Holds: 1 of 4"))
    [estimate] = estimated(value, leaf(Paying(), remaining=remaining))
    assert estimate.value == 0.25


@pytest.mark.parametrize("answer", ["Action: wait", "Action: fly"])
def test_the_critic_is_not_asked_where_failure_is_plain(answer):
    value = RolloutValue(rollouts=1).bound_to(ChatPrior(always(answer)), ScriptedChatModel(replies=[]))
    assert estimated(value, leaf(remaining=2))[0].value == 0


def test_unreadable_actions_cost_a_step_and_are_told_to_the_model():
    prompts = []

    def policy(messages, tools):
        prompts.append(messages[-1].text)
        return {"Action: fly": 1}

    estimated(rollouts(PolicyChatModel(policy=policy), rollouts=1), leaf(remaining=3))
    assert len(prompts) == 3
    assert "not possible here" in prompts[1]


def test_failed_rollouts_are_left_out_of_the_mean():
    replies = ["Action: go right", ConnectionError("down"), "Action: wait"]
    value = rollouts(ScriptedChatModel(replies=replies), rollouts=3)
    [estimate] = estimated(value, leaf(at=2, remaining=1))
    assert estimate.value == 0.5
    assert estimate.detail == "1 of 2 rollouts reached something"


def test_rollouts_that_all_fail_are_an_estimate_of_0_with_the_reason():
    [estimate] = estimated(rollouts(walker_model(failure_rate=1.0), rollouts=2))
    assert estimate.value == 0
    assert "every rollout failed" in estimate.error


def test_rollouts_share_the_budget_and_refuse_where_none_could_run():
    account = Account(completions=0)
    with pytest.raises(BudgetExhaustedError):
        estimated(rollouts(rollouts=2), account=account)
    some = Account(completions=5)
    estimated(rollouts(always("Action: go right"), rollouts=2), leaf(at=1), account=some)
    assert some.completions >= 0


def test_leaves_stay_where_they_are_and_forks_are_closed():
    where = leaf(CountedCorridor())
    estimated(rollouts(rollouts=4), where)
    assert where.environment.position == 1
    assert CountedCorridor.live == 1


def test_a_solving_episode_is_kept_with_the_steps_that_changed_something():
    class OpenEnded(Corridor):
        def admissible_actions(self):
            return None

    replies = ["Action: fly", "Action: go right", "", "Action: go right"]
    [estimate] = estimated(rollouts(ScriptedChatModel(replies=replies), rollouts=1), leaf(OpenEnded()))
    assert [action for action, _ in estimate.solution.steps] == ["go right", "go right"]
    assert estimate.solution.state_key == "3"
    [without] = estimated(rollouts(always("Action: go right"), rollouts=1, keep_solutions=False))
    assert (without.value, without.solution) == (1.0, None)
    assert estimated(rollouts(always("Action: wait")))[0].solution is None


def test_the_shortest_solution_is_kept_also_in_a_blend():
    replies = ["Action: wait", "Action: go right", "Action: go right", "Action: go right", "Action: go right"]
    value = rollouts(ScriptedChatModel(replies=replies), rollouts=2)
    [estimate] = estimated(BlendValue([(1, FunctionValue(closeness)), (1, value)]))
    assert [action for action, _ in estimate.solution.steps] == ["go right", "go right"]


@pytest.mark.parametrize(("action", "spent"), [("wait", 2), ("fly", 2), ("go right", 4)])
def test_patience_ends_an_episode_that_comes_to_nothing_new(action, spent):
    account = Account()
    value = rollouts(always(f"Action: {action}"), rollouts=1, patience=2)
    estimated(value, leaf(at=0, target=4, remaining=6), account=account)
    assert account.spent["llm_calls"] == spent


def test_patience_takes_states_without_a_key_for_new():
    class Keyless(Corridor):
        def state_key(self):
            return None

    account = Account()
    estimated(rollouts(always("Action: wait"), rollouts=1, patience=2), leaf(Keyless(), remaining=5), account=account)
    assert account.spent["llm_calls"] == 5


def test_settings_of_rollouts_are_checked():
    for wrong in ({"rollouts": 0}, {"discount": 0}, {"discount": 1.1}, {"patience": 0}):
        with pytest.raises(InvalidSettingError):
            RolloutValue(**wrong)
    with pytest.raises(InvalidSettingError, match="no policy"):
        estimated(RolloutValue(rollouts=1))
