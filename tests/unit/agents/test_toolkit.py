"""EnvironmentToolkit: what agents call is what is done, and what can't be done is said."""

import asyncio
import json
import threading
from types import SimpleNamespace

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from worlds import Corridor, walker_model

from langchain_linvit import EnvironmentToolkit, ImaginedEnvironment, Task, Transition
from langchain_linvit.environments.base import ActionTool
from langchain_linvit.environments.blocksworld import BlocksWorldEnvironment, generate_problems
from langchain_linvit.environments.intercode.bash import NoArguments
from langchain_linvit.errors import EnvironmentStateError, InvalidSettingError, InvalidTaskError
from langchain_linvit.models import ScriptedChatModel
from langchain_linvit.models.blocksworld import blocksworld_model

TASK = generate_problems(blocks=4, steps=4, count=1, seed=0)[0]


def calls(*named):
    """An AI message with these tool calls."""
    return AIMessage("", tool_calls=[{"name": n, "args": a, "id": f"c{i}"} for i, (n, a) in enumerate(named)])


def call(toolkit, name, args):
    """One tool call without an agent."""
    chosen = next(each for each in toolkit.get_tools() if each.name == name)
    return chosen.invoke({"type": "tool_call", "name": name, "args": args, "id": "c0"})


def walk(toolkit, action):
    return call(toolkit, "act", {"action": action})


@pytest.fixture
def corridor():
    toolkit = EnvironmentToolkit(Corridor())
    toolkit.start("reach 2")
    return toolkit


@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_agent_with_the_tools_solves_a_task(asynchronous):
    toolkit = EnvironmentToolkit(BlocksWorldEnvironment())
    agent = create_agent(blocksworld_model("novice-4"), toolkit.get_tools())
    asked = {"messages": toolkit.start(TASK)}
    messages = (asyncio.run(agent.ainvoke(asked)) if asynchronous else agent.invoke(asked))["messages"]
    assert toolkit.environment.evaluate().success
    assert toolkit.ended
    taken = [m.artifact for m in messages if isinstance(m, ToolMessage) and m.status == "success"]
    assert [artifact["action"] for artifact in taken] == [action for action, _ in toolkit.history]
    assert taken[-1]["solved"] is True
    assert messages[-2].text.endswith("The episode is over: the task is solved.")


@pytest.mark.parametrize("asynchronous", [False, True])
def test_one_environment_action_per_message(asynchronous):
    @tool
    def unrelated() -> str:
        """Something else."""
        return "told"

    toolkit = EnvironmentToolkit(Corridor())
    turn = calls(("unrelated", {}), ("act", {"action": "go right"}), ("act", {"action": "wait"}))
    agent = create_agent(ScriptedChatModel(replies=[turn, "enough"]), [unrelated, *toolkit.get_tools()])
    asked = {"messages": toolkit.start("reach 3")}
    result = asyncio.run(agent.ainvoke(asked)) if asynchronous else agent.invoke(asked)
    answers = {m.tool_call_id: m for m in result["messages"] if isinstance(m, ToolMessage)}
    assert answers["c0"].text == "told"
    assert (answers["c1"].status, answers["c2"].status) == ("success", "error")
    assert "one environment action per message" in answers["c2"].text
    assert toolkit.history == (("go right", "you are in cell 1"),)


def test_two_environments_in_one_agent():
    left, right = (EnvironmentToolkit(Corridor(), prefix=side) for side in ("left_", "right_"))
    left.start("reach 3")
    right.start("reach 3")
    turn = calls(("left_act", {"action": "go right"}), ("right_act", {"action": "wait"}))
    agent = create_agent(ScriptedChatModel(replies=[turn, "ok"]), [*left.get_tools(), *right.get_tools()])
    agent.invoke({"messages": "go"})
    assert [action for action, _ in left.history] == ["go right"]
    assert [action for action, _ in right.history] == ["wait"]


def test_after_a_rejected_call_the_next_one_stands():
    toolkit = EnvironmentToolkit(Corridor())
    turn = calls(("act", {"action": "wait"}), ("act", {"action": "go right"}))
    agent = create_agent(
        ScriptedChatModel(replies=[turn, "enough"]),
        toolkit.get_tools(),
        middleware=[HumanInTheLoopMiddleware(interrupt_on={"act": True})],
        checkpointer=InMemorySaver(),
    )
    config = {"configurable": {"thread_id": "1"}}
    agent.invoke({"messages": toolkit.start("reach 3")}, config)
    assert toolkit.history == ()
    agent.invoke(Command(resume={"decisions": [{"type": "reject"}, {"type": "approve"}]}), config)
    assert [action for action, _ in toolkit.history] == ["go right"]


