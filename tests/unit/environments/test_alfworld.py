"""ALFWorld on its real engine, played on games of our own."""

import random
import sys
import threading
import warnings

import pytest
from alfworld_engine import needs_alfworld

from evals import alfworld as alfworld_eval
from evals import alfworld_example
from langchain_linvit.cli import main
from langchain_linvit.environments.alfworld import TASK_TYPES, AlfworldEnvironment, engine, own_game, own_games
from langchain_linvit.environments.base import Task
from langchain_linvit.errors import EnvironmentStateError, InvalidTaskError
from langchain_linvit.testing import check_environment

pytestmark = needs_alfworld


@pytest.fixture
def fresh_engine(monkeypatch):
    """An engine without loaded games or libraries, as at the start of a process."""
    monkeypatch.setattr(engine, "_libraries", [])
    monkeypatch.setattr(engine, "_loaded", type(engine._loaded)())


def played(task, actions=()):
    environment = AlfworldEnvironment()
    environment.reset(task)
    for action in actions:
        assert environment.step(action).error is None, action
    return environment


def view(environment):
    return environment.state_text(), environment.state_key(), list(environment.admissible_actions())


def walk(environment, rng, steps):
    """A random walk; what was seen at every step."""
    seen = []
    for _ in range(steps):
        actions = environment.admissible_actions()
        if not actions:
            break
        transition = environment.step(rng.choice(actions))
        seen.append((transition.observation, *view(environment)))
    return seen


@pytest.mark.parametrize("kind", TASK_TYPES)
def test_walkthroughs_of_own_games_win(kind):
    for seed in range(3):
        task = own_game(kind, seed)
        environment = played(task)
        assert not environment.evaluate().success
        *before, last = task.metadata["walkthrough"]
        for action in before:
            transition = environment.step(action)
            assert (transition.error, transition.done) == (None, False), (task.id, action)
        final = environment.step(last)
        assert (final.done, final.solved, final.reward) == (True, True, 1.0)
        assert environment.evaluate().model_dump() == {"success": True, "score": 1.0, "info": {"goal_conditions": 1.0}}
        assert environment.step("look").error is not None
        assert environment.admissible_actions() == []


@pytest.mark.parametrize("kind", ["two", "look"])
def test_contract(kind):
    check_environment(AlfworldEnvironment, own_game(kind, 3), other_task=own_game("clean", 5), episodes=2, steps=6)


def test_the_goal_share_grows_with_the_conditions():
    task = own_game("clean", 0)
    environment = played(task)
    shares = [environment.goal_conditions()]
    for action in task.metadata["walkthrough"]:
        environment.step(action)
        shares.append(environment.goal_conditions())
    assert shares[0] == 0.0
    assert 0.5 in shares
    assert shares[-1] == 1.0
    assert shares == sorted(shares)


def test_the_state_tells_only_what_was_seen():
    task = own_game("clean", 1)
    environment = played(task)
    start = environment.state_text()
    assert start.startswith("You are at the middle of the room.\nYou carry nothing.\nNot visited yet: ")
    place = task.metadata["walkthrough"][0].removeprefix("go to ")
    assert "Seen so far" not in start
    closed = next(
        action.removeprefix("go to ") for action in environment.admissible_actions()
        if action.startswith(("go to cabinet", "go to drawer"))
    )  # fmt: skip
    environment.step(f"go to {closed}")
    assert f"- {closed} (closed, not looked into)" in environment.state_text()
    for action in task.metadata["walkthrough"][:-1]:
        environment.step(action)
    text = environment.state_text()
    assert "is clean." in text
    assert f"- {place}" in text
    assert "You carry nothing" not in text


def test_what_things_are_like_shows_once_it_was_told():
    task = own_game("cool", 1)
    thing = next(action for action in task.metadata["walkthrough"] if action.startswith("take")).split(" from ")[0]
    thing = thing.removeprefix("take ")
    identifier = (
        next(line for line in task.data["problem"].splitlines() if line.startswith("(coolable"))
        .removeprefix("(coolable")
        .strip(" )")
    )
    problem = task.data["problem"].replace("(:init", f"(:init\n(isCool {identifier})")
    environment = played(task.model_copy(update={"data": {"problem": problem}}))
    assert "is cool" not in environment.state_text()
    for action in task.metadata["walkthrough"][:-1]:
        environment.step(action)
    assert f"{thing} is cool." in environment.state_text()


