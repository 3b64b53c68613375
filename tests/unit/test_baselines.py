"""The baselines from the literature: what each does, what ends it, and what all of them hold to alike."""

import inspect
import json
import sys
from pathlib import Path

import pytest
from worlds import Corridor, CountedCorridor, closeness, walker, walker_model

from langchain_linvit.accounting import Budget
from langchain_linvit.applications import APPLICATIONS
from langchain_linvit.environments.base import ActionTool, Task, Transition
from langchain_linvit.environments.blocksworld import BlocksWorldEnvironment, blocks_in_place, generate_problems
from langchain_linvit.environments.intercode import SqlEnvironment
from langchain_linvit.environments.intercode.sql import NoArguments
from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.evaluation import (
    LATS,
    METHODS,
    RAP,
    BestOfN,
    Greedy,
    PlanAndSolve,
    ReAct,
    Reflexion,
    SlinvitMethod,
    TreeOfThoughts,
    TryAgain,
    as_method,
    budget_of,
    equal_budgets,
)
from langchain_linvit.models import PolicyChatModel, RecordedChatModel, ScriptedChatModel
from langchain_linvit.models.blocksworld import blocksworld_model
from langchain_linvit.prompts import last_block, request_kind
from tests.unit.intercode_small import DUMP

TASK = Task.from_text("reach 3")
FAR = Task.from_text("reach 99")
RIGHT = ["go right"] * 3
FAST = {"retry_delay": 0.0}
ONE_TRY = {"retries": 0, "retry_delay": 0.0}
NEW = {
    "try_again": TryAgain,
    "plan_and_solve": PlanAndSolve,
    "reflexion": Reflexion,
    "tot": TreeOfThoughts,
    "rap": RAP,
    "lats": LATS,
}
ALL = {**NEW, "greedy": Greedy, "react": ReAct, "best_of_n": BestOfN, "slinvit": SlinvitMethod}
SEARCHES = ("tot", "rap", "lats")


def made(name, environment, value=closeness, **options):
    if name in {"greedy", "react", "try_again", "plan_and_solve"}:
        return ALL[name](environment, **{**FAST, **options})
    return ALL[name](environment, value=value, **{**FAST, **options})


def everything(result):
    return result.model_dump(exclude={"usage": {"seconds"}})


def always(text):
    return PolicyChatModel(policy=lambda messages, tools: {text: 1})


# what all of them hold to


@pytest.mark.parametrize("name", NEW)
async def test_the_same_sync_and_async_and_with_the_same_seed_and_nothing_stays_open(name):
    method, budget = made(name, CountedCorridor(), horizon=5), Budget(completions=40)
    first = method.solve(TASK, model=walker_model(), seed=3, budget=budget)
    second = await method.asolve(TASK, model=walker_model(), seed=3, budget=budget)
    assert everything(first) == everything(second)
    assert first.method == method.name == name
    assert CountedCorridor.live == 0


@pytest.mark.parametrize("name", NEW)
def test_other_seeds_draw_other_samples(name):
    method, budget = made(name, Corridor(), "critic", horizon=5), Budget(completions=20)
    results = {str(everything(method.solve(FAR, model=walker_model(), seed=seed, budget=budget))) for seed in range(4)}
    assert (len(results) > 1) == (name != "plan_and_solve")  # that one has temperature 0 throughout


@pytest.mark.parametrize("completions", [1, 2, 7, 23])
@pytest.mark.parametrize("value", ["critic", "rollouts", closeness], ids=["critic", "rollouts", "rules"])
@pytest.mark.parametrize("name", ALL)
def test_every_method_stops_at_exactly_the_same_number_of_completions(name, value, completions):
    options = {"candidates": None} if name == "tot" else {}  # a layer of samples may hold no new state, and end it
    method = made(name, Corridor(), value, horizon=60, **options)
    result = method.solve(FAR, model=walker_model(), budget=Budget(completions=completions))
    assert result.usage.llm_calls == completions
    assert (result.outcome, result.budget_exhausted) == ("budget_exhausted", "completions")
    assert result.usage.forks == 0 or result.usage.env_steps_simulated > 0 or completions == 1


@pytest.mark.parametrize("name", ALL)
def test_failed_calls_count_and_do_not_break_the_budget(name):
    model = walker_model(failure_rate=0.3)
    method = made(name, Corridor(), "critic", horizon=60, retries=1)
    result = method.solve(FAR, model=model, budget=Budget(completions=40))
    assert result.usage.llm_calls <= 40
    assert result.usage.failed_requests > 0


@pytest.mark.parametrize("name", NEW)
def test_no_method_takes_more_simulated_steps_than_it_is_granted(name):
    result = made(name, Corridor(), horizon=9).solve(FAR, model=walker_model(), budget=Budget(env_steps=4))
    assert result.usage.env_steps_simulated <= 4
    assert len(result.trajectory) <= 9


