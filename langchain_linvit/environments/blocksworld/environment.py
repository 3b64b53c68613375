"""BlocksWorld as an environment: a step and a fork cost microseconds."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Self

from pydantic import BaseModel, Field

from langchain_linvit.environments.base import (
    ActionTool,
    Environment,
    Outcome,
    ParsedAction,
    Snapshot,
    Task,
    Transition,
    extract_action,
    shorten,
)
from langchain_linvit.environments.blocksworld import text as english
from langchain_linvit.environments.blocksworld.pddl import read_problem, write_problem
from langchain_linvit.environments.blocksworld.state import (
    Operator,
    Problem,
    State,
    apply,
    goal_holds,
    legal_moves,
    obstacle,
)
from langchain_linvit.environments.blocksworld.validator import validate_plan
from langchain_linvit.errors import EnvironmentStateError, InvalidTaskError

DESCRIPTION = """\
Blocks stand on a table or on each other, and a hand moves one block at a time.
A block is clear if no block is on top of it and it is not in the hand. The actions are:
- pick up the X block: only if the hand is empty, and X is clear and on the table. Then the hand holds X.
- unstack the X block from on top of the Y block: only if the hand is empty, X is clear and on top of Y.
  Then the hand holds X, and Y is clear.
- put down the X block: only if the hand holds X. Then X is on the table and clear, and the hand is empty.
- stack the X block on top of the Y block: only if the hand holds X and Y is clear. Then X is on top of Y and
  clear, and the hand is empty.
Write an action exactly as above, with the colours of the blocks for X and Y.

