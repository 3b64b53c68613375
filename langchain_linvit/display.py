"""A search for people: live progress while it runs, then the plan, the tree and the accounting.

What a model wrote is shown as plain text: no markup, no control characters.
"""

from __future__ import annotations

from collections import defaultdict, deque
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree as RichTree

from langchain_linvit.environments.base import printable, shorten
from langchain_linvit.planner.result import PlanResult, TreeNode

STYLES = {"root": "bold", "chosen": "bold green", "pruned": "dim", "linked": "dim cyan", "dead": "red"}
MAX_CHILDREN = 12
"""Children of a node that the tree shows; the rest is counted."""
MAX_LINES = 12
"""Lines of an observation that a plan shows; the rest is counted."""


def plain(text: str, limit: int = 120) -> str:
    """Text that a model wrote, on one line, without anything that a terminal would obey."""
    return printable(shorten(text, limit))


class SearchProgress:
    """What is known of a running search, from its custom events; a Rich renderable."""

    def __init__(self, goal: str = "") -> None:
        self._goal = goal
        self._decision = 0
        self._counts: dict[str, int] = defaultdict(int)
        self._steps: list[tuple[str, str | None]] = []
        self._latest = ""

    def update(self, event: dict[str, Any]) -> None:
        """Take in one event of the planner's custom stream."""
        kind = event.get("event")
        if kind == "decision":
            self._decision = event["decision"] + 1
            self._counts.clear()
        elif kind == "policy_tried":
            self._counts["episodes"] += 1
        elif kind == "proposed":
            self._counts["proposals"] += len(event["candidates"])
        elif kind == "simulated":
            self._counts["states"] += len(event["nodes"])
        elif kind == "valued":
            self._counts["values"] += 1
            self._latest = f"V = {event['value']:.2f} {plain(event['detail'], 60)}"
        elif kind == "acted":
            self._steps.append((plain(event["action"]), event["error"]))

    def __rich__(self) -> RenderableType:
        lines: list[RenderableType] = [Text(f"Goal: {plain(self._goal, 300)}", style="bold")]
        for number, (action, error) in enumerate(self._steps, 1):
            line = Text(f"  {number}. {action}")
            if error:
                line.append(f"  ({plain(error, 80)})", style="red")
            lines.append(line)
        counts = ", ".join(f"{count} {name}" for name, count in self._counts.items())
        lines.append(Text(f"  … decision {self._decision}: {counts or 'thinking'} {self._latest}", style="dim"))
        return Group(*lines)


def result_view(result: PlanResult, *, tree: bool = True) -> RenderableType:
    """The outcome, the plan, the search tree and the accounting."""
    parts: list[RenderableType] = [plan_view(result)]
    if tree and result.tree:
        parts += [Text(""), tree_view(result)]
    parts += [Text(""), usage_view(result)]
    parts += [Text(f"note: {plain(note, 200)}", style="yellow") for note in result.notes]
    return Group(*parts)


def plan_view(result: PlanResult) -> RenderableType:
    """The outcome in one line, then every step."""
    style = "bold green" if result.solved else "bold yellow"
    head = Text(result.outcome.replace("_", " "), style=style)
    head.append(f"  {plain(result.reason, 200)}", style="default")
    lines = [head, Text(f"Goal: {plain(result.goal, 300)}")]
    for number, step in enumerate(result.trajectory, 1):
        line = Text(f"  {number:>2}. {plain(step.action)}")
        if step.error:
            line.append(f"  ({plain(step.error, 100)})", style="red")
        lines.append(line)
        lines += _observation_lines(step.observation)
    return Group(*lines)


def _observation_lines(observation: str) -> list[Text]:
    """The lines of an observation that has several, as tables and outputs have."""
    if "\n" not in observation:
        return []
    lines = observation.strip().splitlines()
    more = [f"({len(lines) - MAX_LINES} more lines)"] if len(lines) > MAX_LINES else []
    return [Text(f"      {plain(line, 100)}", style="dim") for line in [*lines[:MAX_LINES], *more]]


def tree_view(result: PlanResult) -> RenderableType:
    """The whole search as a tree: each node with log pi_LLM and V; what was carried out stands out."""
    children: dict[str | None, list[TreeNode]] = defaultdict(list)
    known = {node.id for node in result.tree}
    for node in result.tree:
        children[node.parent if node.parent in known else None].append(node)
    view = RichTree(Text("search (log p, V; green: carried out, dim: pruned or an equal state, red: impossible)"))
    unshown: deque[tuple[RichTree, str | None]] = deque([(view, None)])
    while unshown:
        branch, parent = unshown.popleft()
        below = children[parent]
        for child in below[:MAX_CHILDREN]:
            unlabelled = child.status == "root" and not child.text
            unshown.append((branch if unlabelled else branch.add(_label(child)), child.id))
        if len(below) > MAX_CHILDREN:
            branch.add(Text(f"… and {len(below) - MAX_CHILDREN} more", style="dim"))
    return view


def _label(node: TreeNode) -> Text:
    label = Text(plain(node.text, 80), style=STYLES.get(node.status, ""))
    details = []
    if node.log_prob is not None:
        details.append(f"{node.log_prob:.2f}")
    if node.value is not None:
        details.append(f"V {node.value:.2f}")
    if node.solved:
        details.append("solved")
    if node.status in {"pruned", "linked"}:
        details.append(node.status)
    if node.error:
        details.append(plain(node.error, 60))
    return label.append(f"  {', '.join(details)}", style="dim")


def usage_view(result: PlanResult) -> RenderableType:
    """What the run has cost."""
    usage = result.usage
    table = Table(title="accounting", show_header=False, title_justify="left")
    rows = [
        ("completions", f"{usage.llm_calls} in {usage.requests} requests ({usage.failed_requests} failed)"),
        ("tokens", f"{usage.prompt_tokens} prompt, {usage.completion_tokens} completion"),
        ("environment steps", f"{usage.env_steps_simulated} simulated, {usage.env_steps_real} real"),
        ("distinct states", f"{result.unique_states} ({usage.value_cache_hits} equal ones merged)"),
        ("prior", ", ".join(f"{count} {name}" for name, count in result.prior.items()) or "none"),
        ("value", result.value or "none"),
        ("seconds", f"{usage.seconds:.2f}"),
    ]
    for name, text in rows:
        table.add_row(name, Text(plain(text)))
    return table