def test_equal_arrangements_have_equal_keys_and_what_was_seen_counts():
    task = own_game("pick", 2)
    one, two, three = played(task), played(task), played(task)
    places = [action for action in one.admissible_actions() if action.startswith("go to")][:3]
    for action in (places[0], places[1], places[2]):
        one.step(action)
    for action in (places[1], places[0], places[2]):
        two.step(action)
    three.step(places[2])
    assert one.state_key() == two.state_key()
    assert one.state_key() != three.state_key()
    two.step("inventory")
    assert one.state_key() == two.state_key()


def test_both_dialects_put_things_down():
    task = own_game("pick", 0)
    *before, last = task.metadata["walkthrough"]
    thing, place = last.removeprefix("move ").split(" to ")
    for spelled in (f"put {thing} in/on {place}", f"Put {thing} on {place}.", f"MOVE  {thing} to {place}"):
        environment = played(task, before)
        assert environment.parse_action(f"Action: {spelled}").action == last
        assert environment.step(spelled).solved


def test_forks_from_many_branches_interleaved_agree_with_replays():
    rng = random.Random(0)
    roots = [played(task) for task in own_games(3, seed=5)]
    branches = [(root, root.fork(), []) for root in roots for _ in range(3)]
    for _ in range(40):
        index = rng.randrange(len(branches))
        root, branch, path = branches[index]
        actions = branch.admissible_actions()
        if actions:
            action = rng.choice(actions)
            branch.step(action)
            branches[index] = (root, branch.fork(), [*path, action])
    for root, branch, path in branches:
        again = AlfworldEnvironment()
        again.reset(root.task)
        for action in path:
            assert again.step(action).error is None
        assert view(again) == view(branch)
        assert branch.snapshot()["actions"] == path


def test_a_second_reset_leaves_forks_as_they_are():
    task = own_game("heat", 1)
    environment = played(task, task.metadata["walkthrough"][:2])
    fork = environment.fork()
    before = view(fork)
    environment.reset(task)
    environment.step(environment.admissible_actions()[0])
    assert view(fork) == before
    for action in task.metadata["walkthrough"][2:]:
        assert fork.step(action).error is None
    assert fork.evaluate().success


