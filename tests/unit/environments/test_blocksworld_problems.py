"""Generated problems and lists of problems: exact labels, seeds, and what can't be had."""

import itertools
import json

import pytest

from langchain_linvit.environments.blocksworld import (
    generate_problems,
    load_problem_list,
    solve_optimally,
    validate_plan,
)
from langchain_linvit.environments.blocksworld.pddl import DOMAIN, read_problem
from langchain_linvit.environments.blocksworld.state import TABLE, Problem, State
from langchain_linvit.errors import InvalidSettingError, InvalidTaskError


def shortest_by_strips(text, limit):
    """The length of the shortest plan, by breadth-first search over sets of PDDL atoms."""
    from pddl.parser.problem import ProblemParser

    problem = ProblemParser()(text)
    names = sorted(str(constant) for constant in problem.objects)
    goal = {str(atom) for atom in getattr(problem.goal, "operands", [problem.goal])}
    layer = {frozenset(str(atom) for atom in problem.init)}
    seen = set(layer)
    for length in itertools.count():
        if any(goal <= state for state in layer):
            return length
        assert length < limit
        layer = {child for state in layer for child in strips_children(state, names)} - seen
        seen |= layer


def strips_children(state, names):
    for x in names:
        up = {f"(clear {x})", "(handempty)"}
        if up | {f"(ontable {x})"} <= state:
            yield state - up - {f"(ontable {x})"} | {f"(holding {x})"}
        if f"(holding {x})" in state:
            yield state - {f"(holding {x})"} | up | {f"(ontable {x})"}
        for y in names:
            if up | {f"(on {x} {y})"} <= state:
                yield state - up - {f"(on {x} {y})"} | {f"(holding {x})", f"(clear {y})"}
            if {f"(holding {x})", f"(clear {y})"} <= state:
                yield state - {f"(holding {x})", f"(clear {y})"} | up | {f"(on {x} {y})"}


@pytest.mark.parametrize(("blocks", "steps"), [(2, 2), (2, 4), (3, 4), (3, 6), (4, 6), (5, 4), (6, 4), (7, 2)])
def test_labels_are_exact(blocks, steps):
    for task in generate_problems(blocks=blocks, steps=steps, count=2, seed=5):
        plan = solve_optimally(task)
        assert len(plan) == steps == task.metadata["optimal_steps"]
        assert validate_plan(task.text, plan).solved
        assert task.metadata["blocks"] == len(read_problem(task.text).start.blocks) == blocks
        assert shortest_by_strips(task.text, steps) == steps


def test_seeds_decide_everything():
    first, again, other = (generate_problems(blocks=4, steps=6, count=5, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert [task.text for task in first] != [task.text for task in other]
    assert len({task.text.partition("(:objects")[2] for task in first}) == 5
    assert generate_problems(blocks=4, steps=6, count=2, seed=1) == first[:2]


@pytest.mark.parametrize("blocks", range(3, 8))
def test_several_goal_atoms(blocks):
    for task in generate_problems(blocks=blocks, steps=4, count=3, seed=0, goal_atoms=2):
        assert len(read_problem(task.text).goal) == 2


@pytest.mark.parametrize(
    ("demand", "message"),
    [
        ({"blocks": 1, "steps": 2}, "blocks must be from 2 to 8, not 1"),
        ({"blocks": 9, "steps": 2}, "not 9"),
        ({"blocks": 4, "steps": 5}, "steps must be even"),
        ({"blocks": 4, "steps": 0}, "from 2 to 12"),
        ({"blocks": 4, "steps": 14}, "from 2 to 12 for 4 blocks, not 14"),
        ({"blocks": 4, "steps": 4, "goal_atoms": 4}, "goal_atoms must be from 1 to 3"),
        ({"blocks": 2, "steps": 4, "count": 3}, "found only 2 of 3 problems"),
        ({"blocks": 4, "steps": 4, "count": -1}, "count must be at least 0"),
    ],
)
def test_impossible_demands_are_refused(demand, message):
    with pytest.raises(InvalidSettingError, match=message):
        generate_problems(**{"count": 1, "seed": 0, **demand})


def test_the_solver_gives_up_by_name():
    blocks = tuple(f"b{i}" for i in range(9))
    problem = Problem("big", State(blocks, (TABLE,) * 9), tuple(("on", x, y) for x, y in itertools.pairwise(blocks)))
    with pytest.raises(InvalidSettingError, match="more than 500 states"):
        solve_optimally(problem, max_states=500)


def test_a_goal_that_holds_needs_no_plan():
    assert solve_optimally(Problem("p", State(("red",), (TABLE,)), (("ontable", "red"),))) == []


def test_lists_are_read_relative_to_their_folder(tmp_path):
    tasks = generate_problems(blocks=3, steps=4, count=3, seed=0)
    (tmp_path / "deep").mkdir()
    for number, task in enumerate(tasks):
        (tmp_path / "deep" / f"instance-{number}.pddl").write_text(task.text)
    rows = [[f"deep/instance-{number}.pddl", "(pick-up a)\n", 4] for number in range(3)]
    (tmp_path / "list.json").write_text(json.dumps(rows))
    loaded = load_problem_list(tmp_path / "list.json")
    assert [task.text for task in loaded] == [task.text for task in tasks]
    assert loaded[1].id == "instance-1"
    assert loaded[1].metadata == {"optimal_steps": 4, "blocks": 3, "source": "deep/instance-1.pddl"}


@pytest.mark.parametrize("content", ["", "{}x", "[1]", '[["a.pddl"]]', '[["a.pddl", "", "many"]]', "null"])
def test_a_bad_list_is_named(tmp_path, content):
    (tmp_path / "list.json").write_text(content)
    with pytest.raises(InvalidTaskError, match=r"list\.json: expected JSON rows"):
        load_problem_list(tmp_path / "list.json")


def test_a_list_with_an_absent_problem_names_it(tmp_path):
    (tmp_path / "list.json").write_text('[["gone.pddl", "", 2]]')
    with pytest.raises(InvalidTaskError, match=r"gone\.pddl: can't be read"):
        load_problem_list(tmp_path / "list.json")


def test_the_domain_is_planbenchs(benchmark_data):
    from pddl.parser.domain import DomainParser

    theirs = benchmark_data / "blocksworld/rap/gpt-plan-benchmark/gpt_plan_test/instances/generated_domain.pddl"
    parse = DomainParser()

    def literals(formula):
        return {str(part) for part in getattr(formula, "operands", [formula])}

    def content(text):
        actions = parse(text.replace("?underob", "?y").replace("?ob", "?x")).actions
        return {
            (str(action.name), *map(frozenset, map(literals, (action.precondition, action.effect))))
            for action in actions
        }

    assert content(DOMAIN) == content(theirs.read_text())


@pytest.mark.parametrize(("steps", "count"), [(2, 30), (4, 57), (6, 114)])
def test_planbench_lists(benchmark_data, steps, count):
    tasks = load_problem_list(benchmark_data / f"blocksworld/rap/step_{steps}.json")
    assert len(tasks) == count
    for task in tasks[::5]:
        plan = solve_optimally(task)
        assert len(plan) == task.metadata["optimal_steps"] == steps
        assert validate_plan(task.text, plan).solved


def test_reference_plans_of_planbench_are_valid(benchmark_data):
    path = benchmark_data / "blocksworld/rap/step_6.json"
    for task, (_, plan, _) in list(zip(load_problem_list(path), json.loads(path.read_text()), strict=True))[::5]:
        assert validate_plan(task.text, plan.splitlines()).solved
