"""SLINVIT end to end on the real LangGraph, with simulated chat models."""

import asyncio
import gc
import io

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command
from rich.console import Console
from worlds import Corridor, CountedCorridor, closeness, walker, walker_model

from langchain_linvit.accounting import Budget
from langchain_linvit.environments.base import Task
from langchain_linvit.errors import InvalidSettingError, InvalidTaskError
from langchain_linvit.models import PolicyChatModel
from langchain_linvit.planner import PRESETS, create_slinvit_planner
from langchain_linvit.values import BlendValue, CriticValue, FunctionValue, OracleValue, RolloutValue

FAST = {"retry_delay": 0.0}


def plan(model=None, task="reach 4", environment=None, **options):
    planner = create_slinvit_planner(
        walker_model() if model is None else model, environment or Corridor(), **{**FAST, **options}
    )
    return planner.invoke({"task": task})["result"]


def test_plans_with_a_value_function():
    result = plan(value=closeness, candidates=None)
    assert result.outcome == "solved"
    assert result.plan == ["go right"] * 4
    assert [step.decision for step in result.trajectory] == [0, 1, 2, 3]
    assert result.prior == {"exact": sum(result.prior.values())}


@pytest.mark.parametrize(
    "value",
    [
        "rollouts",
        "critic",
        "rules",
        "oracle",
        closeness,
        RolloutValue(rollouts=2),
        BlendValue([(1.0, FunctionValue(closeness)), (1.0, CriticValue())]),
    ],
)
def test_every_value_estimator_solves_the_corridor(value):
    result = plan(value=value, task="reach 3", horizon=8, depth=3)
    assert result.solved, str(result)


@pytest.mark.parametrize("candidates", [None, 4])
@pytest.mark.parametrize("selection", ["hard", "soft", "sample"])
def test_every_selection_solves_the_corridor(candidates, selection):
    result = plan(value=closeness, candidates=candidates, selection=selection, depth=3, kl_coef=0.01, horizon=12)
    assert result.solved, str(result)


def test_the_same_seed_gives_the_same_plan_sync_and_async():
    def everything(result):
        return result.model_dump(exclude={"usage": {"seconds"}})

    first = plan(seed=3, task="reach 3", horizon=6)
    again = plan(seed=3, task="reach 3", horizon=6)
    planner = create_slinvit_planner(walker_model(), Corridor(), seed=3, horizon=6, **FAST)
    asynchronous = asyncio.run(planner.ainvoke({"task": "reach 3"}))["result"]
    assert everything(first) == everything(again) == everything(asynchronous)


def test_no_search_but_the_oracle_asks_for_the_verdict():
    for value in ("rollouts", "critic", "rules", closeness):
        with_raiser = plan(environment=CountedCorridor(), value=value, task="reach 2")
        assert with_raiser.plan == plan(value=value, task="reach 2").plan
    with pytest.raises(AssertionError, match="benchmark's verdict"):
        plan(environment=CountedCorridor(), value=OracleValue(), task="reach 4")


async def test_a_hundred_runs_at_once_neither_mix_nor_leak():
    planner = create_slinvit_planner(
        walker_model(latency=0.001), CountedCorridor(), value=closeness, candidates=None, **FAST
    )
    targets = [1 + index % 5 for index in range(100)]
    outputs = await asyncio.gather(*(planner.ainvoke({"task": f"reach {target}"}) for target in targets))
    assert [output["result"].plan for output in outputs] == [["go right"] * target for target in targets]
    gc.collect()
    assert CountedCorridor.live == 0
    assert planner.config["callbacks"][0].open_runs == 0
    assert planner.config["callbacks"][0]._root_of == {}


