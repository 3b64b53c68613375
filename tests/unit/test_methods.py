"""Methods on one interface: baselines that do what they say, the benchmark's verdict, and rows."""

import pytest
from worlds import Corridor, CountedCorridor, closeness, walker_model

from langchain_linvit.accounting import Budget
from langchain_linvit.environments.base import Outcome, Task, Transition
from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.evaluation import (
    BeamSearch,
    BestOfN,
    BreadthFirst,
    Greedy,
    SlinvitMethod,
    judged,
    summary_row,
)
from langchain_linvit.models import PolicyChatModel, ScriptedChatModel

TASK = Task.from_text("reach 3")
RIGHT = ["go right"] * 3
FAST = {"retries": 0, "retry_delay": 0.0}


def always(text):
    return PolicyChatModel(policy=lambda messages, tools: {text: 1})


def everything(result):
    return result.model_dump(exclude={"usage": {"seconds"}})


METHODS = {
    "greedy": lambda env: Greedy(env, horizon=5, **FAST),
    "best_of_n": lambda env: BestOfN(env, n=3, value=closeness, horizon=5, **FAST),
    "breadth_first": lambda env: BreadthFirst(env, horizon=5),
    "beam_search": lambda env: BeamSearch(env, value=closeness, horizon=5),
    "slinvit": lambda env: SlinvitMethod(env, value=closeness, horizon=5, **FAST),
}


@pytest.mark.parametrize("name", METHODS)
async def test_every_method_gives_the_same_sync_and_async_and_leaves_nothing_open(name):
    method = METHODS[name](CountedCorridor())
    first = method.solve(TASK, model=walker_model(), seed=3)
    second = await method.asolve(TASK, model=walker_model(), seed=3)
    assert everything(first) == everything(second)
    assert first.method == method.name == name
    assert (first.task_id, first.goal) == (TASK.id, "reach 3")
    assert CountedCorridor.live == 0


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("budget", [Budget(completions=2, env_steps=4), Budget(seconds=0.0)])
def test_no_method_exceeds_its_budget(name, budget):
    result = METHODS[name](Corridor()).solve(Task.from_text("reach 9"), model=walker_model(), budget=budget)
    assert not result.solved
    assert result.usage.llm_calls <= 2
    assert result.usage.env_steps_simulated <= 4


@pytest.mark.parametrize("name", METHODS)
def test_a_task_that_is_solved_at_once_takes_no_step(name):
    class Solved(Corridor):
        solved = True

    result = METHODS[name](Solved()).solve(TASK, model=walker_model())
    assert (result.outcome, result.plan, result.usage.llm_calls) == ("solved", [], 0)


@pytest.mark.parametrize("name", ["greedy", "best_of_n", "slinvit"])
def test_a_model_that_fails_for_good_is_named(name):
    result = METHODS[name](Corridor()).solve(TASK, model=walker_model(failure_rate=1.0))
    assert (result.outcome, result.plan) == ("no_candidates", [])
    assert "SimulatedFailure" in result.reason
    assert any("SimulatedFailure" in note for note in result.notes)


# greedy


def test_greedy_takes_the_likeliest_action_at_every_step():
    model = PolicyChatModel(policy=lambda messages, tools: {"Action: wait": 0.45, "Action: go right": 0.55})
    result = Greedy(Corridor()).solve(TASK, model=model.bind(temperature=2.0))
    assert (result.outcome, result.plan) == ("solved", RIGHT)
    assert (result.usage.llm_calls, result.usage.env_steps_real, result.usage.forks) == (3, 3, 0)


def test_greedy_spends_a_step_on_what_cant_be_done():
    model = ScriptedChatModel(replies=["Action: fly", "Action: go left", "Action: go right", "", "Action: go right"])
    result = Greedy(Corridor(), horizon=5).solve(Task.from_text("reach 2"), model=model)
    assert result.solved
    assert result.plan == ["go right", "go right"]
    assert [bool(step.error) for step in result.trajectory] == [True, True, False, True, False]
    assert "not possible here" in model.prompts[1][-1].text


