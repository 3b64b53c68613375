"""How far an experiment is: items, running success, and what they cost so far."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from langchain_linvit.display import plain
from langchain_linvit.evaluation.results import ExperimentInfo, ItemRecord


class ExperimentProgress:
    """A line on standard error: items done, success so far, completions and tokens per item, errors.

    Args:
        info: What is run.
        done: What an earlier run has finished.
        shown: Whether to show it; None where standard error is a terminal.
    """

    def __init__(self, info: ExperimentInfo, done: Sequence[ItemRecord], shown: bool | None = None) -> None:
        visible = sys.stderr.isatty() if shown is None else shown
        self._total = len(info.items) * info.repetitions
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not visible,
        )
        self._bar = self._progress.add_task(plain(info.name, 40), total=self._total, state="")
        self._lock = threading.Lock()
        self._count = self._errors = 0
        self._success = self._calls = self._tokens = 0.0
        for record in done:
            self.add(record)

    def add(self, record: ItemRecord) -> None:
        """Count a finished item."""
        with self._lock:
            self._count += 1
            self._errors += record.error is not None
            self._success += record.success
            self._calls += record.scores.get("llm_calls") or 0.0
            self._tokens += record.scores.get("tokens") or 0.0
            self._progress.update(self._bar, completed=self._count, state=self.state)

    @property
    def state(self) -> str:
        """What is known so far, in words."""
        if not self._count:
            return ""
        calls, tokens = self._calls / self._count, self._tokens / self._count
        words = f"{self._success / self._count:.0%} solved, {calls:.0f} completions and {tokens:.0f} tokens an item"
        return f"{words}, {self._errors} failed" if self._errors else words

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:  # fmt: skip
        del kind, error, trace
        self._progress.stop()
