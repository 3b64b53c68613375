"""From the planner's state to what people and programs read: the result, its summary, its tree."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from langchain_core.messages import AIMessage

from langchain_linvit.accounting import Usage, add_counts
from langchain_linvit.environments.base import shorten
from langchain_linvit.planner.result import PlanOutcome, PlanResult, PlanStep, TreeNode
from langchain_linvit.planner.state import PlannerState
from langchain_linvit.planner.tree import Tree, View, score


def tree_records(
    tree: Tree, view: View, decision: int, *, chosen: Sequence[str], only: Collection[str] | None
) -> list[dict[str, Any]]:
    """Slim records of the searched nodes, parents before children.

    Args:
        tree: The search as it stands.
        view: Its analysis.
        decision: Which decision it served.
        chosen: The branch that was carried out; always recorded.
        only: The nodes to record; None records all.
    """
    return [
        _record(tree, view, node_id, decision, node_id in chosen)
        for node_id in tree.subtree(tree.root)
        if only is None or node_id in only or node_id in chosen
    ]


def _record(tree: Tree, view: View, node_id: str, decision: int, is_chosen: bool) -> dict[str, Any]:
    node = tree.nodes[node_id]
    scored = node_id in view.partial and node["error"] is None
    status = "root" if node_id == tree.root else "chosen" if is_chosen else view.status.get(node_id, "open")
    return {
        "id": node_id,
        "parent": node["parent"],
        "text": node["text"],
        "decision": decision,
        "status": status,
        "log_prob": view.prior.get(node_id),
        "provenance": node["provenance"],
        "value": tree.value(node) if scored else None,
        "score": score(tree, view, node_id) if scored and tree.value(node) is not None else None,
        "reward": node["reward"],
        "solved": node["solved"],
        "error": node["error"],
        "observation": shorten(node["steps"][-1][1], 160) if node["steps"] else "",
    }


def plan_result(state: PlannerState, rest: list[dict[str, Any]], seconds: float, value: str) -> PlanResult:
    """The result of a run that has come to its end.

    Args:
        state: The state at the end.
        rest: Records of the nodes that no decision has recorded yet.
        seconds: Time that the state's usage doesn't hold yet.
        value: The value estimator's name.
    """
    outcome, reason = _outcome(state)
    records = {record["id"]: record for record in reversed([*state["explored"], *rest])}
    ordered = dict.fromkeys(record["id"] for record in [*state["explored"], *rest])
    usage = add_counts(state["usage"], {"seconds": seconds})
    committed = state["committed"]
    assert isinstance(state["task"], dict)  # noqa: S101 - `start` has stored it as plain data
    return PlanResult(
        task_id=state["task"]["id"],
        goal=state["goal"],
        outcome=outcome,
        reason=reason,
        plan=[step["action"] for step in committed if step["error"] is None],
        trajectory=[PlanStep(**step) for step in committed],
        tree=[TreeNode(**records[node_id]) for node_id in ordered],
        usage=Usage(**usage),
        unique_states=len(state["seen"]),
        prior=state["provenance"],
        value=value,
        budget_exhausted=state["exhausted"][0] if state["exhausted"] else None,
        notes=list(dict.fromkeys(state["notes"])),
    )


def _outcome(state: PlannerState) -> tuple[PlanOutcome, str]:
    real = state["real"]
    if real["solved"]:
        return "solved", f"in {real['steps']} steps"
    if real["done"]:
        if real["solved"] is None:
            return "done", "the episode is over; whether it is solved can't be seen from inside"
        return "failed", "the episode is over and the task is not solved"
    if state["exhausted"]:
        return "budget_exhausted", f"the budget of {state['exhausted'][0]} ran out; the best branch so far was taken"
    if real["steps"] >= state["horizon"]:
        return "horizon", f"not solved within {state['horizon']} steps"
    return "no_candidates", "; ".join(state["notes"][-2:]) or "the model proposed nothing that could be tried"


def plan_message(result: PlanResult) -> AIMessage:
    """A summary of the result for a conversation."""
    plan = "\n".join(f"{number}. {action}" for number, action in enumerate(result.plan, 1)) or "(no action taken)"
    return AIMessage(content=f"Outcome: {result.outcome} ({result.reason})\nPlan:\n{plan}", name="slinvit")
