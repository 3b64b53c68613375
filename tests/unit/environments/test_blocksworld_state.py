"""States, moves and their English: inverse to each other, and in step with the PDDL domain."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_linvit.environments.blocksworld.pddl import read_problem, write_problem
from langchain_linvit.environments.blocksworld.state import (
    HAND,
    TABLE,
    Move,
    Problem,
    State,
    apply,
    check_goal,
    clear_blocks,
    facts,
    goal_holds,
    held,
    holds,
    legal_moves,
    obstacle,
    state_from_facts,
)
from langchain_linvit.environments.blocksworld.text import (
    COLOURS,
    action_text,
    facts_text,
    object_name,
    parse_action,
    parse_goal,
    parse_problem,
    parse_state,
    state_text,
)
from langchain_linvit.errors import InvalidTaskError


@st.composite
def states(draw, most=14):
    names = [*COLOURS.values(), "b7", "block-x"][: draw(st.integers(1, most))]
    rng = random.Random(draw(st.integers(0, 10_000)))
    supports, tops = [TABLE] * len(names), []
    for block in rng.sample(range(len(names)), len(names)):
        place = rng.randrange(-1, len(tops))
        if place == TABLE:
            tops.append(block)
        else:
            supports[block], tops[place] = tops[place], block
    if rng.random() < 0.5:
        supports[rng.choice(tops)] = HAND
    order = sorted(range(len(names)), key=lambda i: object_name(names[i]))
    index = {old: new for new, old in enumerate(order)}
    return State(tuple(names[i] for i in order), tuple(index.get(supports[i], supports[i]) for i in order))


def every_move(state):
    for x in state.blocks:
        yield from (Move("pick-up", x), Move("put-down", x))
        for y in state.blocks:
            yield from (Move("stack", x, y), Move("unstack", x, y))


@given(states())
def test_legal_moves_are_those_without_an_obstacle(state):
    assert sorted(legal_moves(state)) == sorted(move for move in every_move(state) if obstacle(state, move) is None)


@given(states())
def test_moves_can_be_taken_back(state):
    back = {"pick-up": "put-down", "put-down": "pick-up", "stack": "unstack", "unstack": "stack"}
    for move in legal_moves(state):
        child = apply(state, move)
        assert child != state
        reverse = move._replace(operator=back[move.operator])
        assert obstacle(child, reverse) is None
        assert apply(child, reverse) == state


@given(states())
def test_facts_are_what_holds(state):
    given_facts = facts(state)
    assert all(holds(state, fact) for fact in given_facts)
    every = [("handempty",)] + [
        fact
        for x in state.blocks
        for fact in [("clear", x), ("ontable", x), ("holding", x), *(("on", x, y) for y in state.blocks)]
    ]
    assert {fact for fact in every if holds(state, fact)} == set(given_facts)
    assert state_from_facts(given_facts, state.blocks, complete=True) == state


@given(states())
def test_english_and_back(state):
    assert parse_state(state_text(state)) == state
    assert parse_goal(facts_text(facts(state))) == tuple(facts(state))
    for move in every_move(state):
        assert parse_action(action_text(move)) == move
        assert parse_action(f"({' '.join(part for part in move if part)})") == move


@given(states())
def test_pddl_and_back(state):
    problem = Problem("p", state, tuple(facts(state)))
    read = read_problem(write_problem(problem))
    assert read.start == state
    assert goal_holds(state, read.goal)


def test_wording_is_planbench():
    state = State(("red", "blue", "orange"), (HAND, 2, TABLE))
    assert state_text(state) == (
        "the blue block is clear, the hand is currently holding red block, "
        "the blue block is on top of the orange block and the orange block is on the table"
    )
    assert action_text(Move("stack", "red", "blue")) == "stack the red block on top of the blue block"
    assert action_text(Move("unstack", "red", "blue")) == "unstack the red block from on top of the blue block"
    assert action_text(Move("pick-up", "red")) == "pick up the red block"
    assert action_text(Move("put-down", "red")) == "put down the red block"
    assert (held(state), clear_blocks(state)) == ("red", [1])


@pytest.mark.parametrize(
    ("text", "move"),
    [
        ("Pick up the RED block.", Move("pick-up", "red")),
        ("pick-up a", Move("pick-up", "red")),
        ("(pick-up b7)", Move("pick-up", "b7")),
        ("pick up a red block", Move("pick-up", "red")),
        ("pick up red from the table", Move("pick-up", "red")),
        ("put the red", None),
        ("put down red on the table", Move("put-down", "red")),
        ("(STACK A B)", Move("stack", "red", "blue")),
        ("stack red on blue", Move("stack", "red", "blue")),
        ("stack the red block onto the blue block", Move("stack", "red", "blue")),
        ("unstack   red from blue", Move("unstack", "red", "blue")),
        ("**unstack the red block from on top of the blue block**", Move("unstack", "red", "blue")),
        ("unstack the red block", None),
        ("stack red on blue on green", None),
        ("", None),
        ("x" * 10_000_000, None),
    ],
)
def test_actions_are_read_generously(text, move):
    assert parse_action(text) == move


def test_a_statement_of_planbench_is_a_problem():
    worked = (
        "[STATEMENT]\nAs initial conditions I have that, the red block is clear, the hand is empty and the red block "
        "is on the table.\nMy goal is to have that the hand is holding the red block.\n\nMy plan is as follows:\n\n"
        "[PLAN]\npick up the red block\n[PLAN END]\n\n"
    )
    asked = (
        "[STATEMENT]\nAs initial conditions I have that, the red block is clear, the yellow block is clear, the hand "
        "is empty, the red block is on top of the blue block, the yellow block is on top of the orange block, the blue "
        "block is on the table and the orange block is on the table.\nMy goal is to have that the orange block is on "
        "top of the red block.\n\nMy plan is as follows:\n\n[PLAN]\n"
    )
    problem = parse_problem(worked + asked)
    assert problem.start == State(("red", "blue", "orange", "yellow"), (1, TABLE, TABLE, 2))
    assert problem.goal == (("on", "orange", "red"),)


def test_a_casual_message_is_a_problem():
    problem = parse_problem(
        "Red is on blue, and the blue block is on the table. Goal: the blue block on top of the red block"
    )
    assert problem.start == State(("red", "blue"), (1, TABLE))
    assert problem.goal == (("on", "blue", "red"),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello", "names no goal"),
        ("", "names no goal"),
        ("Red is on the table. My goal is to have that the dog is happy.", "can't read 'the dog is happy'"),
        ("Red is on the table, pigs fly. My goal is to have that red is clear.", "can't read 'pigs fly'"),
        ("Red is on blue. My goal is to have that red is clear.", "nothing says where blue is"),
        ("Red is on the table. My goal is to have that red is on blue.", "'blue', which is not among"),
        ("Red is on the table and the hand is empty and holding red. Goal: red is clear", "can't read"),
        ("goal " * 200_000, "1000000 characters; at most"),
    ],
)
def test_a_statement_that_makes_no_sense_is_refused(text, message):
    with pytest.raises(InvalidTaskError, match=message):
        parse_problem(text)


@pytest.mark.parametrize(
    "goal",
    [
        [],
        [("on", "red", "red")],
        [("on", "red", "blue"), ("on", "blue", "red")],
        [("on", "red", "blue"), ("on", "red", "green")],
        [("on", "red", "blue"), ("on", "green", "blue")],
        [("on", "red", "blue"), ("clear", "blue")],
        [("on", "red", "blue"), ("ontable", "red")],
        [("holding", "red"), ("handempty",)],
        [("holding", "red"), ("holding", "blue")],
        [("holding", "red"), ("clear", "red")],
        [("holding", "red"), ("on", "blue", "red")],
        [("on", "red", "pink")],
    ],
)
def test_goals_that_no_state_fulfils_are_refused(goal):
    with pytest.raises(InvalidTaskError):
        check_goal(goal, ("red", "blue", "green"))


def test_every_other_goal_is_reached():
    """`check_goal` refuses exactly those pairs of facts that hold together in none of the reachable states."""
    blocks = ("red", "blue", "green")
    reached = {State(blocks, (TABLE,) * 3)}
    frontier = list(reached)
    while frontier:
        frontier = [child for state in frontier for child in (apply(state, move) for move in legal_moves(state))]
        frontier = list(set(frontier) - reached)
        reached.update(frontier)
    assert len(reached) == 22
    atoms = [("handempty",)] + [
        fact for x in blocks for fact in [("clear", x), ("ontable", x), ("holding", x), *(("on", x, y) for y in blocks)]
    ]
    for one in atoms:
        for other in atoms:
            possible = any(goal_holds(state, (one, other)) for state in reached)
            try:
                check_goal([one, other], blocks)
            except InvalidTaskError:
                assert not possible, (one, other)
            else:
                assert possible, (one, other)
