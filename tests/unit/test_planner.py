"""SLINVIT end to end on the real LangGraph, with simulated chat models."""

import asyncio
import gc
import io

import pytest
from langchain_core.messages import HumanMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from rich.console import Console
from worlds import Corridor, CountedCorridor, closeness, plan, walker, walker_model

from langchain_linvit.errors import InvalidTaskError
from langchain_linvit.models import PolicyChatModel
from langchain_linvit.planner import PRESETS, create_slinvit_planner
from langchain_linvit.rollouts import RolloutValue
from langchain_linvit.values import BlendValue, CriticValue, FunctionValue, OracleValue


def test_plans_with_a_value_function():
    result = plan(value=closeness, candidates=None)
    assert result.outcome == "solved"
    assert result.plan == ["go right"] * 4
    assert [step.decision for step in result.trajectory] == [0, 1, 2, 2]  # what solves the task is taken whole
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
    planner = create_slinvit_planner(walker_model(), Corridor(), seed=3, horizon=6, retry_delay=0.0)
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
        walker_model(latency=0.001), CountedCorridor(), value=closeness, candidates=None, retry_delay=0.0
    )
    targets = [1 + index % 5 for index in range(100)]
    outputs = await asyncio.gather(*(planner.ainvoke({"task": f"reach {target}"}) for target in targets))
    assert [output["result"].plan for output in outputs] == [["go right"] * target for target in targets]
    gc.collect()
    assert CountedCorridor.live == 0
    assert planner.config["callbacks"][0].open_runs == 0
    assert planner.config["callbacks"][0]._root_of == {}


async def test_cancelled_failed_and_dropped_runs_leave_nothing_behind():
    planner = create_slinvit_planner(walker_model(latency=0.05), CountedCorridor(), retry_delay=0.0)
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
    planner = create_slinvit_planner(walker_model(), Corridor(), value=closeness, retry_delay=0.0)
    output = planner.invoke({"messages": [HumanMessage("reach 2")]})
    assert output["result"].solved
    assert output["messages"][-1].type == "ai"
    assert "1. go right" in output["messages"][-1].text


def test_is_a_node_of_another_graph_whose_message_stream_stays_clean():
    planner = create_slinvit_planner(walker_model(), Corridor(), value="critic", retry_delay=0.0)
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
    planner = create_slinvit_planner(walker_model(), Corridor(), value=closeness, retry_delay=0.0)
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


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_makes_a_planner(preset):
    assert create_slinvit_planner(walker_model(), Corridor(), preset=preset)


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
    planner = create_slinvit_planner(walker_model(), Corridor(), value=closeness, candidates=None, retry_delay=0.0)
    acts = [update["act"] for update in planner.stream({"task": "reach 2"}, stream_mode="updates") if "act" in update]
    assert all(act["usage"]["seconds"] > 0 for act in acts)


def test_the_policy_reads_only_the_prompt():
    assert walker([HumanMessage("hello")], [])["Action: go right"] == 0.4
