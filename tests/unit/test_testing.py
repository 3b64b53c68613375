"""The checker of the environment contract: it passes what is right, and names each clause that is broken."""

import json
import random

import broken_states
import broken_steps
import pytest
from counters import Counter, Doors

from langchain_linvit.environments import Transition
from langchain_linvit.errors import EnvironmentContractError, EnvironmentStateError, InvalidSettingError
from langchain_linvit.testing import CLAUSES, check_environment


def check(factory, **settings):
    check_environment(factory, "5", **{"other_task": "3", "episodes": 4, "steps": 6, **settings})


def test_passes_what_is_right():
    check(Counter)
    check(Doors, actions=["open 1", "open 2", "open 3"])


def test_passes_arguments_through_the_factory():
    class Named(Doors):
        def __init__(self, name, *, door=1):
            self.name, self.door = name, door

        def state_text(self):
            return f"{self.name} {self.door}: {super().state_text()}"

    check(lambda: Named("house", door=2), actions=["open 2"])


@pytest.mark.parametrize("base", [Counter, broken_states.ForksToTheStart])
def test_closes_what_it_made(base):
    made = []

    class Closing(base):
        def __init__(self):
            made.append(self)
            self.closed = False

        def close(self):
            self.closed = True

    if base is not Counter:
        with pytest.raises(EnvironmentContractError):
            check(Closing)
    else:
        check(Closing)
    assert len(made) > 20
    assert all(env.closed for env in made if env._task)


def test_open_ended_actions_must_be_given():
    with pytest.raises(InvalidSettingError, match="pass check_environment some `actions=`"):
        check(Doors)


def test_chance_is_allowed_where_it_is_declared():
    class Lucky(Counter):
        def step(self, action):
            transition = super().step(action)
            if transition.error is None and random.random() < 0.5:
                self.count += 10
            return transition

    check(Lucky, deterministic=False)
    with pytest.raises(EnvironmentContractError):
        check(Lucky, episodes=20)


BROKEN = {
    "use before reset": [broken_steps.StepsBeforeReset, broken_steps.RaisesSomethingElseBeforeReset],
    "reset": [
        broken_steps.KeepsTheCount,
        broken_steps.KeepsTheTask,
        broken_steps.ReturnsNothingFromReset,
        broken_steps.RaisesInReset,
    ],
    "reading": [
        broken_steps.CountsReadings,
        broken_steps.EvaluatesByMoving,
        broken_steps.ReadsBytes,
        broken_steps.RaisesInAReading,
        broken_steps.ShufflesItsList,
        broken_states.KeysAreNew,
        broken_states.RaisesInEvaluate,
    ],
    "transition": [
        broken_steps.ReturnsText,
        broken_steps.RewardsTooMuch,
        broken_steps.HidesTheErrorsText,
        broken_steps.TellsWithObjects,
    ],
    "bad input": [
        broken_steps.RaisesOnGarbage,
        broken_steps.AcceptsGarbage,
        broken_steps.MovesOnGarbage,
        broken_steps.RaisesWhileParsing,
        broken_steps.ParsesToNothing,
    ],
    "admissible actions": [
        broken_steps.ListsTheImpossible,
        broken_steps.ListsTwice,
        broken_steps.ListsTooLittle,
        broken_steps.DoesNotReadItsOwnActions,
    ],
    "action tools": [
        broken_steps.ToolRendersSomethingElse,
        broken_steps.ToolsOverlap,
        broken_steps.ToolsShareAName,
        broken_steps.ToolsMissAnAction,
        broken_steps.ToolParsesToBadArguments,
        broken_steps.ToolIsNotDescribed,
    ],
    "fork": [
        broken_states.ForksToItself,
        broken_states.ForksToTheStart,
        broken_states.ForksShareAList,
        broken_states.ForksShareTheirHistory,
        broken_states.RaisesInFork,
    ],
    "snapshot": [
        broken_states.SavesObjects,
        broken_states.SavesTooLittle,
        broken_states.SavesTooLittleOfTheFuture,
        broken_states.SavesALiveList,
        broken_states.RestoresInPlaceOnly,
        broken_states.TakesForeignData,
        broken_states.ForgetsBeforeItRefuses,
    ],
    "replay": [broken_states.RollsDice, broken_states.DependsOnTheInstance],
    "state key": [broken_states.KeysAreAllEqual, broken_states.KeysLeaveSomethingOut],
    "evaluate": [broken_states.DoesNotSeeItsSuccess, broken_states.ForgetsTheVerdict, broken_states.EvaluatesToANumber],
    "close": [broken_states.ClosesOnce, broken_states.ClosesItsForks],
}


def test_every_clause_has_a_broken_environment():
    assert set(BROKEN) == set(CLAUSES)


@pytest.mark.parametrize(("clause", "broken"), [(clause, env) for clause, envs in BROKEN.items() for env in envs])
def test_a_broken_clause_is_named(clause, broken):
    with pytest.raises(EnvironmentContractError) as caught:
        check(broken, episodes=12)
    assert caught.value.clause == clause, str(caught.value)
    assert CLAUSES[clause] in str(caught.value)
    assert len(str(caught.value)) < 900


def test_an_environment_without_admissible_actions_may_answer_garbage():
    class Shell(Doors):
        def step(self, action):
            return super().step(action) if action.startswith("open") else Transition("command not found")

    check(Shell, actions=["open 1", "ls"])


def test_the_replaying_defaults_refuse_what_they_cannot_replay():
    env = Doors()
    env.reset("2")
    env.step("open 1")
    good = json.loads(json.dumps(env.snapshot()))
    with pytest.raises(EnvironmentStateError, match=r"failed at step 2, 'open 1': only closed doors"):
        env.restore({**good, "actions": ["open 1", "open 1"]})
    for bad in ({}, {"task": 3, "actions": []}, {**good, "actions": 3}, {"actions": []}):
        with pytest.raises(EnvironmentStateError, match="needs a valid 'task' and 'actions'"):
            env.restore(bad)


def test_the_recorded_step_needs_a_task():
    with pytest.raises(EnvironmentStateError, match="Doors has no task yet: call reset"):
        Doors().step("open 1")
