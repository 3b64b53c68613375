"""What the planner costs beside the model: per node, per completion, and against the critical path."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from langchain_core.messages import HumanMessage

from langchain_linvit.environments.base import Environment, Task, Transition
from langchain_linvit.models import PolicyChatModel
from langchain_linvit.planner import create_slinvit_planner
from langchain_linvit.planner.records import pending_nodes, reached_node, root_node
from langchain_linvit.planner.selection import select_branch
from langchain_linvit.planner.tree import Tree, analyse
from langchain_linvit.rollouts import RolloutValue

LATENCY = 0.05
HORIZON = 6
DEPTH = 2


class Branching(Environment):
    """Three actions everywhere, no two states alike, no goal: the worst case for a search."""

    description = "Actions: left, middle, right."
    records_history = False

    def __init__(self) -> None:
        self.path: tuple[str, ...] = ()

    def reset(self, task: Task) -> str:
        self.path = ()
        return "start"

    def step(self, action: str) -> Transition:
        if action not in {"left", "middle", "right"}:
            return Transition("", error="no such action")
        self.path = (*self.path, action)
        return Transition(action, solved=False)

    def state_text(self) -> str:
        return "/".join(self.path) or "start"

    def state_key(self) -> str:
        return "/".join(self.path)

    def fork(self) -> Branching:
        clone = Branching()
        clone.path, clone._task = self.path, self._task
        return clone

    def snapshot(self) -> dict[str, Any]:
        return {"task": self.task.model_dump(), "actions": list(self.path)}


def _policy(messages: Any, tools: Any) -> dict[str, float]:
    return {"Action: left": 0.4, "Action: middle": 0.3, "Action: right": 0.3}


def _best(measure: Callable[[], float], times: int = 5) -> float:
    return min(measure() for _ in range(times))


def engine_per_node() -> float:
    """CPU microseconds per node of a full tree (3 children, 6 layers), simulated and scored, without any graph."""
    environment = Branching()
    environment.reset("go")
    root = root_node("root", environment)
    proposals = [
        {"text": action, "log_prob": -1.1, "provenance": "uniform", "error": None}
        for action in ("left", "middle", "right")
    ]
    started = time.process_time()
    nodes, children, live = {"root": root}, {}, {"root": environment}
    values: dict[str, Any] = {}
    while True:
        tree = Tree(nodes, children, values, "root")
        view = analyse(tree, depth=6, breadth=None, beam=None, kl_coef=0.1, layerwise=False)
        if view.phase == "select":
            break
        if view.phase == "estimate":
            for node_id in view.batch:
                values[tree.value_key(nodes[node_id])] = {"value": 0.5, "source": "", "detail": "", "error": None}
            continue
        for parent_id in view.batch:
            pending = pending_nodes(nodes[parent_id], proposals)
            for node in pending:
                fork = live[parent_id].fork()
                transition = fork.step(node["text"])
                steps = [(node["text"], transition.observation)]
                nodes[node["id"]] = reached_node(node, fork, transition, steps, transition.reward)
                live[node["id"]] = fork
            children[parent_id] = [node["id"] for node in pending]
    select_branch(tree, view, selection="hard", kl_coef=0.1, seed=0)
    return (time.process_time() - started) / len(nodes) * 1e6


def overhead_per_completion() -> tuple[float, float]:
    """CPU milliseconds per completion: of the whole planner beyond the bare model, and of the bare model."""
    model = PolicyChatModel(policy=_policy)
    planner = create_slinvit_planner(
        model, Branching(), value=RolloutValue(rollouts=4), horizon=HORIZON, depth=DEPTH, record_tree=False
    )
    started = time.process_time()
    usage = planner.invoke({"task": "go"})["result"].usage
    whole = time.process_time() - started
    messages = [HumanMessage("x" * 800)]
    started = time.process_time()
    for _ in range(usage.requests):
        model.generate([messages])
    bare = time.process_time() - started
    return (whole - bare) / usage.llm_calls * 1e3, bare / usage.llm_calls * 1e3


def critical_path(run: str) -> float:
    """Wall time of one decision with a 50 ms model, as a multiple of (depth + longest rollout) x 50 ms."""
    planner = create_slinvit_planner(
        PolicyChatModel(policy=_policy, latency=LATENCY), Branching(), value=RolloutValue(rollouts=4),
        candidates=3, breadth=3, depth=DEPTH, horizon=HORIZON,
    )  # fmt: skip
    started = time.perf_counter()
    if run == "sync":
        _until_selected(planner.stream({"task": "go"}, stream_mode="custom"))
    else:
        asyncio.run(_until_selected_async(planner))
    return (time.perf_counter() - started) / ((DEPTH + HORIZON - DEPTH) * LATENCY)


def _until_selected(events: Any) -> None:
    for event in events:
        if event["event"] == "selected":
            break


async def _until_selected_async(planner: Any) -> None:
    stream = planner.astream({"task": "go"}, stream_mode="custom")
    async for event in stream:
        if event["event"] == "selected":
            break
    await stream.aclose()


def run() -> list[dict[str, Any]]:
    """All rows."""

    def row(measure: str, value: float, unit: str, note: str) -> dict[str, Any]:
        return {"benchmark": "planner", "measure": measure, "value": value, "unit": unit, "note": note}

    overheads = [overhead_per_completion() for _ in range(3)]
    peers = "peers: 2 to 6 (ToT, llm-reasoners), 240 to 410 (ldp), 700 to 73,000 (the paper's code)"
    return [
        row("engine per tree node, no graph", _best(engine_per_node), "us", peers),
        row("planner overhead per completion", min(o for o, _ in overheads), "ms", "beyond the bare model"),
        row("bare model per completion", min(bare for _, bare in overheads), "ms", "PolicyChatModel.generate"),
        row("one decision, async", _best(lambda: critical_path("async"), 3), "x critical path", "goal: at most 1.3"),
        row("one decision, sync", _best(lambda: critical_path("sync"), 3), "x critical path", "goal: at most 1.3"),
    ]
