"""The BlocksWorld environment, its validator, and the contract."""

import json

import pytest

from langchain_linvit.environments import BlocksWorldEnvironment, Task
from langchain_linvit.environments.blocksworld import (
    generate_problems,
    load_problem_list,
    solve_optimally,
    validate_plan,
)
from langchain_linvit.errors import EnvironmentStateError, InvalidTaskError
from langchain_linvit.testing import check_environment

ENGLISH = (
    "As initial conditions I have that, the red block is clear, the hand is empty, the red block is on top of the blue "
    "block and the blue block is on the table. My goal is to have that the blue block is on top of the red block."
)
PLAN = [
    "unstack the red block from on top of the blue block",
    "put down the red block",
    "pick up the blue block",
    "stack the blue block on top of the red block",
]


@pytest.fixture
def env():
    environment = BlocksWorldEnvironment()
    environment.reset(ENGLISH)
    return environment


@pytest.mark.parametrize(("blocks", "steps"), [(2, 4), (3, 6), (5, 8), (7, 6)])
def test_keeps_the_contract(blocks, steps):
    task, other = generate_problems(blocks=blocks, steps=steps, count=2, seed=0)
    check_environment(BlocksWorldEnvironment, task, other_task=other)


def test_keeps_the_contract_in_english():
    check_environment(BlocksWorldEnvironment, ENGLISH, seed=3)


def test_keeps_the_contract_on_planbench(benchmark_data):
    tasks = load_problem_list(benchmark_data / "blocksworld/rap/step_6.json")
    for task, other in zip(tasks[:80:20], tasks[1:81:20], strict=True):
        check_environment(BlocksWorldEnvironment, task, other_task=other, episodes=1)


def test_the_goal_ends_the_episode_at_once(env):
    for action in PLAN[:-1]:
        transition = env.step(action)
        assert (transition.done, transition.solved, transition.reward, transition.error) == (False, False, 0.0, None)
        assert not env.evaluate().success
    transition = env.step(PLAN[-1])
    assert (transition.done, transition.solved, transition.reward, transition.error) == (True, True, 1.0, None)
    assert transition.observation == env.state_text()
    assert env.evaluate().success
    assert env.admissible_actions() == []
    after = env.step("unstack the blue block from on top of the red block")
    assert after.error is not None
    assert after.done
    assert after.solved


def test_a_goal_that_holds_at_the_start_leaves_nothing_to_do():
    env = BlocksWorldEnvironment()
    env.reset("The red block is on the table. My goal is to have that the red block is clear.")
    assert env.admissible_actions() == []
    assert env.evaluate().success
    assert env.step("pick up the red block").done


def test_speaks_english(env):
    assert env.goal == "the blue block is on top of the red block"
    assert env.admissible_actions() == PLAN[:1]
    assert "pick up the X block" in env.description


def test_impossible_actions_say_why(env):
    for action, reason in [
        ("pick up the red block", "the red block is not on the table"),
        ("pick up the blue block", "the blue block is not clear"),
        ("put down the red block", "the hand is not holding the red block"),
        ("unstack the blue block from on top of the red block", "the blue block is not clear"),
        ("pick up the pink block", "there is no block 'pink'; the blocks are red, blue"),
        ("dance", "'dance' is no action; write 'pick up the X block'"),
    ]:
        before = env.state_key()
        transition = env.step(action)
        assert reason in transition.error
        assert reason in transition.observation
        assert env.state_key() == before
    env.step(PLAN[0])
    assert "not empty, it is holding the red block" in env.step("pick up the blue block").error
    assert "the red block is in the hand" in env.step("stack the red block on top of the red block").error


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("Action: Unstack red from blue.", PLAN[0]),
        ("I think that is best.\n**Action:** (unstack a b)", PLAN[0]),
        ("`put down the red block`", PLAN[1]),
        ("Action: pick up the blue block\nAction: put down the red block", PLAN[1]),
    ],
)
def test_reads_what_models_write(env, text, action):
    assert env.parse_action(text).action == action


@pytest.mark.parametrize(
    ("text", "error"),
    [("Action: pick up the pink block", "no block 'pink'"), ("Action: hop", "is no action"), ("", "empty")],
)
def test_says_what_is_wrong_with_an_answer(env, text, error):
    parsed = env.parse_action(text)
    assert parsed.action is None
    assert error in parsed.error


def test_tools_are_typed(env):
    tools = {tool.name: tool for tool in env.action_tools()}
    assert list(tools) == ["pick_up", "put_down", "stack", "unstack"]
    stack = tools["stack"]
    assert stack.render(stack.args_schema(block="the Blue block", target="a")) == PLAN[3]
    assert stack.parse(PLAN[3]) == {"block": "blue", "target": "red"}
    assert stack.parse(PLAN[0]) is None
    assert tools["unstack"].parse(PLAN[0]) == {"block": "red", "source": "blue"}
    evil = stack.render(stack.args_schema(block="red\nAction: pick up blue", target="x" * 10_000))
    assert "\n" not in evil
    assert env.step(evil).error


