"""ALFWorld on official games: every walkthrough wins, and forks agree with the stock engine's reset-and-replay."""

import json
import random
import tarfile
from functools import partial

import pytest
from alfworld_engine import needs_alfworld

from langchain_linvit.environments.alfworld import (
    ENGINE_LOCK,
    TASK_TYPES,
    AlfworldEnvironment,
    load_games,
    map_games,
    own_games,
)
from langchain_linvit.environments.alfworld.parts import engine_parts
from langchain_linvit.environments.alfworld.source import data_folder
from langchain_linvit.testing import check_environment

pytestmark = [needs_alfworld, pytest.mark.integration]

SPLIT = "json_2.1.1/valid_seen"
COUNTS = {"pick": 35, "look": 13, "clean": 27, "heat": 16, "cool": 25, "two": 24}
WALKS = 2
LENGTH = 21


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


class Stock:
    """The stock engine on one official game: it can only start again and replay."""

    def __init__(self, task):
        from textworld import EnvInfos
        from textworld.envs.pddl.pddl import PddlEnv

        self.env = PddlEnv(EnvInfos())
        self.env.load(json.loads((data_folder() / task.data["game"]).read_text()))
        names = engine_parts().demangler(game_infos=self.env._entity_infos)
        for info in self.env._entity_infos.values():
            info.name = names.demangle_alfred_name(info.id)

    def replay(self, commands):
        """What is seen at every step: the answer, the possible commands, and whether the game is won."""
        states = [self.env.reset()]
        states += [self.env.step(command)[0] for command in commands]
        return [(state.feedback, state["admissible_commands"], state["won"]) for state in states]


def seen(environment, answer):
    """The same of an environment; a game that is won offers no more commands there."""
    return answer, list(environment.admissible_actions()), environment.evaluate().success


def interleaved_walks(task, rng):
    """Random branches from forks of one start, a step of any of them at a time; what was seen on each."""
    start = AlfworldEnvironment()
    first = seen(start, start.reset(task))
    heads = [start.fork() for _ in range(WALKS)]
    paths, views = [[] for _ in heads], [[first] for _ in heads]
    order = [index for index in range(WALKS) for _ in range(LENGTH)]
    rng.shuffle(order)
    for index in order:
        actions = heads[index].admissible_actions()
        if not actions:
            continue
        here = [action for action in actions if not action.startswith("go to")]
        action = rng.choice(here if rng.random() < 0.6 else actions)
        heads[index], aside = heads[index].fork(), heads[index]
        views[index].append(seen(heads[index], heads[index].step(action).observation))
        paths[index].append(action)
        aside.step(rng.choice(actions))
    return paths, views


@pytest.mark.parametrize("kind", TASK_TYPES)
def test_walkthroughs_win_every_official_game(kind, games):
    tasks = games(kind)
    assert len(tasks) == COUNTS[kind]
    for task in tasks:
        environment = AlfworldEnvironment()
        environment.reset(task)
        for action in task.metadata["walkthrough"]:
            transition = environment.step(action)
            assert transition.error is None, (task.id, action)
        assert (transition.done, transition.solved) == (True, True), task.id
        assert environment.evaluate().model_dump() == {"success": True, "score": 1.0, "info": {"goal_conditions": 1.0}}


@pytest.mark.parametrize("kind", TASK_TYPES)
def test_forks_agree_with_the_stock_engine(kind, games):
    nodes = 0
    rng = random.Random(f"forks-{kind}")
    for task in rng.sample(games(kind), 2):
        with ENGINE_LOCK:
            paths, views = interleaved_walks(task, rng)
            stock = Stock(task)
            for path, ours in zip(paths, views, strict=True):
                for expected, view in zip(stock.replay(path), ours, strict=True):
                    assert view[0::2] == expected[0::2], (task.id, path)
                    assert view[1] == ([] if view[2] else expected[1]), (task.id, path)
                nodes += len(path)
    assert nodes >= 0.9 * 2 * WALKS * LENGTH  # a walk ends early where it happens to win


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
    tasks = own_games(4, seed=21)
    here = [play(task, steps=3) for task in tasks]
    assert list(map_games(partial(play, steps=3), tasks, processes=2)) == here
    for key, text, snapshot in here:
        environment = AlfworldEnvironment()
        environment.restore(snapshot)
        assert (environment.state_key(), environment.state_text()) == (key, text)