@pytest.mark.parametrize("name", NEW)
def test_the_real_episode_ends_at_the_horizon(name):
    budget = Budget(completions=60)
    result = made(name, Corridor(), horizon=4).solve(FAR, model=always("Action: go right"), budget=budget)
    assert len(result.trajectory) == 4
    assert not result.solved


@pytest.mark.parametrize("name", NEW)
def test_failing_calls_are_noted_and_survived(name):
    """With 30% of the calls failing for good, what was found so far is carried out."""
    results = []
    for seed in range(6):
        model = walker_model(failure_rate=0.3, failure_seed=seed)
        method = made(name, Corridor(), "critic", horizon=9, **ONE_TRY)
        results.append(method.solve(TASK, model=model, seed=seed, budget=Budget(completions=60)))
    assert all(result.notes for result in results if result.usage.failed_requests)
    assert any("SimulatedFailure" in note for result in results for note in result.notes)
    assert sum(bool(result.plan) for result in results) >= 4


@pytest.mark.parametrize("name", NEW)
def test_a_model_that_fails_for_good_is_given_up(name):
    model = walker_model(failure_rate=1.0)
    result = made(name, Corridor(), **ONE_TRY).solve(TASK, model=model, budget=Budget(completions=500))
    assert (result.outcome, result.plan) == ("no_candidates", [])
    assert "SimulatedFailure" in result.reason
    assert result.usage.requests == 3


@pytest.mark.parametrize("name", NEW)
def test_a_task_that_is_solved_at_once_takes_no_call(name):
    class Solved(Corridor):
        solved = True

    result = made(name, Solved()).solve(TASK, model=walker_model())
    assert (result.outcome, result.plan, result.usage.llm_calls) == ("solved", [], 0)


@pytest.mark.parametrize("name", NEW)
def test_every_source_is_cited(name):
    assert "arXiv 2" in inspect.getdoc(NEW[name])
    assert "arXiv 2" in sys.modules[NEW[name].__module__].__doc__


@pytest.mark.parametrize("name", NEW)
def test_blocksworld_is_solved_with_the_novice(name):
    environment = BlocksWorldEnvironment()
    tasks = generate_problems(blocks=3, steps=4, count=8, seed=1)
    options = {"candidates": None} if name in SEARCHES else {}
    method = made(name, environment, blocks_in_place, **options)
    results = [method.solve(task, model=blocksworld_model(), budget=Budget(completions=40)) for task in tasks]
    solved = sum(result.solved for result in results)
    assert solved == 8 if name in SEARCHES else solved >= 1
    expected = "" if name in {"try_again", "plan_and_solve"} else "rules"
    assert {result.value for result in results} == {expected}
    assert (max(result.unique_states for result in results) > 3) == bool(expected)


@pytest.mark.parametrize("name", NEW)
def test_a_model_without_thoughts_and_values_is_served_by_agreement(name):
    """As a recording: it only proposes, and answers nothing of use to the rest."""

    def proposes(messages, tools):
        kind = request_kind(messages)
        return walker(messages, tools) if kind == "next action" else {"": 1.0}

    method = made(name, Corridor(), "agreement", horizon=4)
    result = method.solve(TASK, model=PolicyChatModel(policy=proposes), budget=Budget(completions=30))
    assert result.trajectory


@pytest.mark.parametrize("name", NEW)
async def test_a_recording_is_played_on_a_database_sync_and_async(name, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "dump.sql").write_text(DUMP)
    right = ["SELECT Name FROM animal WHERE Weight > 100", "SELECT Name FROM animal WHERE NOT Weight <= 100"]
    actions = [*right * 3, *["SELECT Name FROM animal"] * 3, "SELECT x"]
    (tmp_path / "log.json").write_text(json.dumps([{"query": "Which animals are heavy?", "actions": actions}]))
    model = RecordedChatModel.from_logs(tmp_path / "log.json")
    method = made(name, SqlEnvironment(dump=tmp_path / "dump.sql"), "agreement", horizon=3)
    task, budget = Task(id="t", text="Which animals are heavy?", data={"db": "zoo"}), Budget(completions=24)
    first = method.solve(task, model=model, budget=budget)
    assert everything(first) == everything(await method.asolve(task, model=model, budget=budget))
    assert {action for action in first.plan if action != "submit"} <= set(actions)
    assert first.plan
    if name in SEARCHES:
        assert first.plan[-1] in right  # five samples hold both ways to the same rows, which agree


def test_every_method_of_an_experiment_is_described():
    page = (Path(__file__).parents[2] / "docs/baselines.md").read_text(encoding="utf-8")
    assert set(NEW) < set(METHODS)
    assert [name for name in METHODS if name != "slinvit" and f"| `{name}` |" not in page] == []


