"""Solutions that the model's own episodes come upon: tried first, found on the way, and carried out with care."""

import asyncio

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from worlds import Corridor, closeness, plan, walker, walker_model

from langchain_linvit.accounting import Budget
from langchain_linvit.environments.base import Transition
from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.models import PolicyChatModel
from langchain_linvit.planner import create_slinvit_planner
from langchain_linvit.prompts import last_block, request_kind
from langchain_linvit.rollouts import RolloutValue
from langchain_linvit.values import Solution, ValueEstimate, ValueEstimator


def acting(action, others=walker):
    """A model that always takes one action, and answers every other request as the walker does."""

    def policy(messages, tools):
        return {f"Action: {action}": 1.0} if request_kind(messages) == "next action" else others(messages, tools)

    return PolicyChatModel(policy=policy)


class Slippery(Corridor):
    """A corridor whose second real step stays where it is; forks don't know."""

    def __init__(self, real=True):
        self.real = real

    def reset(self, task):
        self.steps = 0
        return super().reset(task)

    def step(self, action):
        self.steps += 1
        if self.real and self.steps == 2:
            return Transition(self.state_text())
        return super().step(action)

    def fork(self):
        clone = Slippery(real=False)
        clone.reset(self.task)
        clone.position, clone.steps = self.position, self.steps
        return clone


# tried first


def test_a_policy_that_solves_the_task_is_carried_out_without_a_search():
    result = plan(acting("go right"), value=closeness, policy_rollouts=3)
    assert result.plan == ["go right"] * 4
    assert result.usage.llm_calls == 4
    assert result.usage.env_steps_real == 4
    assert result.prior == {}
    [chosen] = [node for node in result.tree if node.status == "chosen"]
    assert (chosen.provenance, chosen.text) == ("rollout", "go right; go right; go right; go right")
    assert {step.provenance for step in result.trajectory} == {"rollout"}


def test_nothing_is_prepared_for_a_task_that_the_policy_solves():
    assert plan(acting("go right"), value="rules", policy_rollouts=1).usage.llm_calls == 4
    assert plan(acting("go right"), value="rules", task="reach 2").usage.llm_calls > 2


def test_the_search_follows_where_the_policy_fails_or_goes_in_circles():
    alone = plan(acting("wait"), value=closeness, candidates=None)
    after = plan(acting("wait"), value=closeness, candidates=None, policy_rollouts=2)
    assert after.plan == alone.plan == ["go right"] * 4
    assert after.usage.llm_calls == alone.usage.llm_calls + 2 * 3  # each gives up after three steps in place


def test_the_first_episode_is_greedy_and_the_others_are_sampled():
    asked = []

    def policy(messages, tools):
        return {"Action: wait": 0.6, "Action: go right": 0.4}

    class Noting(PolicyChatModel):
        def _generate(self, messages, stop=None, run_manager=None, **kwargs):
            asked.append(kwargs.get("temperature"))
            return super()._generate(messages, stop, run_manager, **kwargs)

    results = [plan(Noting(policy=policy), value=closeness, policy_rollouts=20, seed=seed) for seed in range(4)]
    assert asked[:4] == [0.0, 0.0, 0.0, None]  # three times in place, and it is given up
    assert all(result.solved for result in results)
    assert len({result.usage.llm_calls for result in results}) > 1


def test_a_prior_without_a_model_tries_too():
    planner = create_slinvit_planner(None, Corridor(), value=closeness, policy_rollouts=3, seed=2)
    assert planner.invoke({"task": "reach 2"})["result"].solved


def test_sync_and_async_try_the_same_episodes():
    options = {"policy_rollouts": 4, "value": closeness, "seed": 5, "retry_delay": 0.0}
    planner = create_slinvit_planner(walker_model(), Corridor(), **options)
    results = [
        planner.invoke({"task": "reach 3"})["result"],
        asyncio.run(planner.ainvoke({"task": "reach 3"}))["result"],
    ]
    first, second = (result.model_dump(exclude={"usage": {"seconds"}}) for result in results)
    assert first == second


def test_a_budget_that_ends_within_an_episode_is_told():
    result = plan(acting("go right"), value=closeness, policy_rollouts=2, budget=Budget(completions=3))
    assert (result.outcome, result.budget_exhausted, result.plan) == ("budget_exhausted", "completions", [])
    assert result.usage.llm_calls == 3


def test_a_model_that_fails_leaves_a_note_and_the_search():
    def failing(messages, tools):
        if request_kind(messages) == "next action":
            raise ConnectionError("no route")
        return walker(messages, tools)

    model = PolicyChatModel(policy=failing)
    result = plan(model, value=closeness, candidates=None, policy_rollouts=1, retries=0)
    assert result.solved
    assert any("every rollout failed" in note for note in result.notes)


