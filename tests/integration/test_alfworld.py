"""ALFWorld on official games: every walkthrough wins, and forks agree with the stock engine's reset-and-replay."""

import json
import random
import tarfile
from functools import partial

import pytest
from alfworld_engine import needs_alfworld

from evals import alfworld_forks
from evals.common import RESULTS
from langchain_linvit.environments.alfworld import (
    TASK_TYPES,
    AlfworldEnvironment,
    load_games,
    map_games,
    own_games,
)
from langchain_linvit.environments.alfworld.source import data_folder
from langchain_linvit.testing import check_environment

pytestmark = [needs_alfworld, pytest.mark.integration]

SPLIT = "json_2.1.1/valid_seen"
COUNTS = {"pick": 35, "look": 13, "clean": 27, "heat": 16, "cool": 25, "two": 24}


@pytest.fixture(scope="module")
def official(benchmark_data, tmp_path_factory):
    """The unpacked folder of official games."""
    archive = benchmark_data / "alfworld" / "valid_seen.tar.xz"
    if not archive.is_file():
        pytest.skip(f"no official games at {archive}")
    folder = tmp_path_factory.mktemp("alfworld")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder


@pytest.fixture
def games(official, monkeypatch):
    """Official games of one type, by name."""
    monkeypatch.setenv("ALFWORLD_DATA", str(official))
    return lambda kind: load_games(SPLIT, kinds=[kind])


def smallest(tasks):
    """The game that loads fastest, in the stock engine above all."""
    return min(tasks, key=lambda task: (data_folder() / task.data["game"]).stat().st_size)


@pytest.mark.parametrize("kind", TASK_TYPES)
def test_official_games_are_won_by_their_walkthroughs(kind, games):
    """One game of each type; `evals.alfworld_forks` plays all 140."""
    tasks = games(kind)
    assert len(tasks) == COUNTS[kind]
    task = smallest(tasks)
    environment = AlfworldEnvironment()
    environment.reset(task)
    for action in task.metadata["walkthrough"]:
        transition = environment.step(action)
        assert transition.error is None, (task.id, action)
    assert (transition.done, transition.solved) == (True, True)
    assert environment.evaluate().model_dump() == {"success": True, "score": 1.0, "info": {"goal_conditions": 1.0}}


@pytest.mark.parametrize("kind", TASK_TYPES)
def test_forks_agree_with_the_stock_engine_on_every_node(kind, games):
    """A few nodes of each type; `evals.alfworld_forks` compares more than 500."""
    rng = random.Random(f"forks-{kind}")
    nodes, different = alfworld_forks.compare(smallest(games(kind)), rng, walks=2, length=5)
    assert (nodes, different) == (10, [])


def test_all_official_games_and_500_nodes_are_on_record():
    *kinds, total = json.loads((RESULTS / "alfworld_forks.json").read_text())["rows"]
    assert {row["kind"]: (row["games"], row["won"]) for row in kinds} == {kind: (n, n) for kind, n in COUNTS.items()}
    assert total["agree"] == total["nodes"] == sum(row["nodes"] for row in kinds) >= 500
    assert not any(row["different"] for row in kinds)


def test_contract_on_an_official_game(games):
    check_environment(AlfworldEnvironment, games("clean")[3], other_task=games("look")[0], episodes=2, steps=5)


def play(task, *, steps):
    """Part of a walkthrough; what is known then, and the snapshot."""
    environment = AlfworldEnvironment()
    environment.reset(task)
    for action in task.metadata["walkthrough"][:steps]:
        environment.step(action)
    return environment.state_key(), environment.state_text(), environment.snapshot()


def test_processes_agree_and_take_over_each_others_snapshots():
    tasks = own_games(2, seed=21)
    here = [play(task, steps=3) for task in tasks]
    assert list(map_games(partial(play, steps=3), tasks, processes=2)) == here
    for key, text, snapshot in here:
        environment = AlfworldEnvironment()
        environment.restore(snapshot)
        assert (environment.state_key(), environment.state_text()) == (key, text)
