"""A tiny world for tests: a corridor with a dead end, in which each state, action and probability is plain."""

import re

from langchain_linvit.environments.base import Environment, Task, Transition
from langchain_linvit.models import PolicyChatModel
from langchain_linvit.planner import create_slinvit_planner
from langchain_linvit.prompts import last_block, request_kind

ACTIONS = ("go left", "go right", "wait")


class Corridor(Environment):
    """Walk from 0 to the number that the task names. Only reset, step and state_text are its own."""

    description = "A corridor of numbered cells. Actions: go left, go right, wait."
    live = 0  # instances that were opened and not closed yet

    def reset(self, task: Task) -> str:
        if not re.fullmatch(r"reach \d+", task.text):
            from langchain_linvit.errors import InvalidTaskError

            raise InvalidTaskError(f"no cell in {task.text!r}; write 'reach N'")
        self.position, self.target = 0, int(task.text.split()[1])
        return self.state_text()

    def step(self, action: str) -> Transition:
        if action not in ACTIONS:
            return Transition("", error=f"no action {action!r}")
        if action == "go left" and self.position == 0:
            return Transition("", error="there is a wall")
        self.position += {"go left": -1, "go right": 1, "wait": 0}[action]
        solved = self.position == self.target
        return Transition(self.state_text(), done=solved, solved=solved)

    def state_text(self) -> str:
        return f"you are in cell {self.position}"

    def state_key(self) -> str:
        return str(self.position)

    def admissible_actions(self) -> list[str]:
        return list(ACTIONS if self.position else ACTIONS[1:])


class CountedCorridor(Corridor):
    """A corridor that counts its open instances, and whose verdict raises: no search may ask for it."""

    def reset(self, task: Task) -> str:
        if not getattr(self, "_open", False):
            self._open = True
            CountedCorridor.live += 1
        return super().reset(task)

    def close(self) -> None:
        if getattr(self, "_open", False):
            self._open = False
            CountedCorridor.live -= 1

    def evaluate(self):
        raise AssertionError("a search asked for the benchmark's verdict")


def closeness(state_text: str, goal: str) -> float:
    """1 at the target, less the farther away: a rule value for the corridor."""
    position, target = int(state_text.split()[-1]), int(goal.split()[-1])
    return max(0.0, 1 - abs(target - position) / max(target, 1))


def walker(messages, tools):
    """A policy that wanders: it goes right no more often than left, and answers every kind of request."""
    del tools
    kind = request_kind(messages)
    position = int((last_block(messages, "state") or "cell 0").split()[-1])
    target = int((last_block(messages, "goal") or "reach 3").split()[-1])
    if kind in {"choose by number", "weigh actions"}:
        actions = [line.split(". ", 1)[1] for line in (last_block(messages, "actions") or "").splitlines()]
        if kind == "weigh actions":
            return {"{" + ", ".join(f'"{i}": {1 / len(actions)}' for i, _ in enumerate(actions, 1)) + "}": 1.0}
        return {str(i): 1 / len(actions) for i, _ in enumerate(actions, 1)}
    if kind == "judge progress":
        return {f"Holds: {min(position, target)} of {target}": 1.0}
    if kind == "write rules":
        rules = [{"weight": i, "when": {"contains": f"cell {i}"}} for i in range(1, target + 1)]
        return {str({"rules": rules}).replace("'", '"'): 1.0}
    if kind == "next subgoal":
        return {f"Subgoal: reach {position + 1}": 0.6, f"Subgoal: reach {max(position - 1, 0)}": 0.4}
    if kind == "carry out subgoal":
        wanted = int((last_block(messages, "subgoal") or "0").split()[-1])
        if position == wanted:
            return {"Done": 1.0}
        return {f"Action: go {'right' if wanted > position else 'left'}": 1.0}
    if kind == "imagine":
        after = position + {"go left": -1, "go right": 1}.get(last_block(messages, "action") or "", 0)
        if after < 0:
            return {"Possible: no\nSolved: no\nObservation: a wall": 1.0}
        flag = "yes" if after == target else "no"
        text = f"you are in cell {after}"
        return {f"Possible: yes\nSolved: {flag}\nObservation: {text}\nState: {text}": 1.0}
    return {"Action: go right": 0.4, "Action: go left": 0.4, "Action: wait": 0.1, "Action: fly": 0.1}


def walker_model(**fields) -> PolicyChatModel:
    return PolicyChatModel(policy=walker, **fields)


def plan(model=None, task="reach 4", environment=None, **options):
    """The result of a planner on a corridor, or on the environment given."""
    planner = create_slinvit_planner(
        walker_model() if model is None else model, environment or Corridor(), **{"retry_delay": 0.0, **options}
    )
    return planner.invoke({"task": task})["result"]
