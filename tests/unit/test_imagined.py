"""Imagined worlds: held to the contract, read from what a model wrote, counted and budgeted as model calls."""

import pytest
from worlds import Corridor, walker, walker_model

from langchain_linvit.accounting import Account
from langchain_linvit.calls import Caller, Retry, SyncIO, drive
from langchain_linvit.environments.base import Task
from langchain_linvit.environments.imagined import MAX_IMAGINED, Imagined, ImaginedEnvironment, parse_imagined
from langchain_linvit.errors import (
    BudgetExhaustedError,
    EnvironmentStateError,
    InvalidTaskError,
    ModelCallError,
)
from langchain_linvit.models import PolicyChatModel, ScriptedChatModel
from langchain_linvit.prompts import last_block
from langchain_linvit.testing import check_environment

TASK = Task(id="t", text="reach 2", data={"state": "you are in cell 0"})
ACTIONS = ("go left", "go right", "wait")


def world(model=None, task=TASK):
    made = ImaginedEnvironment(model or walker_model(), "A corridor.")
    made.reset(task)
    return made


def scripted(*replies):
    return ScriptedChatModel(replies=list(replies))


def test_it_keeps_the_contract():
    check_environment(
        lambda: ImaginedEnvironment(walker_model(), "A corridor."),
        TASK,
        other_task=Task(id="u", text="reach 3", data={"state": "you are in cell 1"}),
        actions=ACTIONS,
        episodes=2,
        steps=4,
    )


def test_a_step_is_what_the_model_predicts():
    made = world()
    assert made.solved is None
    transition = made.step("go right")
    assert (transition.observation, transition.done, transition.solved) == ("you are in cell 1", False, False)
    assert made.state_text() == "you are in cell 1"
    assert made.step("go right").solved is True
    assert made.evaluate().success


def test_what_is_not_possible_or_readable_is_an_error_and_changes_nothing():
    made = world()
    before = made.snapshot()
    assert made.step("go left").error == "a wall"
    assert made.snapshot() == before
    lost = world(scripted("no idea", "Possible: no"))
    assert lost.step("wait").error == "the imagined outcome can't be read: 'no idea'"
    assert lost.step("wait").error == "not possible here"
    assert lost.state_text() == "you are in cell 0"


def test_the_model_is_told_the_state_the_action_and_what_went_before():
    prompts = []

    def policy(messages, tools):
        prompts.append(messages)
        return walker(messages, tools)

    made = world(PolicyChatModel(policy=policy))
    made.step("go right")
    made.step("wait")
    assert [last_block(prompt, "state") for prompt in prompts] == ["you are in cell 0", "you are in cell 1"]
    assert [last_block(prompt, "action") for prompt in prompts] == ["go right", "wait"]
    assert "1. go right\n   -> you are in cell 1" in prompts[1][-1].text
    assert "A corridor." in prompts[0][0].text


def test_forks_are_independent_and_cost_no_call():
    model = scripted("State: elsewhere")
    made = world(model)
    fork = made.fork()
    assert fork.step("go").error is None
    assert (made.state_text(), fork.state_text()) == ("you are in cell 0", "elsewhere")
    assert made.snapshot()["imagined"]["history"] == []
    assert len(model.requests) == 1


def test_equal_predictions_are_equal_states_whatever_case_and_spaces():
    keys = {world(scripted(f"State: {text}")).state_key() for text in ("x", "y")}
    assert len(keys) == 1
    first, second, other = (world(scripted(f"State: {text}")) for text in ("At  Home", "at home", "away"))
    for made in (first, second, other):
        made.step("go")
    assert first.state_key() == second.state_key() != other.state_key()


