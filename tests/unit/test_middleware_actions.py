"""SLINVITMiddleware with the planner's prior over actions: below the real state, and (candidates=None) at it."""

from collections import Counter
from itertools import islice

import pytest
from agent_parts import LEFT, RIGHT, corridor_agent, invoked, position, streamed, wanderer, weather
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, HumanInTheLoopMiddleware, ModelFallbackMiddleware
from langchain_core.messages import AIMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from worlds import Corridor, closeness

from langchain_linvit import create_slinvit_planner
from langchain_linvit.accounting import Budget
from langchain_linvit.agents import EnvironmentToolkit, SLINVITMiddleware
from langchain_linvit.environments.base import Transition
from langchain_linvit.environments.blocksworld import BlocksWorldEnvironment, blocks_in_place, generate_problems
from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.models import PolicyChatModel, ToolReply
from langchain_linvit.models.blocksworld import blocksworld_model
from langchain_linvit.prompts import last_block, request_kind

SCORING = "choose by number"


pytestmark = pytest.mark.usefixtures("closed_toolkits")


class Asked:
    """A policy that remembers what it was asked for, and in which state."""

    def __init__(self, policy=wanderer):
        self.policy, self.requests = policy, []

    def __call__(self, messages, tools):
        self.requests.append((request_kind(messages), last_block(messages, "state")))
        return self.policy(messages, tools)

    def states(self, kind):
        return [state for asked, state in self.requests if asked == kind]


def chosen(toolkit):
    return [action for action, _ in toolkit.history]


@pytest.mark.parametrize("run", ["sync", "async"])
def test_messages_are_sampled_for_the_real_state_alone(run):
    asked = Asked()
    agent, toolkit, given = corridor_agent(asked, candidates=8, depth=3)
    result = invoked(agent, given, run=run)
    assert chosen(toolkit) == ["go right"] * 3
    assert Counter(asked.states(None)) == dict.fromkeys([f"you are in cell {at}" for at in range(4)], 8)
    assert asked.states(SCORING), "what follows is asked of the prior"
    below = result["linvit_trace"][0]["tree"]
    assert {node["provenance"] for node in below} == {"exact"}
    assert {node["text"] for node in below} <= {f'act(action="go {way}")' for way in ("left", "right")} | {
        'act(action="wait")'
    }


def test_messages_can_be_sampled_for_deeper_states_too():
    asked = Asked()
    agent, toolkit, given = corridor_agent(asked, lookahead="messages")
    invoked(agent, given)
    assert chosen(toolkit) == ["go right"] * 3
    assert not asked.states(SCORING)


@pytest.mark.parametrize("candidates", [8, None])
@pytest.mark.parametrize("value", ["critic", closeness])
def test_no_state_is_asked_about_twice_in_a_run(candidates, value):
    asked = Asked()
    agent, toolkit, given = corridor_agent(asked, candidates=candidates, value=value, depth=2, task="reach 5")
    invoked(agent, given)
    assert chosen(toolkit) == ["go right"] * 5
    for kind in (SCORING, "judge progress"):
        assert max(Counter(asked.states(kind)).values(), default=1) == 1


def test_agreement_is_measured_anew_at_every_step():
    """How many siblings agree on a state depends on the siblings: it is none of the state's own."""

    def policy(messages, tools):
        return {RIGHT: 0.5, LEFT: 0.5}

    agent, _, given = corridor_agent(policy, value="agreement", candidates=16, task="reach 3")
    states = [update["linvit_run"] for update in _model_updates(agent, given)]
    assert all(not memory.get("known", {}).get("values") for memory in states)
    agent, _, given = corridor_agent(policy, value=closeness, candidates=16, task="reach 3")
    assert any(update["linvit_run"].get("known", {}).get("values") for update in _model_updates(agent, given))


def _model_updates(agent, given):
    """The first updates of the agent's model node."""
    updates = (chunk["model"] for chunk in agent.stream(given, stream_mode="updates") if "model" in chunk)
    return list(islice(updates, 3))


