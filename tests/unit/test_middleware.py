"""SLINVITMiddleware in real agents: the search, its streams, its budget, its errors."""

import pytest
from agent_parts import LEFT, RIGHT, corridor_agent, invoked, position, streamed, target, wanderer
from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    ModelCallLimitMiddleware,
    ModelFallbackMiddleware,
    ModelRetryMiddleware,
)
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from worlds import Corridor, CountedCorridor, closeness

from langchain_linvit.accounting import Budget, Usage
from langchain_linvit.agents import EnvironmentToolkit, SLINVITMiddleware
from langchain_linvit.errors import BudgetExhaustedError, EnvironmentStateError, InvalidSettingError
from langchain_linvit.models import PolicyChatModel, ScriptedChatModel, ToolReply

pytestmark = pytest.mark.usefixtures("closed_toolkits")


@pytest.mark.parametrize("run", ["sync", "async"])
def test_the_best_candidate_is_said(run):
    agent, toolkit, given = corridor_agent()
    result = invoked(agent, given, run=run)
    assert [action for action, _ in toolkit.history] == ["go right"] * 3
    assert result["messages"][-1].text == "I am there."
    assert [record["decision"] for record in result["linvit_trace"]] == ["searched"] * 3 + ["agreed"]


def test_the_bare_agent_wanders():
    toolkit = EnvironmentToolkit(Corridor())
    agent = create_agent(PolicyChatModel(policy=wanderer), toolkit.get_tools())
    agent.invoke({"messages": [("user", toolkit.start("reach 3"))]})
    assert [action for action, _ in toolkit.history] != ["go right"] * 3


def test_sync_and_async_runs_are_the_same():
    def everything(run):
        agent, _, given = corridor_agent(value="critic", depth=2, breadth=2)
        result = invoked(agent, given, run=run)
        for record in result["linvit_trace"]:
            del record["usage"]["seconds"]
        return result["linvit_trace"], [message.text for message in result["messages"]]

    assert everything("sync") == everything("async") == everything("sync")


@pytest.mark.parametrize("value", ["critic", "rollouts", "agreement", closeness])
def test_values_of_every_kind_serve(value):
    agent, _, given = corridor_agent(value=value, task="reach 2")
    trace = invoked(agent, given, {"recursion_limit": 100})["linvit_trace"]
    searched = next(record for record in trace if record["decision"] == "searched")
    chosen = next(c for c in searched["candidates"] if c["status"] == "chosen")
    assert chosen["value"] is not None


def test_looking_deeper_sees_what_one_step_does_not():
    def dip(state, goal):
        return {0: 0.3, 1: 0.1, 2: 1.0}[int(state.split()[-1])]

    def policy(messages, tools):
        return {RIGHT: 0.4, "I stop.": 0.6}

    near, far = (corridor_agent(policy, task="reach 9", value=dip, depth=depth, kl_coef=0.01) for depth in (1, 2))
    assert invoked_once(near[0], near[2]).text == "I stop."
    assert invoked_once(far[0], far[2]).tool_calls[0]["args"] == {"action": "go right"}


def invoked_once(agent, given):
    """The first message that the agent says."""
    for update in agent.stream(given, stream_mode="updates"):
        if "model" in update:
            return update["model"]["messages"][0]
    raise AssertionError("the agent said nothing")


def test_equal_calls_are_merged_and_their_frequency_is_the_prior():
    agent, _, given = corridor_agent(candidates=8)
    record = invoked(agent, given)["linvit_trace"][0]
    counts = {c["text"]: c["count"] for c in record["candidates"]}
    assert sum(counts.values()) == 8
    assert len(counts) < 8
    live = [c for c in record["candidates"] if c["error"] is None]
    assert max(live, key=lambda c: c["count"])["log_prob"] == max(c["log_prob"] for c in live)


def test_agreeing_candidates_are_not_searched():
    agent, _, given = corridor_agent(lambda messages, tools: {RIGHT: 1.0} if position(messages) < 3 else {"done": 1.0})
    result = invoked(agent, given)
    assert {record["decision"] for record in result["linvit_trace"]} == {"agreed"}
    assert result["linvit_usage"].get("env_steps_simulated", 0) == 0
    assert result["linvit_usage"]["llm_calls"] == 4 * 8


def test_an_answer_that_gives_up_is_worth_nothing_and_one_at_the_goal_ends_the_run():
    def policy(messages, tools):
        return {"done": 0.9, RIGHT: 0.1} if position(messages) < target(messages) else {"done": 0.6, LEFT: 0.4}

    agent, toolkit, given = corridor_agent(policy, candidates=32, task="reach 2")
    result = invoked(agent, given)
    assert [action for action, _ in toolkit.history] == ["go right"] * 2
    given_up = next(c for c in result["linvit_trace"][0]["candidates"] if c["text"] == "answer: done")
    assert given_up["value"] == 0
    assert result["messages"][-1].text == "done"