def test_greedy_ends_at_the_horizon():
    result = Greedy(Corridor(), horizon=4).solve(TASK, model=always("Action: wait"))
    assert (result.outcome, result.reason) == ("horizon", "not solved within 4 steps")
    assert len(result.trajectory) == 4


class Ending(Corridor):
    """The episode is over after two steps."""

    def step(self, action):
        transition = super().step(action)
        self.taken = getattr(self, "taken", 0) + 1
        return Transition(transition.observation, done=self.taken == 2, solved=transition.solved)


def test_an_episode_that_is_over_is_a_failure():
    result = Greedy(Ending()).solve(TASK, model=always("Action: wait"))
    assert (result.outcome, len(result.trajectory)) == ("failed", 2)


# best of n


def test_best_of_n_stops_at_the_first_solved_attempt():
    model = ScriptedChatModel(replies=["wait", "wait", "wait", "go right", "go right", "go right"])
    result = BestOfN(Corridor(), n=5, value=closeness, horizon=3).solve(TASK, model=model)
    assert (result.outcome, result.plan) == ("solved", RIGHT)
    assert (result.usage.llm_calls, result.usage.env_steps_simulated, result.usage.env_steps_real) == (6, 6, 3)


def test_best_of_n_carries_out_the_attempt_of_the_best_value():
    replies = ["wait", "go right", "go right", "go right", "go right", "go left"]
    model = ScriptedChatModel(replies=replies)
    result = BestOfN(Corridor(), n=3, value=closeness, horizon=2).solve(TASK, model=model)
    assert result.plan == ["go right", "go right"]
    assert (result.value, result.unique_states) == ("rules", 3)


def test_best_of_n_leaves_out_what_was_illegal():
    model = ScriptedChatModel(replies=["fly", "go left", "go right"])
    result = BestOfN(Corridor(), n=1, value=closeness, horizon=3).solve(TASK, model=model)
    assert result.plan == ["go right"]


def test_best_of_n_goes_on_until_the_budget_is_spent():
    budget = Budget(completions=11)
    method = BestOfN(Corridor(), value=closeness, horizon=2)
    result = method.solve(TASK, model=always("Action: wait"), budget=budget)
    assert result.usage.llm_calls == 11
    assert (result.outcome, result.budget_exhausted) == ("budget_exhausted", "completions")
    with pytest.raises(InvalidSettingError, match="needs n="):
        method.solve(TASK, model=always("Action: wait"))


def test_best_of_n_survives_some_failing_attempts():
    model = ScriptedChatModel(replies=[ConnectionError("down"), *RIGHT])
    result = BestOfN(Corridor(), n=2, value=closeness, horizon=3, **FAST).solve(TASK, model=model)
    assert result.solved
    assert "down" in result.notes[0]


# searches without a model


def test_breadth_first_finds_a_shortest_plan():
    result = BreadthFirst(Corridor(), horizon=9).solve(TASK)
    assert (result.outcome, result.plan) == ("solved", RIGHT)
    assert (result.usage.llm_calls, result.unique_states) == (0, 4)


def test_breadth_first_stays_within_the_horizon_and_its_states():
    assert BreadthFirst(Corridor(), horizon=3).solve(TASK).solved
    assert BreadthFirst(Corridor(), horizon=2).solve(TASK).outcome == "horizon"
    few = BreadthFirst(Corridor(), max_states=3).solve(TASK)
    assert (few.outcome, few.unique_states) == ("horizon", 3)


@pytest.mark.parametrize("name", ["breadth_first", "beam_search"])
def test_a_search_does_not_go_on_from_where_the_episode_is_over(name):
    class Trap(Corridor):
        """Cell 1 ends the episode."""

        def step(self, action):
            assert self.position != 1
            transition = super().step(action)
            return Transition(transition.observation, done=self.position == 1, solved=transition.solved)

    assert METHODS[name](Trap()).solve(TASK).outcome == "horizon"


