"""An environment that a chat model imagines: for all that can't be forked.

The model predicts the observation and the next state from a description, the state text and the history.
Source: the LLM-simulated rollouts of arXiv 2402.16181, section 4.2.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from langchain_linvit.calls import Caller, ModelEnvironment
from langchain_linvit.environments.base import Environment, Outcome, Snapshot, Task, Transition, shorten
from langchain_linvit.errors import EnvironmentStateError, InvalidTaskError
from langchain_linvit.models.sampling import SamplingModel
from langchain_linvit.prompts import DEFAULT_TEMPLATES, PromptTemplates, Situation

MAX_IMAGINED = 8_000
"""Characters of an imagined state or observation that are kept."""


@dataclass(frozen=True, slots=True)
class Imagined:
    """What a model answered to an `imagine` request."""

    observation: str
    state: str
    possible: bool
    solved: bool


class ImaginedEnvironment(ModelEnvironment):
    """A world that exists only in a chat model's predictions; forks are copies of its text.

    Alone, it is reset with a task whose `data` holds `state` (the first state's text) and, if it likes,
    `goal`. A planner makes it from a real environment by `of`, at the state that this one is in.

    Args:
        model: Who imagines: a chat model, or a name for `init_chat_model`.
        description: The rules of the world, for the prompt.
        templates: The prompts; `imagine` is the one in use.
    """

    concurrency = "thread"
    records_history = False

    def __init__(
        self, model: Any, description: str = "", *, templates: PromptTemplates = DEFAULT_TEMPLATES
    ) -> None:  # fmt: skip
        self._model = model if isinstance(model, SamplingModel) else SamplingModel.of(model)
        self._templates = templates
        self.description = description
        self._situation = Situation(description, "", "")
        self._steps = 0
        self._is_solved: bool | None = None

    @classmethod
    def of(cls, environment: Environment, model: Any, history: Sequence[tuple[str, str]] = ()) -> Self:
        """The imagination of `environment` from its current state on; `history` is what led there."""
        imagined = cls(model, environment.description)
        imagined._task = environment.task
        imagined._situation = replace(
            Situation.of(environment, list(history)), admissible=None, parse=imagined.parse_action
        )  # fmt: skip
        return imagined

    def reset(self, task: Task | str) -> str:
        """Start from the state text in the task's data."""
        if isinstance(task, str) or not isinstance(task.data.get("state"), str):
            raise InvalidTaskError('an imagined world needs its first state: Task(data={"state": "..."}, ...)')
        goal = str(task.data.get("goal", task.text))
        self._situation = Situation(self.description, goal, task.data["state"])
        self._steps, self._is_solved = 0, None
        return str(task.data["state"])

    async def model_step(self, action: str, caller: Caller) -> Transition:
        """Ask the model what `action` brings about; an unreadable answer is an error, and changes nothing."""
        situation, action = self._started(), shorten(action, 500)
        messages = situation.messages(self._templates.imagine, action=action)
        path = ["imagine", self._digest(), action, self._steps]
        answer = (await caller.complete(self._model, messages, path=path))[0]
        imagined = None if answer.fault else parse_imagined(answer.text)
        if imagined is None:
            why = answer.fault or repr(shorten(answer.text, 120))
            return Transition("", error=f"the imagined outcome can't be read: {why}")
        if not imagined.possible:
            return Transition("", error=imagined.observation or "not possible here")
        history = [*situation.history, (action, imagined.observation)]
        self._situation = replace(situation, state=imagined.state, history=history)
        self._steps += 1
        self._is_solved = imagined.solved
        return Transition(imagined.observation, done=imagined.solved, solved=imagined.solved)

    def state_text(self) -> str:
        """The state as the model imagined it."""
        return self._started().state

    @property
    def goal(self) -> str:
        """What is to be reached."""
        return self._started().goal

    @property
    def solved(self) -> bool | None:
        """Whether the model imagines that the goal is reached; None before the first step."""
        return self._is_solved

    def fork(self) -> Self:
        """A copy: microseconds, since a state is nothing but text."""
        clone = type(self)(self._model, self.description, templates=self._templates)
        clone.restore(self.snapshot())
        return clone

    def snapshot(self) -> Snapshot:
        """The texts that make up the state."""
        situation = self._started()
        return {
            "imagined": {
                "description": self.description,
                "goal": situation.goal,
                "state": situation.state,
                "history": [list(step) for step in situation.history],
                "steps": self._steps,
                "solved": self._is_solved,
            },
            "task": self.task.model_dump(),
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Take over the texts of a snapshot.

        Raises:
            EnvironmentStateError: The snapshot is not one of an imagined world.
        """
        try:
            task, texts = Task.model_validate(snapshot["task"]), snapshot["imagined"]
            history = [(action, observation) for action, observation in texts["history"]]
            situation = Situation(texts["description"], texts["goal"], texts["state"], history)
            self._steps, self._is_solved = texts["steps"], texts["solved"]
        except (KeyError, TypeError, ValueError) as error:
            raise EnvironmentStateError(
                "not a snapshot of an ImaginedEnvironment: it needs a valid 'task' and 'imagined'"
            ) from error
        self._task, self._situation, self.description = task, situation, situation.description

    def evaluate(self) -> Outcome:
        """Whether the model imagines that the goal is reached; no benchmark's verdict."""
        solved = bool(self._is_solved)
        return Outcome(success=solved, score=float(solved), info={"imagined": True})

    def state_key(self) -> str:
        """A digest of the imagined state, whatever the case and the spaces."""
        return self._digest()

    def _started(self) -> Situation:
        """The current situation; `EnvironmentStateError` where nothing was reset or restored yet."""
        if self._task is None:
            raise EnvironmentStateError("an imagined world has no state yet: call reset(task) first")
        return self._situation

    def _digest(self) -> str:
        text = " ".join(self._situation.state.lower().split())
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


_FLAG = re.compile(
    r"^[^\w\n]{0,9}(possible|solved)[^\w\n:]{0,9}:[^\w\n]{0,9}(yes|no|true|false)\b", re.IGNORECASE | re.MULTILINE
)
_OBSERVATION = re.compile(r"^[^\w\n]{0,9}observation[^\w\n:]{0,9}:[*_]*", re.IGNORECASE | re.MULTILINE)
_STATE = re.compile(r"^[^\w\n]{0,9}state[^\w\n:]{0,9}:[*_]*", re.IGNORECASE | re.MULTILINE)


def parse_imagined(text: str) -> Imagined | None:
    """A model's prediction; None where the answer has no state and doesn't call the action impossible."""
    observed = _OBSERVATION.search(text)
    reached = _STATE.search(text, observed.end() if observed else 0)
    observation = text[observed.end() : reached.start() if reached else None] if observed else ""
    state = text[reached.end() :].strip() if reached else ""
    flags: dict[str, bool] = {}
    for name, value in _FLAG.findall(text):  # the first of each: a later one may be part of the state
        flags.setdefault(name.lower(), value.lower() in {"yes", "true"})
    possible = flags.get("possible", True)
    if possible and not state:
        return None
    return Imagined(
        observation.strip()[:MAX_IMAGINED], state[:MAX_IMAGINED], possible, possible and flags.get("solved", False)
    )
