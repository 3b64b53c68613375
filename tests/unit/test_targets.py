"""Targets of every kind become methods, and what they answer is read, judged and counted."""

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableLambda
from worlds import Corridor, closeness, walker_model

from langchain_linvit import create_slinvit_planner
from langchain_linvit.accounting import Budget
from langchain_linvit.applications import application
from langchain_linvit.environments.base import Environment, Task, Transition
from langchain_linvit.errors import InvalidSettingError, LinvitError
from langchain_linvit.evaluation import METHODS, BeamSearch, FunctionMethod, SlinvitMethod, as_method
from langchain_linvit.evaluation.user_methods import read_answer
from langchain_linvit.models import PolicyChatModel

TASK = Task(id="t", text="reach 2", data={"gold": "SECRET"})
RIGHT = ["go right", "go right"]


def answered(answer):
    """The result of a function that answers so."""
    return as_method(lambda inputs: answer, Corridor()).solve(TASK)


# by name


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_made_by_its_name(name):
    settings = {"value": closeness} if name == "beam_search" else {}
    assert as_method(name, Corridor(), **settings).name == name


def test_slinvit_gets_an_applications_settings_and_yours_go_before():
    blocksworld = application("blocksworld")
    environment = blocksworld.environment(None)
    assert as_method("slinvit", environment, application=blocksworld).value_name() == "rules"
    assert as_method("slinvit", environment, application=blocksworld, value="critic").value_name() == "critic"
    assert as_method("best_of_n", environment, application=blocksworld).value_name() == "rules"


def test_presets_are_methods_and_get_the_hand_written_rules():
    blocksworld = application("blocksworld")
    method = as_method("paper-blocksworld-6", blocksworld.environment(None), application=blocksworld)
    assert (method.name, method.value_name()) == ("paper-blocksworld-6", "rules")
    assert as_method("paper-alfworld", Corridor()).value_name() == "critic"
    assert SlinvitMethod(Corridor()).value_name() == "rollouts"


@pytest.mark.parametrize(
    ("target", "settings", "message"),
    [
        ("magic", {}, "no method 'magic'; there are slinvit, greedy"),
        ("greedy", {"speed": 3}, "greedy can't be made with speed"),
        (BeamSearch(Corridor(), value=closeness), {"beam": 2}, "give them to yours directly"),
        (42, {}, "not int"),
    ],
)
def test_what_is_no_target_is_an_error(target, settings, message):
    with pytest.raises(InvalidSettingError, match=message):
        as_method(target, Corridor(), **settings)


# a user's own


@pytest.mark.parametrize("answer", [RIGHT, tuple(RIGHT), {"plan": RIGHT}, {"result": RIGHT}])
def test_a_function_may_answer_a_plan(answer):
    result = answered(answer)
    assert (result.outcome, result.plan) == ("solved", RIGHT)
    assert [step.observation for step in result.trajectory] == ["you are in cell 1", "you are in cell 2"]
    assert result.usage.env_steps_real == 2


def test_a_function_may_answer_one_action():
    assert answered("Action: go right").plan == ["go right"]
    with pytest.raises(LinvitError, match="no action"):
        answered("fly\naway")


def test_a_function_may_answer_a_result_also_as_plain_data():
    result = SlinvitMethod(Corridor(), value=closeness).solve(TASK, model=walker_model())
    for answer in (result, {"result": result}, {"result": result.to_dict()}):
        found = FunctionMethod(lambda inputs, answer=answer: answer, Corridor(), name="mine").solve(TASK)
        assert (found.method, found.plan, found.usage) == ("mine", RIGHT, result.usage)


@pytest.mark.parametrize("answer", [None, 7, {"text": "x"}, [1], {"result": {"plan": 1}}])
def test_other_answers_are_errors_that_say_what_is_read(answer):
    with pytest.raises(LinvitError, match="should answer a PlanResult"):
        answered(answer)


def test_what_could_not_be_done_is_no_part_of_the_plan():
    result = answered(["go left", *RIGHT])
    assert (result.plan, result.trajectory[0].error) == (RIGHT, "there is a wall")
    assert answered([]).outcome == "no_candidates"
    assert answered(["wait"]).outcome == "failed"


def test_a_plan_goes_no_further_than_the_horizon():
    class Short(Corridor):
        @property
        def horizon(self):
            return 1

    result = as_method(lambda inputs: RIGHT, Short()).solve(TASK)
    assert (result.outcome, result.plan) == ("horizon", ["go right"])


def test_a_target_never_sees_the_gold_answer():
    seen = []
    as_method(lambda inputs: seen.append(inputs) or [], Corridor()).solve(TASK)
    graph = RunnableLambda(lambda inputs: seen.append(inputs) or {"plan": []})
    as_method(graph, Corridor()).solve(TASK)
    assert len(seen) == 2
    assert "SECRET" not in str(seen)


def test_model_calls_of_a_function_are_counted_and_a_budget_that_was_exceeded_shows():
    model = PolicyChatModel(policy=lambda messages, tools: {"go right": 1.0})

    def target(inputs):
        return [model.invoke("where to?").text for _ in range(2)]

    result = as_method(target, Corridor()).solve(TASK, budget=Budget(completions=1))
    assert (result.usage.llm_calls, result.usage.requests, result.budget_exhausted) == (2, 2, "completions")
    assert result.usage.tokens > 0
    assert as_method(target, Corridor()).solve(TASK).budget_exhausted is None


async def test_async_functions_and_graphs_run_in_a_loop():
    async def target(inputs):
        return RIGHT

    method = as_method(target, Corridor())
    assert (await method.asolve(TASK)).plan == RIGHT
    with pytest.raises(InvalidSettingError, match="arun_experiment"):
        method.solve(TASK)
    assert (await as_method(lambda inputs: RIGHT, Corridor()).asolve(TASK)).plan == RIGHT
    assert (await as_method(RunnableLambda(lambda inputs: RIGHT), Corridor()).asolve(TASK)).plan == RIGHT


def test_a_planner_gets_the_task():
    planner = create_slinvit_planner(walker_model(), Corridor(), value=closeness, name="my planner")
    result = as_method(planner, Corridor()).solve(TASK)
    assert (result.method, result.plan, result.task_id) == ("my planner", RIGHT, "t")
    assert result.usage.llm_calls > 0


def test_an_agents_tool_calls_are_actions():
    def call(number, name, **args):
        return AIMessage("", tool_calls=[{"id": str(number), "name": name, "args": args}])

    messages = [
        HumanMessage("reach 2"),
        call(0, "act", action="fly"),
        ToolMessage("no such action", tool_call_id="0", status="error"),
        call(1, "act", action="go right"),
        ToolMessage("you are in cell 1", tool_call_id="1"),
        call(2, "search_the_web", query="corridor"),
        call(3, "act", wrong="go right"),
        call(4, "act", action="go right"),
    ]
    received = []
    agent = RunnableLambda(lambda inputs: received.append(inputs) or {"messages": messages})
    assert as_method(agent, Corridor()).solve(TASK).plan == RIGHT
    assert received[0]["messages"][0].text == "reach 2"


def test_the_text_of_one_action_is_read_as_the_environment_reads_it():
    class Shell(Environment):
        def reset(self, task):
            return ""

        def step(self, action):
            return Transition("", done=True)

        def state_text(self):
            return ""

    shell = Shell()
    shell.reset("x")
    assert read_answer("Action: ls", shell) == ["ls"]
    result = as_method(lambda inputs: "Action: ls", shell).solve(TASK)
    assert (result.outcome, result.plan) == ("done", ["ls"])
