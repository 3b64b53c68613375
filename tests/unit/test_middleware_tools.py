"""SLINVITMiddleware beside other tools, people, response formats, checkpoints and other middleware."""

import json

import pytest
from agent_parts import LEFT, OPENED, RIGHT, corridor_agent, invoked, position, streamed, wanderer, weather
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware, ToolRetryMiddleware, dynamic_prompt
from langchain.agents.structured_output import ToolStrategy
from langchain.tools import ToolRuntime
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from langgraph.types import Command, interrupt
from pydantic import BaseModel
from worlds import Corridor, CountedCorridor, closeness

from langchain_linvit.agents import EnvironmentToolkit, SLINVITMiddleware
from langchain_linvit.agents.imagination import ToolCalibration, parse_guess, similarity
from langchain_linvit.models import PolicyChatModel, ToolReply
from langchain_linvit.prompts import last_block, request_kind

pytestmark = pytest.mark.usefixtures("closed_toolkits")


def helpful(good, bad, reply="It rains."):
    """A policy that takes either of two calls, likes the bad one better, and answers once it has a result."""

    def policy(messages, tools):
        kind = request_kind(messages)
        if kind == "imagine answer":
            right = good.name in (last_block(messages, "tool") or "")
            return {json.dumps({"succeeds": 0.9 if right else 0.4, "answer": "rain in Oslo" if right else "spam"}): 1.0}
        if kind == "judge progress":
            held = "rain" in messages[-1].text.split("## Request")[0].split("<history>")[1] or good.args == {"right": 1}
            return {f"Holds: {int(held)} of 1": 1.0}
        if any(isinstance(message, ToolMessage) for message in messages):
            return {reply: 1.0}
        return {good: 0.4, bad: 0.6}

    return policy


GOOD, BAD = ToolReply("weather", {"city": "Oslo"}), ToolReply("horoscope", {"sign": "leo"})


@tool
def horoscope(sign: str) -> str:
    """What the stars say."""
    CALLED.append(sign)
    return "all will be well"


CALLED: list[str] = []


def tool_agent(tools, *others, policy=None, checkpointer=None, **options):
    CALLED.clear()
    settings = {"candidates": 8, "value": "critic", **options}
    model = PolicyChatModel(policy=policy or helpful(GOOD, BAD))
    return create_agent(
        model, tools, middleware=[SLINVITMiddleware(**settings), *others], checkpointer=checkpointer
    )  # fmt: skip


ASK = {"messages": [("user", "What is the weather in Oslo?")]}


@pytest.mark.parametrize("run", ["sync", "async"])
def test_read_only_tools_are_run_and_others_imagined(run):
    result = invoked(tool_agent([weather, horoscope], read_only=["weather"]), ASK, run=run)
    ways = {c["text"]: c["ways"] for c in result["linvit_trace"][0]["candidates"]}
    assert ways == {'weather(city="Oslo")': ["run"], 'horoscope(sign="leo")': ["imagine"]}
    assert [m.name for m in result["messages"] if isinstance(m, ToolMessage)] == ["weather"]
    assert CALLED == []


def test_nothing_is_tried_where_the_critic_judges_alone():
    seen = []

    def policy(messages, tools):
        seen.append(request_kind(messages))
        return helpful(GOOD, BAD)(messages, tools)

    result = invoked(tool_agent([weather, horoscope], policy=policy, simulation="critic"), ASK)
    assert {way for c in result["linvit_trace"][0]["candidates"] for way in c["ways"]} == {"critic"}
    assert "judge progress" in seen
    assert "imagine answer" not in seen


def test_each_tool_can_have_its_own_way():
    ways = {"weather": "imagine", "horoscope": "critic"}
    result = invoked(tool_agent([weather, horoscope], simulation=ways), ASK)
    found = {c["text"].split("(")[0]: c["ways"] for c in result["linvit_trace"][0]["candidates"]}
    assert found == {"weather": ["imagine"], "horoscope": ["critic"]}


