"""LangSmith's evaluation without a network: nothing is sent, and nothing is asked."""

from __future__ import annotations

import contextvars
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from typing import Any, TextIO

from langsmith import Client
from langsmith._internal import _context
from langsmith.evaluation import _arunner, _runner
from langsmith.run_helpers import tracing_context
from langsmith.run_trees import configure

_BANNER = "Starting evaluation of experiment"
_NOISE = ("Error running target function", "Error running evaluator")
_RUNNERS = (_runner, _arunner)

_lock = threading.Lock()
_inside = 0
_before: Any = None


def offline_client() -> Client:
    """A client that sends nothing, whatever keys the environment holds.

    `info` spares it the question what the server can do; a sampling rate of 0 drops every run, also those that
    `aevaluate` posts with tracing off; without batches it starts no thread.
    """
    return Client(api_key="offline", info={}, tracing_sampling_rate=0.0, auto_batch_tracing=False)


@contextmanager
def untraced() -> Iterator[None]:
    """Nothing inside is traced: LANGSMITH_TRACING would otherwise send the runs of every model in a target."""
    with tracing_context(enabled=False):
        yield


@contextmanager
def offline_process() -> Iterator[None]:
    """Nothing is traced in threads that a target starts without its context either."""
    _global_tracing(1)
    try:
        yield
    finally:
        _global_tracing(-1)


def _global_tracing(change: int) -> None:
    """Switch the process-wide default off for the first one inside, and back for the last."""
    global _inside, _before
    with _lock:
        if _inside == 0:
            _before = _context._GLOBAL_TRACING_ENABLED
        _inside += change
        wanted = False if _inside else _before
        contextvars.copy_context().run(configure, enabled=wanted)  # it would also set this context's own switch


@contextmanager
def quiet(*, banner: bool) -> Iterator[None]:
    """Without LangSmith's own progress bar, and its traceback for each failure, which is recorded with its item.

    Args:
        banner: Whether its first line is printed, which says where an uploaded experiment can be seen.
    """
    with ExitStack() as stack:
        for runner in _RUNNERS:
            runner.logger.addFilter(_known)
            stack.callback(runner.logger.removeFilter, _known)
            stack.enter_context(_replaced(runner, "_load_tqdm", lambda: lambda rows: rows))
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", "'upload_results' parameter is in beta", UserWarning)
        if not banner:
            stack.enter_context(redirect_stdout(_WithoutBanner(sys.stdout)))
        yield


@contextmanager
def _replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    """A module's attribute replaced, where it has it."""
    before = getattr(module, name, None)
    if before is not None:
        setattr(module, name, value)
    try:
        yield
    finally:
        if before is not None:
            setattr(module, name, before)


def _known(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_NOISE)


class _WithoutBanner:
    """Standard output but for one line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._skipping = False

    def write(self, text: str) -> int:
        if text.startswith(_BANNER):
            self._skipping = True
        if not self._skipping:
            return self._stream.write(text)
        self._skipping = not text.endswith("\n")
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
