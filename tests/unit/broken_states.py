"""Environments that break the contract in their forks, snapshots, keys, verdicts, or when they are closed."""

import random

from counters import Counter

from langchain_linvit.environments import Environment, Outcome, Transition


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