def test_guesses_are_scored_against_what_really_comes():
    agent = tool_agent([weather, horoscope], checkpointer=InMemorySaver())
    thread = {"configurable": {"thread_id": "1"}}
    result = invoked(agent, ASK, thread)
    assert result["messages"][-2].text == "rain in Oslo"
    calibration = result["linvit_calibration"]["weather"]
    assert calibration["n"] == 1
    assert calibration["similarity"] == 1.0
    assert calibration["brier"] == pytest.approx(0.01)
    assert result["linvit_trace"][1]["scored"][0]["tool"] == "weather"


def test_guesses_of_a_last_call_are_scored_too():
    @tool(return_direct=True)
    def weather(city: str) -> str:
        """The weather of a city."""
        return f"snow in {city}"

    result = invoked(tool_agent([weather, horoscope]), ASK)
    assert 0 < result["linvit_calibration"]["weather"]["similarity"] < 1


class Report(BaseModel):
    """A weather report."""

    sky: str
    degrees: int


def test_imagined_answers_follow_a_schema_of_the_users():
    @tool
    def weather(city: str) -> str:
        """The weather of a city."""
        return json.dumps({"sky": "rain", "degrees": 3})

    shown = []

    def policy(messages, tools):
        if request_kind(messages) == "imagine answer" and "weather" in last_block(messages, "tool"):
            shown.append(messages[-1].text)
            return {json.dumps({"succeeds": 1.0, "answer": {"sky": "rain", "degrees": 9}}): 1.0}
        return helpful(GOOD, BAD)(messages, tools)

    result = invoked(tool_agent([weather, horoscope], policy=policy, simulation={"weather": Report}), ASK)
    assert "degrees" in shown[0]
    assert result["linvit_calibration"]["weather"]["similarity"] == 0.5


def test_an_unreadable_guess_leaves_the_candidate_to_the_critic():
    def policy(messages, tools):
        if request_kind(messages) == "imagine answer":
            return {"no idea": 1.0}
        return helpful(GOOD, BAD)(messages, tools)

    result = invoked(tool_agent([weather, horoscope], policy=policy), ASK)
    assert "not tried: the imagined answer" in result["linvit_trace"][0]["candidates"][0]["observation"]
    assert result.get("linvit_calibration", {}) == {}


@pytest.mark.parametrize("run", ["sync", "async"])
def test_a_tool_that_asks_a_person_asks_for_the_chosen_call_alone(run):
    @tool
    def weather(city: str) -> str:
        """The weather of a city."""
        return interrupt("may I?")

    def policy(messages, tools):
        if request_kind(messages) == "judge progress":
            return {f"Holds: {int('weather(' in messages[-1].text)} of 1": 1.0}
        return helpful(GOOD, BAD)(messages, tools)

    agent = tool_agent([weather, horoscope], policy=policy, read_only=["weather"], checkpointer=InMemorySaver())
    thread = {"configurable": {"thread_id": "1"}}
    waiting = invoked(agent, ASK, thread, run=run)
    assert [asked.value for asked in waiting["__interrupt__"]] == ["may I?"]
    assert [call["name"] for call in waiting["messages"][-1].tool_calls] == ["weather"], "the message came first"
    tried = next(c for c in waiting["linvit_trace"][0]["candidates"] if c["text"].startswith("weather"))
    assert (tried["status"], tried["observation"]) == ("chosen", "(not tried)")
    done = invoked(agent, Command(resume="snow in Oslo"), thread, run=run)
    assert [m.text for m in done["messages"] if isinstance(m, ToolMessage)] == ["snow in Oslo"]


def test_read_only_tools_see_the_state_but_no_stream():
    @tool
    def weather(city: str, runtime: ToolRuntime) -> str:
        """The weather of a city."""
        get_stream_writer()({"secret": 1})
        runtime.stream_writer({"secret": 2})
        return f"rain in {city}, {len(runtime.state['messages'])} messages"

    agent = tool_agent([weather, horoscope], read_only=["weather"])
    chunks = streamed(agent, ASK, ["custom", "updates"])
    secrets = [chunk for mode, chunk in chunks if mode == "custom" and "secret" in chunk]
    assert len(secrets) == 2  # of the real call alone
    first = next(chunk["model"]["linvit_trace"][0] for mode, chunk in chunks if mode == "updates" and "model" in chunk)
    assert any("rain in Oslo, 2 messages" in c["observation"] for c in first["candidates"])


