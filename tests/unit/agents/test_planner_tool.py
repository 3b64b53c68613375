"""The planner as a tool: what an agent gets back, what is acted on, and what reaches the streams."""

import asyncio
import gc
import threading

import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests
from langgraph.checkpoint.memory import InMemorySaver
from worlds import Corridor, CountedCorridor, closeness, walker, walker_model

from langchain_linvit import Budget, Task
from langchain_linvit.agents import create_slinvit_tool
from langchain_linvit.errors import InvalidSettingError, InvalidTaskError
from langchain_linvit.models import PolicyChatModel, ToolReply
from langchain_linvit.planner import PlanResult

FAST = {"value": closeness, "candidates": None, "retry_delay": 0.0}


def planning(environment=None, **options):
    return create_slinvit_tool(walker_model(), environment or Corridor(), **{**FAST, **options})


def call(made, goal=""):
    return made.invoke({"type": "tool_call", "name": made.name, "id": "1", "args": {"goal": goal} if goal else {}})


def under_way(kind=Corridor):
    environment = kind()
    environment.reset("reach 3")
    environment.step("go right")
    return environment


class TestStandardUnit(ToolsUnitTests):
    @property
    def tool_constructor(self):
        return planning()

    @property
    def tool_invoke_params_example(self):
        return {"goal": "reach 2"}


class TestStandardBehaviour(ToolsIntegrationTests):
    @property
    def tool_constructor(self):
        return planning()

    @property
    def tool_invoke_params_example(self):
        return {"goal": "reach 2"}


class TestStandardBehaviourUnderWay(ToolsIntegrationTests):
    @property
    def tool_constructor(self):
        return planning(under_way(), mode="act")

    @property
    def tool_invoke_params_example(self):
        return {}


def test_a_goal_gives_a_plan_and_the_whole_result():
    message = call(planning(), "reach 3")
    assert message.status == "success"
    assert message.content.startswith("Outcome: solved (in 3 steps)\nPlan (not carried out):\n1. go right\n2. go right")
    assert PlanResult.model_validate(message.artifact).plan == ["go right"] * 3


async def test_sync_and_async_calls_agree():
    made = planning()
    results = [call(made, "reach 3").artifact]
    message = await made.ainvoke({"type": "tool_call", "name": made.name, "id": "1", "args": {"goal": "reach 3"}})
    results.append(message.artifact)
    assert [(result["plan"], result["tree"]) for result in results[:1]] == [(results[1]["plan"], results[1]["tree"])]


def test_a_plan_for_an_episode_under_way_begins_where_it_stands_and_moves_nothing():
    environment = under_way()
    message = call(planning(environment))
    assert message.artifact["plan"] == ["go right"] * 2
    assert environment.position == 1


def test_acting_goes_on_in_the_episode_under_way():
    environment = under_way(CountedCorridor)
    message = call(planning(environment, mode="act"))
    assert "Actions taken:\n1. go right\n2. go right" in message.content
    assert environment.position == 3
    assert CountedCorridor.live == 1  # it is still open; the forks are not
    environment.close()


@pytest.mark.parametrize("mode", ["plan", "act"])
def test_a_goal_of_its_own_leaves_the_episode_under_way_alone(mode):
    environment = under_way()
    message = call(planning(environment, mode=mode), "reach 4")
    assert len(message.artifact["plan"]) == 4
    assert (environment.position, environment.goal) == (1, "reach 3")


def test_nothing_stays_open():
    made = planning(CountedCorridor)
    for goal in ("reach 2", "fly", "reach 3"):
        call(made, goal)
    gc.collect()
    assert CountedCorridor.live == 0


@pytest.mark.parametrize(
    ("environment", "goal", "words"),
    [
        (Corridor(), "fly", "write 'reach N'"),
        (Corridor(), "", "no goal was given"),
        (Corridor, "", "Field required"),
    ],
)
def test_what_cannot_be_planned_is_an_error_message(environment, goal, words):
    message = call(planning(environment), goal)
    assert message.status == "error"
    assert words in message.content


def test_tasks_are_named_by_id():
    tasks = [Task(id="near", text="reach 1"), Task(id="far", text="reach 3")]
    made = planning(tasks=tasks)
    assert "near, far" in made.args["goal"]["description"]
    assert len(call(made, "far").artifact["plan"]) == 3
    assert call(made, "reach 1").artifact["task_id"] == "near"
    assert "no task 'else'; there are near, far" in call(made, "else").content