def test_the_imagination_of_an_environment_begins_at_its_state():
    corridor = Corridor()
    corridor.reset(Task.from_text("reach 3"))
    corridor.step("go right")
    made = ImaginedEnvironment.of(corridor, walker_model(), [("go right", "you are in cell 1")])
    assert (made.goal, made.state_text(), made.task) == ("reach 3", "you are in cell 1", corridor.task)
    assert made.admissible_actions() is None
    assert made.step("go right").observation == "you are in cell 2"
    assert corridor.position == 1
    assert len(made.snapshot()["imagined"]["history"]) == 2


def test_within_a_planner_a_step_is_a_counted_call():
    account = Account(completions=1, env_steps=5)
    caller = Caller(SyncIO(), account, retry=Retry(1, 0))
    made = world()
    drive(caller.step(made, "go right"))
    assert account.spent["llm_calls"] == account.spent["env_steps_simulated"] == 1
    with pytest.raises(BudgetExhaustedError):
        drive(caller.step(made, "go right"))
    with pytest.raises(ModelCallError):
        drive(Caller(SyncIO(), retry=Retry(1, 0)).step(world(walker_model(failure_rate=1.0)), "wait"))
    assert made.state_text() == "you are in cell 1"


@pytest.mark.parametrize("task", ["reach 2", Task(id="t", text="reach 2", data={"state": 3})])
def test_a_world_needs_a_first_state(task):
    with pytest.raises(InvalidTaskError, match="first state"):
        ImaginedEnvironment(walker_model()).reset(task)


@pytest.mark.parametrize(
    "use",
    [
        lambda made: made.state_text(),
        lambda made: made.goal,
        lambda made: made.fork(),
        lambda made: made.snapshot(),
        lambda made: made.step("wait"),
    ],
)
def test_nothing_works_before_reset(use):
    with pytest.raises(EnvironmentStateError):
        use(ImaginedEnvironment(walker_model()))


@pytest.mark.parametrize("snapshot", [{}, {"imagined": {}}, {"imagined": None, "task": None}, {"task": {"id": 3}}])
def test_foreign_snapshots_are_refused_and_change_nothing(snapshot):
    made = world()
    before = made.snapshot()
    with pytest.raises(EnvironmentStateError, match="not a snapshot"):
        made.restore(snapshot)
    assert made.snapshot() == before


# reading predictions


@pytest.mark.parametrize(
    ("text", "imagined"),
    [
        ("Possible: yes\nSolved: no\nObservation: ok\nState: s", Imagined("ok", "s", True, False)),
        ("possible: TRUE\nsolved: yes.\nobservation: a\nb\nstate: c\nd", Imagined("a\nb", "c\nd", True, True)),
        ("**Possible:** yes\n**Observation:** ok\n**State:** s", Imagined("ok", "s", True, False)),
        ("- Solved: no\n- State: s", Imagined("", "s", True, False)),
        ("Possible: no\nObservation: a wall\nState: s", Imagined("a wall", "s", False, False)),
        ("Possible: no\nSolved: yes", Imagined("", "", False, False)),
        ("Solved: no\nState: the sign reads\nSolved: yes", Imagined("", "the sign reads\nSolved: yes", True, False)),
        ("Observation: the state: odd\nState: s", Imagined("the state: odd", "s", True, False)),
        ("Possible: yes\nObservation: ok", None),
        ("State:   ", None),
        ("", None),
        ("I would rather not say.", None),
    ],
)
def test_predictions_are_read_by_their_lines(text, imagined):
    assert parse_imagined(text) == imagined


@pytest.mark.parametrize("junk", ["\n", " ", "*", "possible:", "state", "observation:\n", ":", "solved: \n"])
def test_predictions_of_any_length_are_read_and_cut(junk):
    read = parse_imagined(f"State: {junk * 20_000}x")
    assert read is None or len(read.state) <= MAX_IMAGINED
    long = parse_imagined(f"Observation: {'o' * 20_000}\nState: {'s' * 20_000}")
    assert (len(long.observation), len(long.state)) == (MAX_IMAGINED, MAX_IMAGINED)
