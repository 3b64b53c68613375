"""The planner of `intercode-bash`, as `langgraph dev` serves it."""

import asyncio
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph

from graphs.planning import planning_graph


async def make_graph(config: RunnableConfig) -> CompiledStateGraph[Any, Any, Any, Any]:
    return await asyncio.to_thread(planning_graph, "intercode-bash", config)