Example. State: the red block is clear, the hand is empty, the red block is on top of the blue block and the \
blue block is on the table.
Goal: the blue block is on top of the red block.
Plan: unstack the red block from on top of the blue block; put down the red block; pick up the blue block; \
stack the blue block on top of the red block."""

_CACHED_TASK = 20_000


class BlocksWorldEnvironment(Environment):
    """The 4-operator BlocksWorld, for any number of blocks.

    The task's text is a PDDL problem, or English as PlanBench states it ("As initial conditions I have that, ...
    My goal is to have that ..."), so that a chat message can be the task. Everything can be observed: each
    observation is the whole state, and the episode is over, and says so, as soon as the goal holds.

    `fork` copies references (about a microsecond); `snapshot` is the task and the actions taken.

    Example:
        >>> env = BlocksWorldEnvironment()
        >>> env.reset(load_problem("instance-1.pddl"))
        >>> env.step("pick up the red block").observation
    """

    description = DESCRIPTION
    records_history = False

    _problem: Problem
    _state: State
    _actions: tuple[str, ...] = ()

    def reset(self, task: Task | str) -> str:
        """Start `task` and return the state in English.

        Raises:
            InvalidTaskError: The text is neither a PDDL problem nor a statement in English, or it is
                inconsistent, or no plan reaches its goal.
        """
        assert isinstance(task, Task)  # noqa: S101 - the base class hands over a Task, whatever it is given
        problem = _read_task(task.text, str(task.metadata.get("source", task.id)))
        self._problem, self._state, self._actions = problem, problem.start, ()
        self._solved = goal_holds(problem.start, problem.goal)
        return self.state_text()

    def step(self, action: str) -> Transition:
        """Take one action, in English or PDDL; legal only while the goal does not hold yet."""
        state = self._state_now()
        if self._solved:
            return Transition(english.state_text(state), done=True, solved=True, error="the goal holds: it is over")
        after = _successors(state).get(action)
        if after is None:
            return self._step_reworded(action)
        self._state = after
        self._actions = (*self._actions, action)
        self._solved = solved = goal_holds(self._state, self._problem.goal)
        return Transition(english.state_text(self._state), reward=float(solved), done=solved, solved=solved)

    def _step_reworded(self, action: str) -> Transition:
        """A step in other words than `admissible_actions` has, or one that is not possible."""
        move = english.parse_action(action)
        error = _unreadable(action) if move is None else obstacle(self._state, move)
        if move is None or error is not None:
            return Transition(f"Not possible: {error}.", solved=False, error=error)
        return self.step(english.action_text(move))

    def state_text(self) -> str:
        """All facts of the current state, in English."""
        return english.state_text(self._state_now())

    @property
    def goal(self) -> str:
        """The facts to be reached, in English."""
        return english.facts_text(self._problem_now().goal)

    @property
    def horizon(self) -> int | None:
        """The task's `optimal_steps`, where its metadata says so: what PlanBench's lists grant a plan."""
        steps = self.task.metadata.get("optimal_steps")
        return None if steps is None else int(steps)

    def fork(self) -> Self:
        """An independent copy: states are immutable, so a fork copies references only."""
        clone = self.spawn()
        clone._take(self)
        return clone

    def snapshot(self) -> Snapshot:
        """The task and the actions taken."""
        return {"task": self.task.model_dump(), "actions": list(self._actions)}

    def restore(self, snapshot: Snapshot) -> None:
        """Go to the state of `snapshot`, by replay: some microseconds an action.

        Raises:
            EnvironmentStateError: The snapshot is not one of this environment's; nothing has changed then.
        """
        restored = self.spawn()
        try:
            restored.reset(Task.model_validate(snapshot["task"]))
            failed = [action for action in snapshot["actions"] if restored.step(action).error]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise EnvironmentStateError(f"not a snapshot of {type(self).__name__}: {shorten(str(error))}") from error
        if failed:
            raise EnvironmentStateError(f"not a snapshot of {type(self).__name__}: {failed[0]!r} is not possible")
        self._take(restored)

    def state_key(self) -> str:
        """What carries each block, in the order of the blocks."""
        blocks, supports = self._state_now()
        return f"{' '.join(blocks)}: {' '.join(map(str, supports))}"

    def admissible_actions(self) -> list[str]:
        """Every possible action in English, in a fixed order; none once the goal holds."""
        state = self._state_now()
        return [] if self._solved else list(_successors(state))

    def parse_action(self, text: str) -> ParsedAction:
        """The action that `text` names, possible or not, as long as its blocks exist."""
        line = extract_action(text)
        if line.action is None:
            return line
        move = english.parse_action(line.action)
        if move is None:
            return ParsedAction(None, _unreadable(line.action))
        blocks = self._state_now().blocks
        unknown = [name for name in move[1:] if name is not None and name not in blocks]
        if unknown:
            return ParsedAction(None, f"there is no block {unknown[0]!r}; the blocks are {', '.join(blocks)}")
        return ParsedAction(english.action_text(move))

    def action_tools(self) -> list[ActionTool]:
        """One tool for each of the four operators."""
        return list(_TOOLS)

    def evaluate(self) -> Outcome:
        """The verdict of the plan validator on the actions taken."""
        verdict = validate_plan(write_problem(self._problem_now()), self._actions)
        return Outcome(success=verdict.solved, score=float(verdict.solved), info={"reason": verdict.reason})

    def _take(self, other: Self) -> None:
        """Go to the state of `other`: all of it is immutable, so both can share it."""
        self._state, self._problem = other._state_now(), other._problem
        self._task, self._actions, self._solved = other._task, other._actions, other._solved

    def _problem_now(self) -> Problem:
        self._state_now()
        return self._problem

    def _state_now(self) -> State:
        if self._task is None:
            raise EnvironmentStateError(f"{type(self).__name__} has no task yet: call reset(task) first")
        return self._state


class PickUp(BaseModel):
    """Arguments of `pick_up`."""

    block: str = Field(description="Colour of the block to pick up from the table, e.g. red.")


class PutDown(BaseModel):
    """Arguments of `put_down`."""

    block: str = Field(description="Colour of the block in the hand, e.g. red.")


class Stack(BaseModel):
    """Arguments of `stack`."""

    block: str = Field(description="Colour of the block in the hand, e.g. red.")
    target: str = Field(description="Colour of the clear block that it is put on top of, e.g. blue.")


class Unstack(BaseModel):
    """Arguments of `unstack`."""

    block: str = Field(description="Colour of the clear block to take, e.g. red.")
    source: str = Field(description="Colour of the block that it is on top of, e.g. blue.")


def _tool(operator: Operator, schema: type[BaseModel], description: str) -> ActionTool:
    names = list(schema.model_fields)

    def render(args: BaseModel) -> str:
        given = [" ".join(str(getattr(args, name)).split()) for name in names]
        move = english.parse_action(f"{operator} {' '.join(given)}")
        return english.action_text(move) if move else f"{operator} {' '.join(given)}"

    def parse(action: str) -> dict[str, Any] | None:
        move = english.parse_action(action)
        return dict(zip(names, move[1:], strict=False)) if move and move.operator == operator else None

    return ActionTool(operator.replace("-", "_"), description, schema, render, parse)


_TOOLS = (
    _tool("pick-up", PickUp, "Pick up a clear block from the table with the empty hand."),
    _tool("put-down", PutDown, "Put the block in the hand down on the table."),
    _tool("stack", Stack, "Stack the block in the hand on top of a clear block."),
    _tool("unstack", Unstack, "Take a clear block off the block that it is on top of, with the empty hand."),
)


def _unreadable(action: str) -> str:
    return (
        f"{shorten(action)!r} is no action; write 'pick up the X block', 'put down the X block', "
        "'stack the X block on top of the Y block' or 'unstack the X block from on top of the Y block'"
    )


@lru_cache(maxsize=16_384)
def _successors(state: State) -> dict[str, State]:
    """The possible actions in English, in their fixed order, and where each leads."""
    return {english.action_text(move): apply(state, move) for move in legal_moves(state)}


def _read_task(text: str, source: str) -> Problem:
    return (_read_cached if len(text) <= _CACHED_TASK else _read_cached.__wrapped__)(text, source)


@lru_cache(maxsize=1024)
def _read_cached(text: str, source: str) -> Problem:
    if text.lstrip().startswith(("(", ";")):
        return read_problem(text, source=source)
    try:
        return english.parse_problem(text)
    except InvalidTaskError as error:
        raise InvalidTaskError(f"{source}: {error}") from error
