"""The search tree as plain data, and its analysis: what to propose for, evaluate or select next.

Nodes hold facts only (what was proposed, what came of it). Which of them are linked to an equal state,
pruned, kept or leaves follows from these facts, the values known so far and the settings, and is computed
here by `analyse`, a pure function.

Source: arXiv 2402.16181, algorithm 2 (SLINVIT); merging of equal states and the beam are ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from typing_extensions import TypedDict

NodeStatus = Literal["open", "kept", "pruned", "linked", "dead"]
Phase = Literal["propose", "estimate", "select"]


class Node(TypedDict):
    """One node: a proposed action or subgoal, and what came of it. All plain data.

    `key` is shared by equal states; `used` counts the environment steps from the episode's start.
    """

    id: str
    parent: str | None
    text: str
    log_prob: float
    provenance: str
    steps: list[tuple[str, str]]
    reward: float
    done: bool
    solved: bool | None
    error: str | None
    key: str
    used: int
    snapshot: dict[str, Any]


class Value(TypedDict):
    """A value estimate as the state keeps it."""

    value: float
    source: str
    detail: str
    error: str | None


@dataclass(frozen=True, slots=True)
class Tree:
    """All that is known of a search.

    Attributes:
        nodes: By id, the root and everything below it.
        children: Ids of a node's children in the order proposed; a node that is missing here was not expanded.
        values: By `value_key`.
        root: The node that stands for the real state.
        visited: Keys of the states that the episode has been in.
        horizon: Environment steps of the whole episode.
        by_horizon: Whether values depend on the remaining steps.
    """

    nodes: Mapping[str, Node]
    children: Mapping[str, Sequence[str]]
    values: Mapping[str, Value]
    root: str
    visited: frozenset[str] = frozenset()
    horizon: int = 10**9
    by_horizon: bool = False

    def value_key(self, node: Node) -> str:
        """What a node's value is memoised by."""
        return value_key(node, self.horizon if self.by_horizon else None)

    def value(self, node: Node) -> float | None:
        """V of a node as far as it is known: 1 where solved, 0 where plainly failed, else the estimate."""
        if node["solved"]:
            return 1.0
        if self.has_failed(node):
            return 0.0
        estimate = self.values.get(self.value_key(node))
        return None if estimate is None else estimate["value"]

    def has_failed(self, node: Node) -> bool:
        """Whether the episode is over there and plainly not solved."""
        return node["done"] and node["solved"] is False

    def solved(self, node_ids: Sequence[str]) -> list[str]:
        """Those of `node_ids` that plainly solve the task."""
        return [node_id for node_id in node_ids if self.nodes[node_id]["solved"] and not self.nodes[node_id]["error"]]

    def is_terminal(self, node: Node) -> bool:
        """Whether nothing can follow: the episode is over, or its steps are used up."""
        return node["done"] or bool(node["solved"]) or node["used"] >= self.horizon

    def path(self, node_id: str) -> list[str]:
        """Ids from the root's child down to `node_id`."""
        ids: list[str] = []
        while node_id != self.root:
            ids.append(node_id)
            parent = self.nodes[node_id]["parent"]
            if parent is None:
                break
            node_id = parent
        return ids[::-1]

    def subtree(self, node_id: str) -> list[str]:
        """Ids of a node and everything below it."""
        ids, level = [], [node_id]
        while level:
            ids += level
            level = [child for parent in level for child in self.children.get(parent, ())]
        return ids


@dataclass(slots=True)
class View:
    """What `analyse` finds.

    Attributes:
        phase: What has to happen next.
        batch: The nodes that it concerns: to propose for, or to evaluate (one of each distinct state).
        status: Of every node below the root that was reached by the analysis.
        partial: Sum of reward + kl_coef * log p along the branch, by node.
        prior: log p of a node among its live siblings (renormalised), by node.
        cumulative: Sum of `prior` along the branch, by node.
        links: From a linked node to the node of the same state that is expanded in its stead.
        leaves: Ends of the branches that `select_branch` chooses from.
        solved: Solved nodes.
        layers: Node ids by depth below the root, as far as they were reached.
    """

    phase: Phase = "select"
    batch: list[str] = field(default_factory=list)
    status: dict[str, NodeStatus] = field(default_factory=dict)
    partial: dict[str, float] = field(default_factory=dict)
    prior: dict[str, float] = field(default_factory=dict)
    cumulative: dict[str, float] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    leaves: list[str] = field(default_factory=list)
    solved: list[str] = field(default_factory=list)
    layers: list[list[str]] = field(default_factory=list)


def value_key(node: Node, horizon: int | None) -> str:
    """What a node's value is memoised by: its state, and the steps left where a horizon is given."""
    return node["key"] if horizon is None else f"{node['key']}@{horizon - node['used']}"