def test_a_failing_read_only_tool_is_a_dead_candidate():
    @tool
    def weather(city: str) -> str:
        """The weather of a city."""
        raise ConnectionError("no network")

    result = tool_agent([weather, horoscope], ToolRetryMiddleware(max_retries=0), read_only=["weather"]).invoke(ASK)
    statuses = {c["text"].split("(")[0]: c["status"] for c in result["linvit_trace"][0]["candidates"]}
    assert statuses == {"weather": "dead", "horoscope": "chosen"}
    assert CALLED == ["leo"]


def test_parallel_calls_of_one_message_are_tried_together():
    both = AIMessage(
        "",
        tool_calls=[
            {"name": "weather", "args": {"city": "Oslo"}, "id": "1"},
            {"name": "act", "args": {"action": "go right"}, "id": "2"},
        ],
    )

    class Pair(PolicyChatModel):
        def _generate(self, *args, **kwargs):
            result = super()._generate(*args, **kwargs)
            for generation in result.generations:
                if generation.message.tool_calls and generation.message.tool_calls[0]["name"] == "weather":
                    generation.message.tool_calls = [dict(call) for call in both.tool_calls]
            return result

    def policy(messages, tools):
        if position(messages) == 1:
            return {"done": 1.0}
        return {GOOD: 0.5, LEFT: 0.5}

    agent, toolkit, given = corridor_agent(
        model=Pair(policy=policy), task="reach 1", tools=[weather], read_only=["weather"], depth=1
    )
    result = invoked(agent, given)
    assert list(toolkit.history) == [("go right", "you are in cell 1")]
    assert [m.name for m in result["messages"] if isinstance(m, ToolMessage)] == ["weather", "act"]
    pair = next(c for c in result["linvit_trace"][0]["candidates"] if c["status"] == "chosen")
    assert (pair["ways"], pair["solved"]) == (["run", "fork"], True)


@pytest.mark.parametrize("run", ["sync", "async"])
def test_a_person_approves_the_chosen_call_and_nothing_is_sampled_again(run):
    calls = []

    def policy(messages, tools):
        calls.append(1)
        return wanderer(messages, tools)

    approval = HumanInTheLoopMiddleware(interrupt_on={"act": True})
    agent, toolkit, given = corridor_agent(policy, task="reach 1", others=[approval], checkpointer=InMemorySaver())
    thread = {"configurable": {"thread_id": "1"}}
    waiting = invoked(agent, given, thread, run=run)
    request = waiting["__interrupt__"][0].value["action_requests"]
    assert [each["args"] for each in request] == [{"action": "go right"}]
    assert list(toolkit.history) == []
    before = len(calls)
    toolkit_step = Command(resume={"decisions": [{"type": "approve"}]})
    done = invoked(agent, toolkit_step, thread, run=run)
    assert list(toolkit.history) == [("go right", "you are in cell 1")]
    assert done["messages"][-1].text == "I am there."
    assert len(calls) - before == 8  # the candidates of the next message


def test_a_rejected_call_is_tried_differently():
    approval = HumanInTheLoopMiddleware(interrupt_on={"act": True})
    agent, toolkit, given = corridor_agent(task="reach 1", others=[approval], checkpointer=InMemorySaver())
    thread = {"configurable": {"thread_id": "1"}}
    agent.invoke(given, thread)
    answer = {"decisions": [{"type": "reject", "message": "not yet"}]}
    again = agent.invoke(Command(resume=answer), thread)
    assert list(toolkit.history) == []
    assert again["__interrupt__"]


def test_a_run_goes_on_in_another_process():
    saver = InMemorySaver()
    approval = HumanInTheLoopMiddleware(interrupt_on={"act": True})
    thread = {"configurable": {"thread_id": "1"}}
    agent, _, given = corridor_agent(task="reach 2", others=[approval], checkpointer=saver)
    agent.invoke(given, thread)
    yes = Command(resume={"decisions": [{"type": "approve"}]})
    agent.invoke(yes, thread)
    toolkit = EnvironmentToolkit(CountedCorridor())  # as a new process has it: never started
    OPENED.append(toolkit)
    fresh = create_agent(
        PolicyChatModel(policy=wanderer),
        toolkit.get_tools(),
        middleware=[SLINVITMiddleware(toolkit=toolkit, value=closeness, candidates=8), approval],
        checkpointer=saver,
    )
    done = fresh.invoke(yes, thread)
    assert [action for action, _ in toolkit.history] == ["go right", "go right"]
    assert done["messages"][-1].text == "I am there."


