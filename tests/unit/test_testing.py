"""The checker of the environment contract: it passes what is right, and names each clause that is broken."""

import json
import random

import pytest
from pydantic import BaseModel, Field

from langchain_linvit.environments import ActionTool, Environment, Outcome, ParsedAction, Task, Transition
from langchain_linvit.errors import EnvironmentContractError, EnvironmentStateError, InvalidSettingError
from langchain_linvit.testing import CLAUSES, check_environment


class Doors(Environment):
    """A user's first environment: three required methods, and every default."""

    description = "Name doors. Behind the right one is the prize. Actions: open 1, open 2, open 3."

    def reset(self, task):
        self.prize, self.opened = int(task.text), []
        return "Three doors are closed."

    def step(self, action):
        verb, _, number = action.partition(" ")
        if verb != "open" or number not in {"1", "2", "3"} or number in self.opened:
            return Transition(f"Can't do {action[:20]!r}.", error="only closed doors can be opened")
        self.opened.append(number)
        found = int(number) == self.prize
        return Transition("The prize!" if found else "Nothing.", reward=float(found), done=found, solved=found)

    def state_text(self):
        return f"Open doors: {', '.join(self.opened) or 'none'}."


class Counter(Environment):
    """Count to the task's number: every method is its own, so that tests can break each."""

    records_history = False
    noise = 0

    def reset(self, task):
        self.target, self.count, self.steps = int(task.text), 0, 0
        return self.state_text()

    def step(self, action):
        assert self.task
        if action not in self.admissible_actions():
            return Transition("no", error=f"{action[:20]!r} is not possible")
        self.count += {"up": 1, "down": -1, "twice": self.count}[action]
        self.steps += 1
        solved = self.count == self.target
        return Transition(f"now {self.count}", reward=float(solved), done=solved, solved=solved, info={"n": self.steps})

    def state_text(self):
        return f"The count is {self.count}."

    def state_key(self):
        return str(self.count)

    def admissible_actions(self):
        assert self.task
        return ["up", *(["down", "twice"] if self.count > 0 else [])]

    def fork(self):
        clone = self.spawn()
        clone.restore(self.snapshot())
        return clone

    def snapshot(self):
        return {"task": self.task.model_dump(), "count": self.count, "steps": self.steps}

    def restore(self, snapshot):
        if "count" not in snapshot:
            raise EnvironmentStateError("not a snapshot of Counter")
        self.reset(Task.model_validate(snapshot["task"]))
        self.count, self.steps = snapshot["count"], snapshot["steps"]

    def evaluate(self):
        return Outcome(success=self.count == self.target, score=float(self.count == self.target))


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


@pytest.mark.parametrize("broken", [None, "ForksToTheStart"])
def test_closes_what_it_made(broken):
    made = []

    class Closing(globals().get(broken, Counter)):
        def __init__(self):
            made.append(self)
            self.closed = False

        def close(self):
            self.closed = True

    if broken:
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


class StepsBeforeReset(Counter):
    def step(self, action):
        return Transition("hello")


class RaisesSomethingElseBeforeReset(Counter):
    def snapshot(self):
        return {"task": self._task.model_dump(), "count": self.count, "steps": self.steps}


class KeepsTheCount(Counter):
    def reset(self, task):
        self.target, self.steps = int(task.text), 0
        self.count = getattr(self, "count", 0)
        return self.state_text()


class KeepsTheTask(Counter):
    def reset(self, task):
        self.target = getattr(self, "target", int(task.text))
        self.count, self.steps = 0, 0
        return self.state_text()

    def state_text(self):
        return f"The count is {self.count} of {self.target}."


class ReturnsNothingFromReset(Counter):
    def reset(self, task):
        super().reset(task)


class RaisesInReset(Counter):
    def reset(self, task):
        raise KeyError("gold")


class CountsReadings(Counter):
    def state_text(self):
        self.noise += 1
        return f"The count is {self.count} ({self.noise})."


class EvaluatesByMoving(Counter):
    def evaluate(self):
        self.count += 1
        return super().evaluate()


class ReadsBytes(Counter):
    @property
    def goal(self):
        return self.task.text.encode()


class RaisesInAReading(Counter):
    def state_key(self):
        raise AttributeError("key")


class ReturnsText(Counter):
    def step(self, action):
        transition = super().step(action)
        return transition if transition.error else transition.observation


class RewardsTooMuch(Counter):
    def step(self, action):
        transition = super().step(action)
        return transition if transition.error else Transition("x", reward=float("nan"))


class HidesTheErrorsText(Counter):
    def step(self, action):
        transition = super().step(action)
        return Transition("no", error="") if transition.error else transition


class TellsWithObjects(Counter):
    def step(self, action):
        transition = super().step(action)
        return transition if transition.error else Transition(transition.observation, info={"env": self})


class RaisesOnGarbage(Counter):
    def step(self, action):
        if action not in self.admissible_actions():
            raise ValueError(action[:20])
        return super().step(action)