def analyse(tree: Tree, *, depth: int, breadth: int | None, beam: int | None, kl_coef: float, layerwise: bool) -> View:
    """Where the search stands.

    Args:
        tree: The facts.
        depth: Layers to look ahead.
        breadth: Children kept per node; None keeps all.
        beam: Children kept per layer; None keeps all.
        kl_coef: lambda, the weight of the log-prior.
        layerwise: Whether every layer is evaluated and pruned, or only the leaves are evaluated.
    """
    view = View(partial={tree.root: 0.0}, cumulative={tree.root: 0.0})
    seen = dict.fromkeys(tree.visited, tree.root)
    seen[tree.nodes[tree.root]["key"]] = tree.root
    layer = [tree.root]
    for level in range(1, depth + 1):
        parents = [node_id for node_id in layer if not tree.is_terminal(tree.nodes[node_id])]
        unexpanded = [node_id for node_id in parents if node_id not in tree.children]
        if unexpanded:
            view.phase, view.batch = "propose", unexpanded
            return view
        children = _score_children(tree, view, parents, kl_coef)
        view.layers.append(children)
        view.solved = tree.solved(children)
        if view.solved:
            return view
        fresh = _link_equal_states(tree, view, children, seen)
        if known := [child for child in fresh if tree.solved(tree.children.get(child, ()))]:
            view.layers.append(_score_children(tree, view, known, kl_coef))
            view.solved = tree.solved(view.layers[-1])
            return view
        ends = [child for child in fresh if layerwise or level == depth or tree.is_terminal(tree.nodes[child])]
        wanted = _without_value(tree, ends)
        if wanted:
            view.phase, view.batch = "estimate", wanted
            return view
        layer = _prune(tree, view, fresh, breadth, beam) if layerwise else fresh
        for child in layer:
            view.status[child] = "kept"
        view.leaves += [child for child in layer if level == depth or tree.is_terminal(tree.nodes[child])]
    return view


def agreement(tree: Tree, node_id: str) -> float:
    """The prior's mass of the live siblings of a node, itself included, that reached the same state."""
    node = tree.nodes[node_id]
    siblings = [tree.nodes[child] for child in tree.children.get(node["parent"] or "", (node_id,))]
    live = [sibling for sibling in siblings if sibling["error"] is None]
    same = [sibling["log_prob"] for sibling in live if sibling["key"] == node["key"]]
    return math.exp(log_sum_exp(same) - log_sum_exp([sibling["log_prob"] for sibling in live])) if same else 0.0


def score(tree: Tree, view: View, node_id: str) -> float:
    """The hard score of the branch that ends here; an unknown value counts as 0."""
    return view.partial[node_id] + (tree.value(tree.nodes[node_id]) or 0.0)


def rank(tree: Tree, view: View, node_ids: Sequence[str]) -> list[str]:
    """Best first: by score; ties by the higher prior, the shorter branch, then the first proposed."""
    position = {node_id: index for index, node_id in enumerate(node_ids)}
    return sorted(
        node_ids,
        key=lambda n: (-score(tree, view, n), -view.cumulative[n], tree.nodes[n]["used"], position[n]),
    )


def _score_children(tree: Tree, view: View, parents: Sequence[str], kl_coef: float) -> list[str]:
    """All children of a layer; live ones get their renormalised prior and partial score, others are dead."""
    children: list[str] = []
    for parent in parents:
        ids = tree.children[parent]
        live = [child for child in ids if tree.nodes[child]["error"] is None]
        normaliser = log_sum_exp([tree.nodes[child]["log_prob"] for child in live])
        for child in ids:
            node = tree.nodes[child]
            prior = node["log_prob"] - (normaliser if node["error"] is None else 0.0)
            reward = 0.0 if node["solved"] else node["reward"]  # success counts once, as V = 1
            view.status[child] = "open" if node["error"] is None else "dead"
            view.prior[child] = prior
            view.cumulative[child] = view.cumulative[parent] + prior
            view.partial[child] = view.partial[parent] + reward + (kl_coef * prior if kl_coef else 0.0)
        children += ids
    return children


def _link_equal_states(tree: Tree, view: View, children: Sequence[str], seen: dict[str, str]) -> list[str]:
    """The live children whose state is new to the search; of equal ones the best partial score is kept.

    Ties are those of `rank`: the higher prior, the shorter branch, then the first proposed.
    """
    live = [child for child in children if view.status[child] == "open"]
    for child in sorted(live, key=lambda n: (-view.partial[n], -view.cumulative[n], tree.nodes[n]["used"])):
        first = seen.setdefault(tree.nodes[child]["key"], child)
        if first != child:
            view.status[child] = "linked"
            view.links[child] = first
    return [child for child in live if view.status[child] == "open"]


def _without_value(tree: Tree, node_ids: Sequence[str]) -> list[str]:
    wanted: dict[str, str] = {}
    for node_id in node_ids:
        node = tree.nodes[node_id]
        if tree.value(node) is None:
            wanted.setdefault(tree.value_key(node), node_id)
    return list(wanted.values())


def _prune(tree: Tree, view: View, fresh: Sequence[str], breadth: int | None, beam: int | None) -> list[str]:
    """The best `breadth` children of each node, and of those the best `beam` of the layer; the rest is pruned."""
    kept = list(fresh)
    if breadth is not None:
        ranked = rank(tree, view, kept)
        taken: dict[str | None, int] = {}
        survivors = set()
        for child in ranked:
            parent = tree.nodes[child]["parent"]
            if taken.get(parent, 0) < breadth:
                taken[parent] = taken.get(parent, 0) + 1
                survivors.add(child)
        kept = [child for child in kept if child in survivors]
    if beam is not None and len(kept) > beam:
        best = set(rank(tree, view, kept)[:beam])
        kept = [child for child in kept if child in best]
    chosen = set(kept)
    for child in fresh:
        if child not in chosen:
            view.status[child] = "pruned"
    return kept


def log_sum_exp(values: Sequence[float]) -> float:
    """`log(sum(exp(values)))`, stable; -inf for none."""
    if not values:
        return -math.inf
    top = max(values)
    if top == -math.inf:
        return top
    return top + math.log(sum(math.exp(value - top) for value in values))
