"""The rule value: 1 exactly at the goal, falling with the distance, strong enough for a narrow beam."""

import itertools
import random
from collections import defaultdict
from statistics import mean

import pytest

from langchain_linvit.environments import BlocksWorldEnvironment
from langchain_linvit.environments.blocksworld import (
    blocks_in_place,
    generate_problems,
    load_problem_list,
    solve_optimally,
)
from langchain_linvit.environments.blocksworld.pddl import read_problem
from langchain_linvit.environments.blocksworld.state import (
    TABLE,
    Problem,
    State,
    apply,
    facts,
    goal_holds,
    legal_moves,
)
from langchain_linvit.environments.blocksworld.values import share_in_place
from langchain_linvit.errors import InvalidTaskError

ON_TABLE = "the red block is on the table, the blue block is on the table and the orange block is on the table"
TOWER = "the red block is on top of the blue block and the blue block is on top of the orange block"


@pytest.mark.parametrize(
    ("state", "goal", "value"),
    [
        (ON_TABLE, "the red block is on top of the blue block", 10 / 12),
        (ON_TABLE, TOWER, 8 / 12),
        (f"{TOWER}, the orange block is on the table", TOWER, 1.0),
        ("red is on orange, orange is on table, blue is on table", TOWER, 6 / 12),
        ("the hand is holding red, blue is on orange, orange is on the table", TOWER, 11 / 12),
        ("the hand is holding red, blue is on the table, orange is on the table", TOWER, 7 / 12),
        ("orange is on blue, blue is on red, red is on the table", TOWER, 6 / 12),
        ("red is on blue, blue is on the table, orange is on the table", TOWER, 6 / 12),
        (ON_TABLE, "the hand is holding red", 11 / 12),
        ("red is on blue, blue is on the table", "blue is clear", 6 / 8),
        ("red is on blue, blue is on the table", "red is on the table", 6 / 8),
        ("holding red, blue is on the table".replace("holding", "hand is holding"), "hand is empty", 7 / 8),
    ],
)
def test_counts_what_is_left_to_do(state, goal, value):
    assert blocks_in_place(state, goal) == pytest.approx(value)


@pytest.mark.parametrize(("state", "goal"), [("", "red is clear"), (ON_TABLE, "green is clear"), (ON_TABLE, "?")])
def test_what_makes_no_sense_is_refused(state, goal):
    with pytest.raises(InvalidTaskError):
        blocks_in_place(state, goal)


def test_is_one_exactly_where_the_goal_holds():
    rng = random.Random(0)
    solved = 0
    for task in generate_problems(blocks=4, steps=4, count=10, seed=2):
        env = BlocksWorldEnvironment()
        env.reset(task)
        for action in solve_optimally(task):
            assert 0 <= blocks_in_place(env.state_text(), env.goal) < 1
            env.fork().step(rng.choice(env.admissible_actions()))
            env.step(action)
        solved += blocks_in_place(env.state_text(), env.goal) == 1.0
    assert solved == 10


def test_is_one_exactly_where_the_goal_holds_for_every_goal_of_two_facts():
    blocks = ("red", "blue", "orange")
    reached = {State(blocks, (TABLE,) * 3)}
    for _ in range(8):
        reached |= {apply(state, move) for state in reached for move in legal_moves(state)}
    atoms = sorted({fact for state in reached for fact in facts(state)})
    goals = 0
    for goal in itertools.combinations_with_replacement(atoms, 2):
        goals += any(goal_holds(state, goal) for state in reached)
        for state in reached:
            if any(goal_holds(other, goal) for other in reached):
                assert (share_in_place(state, goal) == 1.0) == goal_holds(state, goal), (state, goal)
    assert len(reached) == 22
    assert goals > 50


def test_never_claims_more_steps_than_are_needed_and_falls_with_the_distance():
    rng = random.Random(1)
    values = defaultdict(list)
    tasks = [task for steps in (4, 8) for task in generate_problems(blocks=5, steps=steps, count=25, seed=3)]
    for task in tasks:
        start, goal = read_problem(task.text)[1:]
        for _ in range(rng.randrange(12)):
            start = apply(start, rng.choice(legal_moves(start)))
        distance = len(solve_optimally(Problem("p", start, goal)))
        values[distance].append(share_in_place(start, goal))
        assert (1 - values[distance][-1]) * 20 <= distance + 1e-9
    averages = [mean(values[distance]) for distance in sorted(values) if len(values[distance]) > 3]
    assert len(averages) >= 5
    assert averages == sorted(averages, reverse=True)


def beam_search(start, goal, width, horizon):
    """Whether a beam finds the goal, and how many states it expanded."""
    layer, seen, expanded = [start], {start}, 0
    for _ in range(horizon):
        children = {}
        for state in layer:
            expanded += 1
            for child in (apply(state, move) for move in legal_moves(state)):
                if goal_holds(child, goal):
                    return True, expanded
                if child not in seen:
                    seen.add(child)
                    children[child] = share_in_place(child, goal)
        layer = sorted(children, key=children.__getitem__, reverse=True)[:width]
    return False, expanded


def test_a_narrow_beam_solves_generated_problems():
    for task in generate_problems(blocks=5, steps=8, count=20, seed=6):
        _, start, goal = read_problem(task.text)
        assert beam_search(start, goal, 2, 8)[0], task.text


def test_a_beam_solves_planbench(benchmark_data):
    found = [
        beam_search(*read_problem(task.text)[1:], 8, 6)
        for task in load_problem_list(benchmark_data / "blocksworld/rap/step_6.json")
    ]
    assert all(solved for solved, _ in found)
    assert mean(expanded for _, expanded in found) <= 32
