"""ALFWorld on its real engine, with forks that cost about a microsecond."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar, Literal, Self

from langchain_linvit.environments.alfworld.engine import load_game
from langchain_linvit.environments.alfworld.goal import goal_conditions
from langchain_linvit.environments.alfworld.knowledge import Knowledge, Places
from langchain_linvit.environments.alfworld.prompts import DESCRIPTION
from langchain_linvit.environments.alfworld.source import game_source
from langchain_linvit.environments.alfworld.tools import action_tools
from langchain_linvit.environments.base import (
    MAX_ACTION_LENGTH,
    ActionTool,
    Environment,
    Outcome,
    ParsedAction,
    Snapshot,
    Task,
    Transition,
    extract_action,
    match_action,
    shorten,
)
from langchain_linvit.errors import EnvironmentStateError, InvalidSettingError, InvalidTaskError

MAX_STEPS = 50
"""Steps that ALFWorld grants for a game."""

_PUT = re.compile(r"(?:put|place|move) (.+?) (?:in/on|into|onto|inside|in|on|to) (.+)")


class AlfworldEnvironment(Environment):
    """A household in which things must be found, changed and put somewhere, in text.

    A fork shares its state with the original and takes about 1 us; a step takes about 0.5 ms; the first
    `reset` of a game takes about half a second, every later one microseconds as long as the game is among
    those used last. Checkpoints hold the actions taken, and are rebuilt by taking them again.

    Tasks come from `load_games` (official game files) and `own_game` (generated ones, no download).

    The benchmark's verdict is whether the game says `won`; the share of goal conditions that hold is in
    the verdict's `info`. The environment goes on after its `horizon`: who plays it keeps count.

    Args:
        max_steps: The horizon that is announced; ALFWorld's own is 50.

    Raises:
        MissingDependencyError: The extra `alfworld` is not installed (at the first `reset`).
    """

    description = DESCRIPTION
    concurrency: ClassVar[Literal["inline", "thread"]] = "thread"
    records_history: ClassVar[bool] = False

    _known: Knowledge | None = None

    def __init__(self, *, max_steps: int = MAX_STEPS) -> None:
        if max_steps < 1:
            raise InvalidSettingError(f"max_steps is {max_steps}; it must be at least 1 (ALFWorld grants {MAX_STEPS})")
        self.max_steps = max_steps

    def reset(self, task: Task) -> str:  # type: ignore[override]  # the base class turns texts into tasks
        """Start a game; the first answer names the places of the room and the task."""
        try:
            game = load_game(game_source(task))
        except ValueError as error:
            if isinstance(error, InvalidTaskError):
                raise
            raise InvalidTaskError(f"the ALFWorld task {task.id!r} can't be set up: {error}") from error
        self._known = Knowledge(game, Places.of(game), game.start)
        return game.start.feedback

    def step(self, action: str) -> Transition:
        """Take one command, in either dialect (`move X to Y`, or `put X in/on Y`)."""
        known = self._knowledge
        if known.position.won:
            return Transition("", done=True, solved=True, error="the game is over: the task is solved")
        reached = known.game.step(known.position, self._spelled(action))
        if reached is None:
            return Transition("Nothing happens.", solved=False, error=f"{shorten(action)!r} is not possible here")
        position, operation = reached
        self._known = known.after(operation, position)
        return Transition(position.feedback, reward=float(position.won), done=position.won, solved=position.won)

    def state_text(self) -> str:
        """Where the player is, what it carries, and what it has seen so far; nothing that it could not know."""
        return self._knowledge.text

    def state_key(self) -> str:
        """Equal where the same things are arranged equally and as much of them was seen."""
        return self._knowledge.key

    @property
    def goal(self) -> str:
        """What the task says."""
        return self._knowledge.game.source.goal

    @property
    def solved(self) -> bool:
        """Whether the game says that it is won."""
        return self._knowledge.position.won

    @property
    def horizon(self) -> int:
        """The steps that the benchmark grants: 50."""
        return self.max_steps

    def admissible_actions(self) -> Sequence[str]:
        """Every command that the game takes now, sorted, in the game's own dialect."""
        known = self._knowledge
        return [] if known.position.won else known.game.commands(known.position)

    def parse_action(self, text: str) -> ParsedAction:
        """The command in a model's answer, in the game's spelling; both dialects are understood."""
        parsed = extract_action(text)
        if parsed.action is None:
            return parsed
        return match_action(ParsedAction(self._spelled(parsed.action)), self.admissible_actions())

    def action_tools(self) -> list[ActionTool]:
        """One typed tool for each kind of command."""
        return action_tools()

    def fork(self) -> Self:
        """An independent copy at the same state, in about a microsecond."""
        known = self._knowledge
        clone = self.spawn()
        clone._task, clone._known = self._task, known
        return clone

    def snapshot(self) -> Snapshot:
        """The task and the commands taken; the game file itself is not in it."""
        known = self._knowledge
        return {"task": self.task.model_dump(), "actions": known.game.path(known.position)}

    def evaluate(self) -> Outcome:
        """Whether the game is won, and in `info` the share of goal conditions that hold."""
        known = self._knowledge
        won = known.position.won
        share = goal_conditions(known.game.source.problem).share(known.game.start.facts, known.position.facts)
        return Outcome(success=won, score=float(won), info={"goal_conditions": share})

    def goal_conditions(self) -> float:
        """The share of goal conditions that hold, in [0, 1]: a diagnostic that knows more than the player."""
        return float(self.evaluate().info["goal_conditions"])

    def close(self) -> None:
        """Let go of the game; its forks keep theirs."""
        self._known = None

    def _spelled(self, action: str) -> str:
        """`action` in the game's spelling: its case, its spaces, and its way to put things down."""
        folded = " ".join(action[:MAX_ACTION_LENGTH].lower().split()).strip(" .`\"'")
        put = _PUT.fullmatch(folded)
        if put is None:
            return folded
        return self._knowledge.game.put_template.format(thing=put[1], place=put[2])

    @property
    def _knowledge(self) -> Knowledge:
        if self._known is None:
            raise EnvironmentStateError("this AlfworldEnvironment has no game: call reset(task) first")
        return self._known
