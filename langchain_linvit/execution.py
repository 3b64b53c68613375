"""What may take time, sync and async: the primitives that every algorithm's body awaits.

A body is written once, as a coroutine. Over `AsyncIO` it runs in an event loop; over `SyncIO` nothing ever
suspends, so `drive` runs it without any loop.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, ClassVar, Protocol, TypeVar

from langchain_core.language_models import BaseChatModel, BaseLLM
from langchain_core.outputs import LLMResult

from langchain_linvit.environments.base import Environment

T = TypeVar("T")


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends, without an event loop.

    Raises:
        RuntimeError: It awaited something that suspends (anything else than a `Caller` over `SyncIO`).
    """
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise RuntimeError("a body that runs without an event loop awaited something else than its Caller")


class IO(Protocol):
    """The primitives that may take time: sync ones never suspend, async ones never block the loop."""

    suspends: ClassVar[bool]
    """Whether `call` awaits what its function returns."""

    async def call(self, function: Callable[[], Any], seconds: float | None) -> Any:
        """What `function` returns (async: what it awaits), given up with `TimeoutError` after `seconds`.

        No more than the limit are under way at once; the wait for a free place counts.
        """

    async def generate(
        self, model: BaseChatModel | BaseLLM, prompts: list[Any], seconds: float | None, **kwargs: Any
    ) -> LLMResult:
        """The model's answers to `prompts`, as a `call`."""

    async def run(self, environment: Environment, call: Callable[[], T]) -> T:
        """The result of `call`, which drives `environment` and may block where the environment does."""

    async def gather(self, bodies: Sequence[Callable[[], Coroutine[Any, Any, T]]]) -> list[T]:
        """The results of all bodies, run at once, in their order."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class SyncIO:
    """`IO` for `invoke`: gathers run in threads, everything else in the calling one."""

    suspends: ClassVar[bool] = False

    def __init__(self, max_concurrency: int = 64) -> None:
        self._limit = threading.BoundedSemaphore(max_concurrency)
        self._max_concurrency = max_concurrency

    async def call(self, function: Callable[[], Any], seconds: float | None) -> Any:
        """What `function` returns; where the time is limited, from a thread that can be left behind."""
        asked = time.monotonic()
        if not self._limit.acquire(timeout=seconds):
            raise TimeoutError("no call could begin in time")
        try:
            if seconds is None:
                return function()
            left = max(seconds - (time.monotonic() - asked), 0.0)
            return _abandonable(function, left)
        finally:
            self._limit.release()

    async def generate(
        self, model: BaseChatModel | BaseLLM, prompts: list[Any], seconds: float | None, **kwargs: Any
    ) -> LLMResult:
        """The model's answers."""
        result: LLMResult = await self.call(lambda: model.generate(prompts, **kwargs), seconds)
        return result

    async def run(self, environment: Environment, call: Callable[[], T]) -> T:
        """The result of `call`, made in this thread."""
        del environment
        return call()

    async def gather(self, bodies: Sequence[Callable[[], Coroutine[Any, Any, T]]]) -> list[T]:
        """The results of all bodies, run in threads, in order; the first failure is raised once all have ended."""
        if len(bodies) < 2:
            return [drive(body()) for body in bodies]
        with ThreadPoolExecutor(min(len(bodies), self._max_concurrency), "linvit") as pool:
            futures = [pool.submit(copy_context().run, lambda body=body: drive(body())) for body in bodies]
        return [future.result() for future in futures]

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)  # noqa: ASYNC251 - the sync twin of asyncio.sleep


class AsyncIO:
    """`IO` for `ainvoke`: one event loop; environments that block are driven in worker threads."""

    suspends: ClassVar[bool] = True

    def __init__(self, max_concurrency: int = 64) -> None:
        self._limit = asyncio.Semaphore(max_concurrency)

    async def call(self, function: Callable[[], Awaitable[Any]], seconds: float | None) -> Any:
        """What `function` awaits, cancelled after `seconds`."""
        async with asyncio.timeout(seconds), self._limit:
            return await function()

    async def generate(
        self, model: BaseChatModel | BaseLLM, prompts: list[Any], seconds: float | None, **kwargs: Any
    ) -> LLMResult:
        """The model's answers."""
        result: LLMResult = await self.call(lambda: model.agenerate(prompts, **kwargs), seconds)
        return result

    async def run(self, environment: Environment, call: Callable[[], T]) -> T:
        """The result of `call`, made off the loop where the environment blocks."""
        return call() if environment.concurrency == "inline" else await asyncio.to_thread(call)

    async def gather(self, bodies: Sequence[Callable[[], Coroutine[Any, Any, T]]]) -> list[T]:
        """The results of all bodies, run at once, in order; the first failure is raised once all have ended."""
        failures: dict[int, Exception] = {}

        async def contained(place: int, body: Callable[[], Coroutine[Any, Any, T]]) -> list[T]:
            try:
                return [await body()]
            except Exception as error:  # an exception that a body returns is a result like any other
                failures[place] = error
                return []

        results = await asyncio.gather(*(contained(place, body) for place, body in enumerate(bodies)))
        if failures:
            raise failures[min(failures)]
        return [result for found in results for result in found]

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


def _abandonable(call: Callable[[], T], seconds: float) -> T:
    """The result of `call`, or `TimeoutError`; a thread that never ends then keeps no program alive."""
    future: Future[T] = Future()
    context = copy_context()

    def run() -> None:
        try:
            future.set_result(context.run(call))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="linvit-call", daemon=True).start()
    return future.result(seconds)
