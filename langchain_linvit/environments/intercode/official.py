"""InterCode's own package: where its data lies, and its reward code, called and not copied.

Source: Yang et al., "InterCode" (arXiv 2306.14898), package `intercode-bench` (MIT). Importing it takes
seconds (it pulls in scikit-learn and docker), so nothing here imports it before a score is asked for.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import threading
import warnings
from pathlib import Path
from typing import Any, Protocol

from langchain_linvit.environments.base import Outcome
from langchain_linvit.errors import MissingDependencyError

_lock = threading.Lock()


def package_folder() -> Path:
    """The folder of the installed package `intercode`, found without importing it.

    Raises:
        MissingDependencyError: It is not installed.
    """
    spec = importlib.util.find_spec("intercode")
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError(
            "the InterCode environments need the package intercode-bench: pip install 'langchain-linvit[intercode]'"
        )
    return Path(spec.submodule_search_locations[0])


def dataset(name: str) -> Path:
    """A data file that the package ships, e.g. `spider_dev.sql`."""
    return package_folder() / "assets" / "datasets" / name


def setup_script() -> Path:
    """The script that builds the file system of the 24 Bash tasks that the package ships."""
    return package_folder() / "assets" / "docker" / "setup_fs.sh"


class GoldCursor(Protocol):
    """What InterCode's SQL reward needs of a database cursor; `execute` runs the gold query."""

    description: Any

    def execute(self, statement: str) -> None:
        """Run a statement; raises `mysql.connector.errors.ProgrammingError` where it fails."""
        ...

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows of the last statement."""
        ...


class Container(Protocol):
    """What InterCode's Bash reward needs of a docker container."""

    def exec_run(self, command: str, workdir: str | None = None) -> Any:
        """Run a command line; returns an object with `exit_code` and `output`, that unpacks as both."""
        ...


def sql_outcome(answer: list[tuple[Any, ...]] | None, gold: str, cursor: GoldCursor) -> Outcome:
    """The verdict of InterCode-SQL on `answer`, the rows of the last query (None: there were none).

    IoU of the two multisets of rows, times Kendall's tau over the order of the common ones; success is
    a reward of 1. A gold query that fails counts as no rows (InterCode's rule; `info["corrupt_gold"]`).
    """
    environment = _official("intercode.envs.sql.sql_env", "SqlEnv")
    environment.info = {}
    environment.observation = answer
    environment.gold = gold
    environment.cur = cursor
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Kendall's tau of a single row is NaN, which the code expects
        reward, info = environment.get_reward()
    kept = {key: info[key] for key in ("corrupt_gold",)}
    return _outcome(float(reward), kept)


def bash_outcome(observation: str | None, gold: str, agent: Container, reference: Container) -> Outcome:
    """The verdict of InterCode-Bash: changed paths, their contents, and the last output against the gold's.

    `reference` is a container at the pristine state, in which the gold command is run.
    """
    environment = _official("intercode.envs.bash.bash_env", "BashEnv")
    environment.info = {}
    environment.observation = observation
    environment.gold = gold
    environment.image_name = "intercode-nl2bash"
    environment.ctr_name_eval = "the gold's sandbox"
    environment.container = agent
    environment.container_eval = reference
    try:
        reward, info = environment.get_reward()
    except Exception as error:  # it splits git's status at spaces, and fails on paths that have some
        reward, info = 0.0, {"failure": f"InterCode's reward code failed: {error!r}"}
    keys = ("failure", "corrupt_gold", "diff_miss", "diff_extra", "answer_similarity", "reward", "eval_obs")
    return _outcome(float(reward), {key: info[key] for key in keys if key in info})


def _outcome(reward: float, info: dict[str, Any]) -> Outcome:
    score = min(1.0, max(0.0, round(reward, 6)))  # a reversed order has a negative tau
    plain = json.loads(json.dumps({**info, "intercode_reward": reward}, default=float))  # it has NumPy's numbers
    return Outcome(success=score == 1.0, score=score, info=plain)


def _official(module: str, name: str) -> Any:
    """An instance of InterCode's class without its constructor, which would start Docker containers."""
    with _lock:
        official = getattr(importlib.import_module(module), name)
        base = importlib.import_module("intercode.envs.ic_env")
        base.logger.handlers.clear()  # it prints debug logs of everything to the terminal
    instance = official.__new__(official)
    instance.logger = logging.getLogger("langchain_linvit.intercode")
    return instance
