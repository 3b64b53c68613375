"""What ends a run of SLINVIT early or makes it impossible: budgets, models that fail, bad settings."""

import pytest
from worlds import Corridor, closeness, plan, walker_model

from langchain_linvit.accounting import Budget
from langchain_linvit.errors import InvalidSettingError, InvalidTaskError
from langchain_linvit.models import PolicyChatModel
from langchain_linvit.planner import create_slinvit_planner


@pytest.mark.parametrize("limit", [0, 1, 5, 17])
def test_a_budget_of_completions_is_never_exceeded(limit):
    result = plan(value="rollouts", budget=Budget(completions=limit), task="reach 9")
    assert result.usage.llm_calls <= limit
    assert result.outcome == "budget_exhausted"
    assert result.budget_exhausted == "completions"


@pytest.mark.parametrize(
    "budget", [Budget(tokens=500), Budget(env_steps=7), Budget(seconds=0.0), Budget(completions=30)]
)
def test_every_budget_ends_the_search_with_what_it_has(budget):
    result = plan(value="rollouts", budget=budget, task="reach 9")
    assert result.outcome == "budget_exhausted"
    assert result.reason


def test_an_endless_model_call_ends_with_the_budget_of_seconds():
    slow = walker_model(latency=30.0)
    result = plan(slow, budget=Budget(seconds=0.3))
    assert result.outcome == "budget_exhausted"
    assert result.budget_exhausted == "seconds"


@pytest.mark.parametrize("text", ["", "I am not sure.", "Action:", "x" * 10_000_000, "Action: fly\nAction: swim\n" * 9])
def test_garbage_is_an_honest_failure(text):
    model = PolicyChatModel(policy=lambda messages, tools: {text: 1.0})
    result = plan(model, value=closeness, horizon=3)
    assert not result.solved
    assert result.outcome in {"horizon", "no_candidates"}
    assert len(result.model_dump_json()) < 50_000


def test_a_model_that_always_fails_says_so():
    model = walker_model(failure_rate=1.0)
    result = plan(model, retries=1)
    assert result.outcome == "no_candidates"
    assert "SimulatedFailure" in result.reason
    assert result.usage.failed_requests == result.usage.requests > 0


def test_failing_calls_are_tried_again_and_change_nothing():
    options = {"value": "rollouts", "task": "reach 3", "depth": 3, "horizon": 8, "seed": 3}
    result = plan(walker_model(failure_rate=0.3), **options)
    clean = plan(walker_model(), **options)
    assert result.plan == clean.plan
    assert 0 < result.usage.failed_requests < result.usage.requests
    assert result.usage.requests - result.usage.failed_requests == clean.usage.requests


def test_a_wrong_key_is_not_tried_again():
    class Unauthorised(Exception):
        status_code = 401

    def refuse(messages, tools):
        raise Unauthorised("bad key")

    result = plan(PolicyChatModel(policy=refuse))
    assert result.usage.requests == 1
    assert "bad key" in result.reason


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"breadth": 0}, "breadth=0"),
        ({"candidates": 0}, "candidates=0"),
        ({"depth": 0}, "depth=0"),
        ({"kl_coef": -1}, "kl_coef=-1"),
        ({"breadth": 5, "candidates": 3}, "breadth 5 can't exceed candidates 3"),
        ({"widht": 3}, "widht"),
        (
            {"value": "magic"},
            "no value estimator 'magic'; there are agreement, critic, oracle, oracle_rollouts, rollouts, rules",
        ),
        ({"preset": "nope"}, "no preset 'nope'"),
        ({"environment": 3}, "environment must be an Environment"),
        ({"model": 3}, "model must be a LangChain chat model"),
    ],
)
def test_bad_settings_are_named(settings, message):
    arguments = {"model": walker_model(), "environment": Corridor(), **settings}
    with pytest.raises(InvalidSettingError, match=message):
        create_slinvit_planner(arguments.pop("model"), arguments.pop("environment"), **arguments)


def test_nothing_to_plan_is_an_error():
    planner = create_slinvit_planner(walker_model(), Corridor())
    with pytest.raises(InvalidTaskError, match="nothing to plan"):
        planner.invoke({"messages": []})