def test_a_call_that_failed_can_be_tried_again(corridor):
    turn = calls(("act", {"action": "fly"}), ("act", {"action": "wait"}))
    state = {"messages": [turn, ToolMessage("Error: no", tool_call_id="c0", status="error")]}
    again = corridor.get_tools()[0].invoke(
        {
            "type": "tool_call",
            "name": "act",
            "id": "c0",
            "args": {"action": "go right", "runtime": SimpleNamespace(state=state, tool_call_id="c0")},
        }
    )
    assert again.status == "success"


def test_a_tool_without_arguments_knows_its_message_too():
    class Gate(Corridor):
        def action_tools(self):
            return [ActionTool("wait", "Wait.", NoArguments, lambda _: "wait", lambda _: {})]

    toolkit = EnvironmentToolkit(Gate())
    agent = create_agent(ScriptedChatModel(replies=[calls(("wait", {}), ("wait", {})), "ok"]), toolkit.get_tools())
    agent.invoke({"messages": toolkit.start("reach 3")})
    assert len(toolkit.history) == 1
    assert toolkit.get_tools()[0].args == {}
    assert "runtime" not in toolkit.get_tools()[0].args_schema.model_json_schema().get("properties", {})


def test_what_can_not_be_done_is_said_and_changes_nothing(corridor):
    for args in ({"action": "fly"}, {"action": "go left"}, {}, {"action": 3}):
        answer = call(corridor, "act", args)
        assert answer.status == "error", args
        assert answer.text.startswith("Error: ")
    assert corridor.history == ()
    assert corridor.environment.position == 0


def test_after_the_end_nothing_more_is_taken(corridor):
    walk(corridor, "go right")
    last = walk(corridor, "go right")
    assert last.artifact == {"action": "go right", "reward": 0.0, "done": True, "solved": True, "info": {}}
    after = walk(corridor, "go left")
    assert after.status == "error"
    assert "The episode is over: the task is solved." in after.text
    assert corridor.environment.position == 2
    corridor.start("reach 2")
    assert walk(corridor, "go right").status == "success"


def test_before_the_start_a_call_is_an_error():
    answer = walk(EnvironmentToolkit(Corridor()), "wait")
    assert answer.status == "error"
    assert "reset" in answer.text


def test_the_task_can_be_read_at_any_time(corridor):
    reading = corridor.task_tool()
    walk(corridor, "go right")
    assert reading.name not in corridor.names
    assert "<goal>\nreach 2\n</goal>\n\n<state>\nyou are in cell 1\n</state>" in reading.invoke({})
    assert asyncio.run(reading.ainvoke({})) == corridor.describe()
    unread = EnvironmentToolkit(Corridor()).task_tool().invoke({"type": "tool_call", "name": "", "args": {}, "id": "1"})
    assert unread.status == "error"


def test_start_tells_rules_goal_and_state():
    toolkit = EnvironmentToolkit(Corridor())
    text = toolkit.start("reach 2")
    assert "A corridor of numbered cells" in text
    assert "<goal>\nreach 2\n</goal>" in text
    assert text.count("you are in cell 0") == 1  # the first observation is the state: told once
    assert asyncio.run(toolkit.astart("reach 3")).endswith("<state>\nyou are in cell 0\n</state>")
    with pytest.raises(InvalidTaskError):
        toolkit.start("fly")


def test_an_observation_can_not_pass_for_a_state():
    class Liar(Corridor):
        def step(self, action):
            super().step(action)
            return Transition("<state>\nyou are in cell 9\n</state>")

    toolkit = EnvironmentToolkit(Liar())
    toolkit.start("reach 2")
    assert walk(toolkit, "go right").text == "you are in cell 9\n\n<state>\nyou are in cell 1\n</state>"


def test_results_without_the_state():
    toolkit = EnvironmentToolkit(Corridor(), show_state=False)
    toolkit.start("reach 2")
    assert walk(toolkit, "go right").text == "you are in cell 1"


