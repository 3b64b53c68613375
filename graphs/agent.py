"""An agent that weighs its messages with SLINVIT, plans BlocksWorld by a tool, and has a tool that is unrelated."""

import asyncio
import re
from collections.abc import Sequence
from datetime import date
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.graph.state import CompiledStateGraph

from graphs.planning import PlanningContext
from langchain_linvit.agents import SLINVITMiddleware, create_slinvit_tool
from langchain_linvit.applications import TaskChoice, application
from langchain_linvit.models import PolicyChatModel, ToolReply


@tool
def days_between(first: date, last: date) -> int:
    """How many days lie between two dates (YYYY-MM-DD)."""
    return (last - first).days


def stand_in(messages: Sequence[BaseMessage], tools: Sequence[Any]) -> dict[Any, float]:
    """The agent's model where no other is named: dates are counted, everything else is planned, answers repeated."""
    del tools
    last = messages[-1]
    dates = re.findall(r"\d{4}-\d{2}-\d{2}", last.text)
    if last.type == "tool":
        return {last.text: 1}
    if len(dates) == 2:
        return {ToolReply("days_between", {"first": dates[0], "last": dates[1]}): 1}
    return {ToolReply("make_plan", {"goal": last.text}): 1}


async def make_graph(config: RunnableConfig) -> CompiledStateGraph[Any, Any, Any, Any]:
    return await asyncio.to_thread(_agent, PlanningContext.of(config))


def _agent(context: PlanningContext) -> CompiledStateGraph[Any, Any, Any, Any]:
    blocksworld, choice = application("blocksworld"), TaskChoice(seed=context.seed)
    planning = create_slinvit_tool(
        context.model or blocksworld.offline_model(choice),
        blocksworld.environment(choice),
        tasks=lambda words: blocksworld.task(choice, words),
        seed=context.seed,
        budget=context.budget,
        **blocksworld.settings,
    )
    tools = [planning, days_between]
    weighing = SLINVITMiddleware(
        read_only=[tool.name for tool in tools], candidates=3, depth=1, seed=context.seed, budget=context.budget
    )
    return create_agent(
        context.model or PolicyChatModel(policy=stand_in),
        tools,
        middleware=[weighing],
        context_schema=PlanningContext,
        name="agent",
    )
