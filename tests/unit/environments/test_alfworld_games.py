"""ALFWorld's tasks as data: generated games, game files, and what is said where a part is missing."""

import json
import sys

import pytest

from langchain_linvit.environments.alfworld import (
    TASK_TYPES,
    AlfworldEnvironment,
    in_turn,
    load_games,
    own_game,
    own_games,
)
from langchain_linvit.environments.alfworld import parts as engine_parts_module
from langchain_linvit.environments.alfworld.source import game_kind
from langchain_linvit.environments.base import Task
from langchain_linvit.errors import InvalidSettingError, InvalidTaskError, MissingDependencyError


def write_game(folder, name, *, kind="pick", solvable=True, sentence="put some book on sidetable"):
    task = own_game(kind, 1)
    path = folder / name / "trial_1" / "game.tw-pddl"
    path.parent.mkdir(parents=True)
    grammar = f'grammar :: """{{"task": [{{"rhs": "Your task is to: {sentence}."}}]}}""";'
    game = {"pddl_domain": "(define)", "grammar": grammar, "pddl_problem": task.data["problem"], "solvable": solvable}
    path.write_text(json.dumps({**game, "walkthrough": ["look"]}))
    return path


@pytest.mark.parametrize("kind", TASK_TYPES)
def test_equal_seeds_give_equal_games_and_others_differ(kind):
    assert own_game(kind, 7) == own_game(kind, 7)
    assert len({own_game(kind, seed).data["problem"] for seed in range(10)}) == 10


def test_own_games_take_the_types_in_turn():
    tasks = own_games(8, seed=3)
    assert [task.metadata["kind"] for task in tasks] == [*TASK_TYPES, "pick", "look"]
    assert len({task.id for task in tasks}) == 8


@pytest.mark.parametrize("kind", TASK_TYPES)
def test_the_type_is_read_from_the_goal(kind):
    assert all(game_kind(own_game(kind, seed).data["problem"]) == kind for seed in range(5))


def test_no_thing_that_is_asked_for_lies_where_it_is_asked_for():
    for seed in range(40):
        task = own_game("pick", seed)
        assert len(task.metadata["walkthrough"]) >= 3


def test_an_unknown_type_is_named():
    with pytest.raises(InvalidSettingError, match=r"'fry'.*pick, look, clean"):
        own_game("fry")  # type: ignore[arg-type]


def test_games_are_read_in_path_order_with_their_sentence_and_type(tmp_path):
    write_game(tmp_path, "b", kind="heat", sentence="heat some egg and put it in garbagecan")
    write_game(tmp_path, "a")
    write_game(tmp_path, "c", solvable=False)
    tasks = load_games(tmp_path)
    assert [(task.id, task.text, task.metadata["kind"]) for task in tasks] == [
        ("a/trial_1", "put some book on sidetable.", "pick"),
        ("b/trial_1", "heat some egg and put it in garbagecan.", "heat"),
    ]


def test_paths_are_relative_to_the_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ALFWORLD_DATA", str(tmp_path))
    write_game(tmp_path / "json" / "valid_seen", "a")
    task = load_games("json/valid_seen")[0]
    assert task.data == {"game": "json/valid_seen/a/trial_1/game.tw-pddl"}
    assert [each.data for each in load_games()] == [task.data]


def test_a_limit_is_spread_over_the_types():
    tasks = own_games(24) + [own_game("pick", seed) for seed in range(50, 60)]
    chosen = in_turn(tasks, 6)
    assert sorted(task.metadata["kind"] for task in chosen) == sorted(TASK_TYPES)
    assert chosen == [task for task in tasks if task in chosen]
    assert in_turn(tasks, 1_000) == tasks


def test_an_empty_folder_says_how_to_get_games(tmp_path):
    with pytest.raises(InvalidTaskError, match="alfworld-download"):
        load_games(tmp_path)


@pytest.mark.parametrize("content", ["no json", "[]", '{"grammar": 3, "pddl_problem": ""}'])
def test_a_broken_game_file_is_named(tmp_path, content):
    path = tmp_path / "game.tw-pddl"
    path.write_text(content)
    with pytest.raises(InvalidTaskError, match=r"game\.tw-pddl"):
        load_games(tmp_path)


def test_a_task_without_a_game_says_what_it_needs():
    with pytest.raises(InvalidTaskError, match="load_games"):
        AlfworldEnvironment().reset(Task.from_text("put a clean cloth in countertop"))


def test_max_steps_must_be_positive():
    with pytest.raises(InvalidSettingError, match="max_steps is 0"):
        AlfworldEnvironment(max_steps=0)


def test_a_missing_engine_names_the_extra(monkeypatch):
    engine_parts_module.engine_parts.cache_clear()
    monkeypatch.setitem(sys.modules, "alfworld.info", None)
    argv = sys.argv
    with pytest.raises(MissingDependencyError, match=r"langchain-linvit\[alfworld\]"):
        AlfworldEnvironment().reset(own_game("pick", 12_345))
    assert sys.argv is argv