async def test_cancelled_failed_and_dropped_runs_leave_nothing_behind():
    planner = create_slinvit_planner(walker_model(latency=0.05), CountedCorridor(), **FAST)
    running = asyncio.ensure_future(planner.ainvoke({"task": "reach 4"}))
    await asyncio.sleep(0.1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    stream = planner.astream({"task": "reach 4"}, stream_mode="custom")
    async for _ in stream:
        break
    await stream.aclose()
    for _ in planner.stream({"task": "reach 4"}, stream_mode="custom"):
        break
    with pytest.raises(InvalidTaskError):
        await planner.ainvoke({"task": "fly to the moon"})
    gc.collect()
    assert CountedCorridor.live == 0
    assert planner.config["callbacks"][0].open_runs == 0


def test_messages_are_a_task_and_get_an_answer():
    planner = create_slinvit_planner(walker_model(), Corridor(), value=closeness, **FAST)
    output = planner.invoke({"messages": [HumanMessage("reach 2")]})
    assert output["result"].solved
    assert output["messages"][-1].type == "ai"
    assert "1. go right" in output["messages"][-1].text


def test_is_a_node_of_another_graph_whose_message_stream_stays_clean():
    planner = create_slinvit_planner(walker_model(), Corridor(), value="critic", **FAST)
    parent = StateGraph(MessagesState)
    parent.add_node("plan", planner)
    parent.add_edge(START, "plan")
    parent.add_edge("plan", END)
    graph = parent.compile()
    events = list(graph.stream({"messages": [HumanMessage("reach 2")]}, stream_mode=["messages", "values"]))
    streamed = [chunk[0].content for mode, chunk in events if mode == "messages"]
    assert not [text for text in streamed if "Action" in text or "Holds" in text]
    assert events[-1][1]["messages"][-1].name == "slinvit"


def test_custom_events_tell_the_search_in_order():
    planner = create_slinvit_planner(walker_model(), Corridor(), value=closeness, **FAST)
    kinds = [event["event"] for event in planner.stream({"task": "reach 2"}, stream_mode="custom")]
    assert kinds[0] == "decision"
    assert kinds[-1] == "finished"
    assert kinds.index("proposed") < kinds.index("simulated") < kinds.index("selected") < kinds.index("acted")


def test_equal_states_are_evaluated_once():
    seen = []

    def recording(state_text, goal):
        seen.append(state_text)
        return closeness(state_text, goal)

    plan(value=recording, candidates=None, beam=4, depth=4, horizon=4, commit="branch")
    assert len(seen) == len(set(seen))


def test_revisits_are_not_searched_again():
    result = plan(value=closeness, candidates=None, depth=3, horizon=5)
    assert {node.text for node in result.tree if node.status == "linked"} >= {"wait"}


def test_the_chosen_subtree_is_reused():
    whole = plan(value=closeness, candidates=3, depth=2, task="reach 4", seed=1)
    per_decision = {}
    for node in whole.tree:
        per_decision[node.decision] = per_decision.get(node.decision, 0) + 1
    ids = [node.id for node in whole.tree]
    assert len(ids) == len(set(ids))
    parents = {node.parent for node in whole.tree} - {None}
    assert parents <= set(ids)


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


def test_text_subgoals_are_carried_out_by_the_model():
    result = plan(value=closeness, level="subgoal", task="reach 3")
    assert result.solved
    assert result.trajectory[0].subgoal == "reach 1"
    assert result.trajectory[0].action == "go right"


@pytest.mark.parametrize("value", [closeness, "rollouts"])
def test_imagination_replaces_forks(value):
    class Unforkable(Corridor):
        def fork(self):
            raise AssertionError("the real environment was forked")

    result = plan(environment=Unforkable(), simulation="imagine", value=value, task="reach 3")
    assert result.solved
    assert result.usage.env_steps_real == len(result.plan)


def test_resumes_from_a_checkpoint_with_another_planner():
    saver = InMemorySaver()
    config = {"configurable": {"thread_id": "one"}}

    class Stop(Exception):
        pass

    calls = []

    def stopping(state_text, goal):
        calls.append(state_text)
        if len(calls) == 2:
            raise Stop
        return closeness(state_text, goal)

    def planner(value):
        return create_slinvit_planner(
            walker_model(), Corridor(), value=value, checkpointer=saver, candidates=None, **FAST
        )

    with pytest.raises(Stop):
        planner(stopping).invoke({"task": "reach 4"}, config)
    resumed = planner(closeness).invoke(None, config)["result"]
    uninterrupted = plan(value=closeness, candidates=None)
    assert resumed.plan == uninterrupted.plan
    assert resumed.usage.llm_calls == uninterrupted.usage.llm_calls


def test_a_second_task_on_the_same_thread_starts_afresh():
    planner = create_slinvit_planner(
        walker_model(), Corridor(), value=closeness, candidates=None, checkpointer=InMemorySaver(), **FAST
    )
    config = {"configurable": {"thread_id": "one"}}
    planner.invoke({"task": "reach 3"}, config)
    second = planner.invoke({"task": "reach 2"}, config)["result"]
    assert second.plan == ["go right"] * 2
    assert second.task_id != "reach 3"
    assert second.usage.env_steps_real == 2


class Device(Corridor):
    """A corridor whose position outlives the program: to restore it is to find it where it is."""

    persistent = True
    position_now = 0

    def reset(self, task):
        text = super().reset(task)
        Device.position_now = 0
        return text

    @property
    def position(self):
        return Device.position_now

    @position.setter
    def position(self, value):
        Device.position_now = value

    def restore(self, snapshot):
        self._task = Task.model_validate(snapshot["task"])
        self.target = int(self._task.text.split()[1])

    def fork(self):
        clone = Corridor()
        clone.reset(self.task)
        for _ in range(Device.position_now):
            clone.step("go right")
        return clone


@pytest.mark.parametrize("acted", [True, False])
def test_a_real_action_is_not_repeated_after_a_crash(acted):
    class Crash(Exception):
        pass

    class Crashing(Device):
        crash = True

        def step(self, action):
            if not Crashing.crash:
                return super().step(action)
            Crashing.crash = False
            if acted:
                super().step(action)
            raise Crash

    saver, config = InMemorySaver(), {"configurable": {"thread_id": "one"}}
    planner = create_slinvit_planner(
        walker_model(), Crashing, value=closeness, checkpointer=saver, candidates=None, **FAST
    )
    with pytest.raises(Crash):
        planner.invoke({"task": "reach 2"}, config)
    result = planner.invoke(None, config)["result"]
    assert Device.position_now == 2
    assert result.solved
    assert result.plan == ["go right"] * 2


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


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_makes_a_planner(preset):
    assert create_slinvit_planner(walker_model(), Corridor(), preset=preset)


def test_nothing_to_plan_is_an_error():
    planner = create_slinvit_planner(walker_model(), Corridor())
    with pytest.raises(InvalidTaskError, match="nothing to plan"):
        planner.invoke({"messages": []})


def test_a_result_is_plain_json_and_back():
    result = plan(value=closeness, task="reach 2")
    assert type(result).model_validate_json(result.model_dump_json()) == result
    assert "go right" in str(result)


def test_a_result_prints_as_text_and_as_a_picture_of_its_search():
    hostile = PolicyChatModel(policy=lambda messages, tools: {"Action: go right\x1b[31m [red]": 1.0})
    result = plan(hostile, value=closeness, horizon=1)
    console = Console(record=True, width=120, file=io.StringIO())
    console.print(result)
    shown = console.export_text()
    assert "accounting" in shown
    for text in (str(result), shown):
        assert "\x1b" not in text
        assert "[red]" in text


def test_time_spent_is_on_record_after_each_act():
    planner = create_slinvit_planner(walker_model(), Corridor(), value=closeness, candidates=None, **FAST)
    acts = [update["act"] for update in planner.stream({"task": "reach 2"}, stream_mode="updates") if "act" in update]
    assert all(act["usage"]["seconds"] > 0 for act in acts)


def test_the_policy_reads_only_the_prompt():
    assert walker([HumanMessage("hello")], [])["Action: go right"] == 0.4


def test_a_search_over_an_environment_that_outlives_it_is_resumed_in_forks():
    class Stop(Exception):
        pass

    valued = []

    def stopping(state_text, goal):
        valued.append(state_text)
        if len(valued) == 5:
            raise Stop
        return closeness(state_text, goal)

    def planner(value):
        return create_slinvit_planner(
            walker_model(), Device, value=value, checkpointer=saver, candidates=None, beam=4, depth=4, **FAST
        )

    saver, config = InMemorySaver(), {"configurable": {"thread_id": "one"}}
    with pytest.raises(Stop):
        planner(stopping).invoke({"task": "reach 6"}, config)
    resumed = planner(closeness).invoke(None, config)["result"]
    clean = plan(environment=Device, value=closeness, candidates=None, beam=4, depth=4, task="reach 6")
    assert resumed.plan == clean.plan == ["go right"] * 6
    assert [(node.text, node.observation) for node in resumed.tree] == [
        (node.text, node.observation) for node in clean.tree
    ]


@pytest.mark.parametrize("acted", [0, 1, 2])
def test_a_branch_is_taken_up_where_a_crash_left_it(acted):
    class Crash(Exception):
        pass

    class Crashing(Device):
        left = acted
        crashed = False

        def step(self, action):
            if not Crashing.crashed and Crashing.left == 0:
                Crashing.crashed = True
                raise Crash
            Crashing.left -= 1
            transition = super().step(action)
            if not Crashing.crashed and acted == 2 and Crashing.left == 0:
                Crashing.crashed = True
                raise Crash
            return transition

    saver, config = InMemorySaver(), {"configurable": {"thread_id": "one"}}
    planner = create_slinvit_planner(
        walker_model(), Crashing, value=closeness, checkpointer=saver, candidates=None, commit="branch", **FAST
    )
    with pytest.raises(Crash):
        planner.invoke({"task": "reach 4"}, config)
    result = planner.invoke(None, config)["result"]
    assert Device.position_now == 4
    assert result.plan == ["go right"] * 4


@pytest.mark.parametrize(("answer", "reached"), [("no", 2), ("yes", 3)])
def test_a_person_is_asked_where_the_state_does_not_tell(answer, reached):
    class Silent(Device):
        crash = True

        def state_key(self):
            return None

        def step(self, action):
            if Silent.crash:
                Silent.crash = False
                raise ConnectionError
            return super().step(action)

    saver, config = InMemorySaver(), {"configurable": {"thread_id": "one"}}
    planner = create_slinvit_planner(
        walker_model(), Silent, value=closeness, checkpointer=saver, candidates=None, depth=1, horizon=reached, **FAST
    )
    with pytest.raises(ConnectionError):
        planner.invoke({"task": "reach 2"}, config)
    [asked] = planner.invoke(None, config)["__interrupt__"]
    assert asked.value["actions"] == ["go right"]
    assert Device.position_now == 0
    result = planner.invoke(Command(resume=answer), config)["result"]
    assert Device.position_now == 2
    assert len(result.trajectory) == reached
