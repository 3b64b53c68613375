"""What SLINVITMiddleware costs beside the bare agent: per step, and in wall time against the critical path."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from langchain.agents import create_agent

from langchain_linvit.agents import EnvironmentToolkit, SLINVITMiddleware
from langchain_linvit.models import PolicyChatModel, ToolReply
from langchain_linvit.prompts import last_block
from tests.benchmarks.planner import Branching

K = 4
STEPS = 5
LATENCY = 0.05
CALLS = [ToolReply("act", {"action": name}) for name in ("left", "middle", "right")]


def _policy(messages: Any, tools: Any) -> dict[Any, float]:
    taken = [part for part in (last_block(messages, "state") or "").split("/") if part != "start"]
    return {"done": 1.0} if len(taken) == STEPS else dict.fromkeys(CALLS, 1.0)


def _closer(state: str, goal: str) -> float:
    return len(state.split("/")) / 10


def _agent(latency: float, **settings: Any) -> tuple[Any, dict[str, Any]]:
    toolkit = EnvironmentToolkit(Branching())
    options = {"candidates": K, "value": _closer, **settings}
    middleware = [SLINVITMiddleware(toolkit=toolkit, **options)] if options["candidates"] else []
    agent = create_agent(PolicyChatModel(policy=_policy, latency=latency), toolkit.get_tools(), middleware=middleware)
    return agent, {"messages": [("user", toolkit.start("go"))]}


def _seconds(run: Callable[[], Any], clock: Callable[[], float]) -> float:
    started = clock()
    run()
    return clock() - started


def overhead_per_step(mode: str) -> tuple[float, float]:
    """CPU milliseconds per step: of the middleware beyond the bare agent and the k - 1 further calls, and of a call."""
    with_it, given = _agent(0.0)
    searched = _seconds(_run(with_it, given, mode), time.process_time) / (STEPS + 1)
    bare, given = _agent(0.0, candidates=0)
    alone = _seconds(_run(bare, given, mode), time.process_time) / (STEPS + 1)
    call = _call_cost(given)
    return (searched - alone - (K - 1) * call) * 1e3, call * 1e3


def _call_cost(given: dict[str, Any]) -> float:
    model = PolicyChatModel(policy=_policy).bind_tools(EnvironmentToolkit(Branching()).get_tools())
    return _seconds(lambda: [model.invoke(given["messages"]) for _ in range(20)], time.process_time) / 20


def critical_path(mode: str, depth: int) -> float:
    """Wall time of a run with a 50 ms model, as a multiple of its calls in a row; depth 0 is the bare agent."""
    agent, given = _agent(LATENCY, depth=depth) if depth else _agent(LATENCY, candidates=0)
    layers = STEPS * max(depth, 1) + 1
    return _seconds(_run(agent, given, mode), time.perf_counter) / (layers * LATENCY)


def _run(agent: Any, given: Any, mode: str) -> Callable[[], Any]:
    if mode == "sync":
        return lambda: agent.invoke(given)
    return lambda: asyncio.run(agent.ainvoke(given))


def run() -> list[dict[str, Any]]:
    """All rows."""

    def row(measure: str, value: float, unit: str, note: str) -> dict[str, Any]:
        return {"benchmark": "middleware", "measure": measure, "value": value, "unit": unit, "note": note}

    rows = []
    for mode in ("sync", "async"):
        overheads = [overhead_per_step(mode) for _ in range(5)]
        note = f"beyond the bare agent and {K - 1} more calls of {min(call for _, call in overheads):.2f} ms; goal: 10"
        rows.append(row(f"overhead per step, {mode}", min(each for each, _ in overheads), "ms", note))
        best = {depth: min(critical_path(mode, depth) for _ in range(3)) for depth in (0, 1, 2)}
        note = f"goal: at most 1.3; the bare agent beside it: {best[0]:.2f}"
        rows += [row(f"k={K}, depth {depth}, 50 ms, {mode}", best[depth], "x critical path", note) for depth in (1, 2)]
    return rows