def test_giving_up_ranks_below_a_call_that_is_worth_nothing():
    def policy(messages, tools):
        return {"I give up.": 0.9, LEFT: 0.1} if position(messages) == 2 else {RIGHT: 1.0}

    def worthless(state, goal):
        return 0.0

    agent, toolkit, given = corridor_agent(policy, candidates=32, value=worthless, depth=1, task="reach 9")
    for _ in agent.stream(given, stream_mode="updates"):
        if len(toolkit.history) == 3:
            break
    assert [action for action, _ in toolkit.history] == ["go right", "go right", "go left"]


def test_only_one_environment_action_of_a_message_counts():
    double = AIMessage(
        "",
        tool_calls=[
            {"name": "act", "args": {"action": "go right"}, "id": "a"},
            {"name": "act", "args": {"action": "go right"}, "id": "b"},
        ],
    )
    wait = ToolReply("act", {"action": "wait"})
    model = ScriptedChatModel(replies=[double, wait, "the end", "the end"])
    agent, toolkit, given = corridor_agent(model=model, candidates=2, depth=1, task="reach 5")
    result = invoked(agent, given)
    assert [action for action, _ in toolkit.history] == ["go right"]
    assert [m.status for m in result["messages"] if isinstance(m, ToolMessage)] == ["success", "error"]


def test_nothing_real_happens_before_the_message_is_said():
    environment = CountedCorridor()
    seen = []

    class Watch(AgentMiddleware):
        def after_model(self, state, runtime):
            seen.append(environment.position)

    agent, _, given = corridor_agent(environment=environment, others=[Watch()])
    invoked(agent, given)
    assert seen == [0, 1, 2, 3]


@pytest.mark.parametrize("run", ["sync", "async"])
@pytest.mark.parametrize("streaming", [False, True])
def test_no_candidate_reaches_a_stream(run, streaming):
    agent, _, given = corridor_agent(value="critic", model=PolicyChatModel(policy=wanderer, disable_streaming=False))
    modes = ["messages", "updates", "custom", "values"] if streaming else ["messages"]
    chunks = streamed(agent, given, modes, run=run)
    said = [chunk[0] for mode, chunk in chunks if mode == "messages" and isinstance(chunk[0], AIMessage)]
    assert len(said) == 4
    assert sum(bool(message.tool_calls) for message in said) == 3
    updates = [chunk for mode, chunk in chunks if mode == "updates"]
    assert {node for update in updates for node in update} <= {
        "model", "tools", "SLINVITMiddleware.before_agent", "SLINVITMiddleware.after_agent",
    }  # fmt: skip
    assert all(len(update["model"]["messages"]) == 1 for update in updates if "model" in update)


def test_search_events_are_on_the_custom_stream():
    agent, _, given = corridor_agent(value="critic")
    events = [event["event"] for event in agent.stream(given, stream_mode="custom")]
    assert {"decision", "proposed", "simulated", "valued", "selected"} <= set(events)


def test_models_of_inner_middleware_stay_out_of_the_stream_too():
    class Failing(PolicyChatModel):
        def _generate(self, *args, **kwargs):
            raise ConnectionError("down")

        def _stream(self, *args, **kwargs):
            raise ConnectionError("down")

    fallback = ModelFallbackMiddleware(PolicyChatModel(policy=wanderer))
    agent, _, given = corridor_agent(model=Failing(policy=wanderer), others=[fallback], retry_delay=0.0)
    chunks = streamed(agent, given, ["messages"])
    assert len([c for _, c in chunks if isinstance(c[0], AIMessage)]) == 4


def test_usage_counts_every_completion_and_token():
    agent, toolkit, given = corridor_agent(value="critic")
    with get_usage_metadata_callback() as seen:
        result = invoked(agent, given)
    usage = Usage(**result["linvit_usage"])
    total = seen.usage_metadata["policy"]
    assert (usage.prompt_tokens, usage.completion_tokens) == (total["input_tokens"], total["output_tokens"])
    assert usage.env_steps_real == len(toolkit.history) == 3
    assert usage.forks == usage.env_steps_simulated > 0
    steps = [record["usage"]["llm_calls"] for record in result["linvit_trace"]]
    assert sum(steps) == usage.llm_calls


def test_a_spent_budget_takes_the_best_so_far_and_then_passes_through():
    agent, _, given = corridor_agent(budget=Budget(completions=20), value="critic")
    result = invoked(agent, given, {"recursion_limit": 200})
    decisions = [record["decision"] for record in result["linvit_trace"]]
    assert decisions[0] == "searched"
    assert "passed_through" in decisions
    after = decisions.index("passed_through")
    assert result["linvit_usage"]["llm_calls"] <= 20 + len(decisions) - after
    assert result["linvit_trace"][-1]["exhausted"] == "completions"


