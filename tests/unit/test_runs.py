"""The live side of runs: found by any part of its own run, closed with it, mixed with no other."""

import asyncio
import gc
import uuid

import pytest
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict
from worlds import CountedCorridor, closeness, walker_model

from langchain_linvit.environments.base import Task
from langchain_linvit.errors import EnvironmentStateError
from langchain_linvit.planner import create_slinvit_planner
from langchain_linvit.planner.runs import Run, RunScope


class Closing:
    """Counts how often it was closed."""

    def __init__(self):
        self.closed = 0

    def close(self):
        self.closed += 1


def start(scope, parent=None):
    run_id = uuid.uuid4()
    scope.on_chain_start({}, {}, run_id=run_id, parent_run_id=parent)
    return run_id


class Manager:
    def __init__(self, parent_run_id):
        self.parent_run_id = parent_run_id


def current(scope, run_id):
    return scope.current({"callbacks": Manager(run_id)})


def test_every_part_of_a_run_finds_the_same_live_side():
    scope = RunScope(4)
    root, other = start(scope), start(scope)
    child = start(scope, root)
    grandchild = start(scope, child)
    assert current(scope, root) is current(scope, child) is current(scope, grandchild)
    assert current(scope, other) is not current(scope, root)
    assert scope.open_runs == 2


@pytest.mark.parametrize("failing", [False, True])
def test_a_run_is_closed_with_its_root_and_only_then(failing):
    scope = RunScope(4)
    root = start(scope)
    child = start(scope, root)
    live = current(scope, child).live["n"] = Closing()
    scope.on_chain_end({}, run_id=child)
    assert live.closed == 0
    if failing:
        scope.on_chain_error(KeyError(), run_id=root)
    else:
        scope.on_chain_end({}, run_id=root)
    assert live.closed == 1
    assert (scope.open_runs, scope._root_of) == (0, {})


def test_a_run_that_nothing_used_leaves_nothing():
    scope = RunScope(4)
    scope.on_chain_end({}, run_id=start(scope))
    scope.on_chain_end({}, run_id=uuid.uuid4())
    assert (scope.open_runs, scope._root_of) == (0, {})


def test_outside_of_a_run_there_is_no_live_side():
    scope = RunScope(4)
    with pytest.raises(EnvironmentStateError, match="only run inside"):
        scope.current()
    with pytest.raises(EnvironmentStateError):
        current(scope, uuid.uuid4())


def test_keeping_some_closes_the_others_but_never_the_real_one():
    run = Run(4)
    real, kept, dropped = Closing(), Closing(), Closing()
    run.real, run.live = real, {"root": real, "a": kept, "b": dropped}
    run.keep_only({"a"})
    assert (real.closed, kept.closed, dropped.closed) == (0, 0, 1)
    assert set(run.live) == {"a"}


def test_closing_a_run_closes_each_environment_once():
    run = Run(4)
    real, other = Closing(), Closing()
    run.real, run.live = real, {"root": real, "a": other}
    run.close()
    run.close()
    assert (real.closed, other.closed) == (1, 1)
    assert (run.real, run.live) == (None, {})


def test_the_primitives_of_a_run_are_made_once():
    run = Run(4)
    assert run.sync_io() is run.sync_io()

    async def inside():
        return run.async_io() is run.async_io()

    assert asyncio.run(inside())


def test_runs_have_names_of_their_own_and_laps():
    first, second = Run(4), Run(4)
    assert first.token != second.token
    began = first.lap_started
    assert first.lap() >= 0
    assert first.lap_started >= began


def planner(**options):
    return create_slinvit_planner(walker_model(), CountedCorridor(), value=closeness, retry_delay=0.0, **options)


def assert_nothing_left(made):
    gc.collect()
    scope = made.config["callbacks"][0]
    assert CountedCorridor.live == 0
    assert (scope.open_runs, scope._root_of) == (0, {})


def test_a_planner_called_within_a_planners_node_has_a_run_of_its_own():
    inner = planner()

    class State(TypedDict, total=False):
        plans: list

    def node(state):
        return {"plans": [inner.invoke({"task": f"reach {target}"})["result"].plan for target in (1, 2)]}

    graph = StateGraph(State)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    graph.add_edge("node", END)
    assert [len(plan) for plan in graph.compile().invoke({})["plans"]] == [1, 2]
    assert_nothing_left(inner)


def test_threads_share_a_planner_and_no_run():
    made = planner()
    outputs = made.batch([{"task": f"reach {target}"} for target in (1, 2, 3, 1)])
    assert [len(output["result"].plan) for output in outputs] == [1, 2, 3, 1]
    assert_nothing_left(made)


def test_an_environment_that_fails_midway_leaves_nothing_open():
    class Breaking(CountedCorridor):
        def step(self, action):
            if self.position == 1:
                raise KeyError("broken")
            return super().step(action)

    made = create_slinvit_planner(walker_model(), Breaking, value=closeness, candidates=None)
    with pytest.raises(KeyError):
        made.invoke({"task": Task.from_text("reach 3")})
    assert_nothing_left(made)
