"""Our searches against other projects' own, on the same prior and the same values: the same visits, the same beams.

`.ci/install-peers` installs them. MCTS and beam search of llm-reasoners, beam search and tree search of ldp.
"""

import json
import math
import os
import random
import subprocess
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from langchain_linvit.accounting import Budget
from langchain_linvit.calls import Caller, SyncIO, drive
from langchain_linvit.environments.base import Environment, Task, Transition
from langchain_linvit.evaluation import RAP, BeamSearch, TreeOfThoughts
from langchain_linvit.evaluation.branches import ForkSearch
from langchain_linvit.evaluation.mcts import MCTSTree, iterate
from langchain_linvit.evaluation.method import Episode
from langchain_linvit.priors import PolicyPrior, Proposal
from langchain_linvit.regularised import soft_value
from langchain_linvit.values import FunctionValue

PYTHON = Path(os.environ.get("LINVIT_PEERS_PYTHON", Path(__file__).parents[2] / ".venv-peers/bin/python"))
DEPTH, WIDTH = 3, 3
SEEDS = range(8)

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not PYTHON.exists(), reason="the other projects are not installed: run .ci/install-peers"),
]


def problem(seed):
    """A random tree with priors and values; values rise with the depth, so that the best state is an end."""
    drawn = random.Random(seed)
    nodes = {}

    def grow(path, prior):
        children = [] if len(path) == DEPTH else list("abc"[:WIDTH])
        nodes[path] = {"prior": prior, "value": (len(path) + drawn.random()) / (DEPTH + 1), "children": children}
        weights = [drawn.random() + 0.05 for _ in children]
        for child, weight in zip(children, weights, strict=True):
            grow(path + child, weight / sum(weights))

    grow("", 1.0)
    return {"nodes": nodes, "iterations": 25, "exploration": 1.0, "weight": 0.5, "beam": 2, "width": WIDTH}


PROBLEMS = [problem(seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def peers():
    """What the other projects found in each problem."""
    done = subprocess.run(
        [PYTHON, Path(__file__).with_name("peer_searches.py")],
        input=json.dumps(PROBLEMS), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


class Table(Environment):
    """A tree that is written down; success can't be seen. `ends`: whether an episode is over at a leaf."""

    def __init__(self, nodes, *, ends=True):
        self.nodes, self.ends = nodes, ends

    def reset(self, task: Task) -> str:
        self.place = ""
        return "at the root"

    def step(self, action: str) -> Transition:
        self.place += action
        return Transition(self.place, done=self.ends and not self.nodes[self.place]["children"])

    def state_text(self) -> str:
        return self.place

    def state_key(self) -> str:
        return f"@{self.place}"

    def admissible_actions(self) -> list[str]:
        return self.nodes[self.place]["children"]


class TablePrior(PolicyPrior):
    def __init__(self, nodes):
        self.nodes = nodes

    async def propose(self, situation, candidates, caller, *, path=()):
        children = self.nodes[situation.state]["children"]
        return [Proposal(child, math.log(self.nodes[situation.state + child]["prior"]), "exact") for child in children]


def options(given):
    nodes = given["nodes"]
    return {"prior": TablePrior(nodes), "value": lambda state, goal: nodes[state]["value"], "candidates": None}


def rap(given, **more):
    return RAP(
        Table(given["nodes"]), weight=given["weight"], exploration=given["exploration"], **options(given), **more
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_mcts_visits_what_llm_reasoners_visits(seed, peers):
    given, expected = PROBLEMS[seed], peers[seed]["reasoners_mcts"]
    environment = Table(given["nodes"])
    environment.reset(Task.from_text("a table"))
    episode = Episode(environment, Caller(SyncIO()), DEPTH + 1)
    with ExitStack() as opened:
        value = FunctionValue(options(given)["value"])
        search = ForkSearch(episode, TablePrior(given["nodes"]), value, None, opened)
        world = rap(given).world(search, drive(search.start(environment)), None)
        tree = MCTSTree(given["exploration"], revisit=True)
        for _ in range(given["iterations"]):
            drive(iterate(tree, world))
        visits = {"".join(world.branches[index].plan): node.visits for index, node in enumerate(tree.nodes)}
    assert visits == expected["visits"]


@pytest.mark.parametrize("seed", SEEDS)
def test_rap_carries_out_the_plan_of_llm_reasoners(seed, peers):
    given, expected = PROBLEMS[seed], peers[seed]["reasoners_mcts"]
    result = rap(given, iterations=given["iterations"], revisit=True).solve(Task.from_text("a table"), budget=Budget())
    assert "".join(result.plan) == expected["best"]


@pytest.mark.parametrize("peer", ["reasoners_beam", "ldp_beam"])
@pytest.mark.parametrize("seed", SEEDS)
def test_tot_expands_and_keeps_what_beam_searches_do(seed, peer, peers):
    given, expected = PROBLEMS[seed], peers[seed][peer]
    method = TreeOfThoughts(Table(given["nodes"]), beam=given["beam"], **options(given))
    result = method.solve(Task.from_text("a table"))
    path = {node.id: node.observation for node in result.tree}
    expanded = {path[node.parent] for node in result.tree if node.parent is not None}
    assert sorted(expanded) == expected["expanded"]
    assert "".join(result.plan) == expected["best"]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_beam_search_without_a_model_finds_the_same_end(seed, peers):
    given = PROBLEMS[seed]
    environment = Table(given["nodes"], ends=False)  # it drops ends that are not plainly solved
    method = BeamSearch(environment, beam=given["beam"], value=options(given)["value"], horizon=DEPTH)
    assert "".join(method.solve(Task.from_text("a table")).plan) == peers[seed]["reasoners_beam"]["best"]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_soft_value_backs_up_what_ldp_does_where_the_prior_decides_alone(seed, peers):
    """At lambda to infinity and a uniform prior the soft value is the mean, which is ldp's backup."""
    nodes, expected = PROBLEMS[seed]["nodes"], peers[seed]["ldp_tree"]

    def backed_up(path):
        below = [backed_up(path + child) for child in nodes[path]["children"]]
        ahead = float(soft_value(np.array(below), np.full(len(below), 1 / len(below)), 1e9)) if below else 0.0
        return nodes[path]["value"] + ahead

    assert {path: backed_up(path) for path in expected} == pytest.approx(expected, abs=1e-6)
    assert len(expected) == len(nodes) - 1
