"""The paper's own example (arXiv 2402.16181, figure 2): clean a cloth and put it on countertop; a towel is at hand.

    python -m evals.alfworld_example --picture tree.png

The embedded policy believes in this task that a towel will do. On its own it cleans the towel, puts it on the
countertop, and then goes on until its 50 steps are over. SLINVIT with the same policy as prior and critic, at the
paper's k=3 and N=2 over subgoals, sees in its tree that no subgoal holds after taking the towel, and finds the cloth.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import Any

from rich.console import Console

from langchain_linvit.display import plain, plan_view, result_view
from langchain_linvit.environments.alfworld import AlfworldEnvironment, towel_or_cloth
from langchain_linvit.evaluation import Greedy, SlinvitMethod
from langchain_linvit.models.household import household_model
from langchain_linvit.planner import PlanResult
from langchain_linvit.planner.result import TreeNode

BELIEFS = 1
"""Seed of the policy with which it takes a towel for a cloth."""
SEED = 1
"""Seed of the search: one whose first decision has the towel among its three proposals."""
SETTINGS: dict[str, Any] = {"preset": "paper-figure-2", "value": "critic", "level": "subgoal"}
LAYERS = 2
"""N, and the layers that the picture shows."""
COLOURS = {"chosen": "#2e7d32", "pruned": "#9e9e9e", "linked": "#9e9e9e", "dead": "#c62828"}


def solve(seed: int = SEED) -> tuple[PlanResult, PlanResult]:
    """The policy alone, and SLINVIT, on the same game."""
    environment, task = AlfworldEnvironment(), towel_or_cloth()
    alone = Greedy(environment).solve(task, model=household_model("novice", seed=BELIEFS))
    method = SlinvitMethod(environment, **SETTINGS)
    return alone, method.solve(task, model=household_model("novice", seed=BELIEFS), seed=seed)


def draw(result: PlanResult, path: Path) -> None:
    """The first decision's tree: what was proposed, log pi_LLM of it, V of the leaves; the chosen branch in green."""
    from matplotlib.figure import Figure

    rows = _rows(result.tree)
    nodes = [node for node in result.tree if node.id in rows]
    figure = Figure(figsize=(11, 0.62 * max(y for _, y in rows.values()) + 1.2), layout="constrained")
    axes = figure.subplots()
    for node in nodes:
        x, y = rows[node.id]
        colour = COLOURS.get(node.status, "#37474f")
        if node.parent in rows:
            above = rows[node.parent]
            axes.plot([above[0], x], [above[1], y], color=colour, linewidth=1 + (node.status == "chosen"), zorder=1)
        box = {"boxstyle": "round", "facecolor": "white", "edgecolor": colour}
        axes.text(x, y, _label(node), ha="center", va="center", fontsize=8, color=colour, bbox=box)
    axes.set(xlim=(-0.35, 2.4), title=f"SLINVIT, k=3, N=2, first decision: {result.goal}")
    axes.invert_yaxis()
    axes.axis("off")
    figure.savefig(path, dpi=120)


def _rows(nodes: list[TreeNode]) -> dict[str, tuple[float, float]]:
    """Where each node of the first layers stands: its layer, and a row of its own for every leaf."""
    children: dict[str | None, list[TreeNode]] = defaultdict(list)
    for node in nodes:
        children[node.parent].append(node)
    places: dict[str, tuple[float, float]] = {}

    def place(node: TreeNode, layer: int, row: float) -> float:
        below = row
        shown = children[node.id] if layer < LAYERS else []
        for child in shown:
            below = place(child, layer + 1, below)
        rows = [places[child.id][1] for child in shown]
        places[node.id] = (layer, sum(rows) / len(rows) if rows else row)
        return below if rows else row + 1

    place(nodes[0], 0, 0.0)
    return places


def _label(node: TreeNode) -> str:
    if not node.text:
        return "start"
    numbers = []
    if node.log_prob is not None:
        numbers.append(f"log p {node.log_prob:.2f}")
    if node.value is not None:
        numbers.append(f"V {node.value:.2f}")
    if node.status == "linked":
        numbers.append("equal state")
    if node.error:
        numbers.append(plain(node.error, 30))
    return "\n".join((plain(node.text, 60), ", ".join(numbers)))


def main(argv: list[str] | None = None) -> None:
    """Show both runs, and draw the first tree where asked to."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--picture", type=Path, help="draw the first decision's tree to this file")
    arguments.add_argument("--seed", type=int, default=SEED, help="seed of the search")
    options = arguments.parse_args(argv)
    alone, planned = solve(options.seed)
    console = Console(width=120)
    console.rule("the policy alone")
    console.print(plan_view(alone.model_copy(update={"trajectory": alone.trajectory[:10]})))
    console.print(f"      … and so on to step {len(alone.trajectory)}")
    console.rule("SLINVIT with the same policy")
    console.print(result_view(planned))
    if options.picture:
        draw(planned, options.picture)


if __name__ == "__main__":
    main()
