"""What the middleware keeps in an agent's state, and the records that it writes there: plain data."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NotRequired, TypedDict

from langchain.agents.middleware.types import AgentState, PrivateStateAttr

from langchain_linvit.agents.candidates import SHOWN_CANDIDATE, Candidate
from langchain_linvit.agents.lookahead import Lookahead
from langchain_linvit.environments.base import shorten
from langchain_linvit.planner.report import tree_records
from langchain_linvit.planner.tree import rank, score


def _latest(left: Any, right: Any) -> Any:
    del left
    return right


class RunMemory(TypedDict, total=False):
    """What one run of the agent remembers between its model calls.

    `visited`: keys of the states it has been in; `guesses`: what was imagined for calls that have no result yet;
    `prepared`: what the value estimator made for this goal; `known`: values and proposals of the states below the
    message that was said last, and the way on where one was found that solves the task; `prior_failed`: whether
    messages are sampled where actions would do; `steps`: model calls so far; `exhausted`: the budget that ran out.
    """

    visited: list[str]
    guesses: dict[str | None, dict[str, Any]]
    prepared: dict[str, Any]
    known: dict[str, dict[str, Any]]
    prior_failed: bool
    steps: int
    exhausted: str | None


class LinvitState(AgentState[Any]):
    """What the middleware adds to an agent's state.

    `linvit_trace` has a record per model call of the run: the candidates with their prior, value and fate, the
    one taken, and why. `linvit_usage` counts what the run's model calls have cost, by the names of `Usage`.
    `linvit_calibration` says by tool how far the imagination could be trusted.
    """

    linvit_trace: NotRequired[Annotated[list[dict[str, Any]], operator.add]]
    linvit_usage: NotRequired[dict[str, Any]]
    linvit_calibration: NotRequired[dict[str, dict[str, Any]]]
    linvit_run: NotRequired[Annotated[RunMemory, PrivateStateAttr]]
    linvit_environment: NotRequired[Annotated[dict[str, Any] | None, _latest, PrivateStateAttr]]


def trace_record(
    lookahead: Lookahead | None, branch: Sequence[str], chosen: Candidate | None, *, decision: str, memory: RunMemory,
    record_tree: bool,
) -> dict[str, Any]:  # fmt: skip
    """What was considered at one model call.

    Args:
        lookahead: The search; None where there was none.
        branch: The branch that was selected.
        chosen: The candidate that was taken; None where the model's own message was.
        decision: `searched`, `agreed`, `followed` (a way that an earlier search has found) or `passed_through`.
        memory: What the run remembers.
        record_tree: Whether to record the nodes below the candidates too.
    """
    record: dict[str, Any] = {
        "step": memory.get("steps", 0),
        "decision": decision,
        "chosen": shorten(chosen.proposal.text, SHOWN_CANDIDATE) if chosen is not None else None,
        "candidates": [],
        "notes": [],
        "exhausted": memory.get("exhausted"),
    }
    if lookahead is None:
        return record
    record["notes"] = list(dict.fromkeys(lookahead.notes))
    if not lookahead.children:
        record["candidates"] = [_agreed(chosen)] if chosen is not None else []
        return record
    nodes = tree_records(lookahead.tree, lookahead.view, record["step"], chosen=branch, only=None)[1:]
    for node in nodes:
        node["text"] = shorten(node["text"], SHOWN_CANDIDATE)
    root = lookahead.root["id"]
    record["candidates"] = [
        {**node, **_of_candidate(lookahead, node["id"])} for node in nodes if node["parent"] == root
    ]
    if record_tree and lookahead.settings.depth > 1:
        record["tree"] = [node for node in nodes if node["parent"] != root]
    return record


def _of_candidate(lookahead: Lookahead, node_id: str) -> Mapping[str, Any]:
    """How often a candidate was sampled, how it was tried, and the value and score of the best branch through it."""
    tree, view, point = lookahead.tree, lookahead.view, lookahead.points.get(node_id)
    below = [node for node in tree.subtree(node_id) if view.status.get(node) in {"kept", "pruned", "open"}]
    ends = [node for node in below if tree.value(tree.nodes[node]) is not None]
    best = rank(tree, view, ends)[0] if ends else None
    return {
        "count": lookahead.candidates[node_id].count,
        "ways": point.ways if point is not None else [],
        "value": tree.value(tree.nodes[best]) if best else None,
        "score": score(tree, view, best) if best else None,
    }


def _agreed(candidate: Candidate) -> dict[str, Any]:
    proposal = candidate.proposal
    text = shorten(proposal.text, SHOWN_CANDIDATE)
    return {
        "text": text,
        "count": candidate.count,
        "log_prob": proposal.log_prob,
        "provenance": proposal.provenance,
        "status": "chosen",
        "error": proposal.error,
    }
