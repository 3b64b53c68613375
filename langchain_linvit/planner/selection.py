"""Which branch to take: the hard score of the paper, or the soft backup of the same regularised operator."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

import numpy as np

from langchain_linvit.planner.tree import Tree, View, log_sum_exp, rank
from langchain_linvit.regularised import Floats, soft_policy, soft_value

Selection = Literal["hard", "soft", "sample"]
"""`hard`: the best branch by `sum(r + kl_coef * log p) + V`. `soft`: values backed up by `soft_value`, the
likeliest child of the soft policy at each node. `sample`: the same, sampled."""


def select_branch(tree: Tree, view: View, *, selection: Selection, kl_coef: float, seed: int) -> list[str]:
    """Node ids of the chosen branch, from the root's child to its end; empty where nothing was proposed.

    A solved branch wins over every unsolved one. Where the search was cut short, the best that is known is
    taken; where every candidate is dead, a dead one is.
    """
    if view.solved:
        return tree.path(rank(tree, view, view.solved)[0])
    ends = candidate_ends(tree, view)
    if not ends:
        return []
    if selection == "hard" or not view.leaves or view.phase != "select":
        return tree.path(rank(tree, view, ends)[0])
    return _soft_branch(tree, view, kl_coef, random.Random(seed) if selection == "sample" else None)


def candidate_ends(tree: Tree, view: View) -> list[str]:
    """Nodes that a branch may end at: the leaves, else whatever comes nearest to one."""
    if view.leaves and view.phase == "select":
        return view.leaves
    reached = [node_id for layer in view.layers for node_id in layer]
    live = [node_id for node_id in reached if view.status[node_id] in {"open", "kept", "pruned"}]
    hopeful = [node_id for node_id in live if not tree.has_failed(tree.nodes[node_id])]
    valued = [node_id for node_id in hopeful if tree.value(tree.nodes[node_id]) is not None]
    linked = [node_id for node_id in reached if view.status[node_id] == "linked"]
    dead = [node_id for node_id in reached if view.status[node_id] == "dead"]
    return next((group for group in (valued, hopeful, linked, live, _best_dead(view, dead)) if group), [])


def _best_dead(view: View, dead: Sequence[str]) -> list[str]:
    return [max(dead, key=lambda node_id: view.cumulative[node_id])] if dead else []


def soft_values(tree: Tree, view: View, kl_coef: float) -> dict[str, float]:
    """Regularised values of every live node, backed up from the leaves: `V = soft_value(r + V, p, kl_coef)`."""
    values: dict[str, float] = {}
    ends = {*view.leaves, *(node_id for node_id, status in view.status.items() if status == "pruned")}
    for layer in reversed([[tree.root], *view.layers]):
        for node_id in layer:
            children = _live_children(tree, values, node_id)
            own = tree.value(tree.nodes[node_id])
            if children:
                q, p = _backup_terms(tree, view, values, children)
                values[node_id] = float(soft_value(q, p, kl_coef))
            elif own is not None and node_id in ends:
                values[node_id] = own
        for node_id in layer:
            target = view.links.get(node_id)
            if target in values and target in layer:
                values[node_id] = values[target]
    return values


def _live_children(tree: Tree, values: dict[str, float], node_id: str) -> list[str]:
    return [child for child in tree.children.get(node_id, ()) if child in values]


def _backup_terms(tree: Tree, view: View, values: dict[str, float], children: Sequence[str]) -> tuple[Floats, Floats]:
    rewards = [0.0 if tree.nodes[child]["solved"] else tree.nodes[child]["reward"] for child in children]
    q = np.array([reward + values[child] for reward, child in zip(rewards, children, strict=True)])
    logs = np.array([view.prior[child] for child in children])
    return q, np.exp(logs - log_sum_exp(list(logs)))


def _soft_branch(tree: Tree, view: View, kl_coef: float, rng: random.Random | None) -> list[str]:
    values = soft_values(tree, view, kl_coef)
    branch: list[str] = []
    node_id = tree.root
    while children := _live_children(tree, values, node_id):
        q, p = _backup_terms(tree, view, values, children)
        policy = soft_policy(q, p, kl_coef)
        index = int(policy.argmax()) if rng is None else rng.choices(range(len(children)), policy.tolist())[0]
        node_id = children[index]
        branch.append(node_id)
        if node_id in view.links:  # an equal state stands for it; nothing below it was expanded
            break
    return branch
