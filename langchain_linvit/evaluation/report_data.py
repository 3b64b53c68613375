"""What a report's page shows of each run, as compact JSON: short keys, capped trees, nothing that can end a script.

Every string in it may come from a model. The page shows them as text only (`textContent`); here they are made
plain: unprintable characters replaced, overlong ones cut with a note.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from langchain_linvit.environments.base import shorten
from langchain_linvit.evaluation.results import ExperimentResults, ItemRecord
from langchain_linvit.evaluation.summary import COSTS, cost, further_scores, group_of, one_line, sees_verdict
from langchain_linvit.planner.result import PlanResult, PlanStep, TreeNode

MAX_NODES = 600
"""Nodes of one tree that a page shows."""
MAX_PAGE_NODES = 40_000
"""Nodes of all trees of a page; with more, every tree is cut to an equal share."""
MIN_NODES = 12
"""Nodes of one tree that a page shows at least."""
MAX_TEXT = 3_000
"""Characters of a task, an observation or an error."""
MAX_PAGE_TEXT = 6_000_000
"""Characters of all observations of a page; with more, every one is cut to an equal share."""
MIN_TEXT = 160
"""Characters of an observation that a page shows at least."""
MAX_STEPS = 100
"""Steps of one trajectory that a page shows."""
_ESCAPES = str.maketrans({character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"})
_CONTROL = re.compile(r"[^\S\n\t ]|[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


def page_data(
    results: Sequence[ExperimentResults], names: Sequence[str], looks: Sequence[int], groups: Sequence[str]
) -> dict[str, Any]:
    """Experiments and items, as the page's script reads them.

    Args:
        results: The experiments.
        names: What each is called.
        looks: The colour of each, as in the charts.
        groups: Metadata keys that items can be filtered by.
    """
    maker = _Maker(*_caps(results))
    items: dict[tuple[str, str], dict[str, Any]] = {}
    for index, each in enumerate(results):
        for record in each.records:
            item = items.setdefault((each.info.benchmark, record.item), _item(each, record, groups))
            item["runs"].append(maker.run(index, record))
    experiments = [
        {
            "name": name,
            "benchmark": one_line(each.info.benchmark),
            "prior": one_line(each.info.prior),
            "value": one_line(each.info.value or "none"),
            "oracle": sees_verdict(each.info, each.records),
            "look": look,
        }
        for name, look, each in zip(names, looks, results, strict=True)
    ]
    return {"experiments": experiments, "items": list(items.values())}


def embedded(data: dict[str, Any]) -> str:
    """`data` as JSON that can stand inside `<script type="application/json">`: no markup can begin or end in it."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).translate(_ESCAPES)


def plain_text(text: str, limit: int = MAX_TEXT) -> str:
    """Several lines that a model wrote: without control and direction characters, cut with a note."""
    clean = _CONTROL.sub("\ufffd", text[:limit].replace("\r\n", "\n"))
    clean = clean.encode("utf-8", "replace").decode("utf-8")  # lone surrogates
    return clean if len(text) <= limit else f"{clean}… ({len(text)} characters)"


def _caps(results: Sequence[ExperimentResults]) -> tuple[int, int]:
    """Nodes per tree and characters per observation, such that the page stays small."""
    plans = [record.result for each in results for record in each.records if record.result is not None]
    sizes = sorted(len(plan.tree) for plan in plans)
    lengths = sorted(len(step.observation) for plan in plans for step in plan.trajectory)
    return (
        max(_cap(sizes, MAX_PAGE_NODES, MAX_NODES), MIN_NODES),
        max(_cap(lengths, MAX_PAGE_TEXT, MAX_TEXT), MIN_TEXT),
    )


def _cap(sizes: Sequence[int], total: int, most: int) -> int:
    """The largest cap, up to `most`, under which `sizes` (ascending) come to at most `total`."""
    left = total
    for index, size in enumerate(sizes):
        share = left // (len(sizes) - index)
        if size > share:
            return min(share, most)
        left -= size
    return most


def _item(each: ExperimentResults, record: ItemRecord, groups: Sequence[str]) -> dict[str, Any]:
    return {
        "id": one_line(record.item),
        "benchmark": one_line(each.info.benchmark),
        "text": plain_text(record.text),
        "groups": {key: group_of(record, key) for key in groups if key in record.metadata},
        "runs": [],
    }


