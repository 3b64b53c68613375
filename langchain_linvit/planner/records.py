"""How nodes and steps become plain data: the makers of every record that the planner's state holds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from langgraph.config import get_stream_writer

from langchain_linvit.environments.base import Environment, Transition, shorten
from langchain_linvit.planner.state import StepRecord
from langchain_linvit.planner.tree import Node, Value
from langchain_linvit.priors import Proposal
from langchain_linvit.values import Solution, ValueEstimate

MIN_LOG_PROB = -1e6
"""What a prior's log-probability counts at least: minus infinity is no JSON, and leaves nothing to compare."""
MAX_OBSERVATION = 4_000
"""Characters of an observation that the state keeps."""


def digest(*parts: object) -> str:
    """A short hash of `parts`, the same in every process."""
    return hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).hexdigest()


def state_key(environment: Environment, node_id: str) -> str:
    """A short key that equal states share; the node's own id where the environment knows none."""
    key = environment.state_key()
    return node_id if key is None else digest(key)


def root_node(node_id: str, environment: Environment) -> Node:
    """The node that an episode begins with."""
    node = blank_node(node_id, None, "", used=0)
    return {**node, "key": state_key(environment, node_id), "snapshot": environment.snapshot()}


def pending_nodes(parent: Node, proposals: Sequence[dict[str, Any]]) -> list[Node]:
    """One node per distinct proposal, not carried out yet; those that can't be read are dead already."""
    nodes: dict[str, Node] = {}
    for proposal in proposals:
        node = blank_node(digest(parent["id"], proposal["text"]), parent["id"], proposal["text"], used=parent["used"])
        node["log_prob"], node["provenance"] = proposal["log_prob"], proposal["provenance"]
        nodes.setdefault(node["id"], dead_node(node, proposal["error"]) if proposal["error"] else node)
    return list(nodes.values())


def dead_node(pending: Node, error: str) -> Node:
    """A candidate that can't be carried out; trying it all the same costs one step."""
    return {**pending, "error": shorten(error, 300), "used": pending["used"] + 1}


def reached_node(
    pending: Node, environment: Environment, last: Transition, steps: list[tuple[str, str]], reward: float
) -> Node:
    """A candidate that was carried out: `steps` led to the environment's current state."""
    return {
        **pending,
        "steps": steps,
        "reward": reward,
        "done": last.done,
        "solved": last.solved,
        "key": state_key(environment, pending["id"]),
        "used": pending["used"] + len(steps),
        "snapshot": environment.snapshot(),
    }


def solution_node(leaf: Node, solution: Solution) -> Node:
    """A child that stands for a whole way to a solved end."""
    actions = [action for action, _ in solution.steps]
    node = blank_node(digest(leaf["id"], "solution", *actions), leaf["id"], "; ".join(actions), used=leaf["used"])
    return {
        **node,
        "provenance": "rollout",
        "steps": [(action, clipped(observation)) for action, observation in solution.steps],
        "done": True,
        "solved": True,
        "key": node["id"] if solution.state_key is None else digest(solution.state_key),
        "used": leaf["used"] + len(solution.steps),
    }


def with_solutions(found: Sequence[Node]) -> dict[str, Any]:
    """The update that puts solutions into the search, each as its leaf's only child."""
    if not found:
        return {}
    emit("simulated", nodes=[shown(node) for node in found])
    return {
        "nodes": {node["id"]: node for node in found},
        "children": {str(node["parent"]): [node["id"]] for node in found},
    }


def proposal_data(proposal: Proposal) -> dict[str, Any]:
    """A proposal as the state keeps it."""
    return {
        "text": proposal.text,
        "log_prob": max(proposal.log_prob, MIN_LOG_PROB),
        "provenance": proposal.provenance,
        "error": proposal.error,
    }


def value_data(estimate: ValueEstimate) -> Value:
    """A value estimate as the state keeps it."""
    return Value(
        value=min(max(estimate.value, 0.0), 1.0),
        source=estimate.source,
        detail=estimate.detail,
        error=estimate.error,
    )


def step_record(
    node: Node, action: str, transition: Transition, observation: str, value: float | None, decision: int
) -> StepRecord:
    """One real step."""
    return StepRecord(
        action=action,
        observation=observation,
        reward=transition.reward,
        error=transition.error,
        subgoal=node["text"],
        log_prob=node["log_prob"],
        provenance=node["provenance"],
        value=value,
        decision=decision,
    )


def history_of(records: Sequence[StepRecord]) -> list[tuple[str, str]]:
    """The (action, observation) pairs of real steps."""
    return [(record["action"], record["observation"]) for record in records]


def clipped(text: str) -> str:
    """An observation, cut to what the state keeps."""
    return text if len(text) <= MAX_OBSERVATION else f"{text[:MAX_OBSERVATION]}… ({len(text)} characters)"


def shown(node: Node) -> dict[str, Any]:
    """What a search event tells of a node."""
    return {
        "id": node["id"],
        "parent": node["parent"],
        "text": node["text"],
        "log_prob": node["log_prob"],
        "error": node["error"],
        "solved": node["solved"],
    }


def emit(event: str, **data: Any) -> None:
    """Send a search event to the custom stream, for whoever watches."""
    get_stream_writer()({"event": event, **data})


def blank_node(node_id: str, parent: str | None, text: str, *, used: int) -> Node:
    """A node that nothing is known of yet."""
    return Node(
        id=node_id, parent=parent, text=text, log_prob=0.0, provenance="", steps=[], reward=0.0, done=False,
        solved=None, error=None, key=node_id, used=used, snapshot={},
    )  # fmt: skip