@pytest.mark.parametrize("run", ["sync", "async"])
def test_all_actions_scored_give_the_planners_own_plan_for_its_price(run):
    settings = {"candidates": None, "depth": 4, "beam": 3, "value": blocks_in_place}
    for task in generate_problems(blocks=4, steps=4, count=3, seed=11):
        planner = create_slinvit_planner(blocksworld_model("novice"), BlocksWorldEnvironment(), **settings)
        planned = planner.invoke({"task": task})["result"]
        agent, toolkit, given = corridor_agent(
            model=blocksworld_model("novice"), environment=BlocksWorldEnvironment(), task=task, **settings
        )
        result = invoked(agent, given, run=run)
        assert chosen(toolkit) == planned.plan
        assert toolkit.environment.evaluate().success
        assert result["linvit_usage"]["llm_calls"] == planned.usage.llm_calls + 1, "the last word is one more"


def test_a_way_that_a_search_has_found_is_followed_without_another():
    agent, toolkit, given = corridor_agent(candidates=None, depth=3, value=closeness, task="reach 5")
    trace = invoked(agent, given)["linvit_trace"]
    assert chosen(toolkit) == ["go right"] * 5
    assert [record["decision"] for record in trace] == ["searched"] * 3 + ["followed"] * 2 + ["passed_through"]
    assert [record["usage"].get("llm_calls", 0) for record in trace[3:]] == [0, 0, 1]
    assert trace[3]["candidates"][0]["text"] == 'act(action="go right")'


def test_a_way_that_reality_leaves_is_searched_for_again():
    class Icy(Corridor):
        real_steps = 0

        def step(self, action):
            if self is toolkit.environment:
                Icy.real_steps += 1
                if Icy.real_steps == 4:
                    return Transition(self.state_text())
            return super().step(action)

    agent, toolkit, given = corridor_agent(environment=Icy(), candidates=None, depth=3, value=closeness, task="reach 5")
    trace = invoked(agent, given)["linvit_trace"]
    assert toolkit.environment.solved
    assert [record["decision"] for record in trace[:5]] == ["searched"] * 3 + ["followed"] * 2
    assert len(chosen(toolkit)) == 6


def test_sampled_messages_come_first_also_on_a_known_way():
    agent, _, given = corridor_agent(depth=3, value=closeness, candidates=8)
    known = [update["linvit_run"]["known"] for update in _model_updates(agent, given)]
    assert known[0]["way"]
    assert all(len(proposals) > 1 for found in known for proposals in found["proposals"].values())
    agent, toolkit, given = corridor_agent(depth=3, value=closeness, candidates=8)
    trace = invoked(agent, given)["linvit_trace"]
    assert chosen(toolkit) == ["go right"] * 3
    assert [record["usage"]["llm_calls"] >= 8 for record in trace] == [True] * 4
    assert "followed" not in {record["decision"] for record in trace}


@pytest.mark.parametrize("run", ["sync", "async"])
def test_composed_messages_are_messages_like_others(run):
    agent, _, given = corridor_agent(candidates=None)
    chunks = streamed(agent, given, ["messages", "values"], run=run)
    said = [chunk[0] for mode, chunk in chunks if mode == "messages" and isinstance(chunk[0], AIMessage)]
    assert [message.tool_calls[0]["args"] for message in said[:3]] == [{"action": "go right"}] * 3
    assert "".join(message.text for message in said[3:]) == "I am there.", "the last word is streamed"
    messages = [chunk for mode, chunk in chunks if mode == "values"][-1]["messages"]
    assert len({message.id for message in messages}) == len(messages) == 8
    calls = [call["id"] for message in messages if isinstance(message, AIMessage) for call in message.tool_calls]
    assert calls == [message.tool_call_id for message in messages if isinstance(message, ToolMessage)]
    assert len(set(calls)) == 3


def test_a_person_is_asked_about_a_composed_message_too():
    approval = HumanInTheLoopMiddleware(interrupt_on={"act": True})
    agent, toolkit, given = corridor_agent(
        candidates=None, task="reach 1", others=[approval], checkpointer=InMemorySaver()
    )
    thread = {"configurable": {"thread_id": "1"}}
    agent.invoke(given, thread)
    no = {"decisions": [{"type": "reject", "message": "not yet"}]}
    assert agent.invoke(Command(resume=no), thread)["__interrupt__"]
    assert chosen(toolkit) == []
    agent.invoke(Command(resume={"decisions": [{"type": "approve"}]}), thread)
    assert chosen(toolkit) == ["go right"]