def test_calls_and_actions_map_to_each_other():
    toolkit = EnvironmentToolkit(BlocksWorldEnvironment(), prefix="blocks_")
    toolkit.start(TASK)
    assert toolkit.names == {"blocks_pick_up", "blocks_put_down", "blocks_stack", "blocks_unstack"}
    for action in toolkit.environment.admissible_actions():
        made = toolkit.tool_call_of(action)
        assert toolkit.action_of({**made, "id": "1"}).action == action
    assert toolkit.tool_call_of("submit") is None
    assert "block: Field required" in toolkit.action_of({"name": "blocks_pick_up", "args": {}}).error
    assert "no environment tool 'pick_up'" in toolkit.action_of({"name": "pick_up", "args": {}}).error


def test_free_text_is_read_as_the_environment_reads_it(corridor):
    assert corridor.action_of({"name": "act", "args": {"action": "Action: Go  Right"}}).action == "go right"
    ahead = corridor.fork()
    walk(ahead, "go right")
    back = {"name": "act", "args": {"action": "go left"}}
    assert corridor.action_of(back).action is None  # there is a wall
    assert corridor.action_of(back, ahead.environment).action == "go left"


def test_forks_are_independent(corridor):
    walk(corridor, "go right")
    fork = corridor.fork()
    walk(fork, "go right")
    assert (fork.ended, corridor.ended) == (True, False)
    assert (len(fork.history), len(corridor.history)) == (2, 1)
    assert corridor.environment.position == 1
    fork.close()
    assert walk(corridor, "wait").status == "success"


def test_an_episode_goes_on_from_its_snapshot(corridor):
    walk(corridor, "go right")
    kept = json.loads(json.dumps(corridor.snapshot()))
    walk(corridor, "go right")
    again = EnvironmentToolkit(Corridor())
    again.restore(kept)
    assert (again.started, again.ended) == (True, False)
    assert again.history == (("go right", "you are in cell 1"),)
    assert walk(again, "go right").artifact["solved"]
    with pytest.raises(EnvironmentStateError, match="not a toolkit's snapshot"):
        again.restore({"actions": []})


def test_the_answer_of_a_fork_reads_like_the_real_one(corridor):
    asked = {"name": "act", "args": {"action": "go right"}, "id": "c0", "type": "tool_call"}
    fork = corridor.environment.fork()
    simulated = corridor.answer(asked, fork.step("go right"), fork)
    assert simulated == walk(corridor, "go right")
    refused = corridor.answer(asked, Transition("", error="there is a wall"))
    assert (refused.status, refused.artifact) == ("error", None)


def test_a_blocking_environment_is_driven_off_the_event_loop():
    seen = []

    class Slow(Corridor):
        concurrency = "thread"

        def step(self, action):
            seen.append(threading.current_thread())
            return super().step(action)

    toolkit = EnvironmentToolkit(Slow())
    toolkit.start("reach 2")
    asyncio.run(toolkit.get_tools()[0].ainvoke({"action": "go right"}))
    assert seen[0] is not threading.main_thread()


def test_an_action_during_another_one_is_refused():
    begun, go_on = threading.Event(), threading.Event()

    class Slow(Corridor):
        concurrency = "thread"

        def step(self, action):
            begun.set()
            assert go_on.wait(30)
            return super().step(action)

    toolkit = EnvironmentToolkit(Slow())
    toolkit.start("reach 2")
    first = threading.Thread(target=walk, args=(toolkit, "go right"))
    first.start()
    assert begun.wait(30)
    second = walk(toolkit, "go right")
    with pytest.raises(EnvironmentStateError, match="another action"):
        toolkit.fork()
    with pytest.raises(EnvironmentStateError, match="another action"):
        toolkit.start("reach 3")
    go_on.set()
    first.join()
    assert second.status == "error"
    assert [action for action, _ in toolkit.history] == ["go right"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_world_that_a_model_imagines_has_tools_too(asynchronous):
    toolkit = EnvironmentToolkit(ImaginedEnvironment(walker_model(), "A corridor."))
    state = "you are in cell 0"
    toolkit.start(Task(id="1", text="reach 1", data={"state": state, "goal": "reach 1"}))
    act, args = toolkit.get_tools()[0], {"action": "go right"}
    text = asyncio.run(act.ainvoke(args)) if asynchronous else act.invoke(args)
    assert "<state>\nyou are in cell 1\n</state>" in text
    assert toolkit.ended


def test_what_is_no_environment_is_refused():
    with pytest.raises(InvalidSettingError, match="an instance of Environment"):
        EnvironmentToolkit(Corridor)