@pytest.mark.parametrize("name", ["breadth_first", "beam_search"])
def test_a_search_without_a_model_needs_admissible_actions(name):
    class Open(Corridor):
        def admissible_actions(self):
            return None

    with pytest.raises(InvalidSettingError, match="lists its admissible actions"):
        METHODS[name](Open()).solve(TASK)


def test_beam_search_follows_the_value():
    result = BeamSearch(Corridor(), beam=1, value=closeness).solve(TASK)
    assert (result.outcome, result.plan, result.value) == ("solved", RIGHT, "rules")
    away = BeamSearch(Corridor(), beam=1, value=lambda state, goal: 1 - closeness(state, goal), horizon=2)
    assert not away.solve(TASK).solved


def test_beam_search_carries_out_the_best_end_it_saw():
    result = BeamSearch(Corridor(), value=closeness, horizon=2).solve(TASK)
    assert (result.outcome, result.plan) == ("horizon", ["go right", "go right"])


def test_beam_search_needs_a_function():
    with pytest.raises(InvalidSettingError, match="needs value="):
        BeamSearch(Corridor())


# slinvit


def test_slinvit_is_made_for_each_model_budget_and_seed():
    method = SlinvitMethod(Corridor(), name="mine", value=closeness, candidates=None, **FAST)
    result = method.solve(TASK, model=walker_model())
    assert (result.method, result.plan) == ("mine", RIGHT)
    assert method.solve(TASK, model=None).prior.keys() == {"uniform"}
    starved = method.solve(TASK, model=walker_model(), budget=Budget(completions=0))
    assert starved.budget_exhausted == "completions"


# verdicts and rows


def test_the_verdict_is_that_of_the_plan_carried_out_afresh():
    result = Greedy(Corridor()).solve(TASK, model=always("Action: go right"))
    assert result.verdict is None
    assert judged(result, TASK, Corridor()).verdict.success
    assert not judged(result.model_copy(update={"plan": RIGHT[:2]}), TASK, Corridor()).verdict.success


def test_what_a_method_believes_does_not_count():
    result = Greedy(Corridor(), horizon=1).solve(TASK, model=always("Action: wait"))
    claimed = result.model_copy(update={"outcome": "solved"})
    assert claimed.solved
    assert not judged(claimed, TASK, Corridor()).verdict.success


def test_a_plan_with_an_impossible_action_is_no_success():
    result = Greedy(Corridor()).solve(TASK, model=always("Action: go right"))

    class Generous(Corridor):
        def evaluate(self):
            return Outcome(success=True, score=0.5)

    verdict = judged(result.model_copy(update={"plan": ["go left", *RIGHT]}), TASK, Generous()).verdict
    assert (verdict.success, verdict.score) == (False, 0.5)
    assert "there is a wall" in verdict.info["reason"]


def test_a_row_has_the_means_per_task_and_counts_errors_as_unsolved():
    good = Greedy(Corridor()).solve(TASK, model=always("Action: go right"))
    bad = Greedy(Corridor(), horizon=1).solve(TASK, model=always("Action: wait"))
    results = [judged(result, TASK, Corridor()) for result in (good, bad)]
    row = summary_row([*results, KeyError("x"), ValueError()], method="greedy", prior="novice", value=None, note="!")
    assert (row.n, row.solved, row.success, row.errors) == (4, 1, 0.25, 2)
    assert (row.llm_calls, row.requests, row.env_steps, row.note) == (2.0, 2.0, 2.0, "!")
    assert row.tokens == (good.usage.tokens + bad.usage.tokens) / 2


def test_a_row_needs_results_with_a_verdict():
    with pytest.raises(ValueError, match="at least one"):
        summary_row([], method="m", prior="p", value=None)
    unjudged = Greedy(Corridor(), horizon=1).solve(TASK, model=always("Action: wait"))
    with pytest.raises(ValueError, match="has no verdict"):
        summary_row([unjudged], method="m", prior="p", value=None)
    assert summary_row([KeyError()], method="m", prior="p", value=None).success == 0