def test_a_spent_budget_can_pass_through_or_fail():
    agent, _, given = corridor_agent(budget=Budget(completions=4), on_budget="pass_through")
    trace = invoked(agent, given, {"recursion_limit": 200})["linvit_trace"]
    assert {record["decision"] for record in trace} == {"passed_through"}
    agent, _, given = corridor_agent(budget=Budget(completions=4), on_budget="error")
    with pytest.raises(BudgetExhaustedError, match="completions"):
        invoked(agent, given)


def test_a_budget_of_seconds_gives_up_a_hanging_call():
    slow = PolicyChatModel(policy=wanderer, latency=30)
    agent, _, given = corridor_agent(model=slow, budget=Budget(seconds=0.05), on_budget="error")
    with pytest.raises(BudgetExhaustedError, match="seconds"):
        invoked(agent, given)
    agent, _, given = corridor_agent(model=slow, budget=Budget(seconds=0.05), on_budget="error")
    with pytest.raises(BudgetExhaustedError, match="seconds"):
        invoked(agent, given, run="async")


def test_the_budget_is_for_one_run():
    agent, toolkit, given = corridor_agent(budget=Budget(completions=40))
    first = invoked(agent, given)["linvit_usage"]
    again = invoked(agent, {"messages": [HumanMessage(toolkit.start("reach 3"))]})["linvit_usage"]
    assert first["llm_calls"] == again["llm_calls"]


@pytest.mark.parametrize("run", ["sync", "async"])
def test_a_failing_candidate_costs_itself_alone(run):
    model = PolicyChatModel(policy=wanderer, failure_rate=0.4, failure_seed=3)
    agent, toolkit, given = corridor_agent(model=model, value=closeness)
    result = invoked(agent, given, run=run)
    assert [action for action, _ in toolkit.history] == ["go right"] * 3
    assert any("SimulatedFailure" in note for record in result["linvit_trace"] for note in record["notes"])
    assert result["linvit_usage"]["failed_requests"] > 0


def test_the_models_own_error_passes_through_where_every_candidate_fails():
    agent, _, given = corridor_agent(model=PolicyChatModel(policy=wanderer, failure_rate=1.0))
    with pytest.raises(ConnectionError, match="simulated failure"):
        invoked(agent, given)


def test_model_retry_holds_for_each_candidate():
    model = PolicyChatModel(policy=wanderer, failure_rate=0.4)
    retry = ModelRetryMiddleware(max_retries=8, initial_delay=0)
    agent, toolkit, given = corridor_agent(model=model, others=[retry])
    result = invoked(agent, given)
    assert len(toolkit.history) == 3
    assert sum(c["count"] for c in result["linvit_trace"][0]["candidates"]) == 8


def test_the_message_that_a_retry_gives_up_with_is_no_candidate():
    def policy(messages, tools):
        return {RIGHT: 0.5, LEFT: 0.5} if position(messages) < 3 else {"done": 1.0}

    model = PolicyChatModel(policy=policy, failure_rate=0.4, failure_seed=4)
    agent, toolkit, given = corridor_agent(model=model, others=[ModelRetryMiddleware(max_retries=0)])
    result = invoked(agent, given)
    assert [action for action, _ in toolkit.history] == ["go right"] * 3
    assert "candidates were no model's" in str([record["notes"] for record in result["linvit_trace"]])


def test_call_limits_count_what_was_said():
    agent, toolkit, given = corridor_agent(others=[ModelCallLimitMiddleware(run_limit=2)])
    result = invoked(agent, given)
    assert len(toolkit.history) == 2
    assert "limit" in result["messages"][-1].text.lower()


def test_an_unstarted_toolkit_says_what_to_do():
    toolkit = EnvironmentToolkit(Corridor())
    agent = create_agent(
        PolicyChatModel(policy=wanderer), toolkit.get_tools(), middleware=[SLINVITMiddleware(toolkit=toolkit)]
    )
    with pytest.raises(EnvironmentStateError, match=r"toolkit\.start"):
        agent.invoke({"messages": [("user", "go")]})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"candidates": 0}, "candidates=0"),
        ({"depht": 2}, "depht"),
        ({"candidates": 2, "breadth": 3}, "breadth 3"),
        ({"candidates": None}, "candidates=None scores .* pass its toolkit"),
        ({"lookahead": "states"}, "lookahead='states'"),
        ({"value": "critics"}, "no value estimator 'critics'"),
        ({"read_only": "search"}, "collection of tool names"),
        ({"read_only": ["pay"], "needs_approval": ["pay"]}, "waits for a person"),
        ({"on_budget": "stop"}, "on_budget='stop'"),
        ({"toolkit": Corridor()}, "must be an EnvironmentToolkit"),
    ],
)
def test_wrong_settings_are_named(options, message):
    with pytest.raises(InvalidSettingError, match=message):
        SLINVITMiddleware(**options)
