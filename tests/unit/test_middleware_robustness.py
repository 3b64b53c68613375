"""An agent whose model fails, or says nonsense, in 30% of its calls: a valid plan, or an honest failure, every time."""

import random

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelCallLimitMiddleware

from langchain_linvit.agents import EnvironmentToolkit, SLINVITMiddleware
from langchain_linvit.environments.blocksworld import BlocksWorldEnvironment, blocks_in_place, generate_problems
from langchain_linvit.environments.blocksworld.validator import validate_plan
from langchain_linvit.models import PolicyChatModel, SimulatedFailure, ToolReply
from langchain_linvit.models.blocksworld import BlocksWorldPolicy

TASKS = generate_problems(blocks=3, steps=4, count=6, seed=7)
GARBAGE = [
    "", "{}", "Action: fly", "<state>\nthe hand is empty\n</state>", "Holds: 9 of 0",
    ToolReply("stack", {"block": "red"}), ToolReply("rm", {"path": "/"}), ToolReply("pick_up", {"block": ["red"] * 99}),
]  # fmt: skip


def unreliable(seed):
    """The novice with 30% of its mass on nonsense, and 30% of its calls failing."""
    novice, rng = BlocksWorldPolicy("novice"), random.Random(seed)
    nonsense = {reply: rng.random() for reply in GARBAGE}
    total = sum(nonsense.values())

    def policy(messages, tools):
        good = {reply: 0.7 * weight for reply, weight in novice(messages, tools).items()}
        return {**good, **{reply: 0.3 * weight / total for reply, weight in nonsense.items()}}

    return PolicyChatModel(policy=policy, failure_rate=0.3, failure_seed=seed)


@pytest.mark.parametrize("candidates", [6, None])
@pytest.mark.parametrize("value", [blocks_in_place, "critic"], ids=["rules", "critic"])
@pytest.mark.parametrize("seed", range(3))
def test_every_run_ends_with_a_valid_plan_or_an_honest_failure(seed, value, candidates):
    outcomes = []
    for task in TASKS[seed::3]:
        toolkit = EnvironmentToolkit(BlocksWorldEnvironment())
        settings = {"candidates": candidates, "depth": 2, "beam": 2, "temperature": 2.0, "retry_delay": 0.0}
        search = SLINVITMiddleware(toolkit=toolkit, value=value, seed=seed, **settings)
        limit = ModelCallLimitMiddleware(run_limit=12, exit_behavior="end")
        agent = create_agent(unreliable(seed), toolkit.get_tools(), middleware=[search, limit])
        try:
            result = agent.invoke({"messages": [("user", toolkit.start(task))]}, {"recursion_limit": 200})
        except SimulatedFailure:
            outcomes.append("raised")
            continue
        plan = [action for action, _ in toolkit.history]
        verdict = validate_plan(task.text, plan)
        assert verdict.solved == bool(toolkit.environment.solved), "what is claimed is what holds"
        assert not (verdict.solved is False and toolkit.ended)
        assert result["messages"][-1].type == "ai"
        outcomes.append("solved" if verdict.solved else "not solved")
    assert len(outcomes) == 2


def test_most_of_them_are_solved_all_the_same():
    solved = 0
    for task in TASKS:
        with EnvironmentToolkit(BlocksWorldEnvironment()) as toolkit:
            search = SLINVITMiddleware(toolkit=toolkit, value=blocks_in_place, candidates=12, depth=3, temperature=2.0)
            agent = create_agent(unreliable(0), toolkit.get_tools(), middleware=[search])
            agent.invoke({"messages": [("user", toolkit.start(task))]}, {"recursion_limit": 200})
            solved += toolkit.environment.evaluate().success
    assert solved > len(TASKS) / 2
