"""The live side of a run: environments, limits and the clock, kept outside the checkpointed state.

A compiled planner serves many runs at once. `RunScope` is a callback handler that follows each root run
from its start to its end, so that what is live belongs to exactly one run and is closed with it,
whether the run ends, fails, is cancelled, or its stream is dropped. All of it is a cache: what is
missing (after a resume, on another machine) is rebuilt from the snapshots in the state.
"""

from __future__ import annotations

import threading
import time
import uuid
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables.config import RunnableConfig, ensure_config

from langchain_linvit.calls import IO, AsyncIO, SyncIO
from langchain_linvit.environments.base import Environment
from langchain_linvit.errors import EnvironmentStateError


class Run:
    """What is live in one run.

    Attributes:
        token: Names this run of this process; a resumed run has another one.
        lap_started: `time.monotonic()` when the current lap began.
        real: The real environment; None until it is made or rebuilt.
        live: Simulated environments by node id. Fork them under `lock`, never step them.
        lock: Guards forking.
    """

    def __init__(self, max_concurrency: int) -> None:
        self.token = uuid.uuid4().hex
        self.lap_started = time.monotonic()
        self.real: Environment | None = None
        self.live: dict[str, Environment] = {}
        self.lock = threading.Lock()
        self._max_concurrency = max_concurrency
        self._sync: SyncIO | None = None
        self._async: AsyncIO | None = None

    def sync_io(self) -> IO:
        """The primitives of a sync run."""
        self._sync = self._sync or SyncIO(self._max_concurrency)
        return self._sync

    def async_io(self) -> IO:
        """The primitives of an async run; made inside its event loop."""
        self._async = self._async or AsyncIO(self._max_concurrency)
        return self._async

    def lap(self) -> float:
        """Seconds since the last lap, or since the run's first use."""
        now = time.monotonic()
        passed, self.lap_started = now - self.lap_started, now
        return passed

    def keep_only(self, node_ids: set[str]) -> None:
        """Close every simulated environment but those of these nodes."""
        for node_id in [key for key in self.live if key not in node_ids]:
            environment = self.live.pop(node_id)
            if environment is not self.real:
                environment.close()

    def close(self) -> None:
        """Close everything that is live."""
        environments = {id(e): e for e in [*self.live.values(), *([self.real] if self.real else [])]}
        self.live.clear()
        self.real = None
        for environment in environments.values():
            environment.close()


class RunScope(BaseCallbackHandler):
    """Ties live resources to root runs: made when first asked for, closed when the root run ends."""

    run_inline = True
    raise_error = True
    ignore_llm = True
    ignore_chat_model = True
    ignore_retriever = True
    ignore_agent = True

    def __init__(self, max_concurrency: int) -> None:
        self._max_concurrency = max_concurrency
        self._root_of: dict[UUID, UUID] = {}
        self._runs: dict[UUID, Run] = {}

    def on_chain_start(
        self, serialized: Any, inputs: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        """Note which root run this one belongs to."""
        del serialized, inputs, kwargs
        root = self._root_of.get(parent_run_id, run_id) if parent_run_id else run_id
        self._root_of[run_id] = root

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Forget the run; close what is live where it was a root."""
        del outputs, kwargs
        self._end(run_id)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Forget the run; close what is live where it was a root."""
        del error, kwargs
        self._end(run_id)

    def current(self, config: RunnableConfig | None = None) -> Run:
        """What is live in the run that `config`, else the surrounding one, belongs to.

        Raises:
            EnvironmentStateError: Called outside of a run of the planner.
        """
        manager = (config or ensure_config()).get("callbacks")
        parent = getattr(manager, "parent_run_id", None)
        root = self._root_of.get(parent) if parent else None
        if root is None:
            raise EnvironmentStateError("this part of the planner can only run inside of the planner's own graph")
        run = self._runs.get(root)
        if run is None:
            run = self._runs.setdefault(root, Run(self._max_concurrency))
        return run

    @property
    def open_runs(self) -> int:
        """How many runs hold something live."""
        return len(self._runs)

    def _end(self, run_id: UUID) -> None:
        root = self._root_of.pop(run_id, None)
        if root == run_id:
            run = self._runs.pop(run_id, None)
            if run is not None:
                run.close()