class AcceptsGarbage(Counter):
    def step(self, action):
        transition = super().step(action)
        return Transition("fine") if transition.error else transition


class MovesOnGarbage(Counter):
    def step(self, action):
        transition = super().step(action)
        if transition.error:
            self.count += 1
        return transition


class RaisesWhileParsing(Counter):
    def parse_action(self, text):
        return ParsedAction(text.splitlines()[0])


class ParsesToNothing(Counter):
    def parse_action(self, text):
        parsed = super().parse_action(text)
        return parsed if parsed.action else ParsedAction(None)


class ListsTheImpossible(Counter):
    def admissible_actions(self):
        return [*super().admissible_actions(), "sideways"]

    def step(self, action):
        return Transition("no", error="no sideways") if action == "sideways" else super().step(action)


class ListsTwice(Counter):
    def admissible_actions(self):
        return ["up", *super().admissible_actions()]


class ListsTooLittle(Counter):
    def admissible_actions(self):
        return super().admissible_actions()[: 3 if self.count % 2 else 1]

    def step(self, action):
        assert self.task
        if action not in Counter.admissible_actions(self):
            return Transition("no", error="not possible")
        self.count += {"up": 1, "down": -1, "twice": self.count}[action]
        return Transition("moved")


class ShufflesItsList(Counter):
    def admissible_actions(self):
        self.noise += 1
        assert self.task
        return ["up", "twice"][:: -1 if self.noise % 2 else 1]


class DoesNotReadItsOwnActions(Counter):
    def parse_action(self, text):
        parsed = super().parse_action(text)
        return ParsedAction(parsed.action.upper()) if parsed.action else parsed


class Times(BaseModel):
    times: int = Field(description="How often.")


class Bare(BaseModel):
    action: str


def tool(name="up", render="up", schema=Times, parse=lambda action: {"times": 1}):
    return ActionTool(name, "Count.", schema, lambda args: render, parse)


class ToolRendersSomethingElse(Counter):
    def action_tools(self):
        return [tool()]


class ToolsOverlap(Counter):
    def action_tools(self):
        return [*super().action_tools(), tool(parse=lambda action: {"times": 1} if action == "up" else None)]


class ToolsShareAName(Counter):
    def action_tools(self):
        return [tool(), tool()]


class ToolsMissAnAction(Counter):
    def action_tools(self):
        return [tool(parse=lambda action: {"times": 1} if action == "up" else None)]


class ToolParsesToBadArguments(Counter):
    def action_tools(self):
        return [tool(parse=lambda action: {"times": "often"})]


class ToolIsNotDescribed(Counter):
    def action_tools(self):
        return [ActionTool("act", "Act.", Bare, lambda args: args.action, lambda action: {"action": action})]


class ForksToItself(Counter):
    def fork(self):
        assert self.task
        return self


class ForksToTheStart(Counter):
    def fork(self):
        clone = self.spawn()
        clone.reset(self.task)
        return clone


class Shared(Counter):
    """The count lives in a list."""

    def reset(self, task):
        self.cell = [0]
        return super().reset(task)

    @property
    def count(self):
        return self.cell[0]

    @count.setter
    def count(self, value):
        self.cell[0] = value


class ForksShareAList(Shared):
    def fork(self):
        clone = super().fork()
        clone.cell = self.cell
        return clone


class ForksShareTheirHistory(Environment):
    """The state is right, but a fork writes into its parent's record."""

    def reset(self, task):
        self.count = 0
        return "0"

    def step(self, action):
        if action != "up":
            return Transition("no", error="only up")
        self.count += 1
        return Transition(str(self.count))

    def state_text(self):
        return str(self.count)

    def admissible_actions(self):
        return ["up"]

    def fork(self):
        clone = self.spawn()
        clone.reset(self.task)
        clone.count, clone._history = self.count, self._history
        return clone


class RaisesInFork(Counter):
    def fork(self):
        assert self.task
        raise NotImplementedError


class SavesObjects(Counter):
    def snapshot(self):
        return {**super().snapshot(), "random": random.Random()}

    def fork(self):
        clone = self.spawn()
        clone.restore(Counter.snapshot(self))
        return clone


class SavesTooLittle(Counter):
    def fork(self):
        clone = self.spawn()
        clone.restore(Counter.snapshot(self))
        return clone

    def snapshot(self):
        return {**super().snapshot(), "count": 0}


class SavesTooLittleOfTheFuture(Counter):
    """What can be read is restored; the doubling that comes with every third step is not."""

    def step(self, action):
        transition = super().step(action)
        if transition.error is None and self.steps % 3 == 2:
            self.count *= 2
        return transition

    def state_key(self):
        return None

    def fork(self):
        clone = self.spawn()
        clone.restore(Counter.snapshot(self))
        return clone

    def snapshot(self):
        return {**super().snapshot(), "steps": 0}