def test_tasks_may_be_read_from_the_agents_words():
    def read(goal):
        if not goal.isdecimal():
            raise InvalidTaskError("say a number")
        return Task(id=goal, text=f"reach {goal}")

    made = planning(tasks=read)
    assert len(call(made, "2").artifact["plan"]) == 2
    assert call(made, "two").content == "say a number"


def test_each_call_has_the_budget():
    made = planning(value="rollouts", candidates=3, budget=Budget(completions=4))
    for _ in range(2):
        result = call(made, "reach 9").artifact
        assert result["outcome"] == "budget_exhausted"
        assert result["usage"]["llm_calls"] <= 4


class Device(Corridor):
    persistent = True


def test_planning_never_resets_what_outlives_the_program():
    for environment in (Device(), Device):
        message = call(planning(environment), "reach 2")
        assert message.status == "error"
        assert "would act for real" in message.content
    assert call(planning(Device(), mode="act"), "reach 2").status == "success"


def test_a_second_call_at_once_is_refused():
    started, go_on = threading.Event(), threading.Event()

    def waiting(messages, tools):
        started.set()
        assert go_on.wait(10)
        return walker(messages, tools)

    environment = under_way()
    made = create_slinvit_tool(PolicyChatModel(policy=waiting), environment, mode="act", **FAST)
    first = threading.Thread(target=call, args=(made,))
    first.start()
    assert started.wait(10)
    assert "another call is working" in call(made).content
    go_on.set()
    first.join()
    assert environment.position == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [({"mode": "dream"}, "mode must be"), ({"checkpointer": True}, "checkpointer"), ({"depth": 0}, "depth=0")],
)
def test_bad_settings_are_named(options, words):
    with pytest.raises(InvalidSettingError, match=words):
        planning(**options)


@tool
def weather(place: str) -> str:
    """The weather at a place."""
    return f"it rains in {place}"


def asking(messages, tools):
    """An agent's model: asks for the weather and for two plans, then repeats what it got."""
    del tools
    replies = [message for message in messages if message.type == "tool"]
    if not replies:
        return {ToolReply("weather", {"place": "Rome"}): 1}
    if len(replies) < 3:
        return {ToolReply("make_plan", {"goal": f"reach {len(replies) + 1}"}): 1}
    return {"; ".join(message.text.splitlines()[0] for message in replies): 1}


def agent(**options):
    return create_agent(PolicyChatModel(policy=asking), [weather, planning()], **options)


ANSWER = "it rains in Rome; Outcome: solved (in 2 steps); Outcome: solved (in 3 steps)"
QUESTION = {"messages": [HumanMessage("Plan, please.")]}


def test_an_agent_calls_it_beside_other_tools():
    assert agent().invoke(QUESTION)["messages"][-1].text == ANSWER
    assert asyncio.run(agent().ainvoke(QUESTION))["messages"][-1].text == ANSWER


def test_progress_reaches_the_agents_stream_and_the_search_no_message_stream():
    seen = list(agent().stream(QUESTION, stream_mode=["custom", "messages"], subgraphs=True))
    events = [chunk["event"] for _, mode, chunk in seen if mode == "custom"]
    assert events.count("decision") >= 2
    assert events.count("finished") == 2
    texts = [chunk[0].text for _, mode, chunk in seen if mode == "messages"]
    assert "".join(texts).count("Action:") == 0
    plain = list(agent().stream(QUESTION, stream_mode="custom"))
    assert plain == []  # a nested graph's events need subgraphs=True


def test_an_agent_with_a_checkpointer_plans_in_every_turn():
    made = agent(checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "one"}}
    assert made.invoke(QUESTION, config)["messages"][-1].text == ANSWER
    again = planning()
    both = create_agent(
        PolicyChatModel(
            policy=lambda messages, tools: (
                {"done": 1} if messages[-1].type == "tool" else {ToolReply("make_plan", {"goal": messages[-1].text}): 1}
            )
        ),
        [again],
        checkpointer=InMemorySaver(),
    )
    lengths = []
    for goal in ("reach 3", "reach 1"):
        state = both.invoke({"messages": [HumanMessage(goal)]}, config)
        lengths.append(len(state["messages"][-2].artifact["plan"]))
    assert lengths == [3, 1]
