"""The planner's state: plain data only, so that any checkpointer can keep it and a person can read it."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Annotated, Any, NotRequired, TypeVar

from langchain_core.messages import AnyMessage
from langgraph.graph.message import add_messages
from langgraph.types import Overwrite
from typing_extensions import TypedDict

from langchain_linvit.accounting import add_counts
from langchain_linvit.environments.base import Task
from langchain_linvit.planner.result import PlanResult
from langchain_linvit.planner.tree import Node, Value

T = TypeVar("T")


def merge(left: Mapping[str, T], right: Mapping[str, T]) -> dict[str, T]:
    """The union of two dicts, the right one winning: what parallel units wrote, joined."""
    return {**left, **right}


def merge_or_clear(left: Mapping[str, T], right: Mapping[str, T] | None) -> dict[str, T]:
    """As `merge`; None empties the channel."""
    return {} if right is None else {**left, **right}


def add_or_clear(left: list[str], right: list[str] | None) -> list[str]:
    """Both lists in a row; None empties the channel."""
    return [] if right is None else left + right


class PlannerInput(TypedDict):
    """What the planner is invoked with: a task, or messages whose last human one is the task."""

    task: NotRequired[Task | str | dict[str, Any]]
    messages: NotRequired[Annotated[list[AnyMessage], add_messages]]


class PlannerOutput(TypedDict):
    """What comes back: the result, and the messages with a summary of it appended."""

    result: PlanResult
    messages: Annotated[list[AnyMessage], add_messages]


class StepRecord(TypedDict):
    """One action that was carried out in the real environment."""

    action: str
    observation: str
    reward: float
    error: str | None
    subgoal: str
    log_prob: float
    provenance: str
    value: float | None
    decision: int


class RealState(TypedDict):
    """Where the real environment stands.

    `stepwise`: it outlives its program, so that one action is taken at a time: after a crash, at most one is in doubt.
    """

    stepwise: bool
    snapshot: dict[str, Any]
    key: str
    steps: int
    done: bool
    solved: bool | None


class PlannerState(TypedDict):
    """The channels of the graph."""

    task: Task | str | dict[str, Any]
    messages: Annotated[list[AnyMessage], add_messages]
    goal: str
    horizon: int
    real: RealState
    root: str
    visited: list[str]
    decision: int
    committed: Annotated[list[StepRecord], operator.add]
    nodes: Annotated[dict[str, Node], merge]
    children: Annotated[dict[str, list[str]], merge]
    values: Annotated[dict[str, Value], merge]
    proposals: Annotated[dict[str, list[dict[str, Any]]], merge_or_clear]
    carried: Annotated[dict[str, Node], merge_or_clear]
    prepared: dict[str, Any]
    explored: Annotated[list[dict[str, Any]], operator.add]
    seen: Annotated[dict[str, bool], merge]
    provenance: Annotated[dict[str, int], add_counts]
    usage: Annotated[dict[str, Any], add_counts]
    notes: Annotated[list[str], operator.add]
    refused: Annotated[list[str], add_or_clear]
    exhausted: Annotated[list[str], operator.add]
    phase: str
    batch: list[str]
    intent: dict[str, Any]
    result: PlanResult


class UnitInput(TypedDict):
    """What one unit of work receives: its nodes, how each was reached, and what the unit may spend."""

    nodes: list[Node]
    root: str
    history: dict[str, list[tuple[str, str]]]
    agreement: dict[str, float]
    share: dict[str, Any]
    stepwise: bool
    prepared: dict[str, Any]
    horizon: int


CLEARED: dict[str, Any] = {
    **{name: Overwrite({}) for name in ("children", "values", "proposals", "carried", "seen", "provenance", "usage")},
    **{name: Overwrite([]) for name in ("committed", "explored", "notes", "exhausted")},
    "refused": None,
    "prepared": {},
    "intent": {},
}
"""The update that clears what an earlier run on the same thread left."""
