"""The clauses of the environment contract, and how a breach of one is reported."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, NoReturn

from langchain_linvit.environments.base import Transition, shorten
from langchain_linvit.errors import EnvironmentContractError, InvalidSettingError

CLAUSES: Final[dict[str, str]] = {
    "use before reset": "let step, fork, snapshot and goal raise EnvironmentStateError until reset was called; "
    "reading `self.task` first does that",
    "reset": "set up everything from the task in `reset`, as if the instance were new",
    "reading": "state_text, goal, state_key, admissible_actions, snapshot and evaluate must not change anything",
    "transition": "return Transition(observation: str, reward in [0, 1], done: bool, solved: bool or None, "
    "error: non-empty str or None, info: plain data)",
    "bad input": "check the action before anything is changed, and return Transition(..., error=...); never raise",
    "admissible actions": "list each action that can be taken now, once, in a fixed order, as `step` and "
    "`parse_action` take it, and nothing else; or return None",
    "action tools": "for each action exactly one tool must `parse` it to arguments that its schema takes and that "
    "`render` to the same action; describe each argument",
    "fork": "copy whatever `step` changes, or leave `fork` to the base class",
    "snapshot": "put all that the state depends on into `snapshot` as JSON data, copied, and let `restore` rebuild "
    "from nothing else; refuse foreign data with EnvironmentStateError",
    "replay": "let the task and the actions alone determine what happens; seed what is random from the task",
    "state key": "derive the key from all that the future depends on, and from nothing else; or return None",
    "evaluate": "return an Outcome; where a transition said solved=True, it must be a success (environments with "
    "`records_history = False` write their own `evaluate`)",
    "close": "`close` may be called twice, and must leave to forks what they still need",
}
"""The clauses of the contract, and how a broken one is mended."""


class View(NamedTuple):
    """What can be read of a state."""

    state: str
    goal: str
    key: str | None
    actions: tuple[str, ...] | None


def well_formed(transition: Any) -> bool:
    """Whether a transition's fields have their types and ranges."""
    reward = transition.reward
    return (
        isinstance(transition.observation, str)
        and isinstance(reward, int | float)
        and math.isfinite(reward)
        and 0 <= reward <= 1
        and isinstance(transition.done, bool)
        and (transition.solved is None or isinstance(transition.solved, bool))
        and (transition.error is None or (isinstance(transition.error, str) and bool(transition.error)))
    )


def observed(transition: Transition) -> tuple[Any, ...]:
    """What an agent sees of a transition: all but `info`."""
    return transition.observation, transition.reward, transition.done, transition.solved, transition.error


def demand(clause: str, condition: bool, found: str) -> None:
    """Report `found` as a breach of `clause` unless `condition` holds."""
    if not condition:
        broken(clause, found)


def same_view(clause: str, found: View, expected: View, what: str) -> None:
    """Report a breach of `clause` if two readings differ; `what` names them both."""
    for name, one, other in zip(View._fields, found, expected, strict=True):
        if one != other:
            texts = f"{shorten(repr(other), 120)} and {shorten(repr(one), 120)}"
            broken(clause, f"{what} differ in their {name}: {texts}")


def broken(clause: str, found: str) -> NoReturn:
    """Report a breach of `clause`."""
    raise EnvironmentContractError(clause, found, CLAUSES[clause])


@contextmanager
def held_to(clause: str, doing: str) -> Iterator[None]:
    """Whatever is raised inside is a breach of `clause`."""
    try:
        yield
    except (EnvironmentContractError, InvalidSettingError):
        raise
    except Exception as error:
        found = f"{doing} raised {type(error).__name__}: {shorten(str(error))}"
        raise EnvironmentContractError(clause, found, CLAUSES[clause]) from error