class SavesALiveList(Shared):
    def snapshot(self):
        return {**super().snapshot(), "count": self.cell}

    def restore(self, snapshot):
        super().restore(snapshot)
        self.cell = list(snapshot["count"])


class RestoresInPlaceOnly(Counter):
    def snapshot(self):
        assert self.task
        self.saved = Counter.snapshot(self)
        return {"kept": True}

    def fork(self):
        clone = self.spawn()
        clone.restore(Counter.snapshot(self))
        return clone

    def restore(self, snapshot):
        if "kept" in snapshot:
            snapshot = self.saved
        super().restore(snapshot)


class TakesForeignData(Counter):
    def restore(self, snapshot):
        if "count" in snapshot:
            super().restore(snapshot)


class ForgetsBeforeItRefuses(Counter):
    def restore(self, snapshot):
        self.count = 0
        super().restore(snapshot)


class RollsDice(Counter):
    def step(self, action):
        transition = super().step(action)
        if transition.error:
            return transition
        return Transition(str(self.dice), info={})

    def reset(self, task):
        self.dice = random.random()
        return super().reset(task)

    def restore(self, snapshot):
        super().restore(snapshot)
        self.dice = snapshot["dice"]

    def snapshot(self):
        return {**super().snapshot(), "dice": self.dice}


class DependsOnTheInstance(Counter):
    made = 0

    def __init__(self):
        type(self).made += 1
        self.number = self.made

    def fork(self):
        clone = super().fork()
        clone.number = self.number
        return clone

    def snapshot(self):
        return {**super().snapshot(), "number": self.number}

    def restore(self, snapshot):
        super().restore(snapshot)
        self.number = snapshot["number"]

    def step(self, action):
        transition = super().step(action)
        return transition if transition.error else Transition(f"{transition.observation} {self.number}")


class KeysAreAllEqual(Counter):
    def state_key(self):
        return "state"


class KeysLeaveSomethingOut(Counter):
    """Every third step counts one more, which neither key nor text tells."""

    def step(self, action):
        if action in self.admissible_actions() and self.steps % 3 == 1:
            self.count += 1
        return super().step(action)


class KeysAreNew(Counter):
    def state_key(self):
        self.noise += 1
        return str(self.noise)


class DoesNotSeeItsSuccess(Counter):
    def evaluate(self):
        return Outcome(success=False, score=0)


class ForgetsTheVerdict(Counter):
    """Records nothing, and leaves `evaluate` to the base class, which needs the record."""

    evaluate = Environment.evaluate


class EvaluatesToANumber(Counter):
    def evaluate(self):
        return 1.0


class RaisesInEvaluate(Counter):
    def evaluate(self):
        raise RuntimeError("no gold")


class ClosesOnce(Counter):
    closed = False

    def close(self):
        if self.closed:
            raise RuntimeError("closed already")
        self.closed = True


class ClosesItsForks(Shared):
    def fork(self):
        clone = super().fork()
        clone.parent = self
        return clone

    def close(self):
        self.cell = None

    def state_text(self):
        parent = getattr(self, "parent", None)
        return f"The count is {self.count}{'' if parent is None or parent.cell else ', or was'}."


BROKEN = {
    "use before reset": [StepsBeforeReset, RaisesSomethingElseBeforeReset],
    "reset": [KeepsTheCount, KeepsTheTask, ReturnsNothingFromReset, RaisesInReset],
    "reading": [
        CountsReadings,
        EvaluatesByMoving,
        ReadsBytes,
        RaisesInAReading,
        ShufflesItsList,
        KeysAreNew,
        RaisesInEvaluate,
    ],
    "transition": [ReturnsText, RewardsTooMuch, HidesTheErrorsText, TellsWithObjects],
    "bad input": [RaisesOnGarbage, AcceptsGarbage, MovesOnGarbage, RaisesWhileParsing, ParsesToNothing],
    "admissible actions": [ListsTheImpossible, ListsTwice, ListsTooLittle, DoesNotReadItsOwnActions],
    "action tools": [
        ToolRendersSomethingElse,
        ToolsOverlap,
        ToolsShareAName,
        ToolsMissAnAction,
        ToolParsesToBadArguments,
        ToolIsNotDescribed,
    ],
    "fork": [ForksToItself, ForksToTheStart, ForksShareAList, ForksShareTheirHistory, RaisesInFork],
    "snapshot": [
        SavesObjects,
        SavesTooLittle,
        SavesTooLittleOfTheFuture,
        SavesALiveList,
        RestoresInPlaceOnly,
        TakesForeignData,
        ForgetsBeforeItRefuses,
    ],
    "replay": [RollsDice, DependsOnTheInstance],
    "state key": [KeysAreAllEqual, KeysLeaveSomethingOut],
    "evaluate": [DoesNotSeeItsSuccess, ForgetsTheVerdict, EvaluatesToANumber],
    "close": [ClosesOnce, ClosesItsForks],
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