def test_the_horizon_is_the_label():
    task = generate_problems(blocks=4, steps=6, count=1, seed=0)[0]
    env = BlocksWorldEnvironment()
    env.reset(task)
    assert env.horizon == 6
    env.reset(task.text)
    assert env.horizon is None


def test_a_task_that_makes_no_sense_leaves_the_last_one(env):
    before = env.state_key(), env.goal
    for text in ("", "hello", "(define", "Red is on red. Goal: red is clear."):
        with pytest.raises(InvalidTaskError, match="task-7"):
            env.reset(Task(id="task-7", text=text))
    assert (env.state_key(), env.goal) == before
    assert env.step(PLAN[0]).error is None


def test_a_broken_snapshot_changes_nothing(env):
    env.step(PLAN[0])
    before = env.state_key()
    good = json.loads(json.dumps(env.snapshot()))
    for bad in [
        {},
        {"task": 3, "actions": []},
        {**good, "actions": ["pick up the blue block"]},
        {**good, "actions": [7]},
        {**good, "actions": None},
        {**good, "task": {"id": "x", "text": "nonsense"}},
    ]:
        with pytest.raises(EnvironmentStateError, match="not a snapshot"):
            env.restore(bad)
        assert env.state_key() == before


def test_the_verdict_is_the_validators(env):
    """A state that was tampered with does not fool `evaluate`."""
    for action in PLAN:
        env.step(action)
    cheat = BlocksWorldEnvironment()
    cheat.reset(ENGLISH)
    cheat._state = env._state
    assert cheat.state_text() == env.state_text()
    assert not cheat.evaluate().success
    assert "the goal lacks (on b a)" in cheat.evaluate().info["reason"]


@pytest.mark.parametrize(
    ("plan", "valid", "solved", "failed_step", "reason"),
    [
        (PLAN, True, True, None, ""),
        (["(unstack a b)", "(put-down a)", "(pick-up b)", "(stack b a)"], True, True, None, ""),
        (["(unstack red blue)", "(put-down red)"], True, False, None, "the goal lacks (on b a)"),
        ([], True, False, None, "the goal lacks (on b a)"),
        (PLAN[1:], False, False, 1, "needs (holding a)"),
        ([*PLAN[:2], *PLAN[:1]], False, False, 3, "needs (on a b)"),
        ([PLAN[0], "(stack a b c)"], False, False, 2, "is no action of this problem"),
        ([PLAN[0], "(pick-up z)"], False, False, 2, "is no action of this problem"),
        ([PLAN[0], ""], False, False, 2, "is no action of this problem"),
        ([PLAN[0], "x" * 10_000_000], False, False, 2, "is no action of this problem"),
    ],
)
def test_the_validator(plan, valid, solved, failed_step, reason):
    problem = (
        "(define (problem p) (:domain blocksworld-4ops) (:objects a b) "
        "(:init (handempty) (clear a) (on a b) (ontable b)) (:goal (on b a)))"
    )
    verdict = validate_plan(problem, plan)
    assert (verdict.valid, verdict.solved, verdict.failed_step) == (valid, solved, failed_step)
    assert reason in verdict.reason
    assert bool(verdict.reason) != solved


def test_the_validator_refuses_what_is_no_problem():
    with pytest.raises(InvalidTaskError, match="not a PDDL problem"):
        validate_plan("(define", [])


def test_environment_and_validator_agree_on_random_plans():
    """Two implementations of the rules, over mostly impossible plans."""
    import random

    rng = random.Random(0)
    names = ["red", "blue", "orange"]
    possible = 0
    for task in generate_problems(blocks=3, steps=4, count=6, seed=4):
        env = BlocksWorldEnvironment()
        for _ in range(60):
            env.reset(task)
            x, y = rng.choice(names), rng.choice(names)
            last = rng.choice([f"(pick-up {x})", f"(put-down {x})", f"(stack {x} {y})", f"(unstack {x} {y})"])
            plan = [action for _ in range(rng.randrange(3)) for action in _random_step(env, rng)]
            taken = env.step(last)
            verdict = validate_plan(task.text, [*plan, last])
            if not env.fork().admissible_actions():
                continue
            assert verdict.valid == (taken.error is None), (task.text, plan, last)
            assert verdict.solved == bool(taken.solved)
            possible += verdict.valid
    assert possible > 20


def _random_step(env, rng):
    actions = env.admissible_actions()
    if actions:
        action = rng.choice(actions)
        env.step(action)
        yield action


def test_optimal_plans_solve(env):
    for task in generate_problems(blocks=5, steps=8, count=3, seed=1):
        env.reset(task)
        assert [env.step(action).solved for action in solve_optimally(task)] == [False] * 7 + [True]
        assert env.evaluate().success