def test_an_open_ended_environment_has_nothing_to_score():
    class Open(Corridor):
        def admissible_actions(self):
            return None

    agent, _, given = corridor_agent(environment=Open(), candidates=None)
    with pytest.raises(InvalidSettingError, match="pass candidates=m"):
        agent.invoke(given)
    asked = Asked()
    agent, toolkit, given = corridor_agent(asked, environment=Open())
    agent.invoke(given)
    assert chosen(toolkit) == ["go right"] * 3
    assert asked.states("next action"), "deeper actions are sampled there"


def test_what_follows_another_tool_is_messages():
    def policy(messages, tools):
        if request_kind(messages) is None and position(messages) < 3:
            return {RIGHT: 0.5, ToolReply("weather", {"city": "Oslo"}): 0.5}
        return wanderer(messages, tools)

    agent, _, given = corridor_agent(policy, tools=[weather], read_only=["weather"], task="reach 3")
    first = _model_updates(agent, given)[0]["linvit_trace"][0]
    parents = {candidate["id"]: candidate["text"].split("(")[0] for candidate in first["candidates"]}
    rungs = {(parents[node["parent"]], node["provenance"]) for node in first["tree"]}
    assert rungs == {("act", "exact"), ("weather", "sampled")}


def test_an_action_that_no_tool_of_the_agent_takes_is_not_taken():
    class WithoutAct(AgentMiddleware):
        def wrap_model_call(self, request, handler):
            return handler(request.override(tools=[tool for tool in request.tools if tool.name != "act"]))

    toolkit = EnvironmentToolkit(Corridor())
    search = SLINVITMiddleware(toolkit=toolkit, candidates=None, value=closeness)
    policy = {"I have no tools.": 1.0}
    agent = create_agent(
        PolicyChatModel(policy=lambda messages, tools: wanderer(messages, tools) if request_kind(messages) else policy),
        [*toolkit.get_tools(), weather],
        middleware=[WithoutAct(), search],
    )
    result = agent.invoke({"messages": [("user", toolkit.start("reach 3"))]})
    assert chosen(toolkit) == []
    assert result["messages"][-1].text == "I have no tools."


class Down(PolicyChatModel):
    """Fails whenever it is asked to weigh actions; `attempts` counts how often it was."""

    def _generate(self, messages, *args, **kwargs):
        if request_kind(messages) == SCORING:
            ATTEMPTS.append(1)
            raise ConnectionError("down")
        return super()._generate(messages, *args, **kwargs)


ATTEMPTS: list[int] = []


def test_where_the_prior_fails_messages_are_sampled_and_it_is_not_asked_again():
    ATTEMPTS.clear()
    agent, toolkit, given = corridor_agent(model=Down(policy=wanderer), retries=2, retry_delay=0.0, breadth=1)
    result = invoked(agent, given)
    assert chosen(toolkit) == ["go right"] * 3
    assert len(ATTEMPTS) == 3
    assert "ModelCallError" in str(result["linvit_trace"][0]["notes"])


def test_where_no_action_can_be_scored_the_model_has_its_say():
    fallback = ModelFallbackMiddleware(PolicyChatModel(policy=wanderer))
    agent, _, given = corridor_agent(
        model=Down(policy=wanderer), others=[fallback], candidates=None, retries=0, retry_delay=0.0
    )
    trace = agent.invoke(given, {"recursion_limit": 200})["linvit_trace"]
    assert {record["decision"] for record in trace} == {"passed_through"}
    assert "ModelCallError" in trace[0]["notes"][0]


def test_scoring_ends_at_the_horizon():
    agent, toolkit, given = corridor_agent(
        lambda messages, tools: wanderer(messages, tools) if request_kind(messages) else {"I stop.": 1.0},
        candidates=None, task="reach 9", horizon=4,
    )  # fmt: skip
    result = agent.invoke(given, {"recursion_limit": 30})
    assert chosen(toolkit) == ["go right"] * 4
    assert result["messages"][-1].text == "I stop."


def test_a_spent_budget_leaves_the_scoring_too():
    agent, _, given = corridor_agent(candidates=None, budget=Budget(completions=3), depth=3, task="reach 5")
    trace = agent.invoke(given, {"recursion_limit": 400})["linvit_trace"]
    decisions = [record["decision"] for record in trace]
    assert decisions[0] == "searched"
    assert decisions[-1] == "passed_through"
    assert trace[-1]["exhausted"] == "completions"