def test_the_searches_of_an_experiment_get_the_proposals_of_the_application():
    application = APPLICATIONS["blocksworld"]()
    assert application.settings["candidates"] is None
    task = generate_problems(blocks=3, steps=4, count=1, seed=1)[0]
    for name in SEARCHES:
        method = as_method(name, BlocksWorldEnvironment(), application=application)
        assert method.solve(task, model=blocksworld_model(), budget=Budget(completions=9)).prior.keys() == {"exact"}
    assert as_method("reflexion", BlocksWorldEnvironment(), application=application).value_name() == "rules"


# try again


def test_try_again_is_told_to_look_at_what_came_of_its_last_action():
    model = ScriptedChatModel(replies=["Action: fly", *RIGHT])
    result = TryAgain(Corridor()).solve(TASK, model=model)
    assert (result.plan, len(result.trajectory)) == (RIGHT, 4)
    assert "try again" not in model.prompts[0][-1].text
    assert "try again" in model.prompts[1][-1].text
    assert "not possible here" in model.prompts[1][-1].text


class Answering(Corridor):
    """Success can't be seen, and the cell that is submitted is the answer."""

    def step(self, action):
        if action == "submit":
            return Transition("submitted", done=True)
        return Transition(super().step(action).observation)

    def admissible_actions(self):
        return [*super().admissible_actions(), "submit"]

    def action_tools(self):
        return [ActionTool("submit", "Submit.", NoArguments, lambda args: "submit", lambda action: None)]


def test_try_again_submits_an_answer_that_the_model_stands_by():
    model = ScriptedChatModel(replies=["go right", "wait", "wait"])
    result = TryAgain(Answering()).solve(TASK, model=model)
    assert (result.plan, result.outcome) == (["go right", "wait", "wait", "submit"], "done")


def test_try_again_goes_on_while_the_same_action_leads_somewhere():
    model = ScriptedChatModel(replies=["go right", "go right", "go right", "submit"])
    assert TryAgain(Answering()).solve(TASK, model=model).plan == [*RIGHT, "submit"]


# plan and solve


def test_the_plan_stands_in_every_later_prompt():
    model = ScriptedChatModel(replies=["1. go right {three} times", *RIGHT])
    result = PlanAndSolve(Corridor()).solve(TASK, model=model)
    assert (result.plan, result.usage.llm_calls) == (RIGHT, 4)
    assert request_kind(model.prompts[0]) == "plan"
    assert [last_block(prompt, "plan") for prompt in model.prompts[1:]] == ["1. go right {three} times"] * 3


def test_without_a_plan_it_acts_all_the_same():
    model = ScriptedChatModel(replies=[ConnectionError("down"), *RIGHT])
    result = PlanAndSolve(Corridor(), **ONE_TRY).solve(TASK, model=model)
    assert result.solved
    assert "down" in result.notes[0]
    assert last_block(model.prompts[1], "plan") is None


# reflexion


def test_reflections_stand_in_the_prompts_of_later_trials():
    replies = ["wait", "wait", "wait", "Reflection: waiting leads nowhere", *RIGHT]
    model = ScriptedChatModel(replies=replies)
    result = Reflexion(Corridor(), value=closeness, horizon=3).solve(TASK, model=model)
    assert (result.outcome, result.plan, result.usage.llm_calls) == ("solved", RIGHT, 7)
    assert request_kind(model.prompts[3]) == "reflect"
    assert last_block(model.prompts[3], "history").count("wait") == 3
    assert last_block(model.prompts[2], "reflections") is None
    assert last_block(model.prompts[4], "reflections") == "- waiting leads nowhere"


def test_the_latest_three_reflections_are_kept():
    replies = [text for number in range(5) for text in ("wait", f"Reflection: number {number}")]
    model = ScriptedChatModel(replies=replies)
    Reflexion(Corridor(), value=closeness, horizon=1, trials=5).solve(TASK, model=model)
    shown = [last_block(prompt, "reflections") for prompt in model.prompts]
    assert shown[8] == "- number 1\n- number 2\n- number 3"
    assert len(model.prompts) == 9  # nothing follows the last trial that could heed a reflection on it


def test_the_best_trial_is_carried_out():
    replies = ["wait", "wait", "Reflection: a", "go right", "go right", "Reflection: b", "go right", "go left"]
    model = ScriptedChatModel(replies=replies)
    result = Reflexion(Corridor(), value=closeness, horizon=2, trials=3).solve(TASK, model=model)
    assert result.plan == ["go right", "go right"]


# tree of thoughts


