"""Games as data: official game files, our own problems, and the tasks that name them."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

from langchain_linvit.environments.alfworld.parts import engine_parts
from langchain_linvit.environments.base import Task
from langchain_linvit.environments.strata import stratified
from langchain_linvit.errors import InvalidTaskError

TaskType = Literal["pick", "look", "clean", "heat", "cool", "two"]
"""The six kinds of ALFWorld task."""

TASK_TYPES: tuple[TaskType, ...] = get_args(TaskType)

GAME_FILE = "game.tw-pddl"
DATA_VARIABLE = "ALFWORLD_DATA"
DEFAULT_DATA = Path("~/.cache/alfworld")

_SENTENCE = re.compile(r"Your task is to: ([^\"\\]*?)\.?(?=[\"\\])")
_KINDS: dict[TaskType, re.Pattern[str]] = {
    "look": re.compile(r"isToggled", re.IGNORECASE),
    "clean": re.compile(r"isClean", re.IGNORECASE),
    "heat": re.compile(r"isHot", re.IGNORECASE),
    "cool": re.compile(r"isCool", re.IGNORECASE),
    "two": re.compile(r"not\s*\(\s*=", re.IGNORECASE),
}


@dataclass(frozen=True)
class GameSource:
    """What the engine loads.

    Attributes:
        domain: The PDDL domain.
        problem: The PDDL problem.
        grammar: The grammar of the game's texts, without the task's own sentence.
        goal: What the task says, without its full stop.
        walkthrough: Commands that win the game; empty where it brings none.
    """

    domain: str
    problem: str
    grammar: str
    goal: str
    walkthrough: tuple[str, ...] = ()

    @cached_property
    def key(self) -> str:
        """Equal for equal games, in every process."""
        parts = (self.domain, self.grammar, self.problem, self.goal)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def game_source(task: Task) -> GameSource:
    """The game that a task names: an official game file, or a problem of our own.

    Raises:
        InvalidTaskError: The task names no game, or one that can't be read.
    """
    if "game" in task.data:
        return _read_game(_game_path(str(task.data["game"])))
    if "problem" in task.data:
        domain, grammar = _installed()
        walkthrough = tuple(task.data.get("walkthrough", ()))
        return GameSource(domain, str(task.data["problem"]), grammar, task.text.rstrip("."), walkthrough)
    raise InvalidTaskError(
        f"the task {task.id!r} names no ALFWorld game: its data need `game` (path of a {GAME_FILE} file) or `problem` "
        "(a PDDL problem); `load_games(folder)` and `own_game(kind, seed)` give such tasks"
    )


def load_games(
    folder: str | Path | None = None, *, kinds: Iterable[TaskType] | None = None, limit: int | None = None
) -> list[Task]:
    """The tasks of every solvable game under `folder`, sorted by path, so that their ids are reproducible.

    A game file holds expressions of Python that TextWorld evaluates when it writes an answer: play only
    files of a source that you trust.

    Args:
        folder: Where the games lie, e.g. `json_2.1.1/valid_seen`; relative paths are also looked up under the
            data folder. Default: the data folder itself, `$ALFWORLD_DATA` or `~/.cache/alfworld`.
        kinds: Only tasks of these types.
        limit: At most so many, taken in turn from every type, so that few games still show all types.

    Raises:
        InvalidTaskError: The folder holds no games; the message says how to get them.
    """
    root = _games_folder(folder)
    wanted = set(kinds or TASK_TYPES)
    tasks = [task for path in sorted(root.rglob(GAME_FILE)) if (task := _task(path, root)) is not None]
    if not tasks:
        raise InvalidTaskError(
            f"no {GAME_FILE} under {root}: get the games with `alfworld-download`, or name the folder that holds them"
        )
    tasks = [task for task in tasks if task.metadata["kind"] in wanted]
    return tasks if limit is None else in_turn(tasks, limit)


def in_turn(tasks: Sequence[Task], limit: int) -> list[Task]:
    """`limit` tasks in their order, spread evenly over the types and within each type."""
    return stratified(tasks, limit, "kind", strata=TASK_TYPES)


def game_kind(problem: str) -> TaskType:
    """Which of the six types a problem is, read from its goal."""
    goal = problem[problem.lower().find("(:goal") :]
    return next((kind for kind, pattern in _KINDS.items() if pattern.search(goal)), "pick")


def _task(path: Path, root: Path) -> Task | None:
    data = _read_json(path)
    if not data.get("solvable", True):
        return None
    sentence = _SENTENCE.search(data["grammar"])
    walkthrough = data.get("walkthrough") or []
    return Task(
        id=str(path.parent.relative_to(root)) if path.parent != root else path.parent.name,
        text=f"{sentence[1] if sentence else 'reach the goal'}.",
        data={"game": _portable(path)},
        metadata={"kind": game_kind(data["pddl_problem"]), "walkthrough": walkthrough, "optimal": len(walkthrough)},
    )


def _read_game(path: Path) -> GameSource:
    data = _read_json(path)
    try:
        grammar = str(data["grammar"])
        sentence = _SENTENCE.search(grammar)
        return GameSource(
            domain=data["pddl_domain"],
            problem=data["pddl_problem"],
            grammar=grammar if sentence is None else grammar.replace(sentence[0], "Your task is to: UNKNOWN GOAL."),
            goal=sentence[1] if sentence else "reach the goal",
            walkthrough=tuple(data.get("walkthrough") or ()),
        )
    except KeyError as error:
        raise InvalidTaskError(f"{path} is no ALFWorld game: it lacks {error}") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidTaskError(f"can't read the ALFWorld game {path}: {error}") from error
    if not isinstance(data, dict) or not isinstance(data.get("grammar"), str) or "pddl_problem" not in data:
        raise InvalidTaskError(f"{path} is no ALFWorld game: it needs `grammar` and `pddl_problem`")
    return data


def data_folder() -> Path:
    """Where official games lie: `$ALFWORLD_DATA`, else where `alfworld-download` puts them."""
    return Path(os.environ.get(DATA_VARIABLE) or DEFAULT_DATA).expanduser()


def _games_folder(folder: str | Path | None) -> Path:
    if folder is None:
        return data_folder()
    path = Path(folder).expanduser()
    return path if path.exists() else data_folder() / path


def _portable(path: Path) -> str:
    """`path` relative to the data folder where it lies in it, so that a task means the same elsewhere."""
    path = path.resolve()
    root = data_folder().resolve()
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _game_path(name: str) -> Path:
    path = Path(name).expanduser()
    return path if path.is_absolute() else data_folder() / path


@lru_cache(maxsize=1)
def _installed() -> tuple[str, str]:
    """The domain and grammar of the installed `alfworld`."""
    parts = engine_parts()
    return parts.domain.read_text(encoding="utf-8"), parts.grammar.read_text(encoding="utf-8")
