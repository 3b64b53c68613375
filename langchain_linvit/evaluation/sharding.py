"""Experiments over the processes of Ray, on one machine or a cluster (extra `ray`).

Each process makes its own method, model and environment of the recipe and runs an item at a time; the records come back
as they are finished, and are kept here. An item's result depends on its task and its seed alone, so that it is
the same wherever it is run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from langsmith.schemas import Example

from langchain_linvit.errors import InvalidSettingError, MissingDependencyError
from langchain_linvit.evaluation.bench import Recipe
from langchain_linvit.evaluation.langsmith_run import LangSmithRun
from langchain_linvit.evaluation.results import ItemRecord


class Shard:
    """What one process runs items with.

    Args:
        recipe: What to make.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._bench = recipe.bench()

    def run(self, example: Example) -> ItemRecord:
        """The record of one repetition of one item."""
        records: list[ItemRecord] = []
        LangSmithRun(self._bench, [example], records.append).run()
        return records[0]


def run_shards(recipe: Recipe, examples: Sequence[Example], keep: Callable[[ItemRecord], None], shards: int) -> None:
    """Run all examples in `shards` processes of Ray.

    Where the program is connected to a Ray cluster already (`ray.init(...)`), its processes run there; else a local Ray
    is started, and stopped at the end. A local Ray opens sockets on this machine and writes below /tmp/ray.

    Args:
        recipe: What each process makes; it is sent to them.
        examples: What to run, marked by `repeated`.
        keep: Takes each record, in the order in which they are finished.
        shards: How many processes.

    Raises:
        MissingDependencyError: Ray is not installed.
        InvalidSettingError: `shards` is negative, or the recipe can't be sent to another process.
    """
    if shards < 1:
        raise InvalidSettingError(f"shards is {shards}; it must be at least 1, or 0 to run everything in this process")
    if not examples:
        return
    ray = _ray()
    ours = not ray.is_initialized()
    if ours:
        ray.init(
            num_cpus=shards, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR,
            _metrics_export_port=None,
        )  # fmt: skip
    try:
        sent = _sent(ray, recipe)
        actor = ray.remote(num_cpus=1)(Shard)
        pool = ray.util.ActorPool([actor.remote(sent) for _ in range(min(shards, len(examples)))])
        for record in pool.map_unordered(lambda shard, example: shard.run.remote(example), list(examples)):
            keep(record)
    finally:
        if ours:
            ray.shutdown()


def _ray() -> Any:
    try:
        import ray
        import ray.util
    except ImportError as error:
        raise MissingDependencyError("shards need Ray: pip install 'langchain-linvit[ray]'") from error
    return ray


def _sent(ray: Any, recipe: Recipe) -> Any:
    try:
        return ray.put(recipe)
    except Exception as error:
        raise InvalidSettingError(
            "the experiment can't be sent to other processes: name its method, model and benchmark, or pass factories "
            f"instead of live objects ({str(error)[:300]})"
        ) from error
