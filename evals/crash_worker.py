"""One run of a planner in a process that may be killed: starts the task, or goes on where another process left it.

python -m evals.crash_worker FOLDER [--async]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from langchain_linvit import PlanResult, RolloutValue, Task, Transition, create_slinvit_planner
from langchain_linvit.environments.base import Environment, Snapshot
from langchain_linvit.environments.blocksworld import BlocksWorldEnvironment, generate_problems
from langchain_linvit.models.blocksworld import blocksworld_model
from langchain_linvit.planner import Planner

LATENCY = 0.005
"""Seconds of a model call, so that many units are under way at once."""
THREAD: RunnableConfig = {"configurable": {"thread_id": "crash"}}


class Journal:
    """Lines that are on disk before anything else happens."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(self, line: str) -> None:
        """Append one line, at once and whole."""
        os.write(self._file, f"{line}\n".encode())


class CallCount(BaseCallbackHandler):
    """Notes each model call with the unit of work that makes it, before the call."""

    run_inline = True

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
        """Note the unit, which LangGraph names in the metadata, and the completions asked for."""
        del serialized, messages
        unit = kwargs["metadata"]["langgraph_checkpoint_ns"].rsplit(":", 1)[-1]
        self._journal.write(f"call {unit} {kwargs['invocation_params'].get('n') or 1}")


class NotingSaver(SqliteSaver):
    """Notes each unit of work whose outcome is on disk."""

    journal: Journal

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Save, then note."""
        super().put_writes(config, writes, task_id, task_path)
        self.journal.write(f"saved {task_id}")


class AsyncNotingSaver(AsyncSqliteSaver):
    """As `NotingSaver`, for async code."""

    journal: Journal

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Save, then note."""
        await super().aput_writes(config, writes, task_id, task_path)
        self.journal.write(f"saved {task_id}")


class Table(BlocksWorldEnvironment):
    """A table of blocks that outlives the program: its actions stand in a file, and the file is its state."""

    persistent = True

    def __init__(self, actions: Path) -> None:
        self._path = actions

    def step(self, action: str) -> Transition:
        """Move a block; one that moved is noted in the file."""
        transition = super().step(action)
        if transition.error is None and self._actions[-1] == action:  # reworded actions come by here once more
            Journal(self._path).write(action)
        return transition

    def restore(self, snapshot: Snapshot) -> None:
        """Find the table as it is."""
        self.reset(Task.model_validate(snapshot["task"]))
        for action in lines(self._path):
            super().step(action)

    def fork(self) -> Environment:  # type: ignore[override]
        """The same blocks in memory."""
        clone = BlocksWorldEnvironment()
        clone.restore(self.snapshot())
        return clone


def lines(path: Path) -> list[str]:
    """The whole lines of a file; none where it is missing."""
    return path.read_text().split("\n")[:-1] if path.exists() else []


def planner_of(folder: Path, journal: Journal, saver: Any) -> Planner:
    """The planner of the experiment: rollouts from every state of three layers, of which the three best are kept."""
    return create_slinvit_planner(
        blocksworld_model("novice", latency=LATENCY, callbacks=[CallCount(journal)]),
        lambda: Table(folder / "actions.log"),
        value=RolloutValue(rollouts=2, length=4),
        candidates=None,
        beam=3,
        depth=3,
        seed=1,
        checkpointer=saver,
    )


def given(begun: bool) -> dict[str, Any] | None:
    """What to invoke with: the task, or nothing where the thread has begun."""
    return None if begun else {"task": generate_problems(blocks=4, steps=6, count=1, seed=0)[0]}


def run(folder: Path) -> PlanResult:
    """Plan, in sync code."""
    journal = Journal(folder / "events.log")
    with NotingSaver.from_conn_string(str(folder / "checkpoints.sqlite")) as saver:
        saver.journal = journal  # type: ignore[attr-defined]
        planner = planner_of(folder, journal, saver)
        begun = planner.get_state(THREAD).created_at is not None
        result: PlanResult = planner.invoke(given(begun), THREAD, durability="sync")["result"]
    return result


async def arun(folder: Path) -> PlanResult:
    """Plan, in async code."""
    journal = Journal(folder / "events.log")
    async with AsyncNotingSaver.from_conn_string(str(folder / "checkpoints.sqlite")) as saver:
        saver.journal = journal  # type: ignore[attr-defined]
        planner = planner_of(folder, journal, saver)
        begun = (await planner.aget_state(THREAD)).created_at is not None
        result: PlanResult = (await planner.ainvoke(given(begun), THREAD, durability="sync"))["result"]
    return result


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--async", dest="asynchronous", action="store_true")
    chosen = arguments.parse_args()
    result = asyncio.run(arun(chosen.folder)) if chosen.asynchronous else run(chosen.folder)
    (chosen.folder / "result.json").write_text(json.dumps(result.to_dict()))


if __name__ == "__main__":
    main()