def test_threads_see_what_a_single_one_sees(monkeypatch):
    tasks = own_games(4, seed=11)
    alone = [walk(played(task), random.Random(task.id), 12) for task in tasks]
    monkeypatch.setattr(engine, "_loaded", type(engine._loaded)())  # the threads load their games as well
    together: dict[int, list] = {}

    def play(number):
        task = tasks[number % len(tasks)]
        together[number] = walk(played(task), random.Random(task.id), 12)

    threads = [threading.Thread(target=play, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[number] for number in range(8)] == alone + alone


def test_games_that_take_turns_in_one_library_stay_apart(fresh_engine, monkeypatch):
    monkeypatch.setattr(engine, "LIBRARIES", 1)
    tasks = own_games(3, seed=2)
    games = [played(task) for task in tasks]
    walkthroughs = [list(task.metadata["walkthrough"]) for task in tasks]
    while any(walkthroughs):
        for game, rest in zip(games, walkthroughs, strict=True):
            if rest:
                assert game.step(rest.pop(0)).error is None
    assert all(game.evaluate().success for game in games)
    assert len(engine._libraries) == 1


class _WithoutStates:
    """A build of fast-downward that can't return to earlier states."""

    def __init__(self, lib):
        self._lib = lib

    def __getattr__(self, name):
        if name in {"get_state_id", "set_state_id"}:
            raise AttributeError(name)
        return getattr(self._lib, name)


def test_an_engine_without_state_numbers_replays_and_warns_once(fresh_engine, monkeypatch):
    task = own_game("cool", 4)
    expected = walk(played(task).fork(), random.Random(1), 8)
    fast_downward = engine.engine_parts().fast_downward
    load_lib = fast_downward.load_lib
    monkeypatch.setattr(fast_downward, "load_lib", lambda: _WithoutStates(load_lib()))
    monkeypatch.setattr(engine, "_libraries", [])
    monkeypatch.setattr(engine, "_loaded", type(engine._loaded)())
    with pytest.warns(RuntimeWarning, match="get_state_id.*3 ms"):
        environment = played(task)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, second = environment.fork(), environment.fork()
        played(own_game("pick", 4))
        second.step(second.admissible_actions()[-1])
        assert walk(first, random.Random(1), 8) == expected


def test_loading_leaves_argv_and_stdout_alone(fresh_engine, capsys):
    argv, stdout = sys.argv, sys.stdout
    stop = threading.Event()
    swapped = []

    def watch():
        while not stop.is_set():
            if sys.stdout is not stdout or sys.argv is not argv:
                swapped.append(True)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        played(own_game("two", 9))
    finally:
        stop.set()
        watcher.join()
    assert not swapped
    assert capsys.readouterr().out == ""


def test_snapshots_are_rebuilt_in_another_instance():
    task = own_game("two", 1)
    environment = played(task, task.metadata["walkthrough"][:5])
    other = AlfworldEnvironment()
    other.restore(environment.snapshot())
    assert view(other) == view(environment)
    with pytest.raises(EnvironmentStateError):
        other.restore({"task": task.model_dump(), "actions": ["fly to the moon 1"]})


def test_a_problem_that_is_none_is_refused():
    for problem in ("", "(define (problem x) (:domain alfred)", "(define (problem x) (:domain other))"):
        with pytest.raises(InvalidTaskError, match="can't be set up"):
            AlfworldEnvironment().reset(Task(id="broken", text="put a cup in fridge.", data={"problem": problem}))


def test_every_tool_renders_an_action_that_the_game_takes():
    task = own_game("clean", 2)
    environment = played(task)
    for action in task.metadata["walkthrough"]:
        for admissible in environment.admissible_actions():
            parsed = [(tool, tool.parse(admissible)) for tool in environment.action_tools()]
            matching = [(tool, arguments) for tool, arguments in parsed if arguments is not None]
            assert len(matching) == 1, admissible
            tool, arguments = matching[0]
            assert tool.render(tool.args_schema(**arguments)) == admissible
        environment.step(action)


def test_the_command_line_plays_an_own_game_offline(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["linvit", "solve", "alfworld", "--seed", "3", "--no-tree"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert capsys.readouterr().out.lstrip().startswith("solved")


def test_the_papers_example_fails_alone_and_is_solved_with_the_planner():
    alone, planned = alfworld_example.solve()
    assert [step.action for step in alone.trajectory[1:4]] == [
        "take towel 1 from countertop 1", "go to sinkbasin 1", "clean towel 1 with sinkbasin 1",
    ]  # fmt: skip
    assert (alone.outcome, len(alone.trajectory)) == ("horizon", 50)
    assert planned.solved
    towel = next(node for node in planned.tree if node.text.startswith("take towel 1"))
    assert towel.value == 0.0


def test_the_evaluation_scores_every_method_on_the_same_games():
    tasks = own_games(2, seed=1_000)
    played = [alfworld_eval.play(task, levels=["careful"], values=["critic"], model=None, seed=0) for task in tasks]
    rows = alfworld_eval.rows_of(tasks, played)
    assert [row["method"] for row in rows] == [
        "greedy", "react", "slinvit", "best_of_n (= slinvit)", "slinvit, subgoals", "best_of_n (= slinvit, subgoals)",
    ]  # fmt: skip
    assert all((row["n"], row["errors"]) == (2, 0) for row in rows)
    by_method = {row["method"]: row for row in rows}
    assert by_method["best_of_n (= slinvit)"]["llm_calls"] <= by_method["slinvit"]["llm_calls"]
