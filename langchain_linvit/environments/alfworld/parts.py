"""The parts of ALFWorld, TextWorld and fast-downward that the engine stands on, imported when first needed.

Importing them costs a second and two side effects, both kept away from the rest of the process:
the translator of fast-downward reads `sys.argv` when it is imported and prints while it works. (A third one
is left as it is: `alfworld` makes the folder that `ALFWORLD_DATA` names, or `~/.cache/alfworld`.)
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from langchain_linvit.errors import MissingDependencyError

ENGINE_LOCK = threading.RLock()
"""Held around every use of the engine: the parsers of TextWorld are shared by the whole process and are
not thread-safe. Code that uses TextWorld itself, from other threads, should hold it as well."""

_TRANSLATOR = "fast_downward.translate"
_OPTIONS = {
    "filter_unimportant_vars": False,
    "filter_unreachable_facts": False,
    "use_partial_encoding": False,
    "skip_variable_reordering": True,
    "add_implied_preconditions": False,
    "invariant_generation_max_candidates": 0,
}
"""How TextWorld translates a game: nothing is pruned, so that every operator and fact stays visible."""


@dataclass(frozen=True)
class EngineParts:
    """The third-party modules that the engine uses."""

    fast_downward: ModuleType
    translate: ModuleType
    normalize: ModuleType
    options: ModuleType
    lisp_parser: ModuleType
    parsing: ModuleType
    pddl_logic: ModuleType
    textgen: ModuleType
    logic: ModuleType
    entity_info: type[Any]
    demangler: type[Any]
    domain: Path
    grammar: Path


@lru_cache(maxsize=1)
def engine_parts() -> EngineParts:
    """The engine's modules, imported once.

    Raises:
        MissingDependencyError: The extra `alfworld` is not installed.
    """
    with ENGINE_LOCK, _arguments(["translate.py", "domain", "task"]):
        try:
            info = importlib.import_module("alfworld.info")
            return EngineParts(
                fast_downward=importlib.import_module("fast_downward"),
                translate=importlib.import_module(f"{_TRANSLATOR}.translate"),
                normalize=importlib.import_module(f"{_TRANSLATOR}.normalize"),
                options=importlib.import_module(f"{_TRANSLATOR}.options"),
                lisp_parser=importlib.import_module(f"{_TRANSLATOR}.pddl_parser.lisp_parser"),
                parsing=importlib.import_module(f"{_TRANSLATOR}.pddl_parser.parsing_functions"),
                pddl_logic=importlib.import_module("textworld.envs.pddl.logic"),
                textgen=importlib.import_module("textworld.envs.pddl.textgen"),
                logic=importlib.import_module("textworld.logic"),
                entity_info=importlib.import_module("textworld.generator.game").EntityInfo,
                demangler=importlib.import_module("alfworld.agents.utils.misc").Demangler,
                domain=Path(info.ALFRED_PDDL_PATH),
                grammar=Path(info.ALFRED_TWL2_PATH),
            )
        except ImportError as error:
            raise MissingDependencyError(
                f"the ALFWorld environment needs the extra `alfworld` ({error}); install it with "
                "`pip install 'langchain-linvit[alfworld]'` (it builds a planner: gcc, g++ and make are needed)"
            ) from error


def pddl_to_sas(domain: str, problem: str) -> tuple[Any, str]:
    """The translator's task and its SAS text, as `fast_downward.pddl2sas` gives them, with less harm.

    That function overwrites `sys.argv` and swaps `sys.stdout` for as long as it runs, so that what other
    threads print is lost. Here only the translator itself is silenced.

    Raises:
        ValueError: The problem can't be parsed.
    """
    parts = engine_parts()
    with ENGINE_LOCK, _silent_translator():
        for name, value in _OPTIONS.items():
            setattr(parts.options, name, value)
        text = _Lines()
        try:
            nested = [parts.lisp_parser.parse_nested_list(each.split("\n")) for each in (domain, problem)]
            task = parts.parsing.parse_task(*nested)
            parts.normalize.normalize(task)
            parts.translate.pddl_to_sas(task).output(text)
        except (Exception, SystemExit) as error:  # the translator raises whatever its parsing happens upon
            raise ValueError(f"not a PDDL problem of the ALFRED domain: {error!r}") from error
    return task, "".join(text)


class _Lines(list[str]):
    """A list that can be printed to."""

    write = list.append


def _discard(*_: Any, **options: Any) -> None:
    """Stands in for `print` in the translator, whose output to files still goes through."""
    if options.get("file") is not None:
        print(*_, **options)


@contextlib.contextmanager
def _silent_translator() -> Iterator[None]:
    modules = [module for name, module in list(sys.modules.items()) if name.startswith(f"{_TRANSLATOR}.")]
    for module in modules:
        module.print = _discard  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module in modules:
            del module.print


@contextlib.contextmanager
def _arguments(argv: list[str]) -> Iterator[None]:
    before, sys.argv = sys.argv, argv
    try:
        yield
    finally:
        sys.argv = before
