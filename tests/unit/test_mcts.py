"""The core of tree search: UCT's numbers, what adds up, and what is visited."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_linvit.calls import drive
from langchain_linvit.evaluation.mcts import MCTSNode, MCTSTree, final_reward, iterate, reward_to_go


class Table:
    """A world written down: `(guess, reward, children)` by node; `failures` are expansions that fail at first."""

    finished = False

    def __init__(self, world, failures=0):
        self.world, self.failures = [world], failures
        self.reached = []

    async def reach(self, node):
        self.reached.append(node)
        _, reward, children = self.world[node]
        return reward, children is None

    async def expand(self, node):
        if self.failures:
            self.failures -= 1
            return None
        children = self.world[node][2]
        self.world += children
        return [guess for guess, _, _ in children]


def searched(world, iterations, failures=0, **settings):
    tree, table = MCTSTree(**settings), Table(world, failures)
    paths = [drive(iterate(tree, table)) for _ in range(iterations) if not tree.exhausted]
    return tree, table, paths


ENDS = st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.none())
WORLDS = st.recursive(
    ENDS, lambda below: st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.lists(below, max_size=3)), max_leaves=12
)


@settings(max_examples=60, deadline=None)
@given(WORLDS, st.integers(1, 25), st.booleans(), st.sampled_from(["mean", "max"]), st.integers(0, 3))
def test_visits_and_returns_add_up(world, iterations, revisit, aggregate, failures):
    tree, table, paths = searched(world, iterations, failures, revisit=revisit, aggregate=aggregate)
    assert tree.nodes[0].visits == len(paths)
    assert len(table.reached) == len(set(table.reached))  # the reward of a node is asked for once
    for index, node in enumerate(tree.nodes):
        children = [tree.nodes[child] for child in node.children or ()]
        ended_here = sum(path[-1] == index for path in paths)
        assert node.visits == ended_here + sum(child.visits for child in children)
        returns = [
            sum(tree.nodes[step].reward for step in path[path.index(index) :]) for path in paths if index in path
        ]
        assert math.isclose(node.total, sum(returns), abs_tol=1e-9)
        assert math.isclose(node.best, max(returns, default=-math.inf), abs_tol=1e-9) or not returns
    assert all(path[0] == 0 for path in paths)
    if not revisit and not failures:
        assert len({tuple(path) for path in paths}) == len(paths)  # no end is visited twice


@settings(max_examples=40, deadline=None)
@given(WORLDS)
def test_without_revisits_a_finite_world_is_searched_to_its_end(world):
    tree, _, paths = searched(world, 200)
    assert tree.exhausted
    assert len(paths) <= 60


def test_uct_is_the_formula():
    tree = MCTSTree(exploration=2.0)
    tree.nodes[0].visits = 10
    tree.grow(0, [0.25, 0.0])
    first, second = tree.nodes[0].children
    tree.nodes[second].visits, tree.nodes[second].total = 4, 3.0
    assert tree.uct(first) == pytest.approx(0.25 + 2 * math.sqrt(math.log(10)))
    assert tree.uct(second) == pytest.approx(0.75 + 2 * math.sqrt(math.log(10) / 4))
    assert tree.select() == [0, first]
    tree.nodes[first].closed = True
    assert tree.select() == [0, second]
    assert tree.likeliest(0) == second


def test_q_is_a_guess_before_the_first_visit_and_then_the_mean_or_the_largest():
    node = MCTSNode(None, 0, guess=0.5)
    tree = MCTSTree(nodes=[node])
    assert tree.q(0) == 0.5
    for reward in (0.0, 1.0):
        node.reward = reward
        tree.back_up([0])
    assert tree.q(0) == 0.5
    tree.aggregate = "max"
    assert tree.q(0) == 1.0


def test_what_is_backed_up():
    assert reward_to_go([0.0, 1.0, 0.5]) == [1.5, 1.5, 0.5]
    assert final_reward([0.0, 1.0, 0.5]) == [0.5, 0.5, 0.5]
    assert reward_to_go([]) == []


def test_an_expansion_that_failed_is_tried_again():
    world = (0.0, 0.0, [(0.0, 1.0, None)])
    tree, _, paths = searched(world, 2, failures=1)
    assert paths == [[0], [0, 1]]
    assert tree.exhausted


def test_exploration_finds_the_better_arm():
    """A good first guess that turns out bad is left for the other arm."""
    world = (0.0, 0.0, [(0.9, 0.1, [(0.0, 0.0, None)] * 3), (0.1, 0.8, [(0.0, 0.0, None)] * 3)])
    tree, _, paths = searched(world, 4)
    assert paths[0][1] == 1
    assert tree.nodes[2].visits >= 2