class _Maker:
    """Makes the page's records of runs, under the caps of one page."""

    def __init__(self, max_nodes: int, max_text: int) -> None:
        self._max_nodes, self._max_text = max_nodes, max_text

    def run(self, experiment: int, record: ItemRecord) -> dict[str, Any]:
        """One run, in short."""
        run: dict[str, Any] = {
            "e": experiment,
            "r": record.repetition,
            "s": _finite(record.success) or 0.0,
            "error": plain_text(record.error) if record.error is not None else None,
            "costs": {title: _finite(cost(record, name)) for name, title in COSTS.items()},
            "scores": {one_line(name): _finite(score) for name, score in further_scores(record).items()},
        }
        return run if record.result is None else {**run, "plan": self._plan(record.result)}

    def _plan(self, plan: PlanResult) -> dict[str, Any]:
        nodes = kept_nodes(plan.tree, self._max_nodes)
        place = {node.id: index for index, node in enumerate(nodes)}
        return {
            "goal": plain_text(plan.goal),
            "outcome": plan.outcome,
            "reason": plain_text(plan.reason),
            "value": one_line(plan.value),
            "prior": {one_line(name): count for name, count in plan.prior.items()},
            "states": plan.unique_states,
            "requests": plan.usage.requests,
            "budget": plan.budget_exhausted,
            "notes": [plain_text(note, 500) for note in plan.notes[:20]],
            "verdict": _verdict(plan),
            "steps": [self._step(step) for step in plan.trajectory[:MAX_STEPS]],
            "more_steps": max(len(plan.trajectory) - MAX_STEPS, 0),
            "tree": [_node(node, place) for node in nodes],
            "more_nodes": len(plan.tree) - len(nodes),
        }

    def _step(self, step: PlanStep) -> dict[str, Any]:
        found = {
            "a": plain_text(step.action, 1_000),
            "o": plain_text(step.observation, self._max_text),
            "e": plain_text(step.error, 500) if step.error is not None else None,
            "g": plain_text(step.subgoal, 500) if step.subgoal != step.action else None,
            "p": _finite(step.log_prob),
            "w": one_line(step.provenance),
            "v": _finite(step.value),
            "d": step.decision,
        }
        return {key: value for key, value in found.items() if value not in (None, "")}


def _verdict(plan: PlanResult) -> str | None:
    """What the benchmark said of its verdict; None where it said nothing."""
    info = {} if plan.verdict is None else plan.verdict.info
    return (
        plain_text("; ".join(f"{name}: {said}" for name, said in info.items() if said not in (None, "")), 500) or None
    )


def kept_nodes(tree: Sequence[TreeNode], most: int) -> list[TreeNode]:
    """At most `most` nodes, each with its ancestors, in the order of `tree`: what was carried out comes first.

    Then solved nodes, then what the search kept, then the rest in the order searched.
    """
    if len(tree) <= most:
        return list(tree)
    by_id = {node.id: node for node in tree}
    wanted: dict[str, None] = {}
    for node in sorted(tree, key=_rank):
        branch: list[str] = []
        above: TreeNode | None = node
        while above is not None and above.id not in wanted and above.id not in branch:
            branch.append(above.id)
            above = by_id.get(above.parent) if above.parent is not None else None
        if len(wanted) + len(branch) <= most:
            wanted.update(dict.fromkeys(branch))
    return [node for node in tree if node.id in wanted]


def _rank(node: TreeNode) -> int:
    if node.status in {"root", "chosen"}:
        return 0
    return 1 if node.solved else 2 if node.status == "kept" else 3


def _node(node: TreeNode, place: dict[str, int]) -> dict[str, Any]:
    found = {
        "u": place.get(node.parent) if node.parent is not None else None,
        "t": shorten(plain_text(node.text), 400),
        "d": node.decision,
        "k": node.status,
        "p": _finite(node.log_prob),
        "w": one_line(node.provenance),
        "v": _finite(node.value),
        "c": _finite(node.score),
        "r": _finite(node.reward) or None,
        "s": node.solved or None,
        "e": plain_text(node.error, 300) if node.error is not None else None,
        "o": shorten(plain_text(node.observation), 160),
    }
    return {key: value for key, value in found.items() if value not in (None, "")}


def _finite(value: float | None) -> float | None:
    """Rounded to what the page shows; None where it is no number that JSON knows."""
    return None if value is None or not abs(value) < 1e300 else round(value, 4)
