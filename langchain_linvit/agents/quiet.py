"""Calls that nobody shall watch: what a search asks and tries stays out of every stream of the agent's run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config, set_config_context
from langgraph.constants import TAG_HIDDEN, TAG_NOSTREAM

_RUNTIME = "__pregel_runtime"
"""Where LangGraph keeps the runtime that tools are given; a simulated call gets one whose stream leads nowhere."""


def quiet(handler: Callable[[Any], Any], suspends: bool) -> Callable[[Any], Any]:
    """`handler` with all models that it calls, those of inner middleware too, kept out of message streams.

    Args:
        handler: A model call, sync, or a coroutine function where it `suspends`.
        suspends: Whether it has to be awaited.
    """

    def call(request: Any) -> Any:
        with set_config_context(_quiet_config()) as context:
            return context.run(handler, request)

    async def acall(request: Any) -> Any:
        with set_config_context(_quiet_config()) as context:
            return await asyncio.create_task(handler(request), context=context)

    return acall if suspends else call


def muted_config() -> RunnableConfig:
    """The surrounding run's config for a tool that is only tried: nothing of it reaches a stream."""
    config = _quiet_config(TAG_HIDDEN)
    configurable = dict(config.get("configurable") or {})
    if _RUNTIME in configurable:
        configurable[_RUNTIME] = configurable[_RUNTIME].override(stream_writer=lambda _: None)
    config["configurable"] = configurable
    return config


def _quiet_config(*tags: str) -> RunnableConfig:
    config = ensure_config()  # not merge_configs: it would merge the surrounding callbacks with themselves
    config["tags"] = [*(config.get("tags") or []), TAG_NOSTREAM, *tags]
    return config