def test_tot_keeps_the_best_of_each_layer():
    result = TreeOfThoughts(Corridor(), candidates=None, beam=1, value=closeness).solve(TASK, model=walker_model())
    assert (result.outcome, result.plan) == ("solved", RIGHT)
    assert (result.usage.llm_calls, result.usage.env_steps_simulated) == (3, 2 + 3 + 3)
    assert [node.text for node in result.tree if node.status == "chosen"] == RIGHT
    assert result.prior.keys() == {"exact"}


def test_tot_carries_out_the_best_it_saw():
    method = TreeOfThoughts(Corridor(), candidates=None, value=closeness, depth=2)
    assert method.solve(FAR, model=walker_model()).plan == ["go right", "go right"]


def test_a_state_is_rated_once():
    class Counting:
        calls = 0

        def __call__(self, state, goal):
            Counting.calls += 1
            return closeness(state, goal)

    TreeOfThoughts(Corridor(), candidates=None, value=Counting(), horizon=5).solve(FAR, model=walker_model())
    assert Counting.calls == 5  # cells 1 to 5; cell 0 is where it starts


# tree searches


@pytest.mark.parametrize("name", ["rap", "lats"])
def test_a_tree_search_ends_where_nothing_is_left_to_find_out(name):
    weight = {"rap": 0.0, "lats": 1.0}[name]  # V^ alone
    method = made(name, Corridor(), horizon=2, candidates=None, weight=weight)
    result = method.solve(FAR, model=walker_model(), budget=Budget(completions=10_000))
    assert result.outcome == "horizon"
    assert result.usage.llm_calls < 20
    assert result.plan == ["go right", "go right"]


def test_ends_are_visited_again_on_request():
    plain = RAP(Corridor(), candidates=None, value=closeness, horizon=2, iterations=50, revisit=True)
    once = RAP(Corridor(), candidates=None, value=closeness, horizon=2, iterations=50)
    found = [method.solve(FAR, model=walker_model()).usage for method in (plain, once)]
    assert found[0].llm_calls <= found[1].llm_calls  # the same tree, as far as plain UCT gets in 50 iterations


@pytest.mark.parametrize("name", ["rap", "lats"])
def test_a_solved_branch_ends_the_search(name):
    result = made(name, Corridor(), candidates=None).solve(TASK, model=always("Action: go right"))
    assert result.solved
    assert result.tree[-1].solved or any(node.solved for node in result.tree)


def test_rap_can_plan_in_imagination():
    method = RAP(Corridor(), candidates=None, value=closeness, simulation="imagine")
    with pytest.raises(InvalidSettingError, match="lists its admissible actions"):
        method.solve(TASK, model=walker_model())  # an imagined world lists none
    method = RAP(Corridor(), candidates=4, value=closeness, simulation="imagine")
    result = method.solve(TASK, model=walker_model(), budget=Budget(completions=200))
    assert (result.outcome, result.plan[-1]) == ("solved", "go right")


def test_lats_reflects_on_three_failures_and_shows_them():
    seen = []

    def policy(messages, tools):
        kind = request_kind(messages)
        seen.append((kind, last_block(messages, "reflections")))
        return {f"Reflection: thought {len(seen)}": 1.0} if kind == "reflect" else walker(messages, tools)

    method = LATS(Corridor(), candidates=4, value=closeness, horizon=6)
    method.solve(FAR, model=PolicyChatModel(policy=policy), budget=Budget(completions=60))
    assert [kind for kind, _ in seen].count("reflect") == 3
    assert max((shown or "").count("thought") for _, shown in seen) == 3


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        (Reflexion, {"trials": 0}, "trials must be"),
        (TreeOfThoughts, {"beam": 0}, "beam and depth"),
        (TreeOfThoughts, {"candidates": 0}, "candidates must be"),
        (RAP, {"iterations": 0}, "iterations must be"),
        (RAP, {"exploration": -1.0}, "exploration must be"),
        (RAP, {"aggregate": "sum"}, "aggregate must be"),
        (RAP, {"weight": 2.0}, "weight must be"),
        (LATS, {"weight": -0.1}, "weight must be"),
    ],
)
def test_bad_settings_are_named(method, options, message):
    with pytest.raises(InvalidSettingError, match=message):
        method(Corridor(), **options)


# budgets


def test_every_method_gets_the_same_budgets():
    assert equal_budgets([5, 20], env_steps=100) == [
        Budget(completions=5, env_steps=100), Budget(completions=20, env_steps=100),
    ]  # fmt: skip
    for bad in ([], [0, 5], [5, 5], [9, 5]):
        with pytest.raises(InvalidSettingError, match="rising"):
            equal_budgets(bad)
    result = Greedy(Corridor()).solve(TASK, model=always("Action: go right"))
    assert budget_of(result) == Budget(completions=3)