def test_two_conversations_can_take_turns_with_one_toolkit():
    saver = InMemorySaver()
    approval = HumanInTheLoopMiddleware(interrupt_on={"act": True})
    agent, toolkit, given = corridor_agent(task="reach 2", others=[approval], checkpointer=saver)
    one, two = ({"configurable": {"thread_id": name}} for name in "ab")
    yes = Command(resume={"decisions": [{"type": "approve"}]})
    agent.invoke(given, one)
    agent.invoke(yes, one)
    assert toolkit.environment.position == 1
    agent.invoke({"messages": [HumanMessage(toolkit.start("reach 2"))]}, two)
    assert toolkit.environment.position == 0
    agent.invoke({"messages": [HumanMessage("go on")]}, one)  # back in the first conversation
    assert toolkit.environment.position == 1


class Verdict(BaseModel):
    """How it went."""

    arrived: bool


@pytest.mark.parametrize("run", ["sync", "async"])
def test_structured_responses_are_candidates_too(run):
    def policy(messages, tools):
        if position(messages) < 2:
            return {RIGHT: 0.5, LEFT: 0.5}
        return {ToolReply("Verdict", {"arrived": True}): 0.7, ToolReply("Verdict", {"arrived": "maybe"}): 0.3}

    agent, toolkit, given = corridor_agent(policy, task="reach 2", response_format=ToolStrategy(Verdict))
    result = invoked(agent, given, run=run)
    assert result["structured_response"] == Verdict(arrived=True)
    assert len(toolkit.history) == 2
    last = result["linvit_trace"][-1]["candidates"]
    assert {c["status"] for c in last} == {"chosen", "dead"}


def test_other_middleware_shapes_every_candidate_call():
    prompts = []

    @dynamic_prompt
    def polite(request):
        return f"{len(request.state['messages'])} messages so far"

    def policy(messages, tools):
        prompts.append(messages[0].text)
        return wanderer(messages, tools)

    agent, _, given = corridor_agent(policy, others=[polite], depth=2)
    invoked(agent, given)
    assert {"1 messages so far", "3 messages so far"} <= set(prompts)


def test_deep_agents_take_it():
    deepagents = pytest.importorskip("deepagents", reason="deepagents is not installed")
    toolkit = EnvironmentToolkit(Corridor())
    agent = deepagents.create_deep_agent(
        model=PolicyChatModel(policy=wanderer),
        tools=toolkit.get_tools(),
        middleware=[SLINVITMiddleware(toolkit=toolkit, value=closeness, candidates=8)],
    )
    result = agent.invoke({"messages": [("user", toolkit.start("reach 2"))]})
    assert [action for action, _ in toolkit.history] == ["go right"] * 2
    assert result["linvit_trace"]


@pytest.mark.parametrize(
    ("guess", "real", "expected"),
    [("rain in Oslo", "Rain in Oslo.", 1.0), ("sun", "rain", 0.0), ("a b", "a c", 0.5), ("", "", 1.0),
     ('{"a": 1, "b": 2}', '{"a": 1, "b": 3}', 0.5), ("", "x", 0.0)],
)  # fmt: skip
def test_similarity(guess, real, expected):
    assert similarity(guess, real) == pytest.approx(expected)


def test_calibration_is_a_running_mean():
    summary = ToolCalibration()
    for stated, happened in ((0.9, True), (0.7, False), (0.5, True)):
        summary = summary.with_score((stated - happened) ** 2, happened, float(happened))
    assert summary.n == 3
    assert summary.brier == pytest.approx((0.01 + 0.49 + 0.25) / 3)
    assert summary.success_rate == pytest.approx(2 / 3)
    assert summary.base_brier == pytest.approx(2 / 9)


@pytest.mark.parametrize("text", ["", "{}", '{"succeeds": 2, "answer": "x"}', '{"succeeds": 1}', "{" * 5000])
def test_bad_guesses_are_no_guesses(text):
    assert parse_guess(text) is None
