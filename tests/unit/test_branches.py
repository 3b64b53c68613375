"""Searches over forks: shares of the budget, values remembered by state, and agreement among siblings."""

import math
from contextlib import ExitStack

import pytest
from worlds import Corridor, CountedCorridor, closeness, walker_model

from langchain_linvit.accounting import Account, Budget
from langchain_linvit.calls import Caller, SyncIO, drive
from langchain_linvit.environments.base import Task, Transition
from langchain_linvit.errors import BudgetExhaustedError
from langchain_linvit.evaluation import LATS, RAP
from langchain_linvit.evaluation.branches import ForkSearch
from langchain_linvit.evaluation.method import Episode
from langchain_linvit.priors import PolicyPrior, Proposal
from langchain_linvit.values import FunctionValue, ValueEstimate, ValueEstimator

TASK = Task.from_text("reach 99")


class Fixed(PolicyPrior):
    """The same proposals everywhere."""

    def __init__(self, **probabilities):
        self.proposals = [
            Proposal(action.replace("_", " "), math.log(p), "exact") for action, p in probabilities.items()
        ]

    async def propose(self, situation, candidates, caller, *, path=()):
        return self.proposals


class Costly(ValueEstimator):
    """A rating costs as many completions as the cell's number, all at once or not at all."""

    async def estimate(self, leaves, caller, prepared):
        price = int(leaves[0].situation.state.split()[-1])
        if caller.account.grant_completions(price) < price:
            raise caller.account.refuse("completions")
        caller.account.count({"llm_calls": price})
        return [ValueEstimate(0.5, "costly")]


class Strides(Corridor):
    """A corridor with one more way to the right, and a stride of three cells."""

    def step(self, action: str) -> Transition:
        if action == "stride":
            super().step("go right")
            super().step("go right")
        return super().step("go right" if action in {"stride", "walk on"} else action)

    def admissible_actions(self):
        return [*super().admissible_actions(), "stride", "walk on"]


def expanded(prior, value, *, completions=None, env_steps=None, environment=Strides):
    """A search whose root is expanded, and its children."""
    world = environment()
    world.reset(TASK)
    episode = Episode(world, Caller(SyncIO(), Account(completions, env_steps=env_steps)), 5)
    search = ForkSearch(episode, prior, value, None, ExitStack())
    root = drive(search.start(world))
    return search, drive(search.expand([root]))[0]


def test_a_share_that_was_too_small_goes_on_with_what_the_others_left():
    search, children = expanded(Fixed(go_right=0.5, stride=0.5), Costly(), completions=4)
    drive(search.rate(children))
    assert [child.value for child in children] == [0.5, 0.5]
    assert search.episode.caller.account.completions == 0


def test_what_nothing_is_left_for_stays_without_a_value():
    search, children = expanded(Fixed(go_right=0.5, stride=0.5), Costly(), completions=3)
    drive(search.rate(children))
    assert [child.value for child in children] == [0.5, None]
    with pytest.raises(BudgetExhaustedError):
        drive(search.rate(children))


def test_siblings_that_reach_the_same_state_agree():
    prior = Fixed(wait=0.4, go_right=0.3, walk_on=0.3)
    _, children = expanded(prior, FunctionValue(closeness))
    assert [child.agreement for child in children] == pytest.approx([0.4, 0.6, 0.6])
    method = LATS(Strides(), prior=prior, value="agreement", weight=1.0, horizon=1, candidates=None, iterations=1)
    assert method.solve(TASK).plan == ["go right"]


def test_what_was_found_before_the_steps_ran_out_is_kept():
    prior = Fixed(go_right=0.4, stride=0.3, walk_on=0.3)
    _, children = expanded(prior, FunctionValue(closeness), env_steps=2)
    assert [child.environment is None for child in children] == [False, False, True]
    assert "budget" in children[2].error
    with pytest.raises(BudgetExhaustedError):
        expanded(prior, FunctionValue(closeness), env_steps=0)


def test_what_cant_be_done_is_dead_and_costs_no_fork():
    search, children = expanded(Fixed(fly=0.5, go_left=0.5), FunctionValue(closeness), environment=CountedCorridor)
    assert [child.error for child in children] == ["no action 'fly'", "there is a wall"]
    assert CountedCorridor.live == 2  # the real one and the root
    drive(search.rate(children))
    assert [child.value for child in children] == [0.0, 0.0]


@pytest.mark.parametrize("method", [RAP, LATS])
def test_equal_states_are_rated_once(method):
    rated = []

    def value(state, goal):
        rated.append(state)
        return closeness(state, goal)

    method(Corridor(), candidates=None, value=value, horizon=4, iterations=20).solve(
        TASK, model=walker_model(), budget=Budget(completions=40)
    )
    assert len(rated) == len(set(rated)) > 3
