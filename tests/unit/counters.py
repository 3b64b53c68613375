"""Two environments that keep the contract: one that lists its actions, and one with open-ended actions."""

from langchain_linvit.environments import Environment, Outcome, Task, Transition
from langchain_linvit.errors import EnvironmentStateError


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
