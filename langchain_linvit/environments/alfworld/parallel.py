"""Games in several processes at once: the engine allows one step at a time in each."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

from langchain_linvit.environments.base import Task
from langchain_linvit.errors import InvalidSettingError

Result = TypeVar("Result")


def map_games(
    play: Callable[[Task], Result], tasks: Iterable[Task], *, processes: int, games_per_process: int | None = None
) -> Iterator[Result]:
    """The results of `play` for every task, in their order, worked out in fresh processes.

    Args:
        play: A function of a module (it is sent to the processes by name) that plays one game. It makes
            its own environment; its result must be picklable. What it raises is raised here.
        tasks: The games.
        processes: How many at once; with 1, everything happens in this process.
        games_per_process: A process is replaced after so many games; None keeps it to the end.

    Raises:
        InvalidSettingError: `processes` is below 1.
    """
    if processes < 1:
        raise InvalidSettingError(f"processes is {processes}; it must be at least 1")
    if processes == 1:
        yield from map(play, tasks)
        return
    context = multiprocessing.get_context("spawn")  # a forked child could inherit the engine's lock, held
    with ProcessPoolExecutor(processes, context, max_tasks_per_child=games_per_process) as pool:
        yield from pool.map(play, tasks)