def test_imagined_solutions_are_none():
    with pytest.raises(InvalidSettingError, match="policy_rollouts carry out what worked in a fork"):
        create_slinvit_planner(walker_model(), Corridor(), simulation="imagine", policy_rollouts=1)
    with pytest.raises(InvalidSettingError, match="policy_rollouts=-1"):
        create_slinvit_planner(walker_model(), Corridor(), policy_rollouts=-1)


# found on the way


def test_a_rollout_that_solves_the_task_ends_the_search():
    kept = plan(acting("go right"), value=RolloutValue(rollouts=1), depth=1, candidates=None)
    alone = plan(acting("go right"), value=RolloutValue(rollouts=1, keep_solutions=False), depth=1, candidates=None)
    assert kept.solved
    assert alone.solved
    assert {step.decision for step in kept.trajectory} == {0}
    assert {step.decision for step in alone.trajectory} == {0, 1, 2, 3}
    assert kept.usage.llm_calls < alone.usage.llm_calls / 2


def test_an_estimator_of_ones_own_may_know_a_solution():
    class Map(ValueEstimator):
        name = "map"

        async def estimate(self, leaves, caller, prepared):
            def way(leaf):
                position = int(leaf.situation.state.split()[-1])
                return [("go right", f"you are in cell {cell}") for cell in range(position + 1, 5)]

            return [ValueEstimate(0.5, self.name, solution=Solution(way(leaf), state_key="4")) for leaf in leaves]

    result = plan(value=Map(), candidates=None)
    assert result.plan == ["go right"] * 4
    assert {step.decision for step in result.trajectory} == {0}


def test_what_the_imagination_solves_is_tried_step_by_step():
    result = plan(acting("go right"), value=RolloutValue(rollouts=1), simulation="imagine", task="reach 3")
    assert result.solved
    assert not [node for node in result.tree if node.provenance == "rollout"]


# carried out with care


@pytest.mark.parametrize("options", [{"policy_rollouts": 1, "value": closeness}, {"value": RolloutValue(rollouts=1)}])
def test_a_solution_is_left_as_soon_as_reality_departs_from_it(options):
    result = plan(acting("go right"), environment=Slippery(), candidates=None, depth=1, **options)
    assert result.solved
    assert result.plan == ["go right"] * 5
    assert [step.decision for step in result.trajectory][:3] == [0, 0, 1]


def test_subgoals_are_left_as_soon_as_reality_departs_from_them():
    class Keyless(Slippery):
        def state_key(self):
            return None

        def fork(self):
            clone = Keyless(real=False)
            clone.reset(self.task)
            clone.position, clone.steps = self.position, self.steps
            return clone

    def policy(messages, tools):
        if request_kind(messages) != "next subgoal":
            return walker(messages, tools)
        return {f"Subgoal: reach {int(last_block(messages, 'state').split()[-1]) + 2}": 1.0}

    options = {"level": "subgoal", "value": closeness, "commit": "branch", "horizon": 8}
    result = plan(PolicyChatModel(policy=policy), environment=Keyless(), **options)
    assert [(step.decision, step.subgoal) for step in result.trajectory][:3] == [
        (0, "reach 2"), (0, "reach 2"), (1, "reach 3"),
    ]  # fmt: skip


def test_only_the_first_step_of_an_imagined_solution_is_meant_to_be_taken():
    options = {"simulation": "imagine", "candidates": 1, "value": closeness, "checkpointer": InMemorySaver()}
    planner = create_slinvit_planner(acting("go right"), Corridor(), retry_delay=0.0, **options)
    config = {"configurable": {"thread_id": "1"}}
    planner.invoke({"task": "reach 2"}, config, interrupt_before=["act"])
    state = planner.get_state(config).values
    assert any(node["solved"] for node in state["nodes"].values())
    assert len(state["intent"]["branch"]) == 1


def test_a_run_that_stops_before_it_acts_resumes_with_the_solution():
    options = {"policy_rollouts": 1, "value": closeness, "checkpointer": InMemorySaver(), "retry_delay": 0.0}
    config = {"configurable": {"thread_id": "1"}}
    before = create_slinvit_planner(acting("go right"), Corridor(), **options)
    before.invoke({"task": "reach 3"}, config, interrupt_before=["act"])
    after = create_slinvit_planner(acting("wait"), Corridor(), **options)
    result = after.invoke(None, config)["result"]
    assert result.plan == ["go right"] * 3
    assert result.usage.llm_calls == 3
    [chosen] = [node.id for node in result.tree if node.status == "chosen"]
    assert after.get_state(config).values["root"] == chosen  # reality stands where the episode ended
