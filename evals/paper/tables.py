"""The tables: success rung by rung with what was used, and success by group at the top of the ladder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_linvit.evaluation.tables import Table, number, percent

Row = dict[str, Any]
About = Mapping[str, Any]
"""A benchmark's `about`."""


def budget_table(about: About, rows: Sequence[Row], lines: Sequence[str]) -> Table:
    """Success at each budget, in brackets the completions that a task has used of it."""
    columns = [
        "method", "V^", *(f"≤ {rung}" for rung in about["completions"]), "env steps", "seconds", "errors",
    ]  # fmt: skip
    cells = []
    for label, found in _by_method(rows).items():
        top = found[-1]
        rungs = {row["completions"]: f"{percent(row['success'])} ({number(row['llm_calls'])})" for row in found}
        free = f"{percent(top['success'])} (0)" if None in rungs else ""
        cells.append(
            [
                label,
                (top["value"] or "none") + (" (verdict!)" if top["sees_verdict"] else ""),
                *(rungs.get(rung, free) for rung in about["completions"]),
                number(top["env_steps"]),
                number(top["seconds"]),
                str(sum(row["errors"] for row in found)),
            ]
        )
    notes = [
        *about["notes"],
        f"Success at each budget of completions (in brackets: used, mean per task), each with at most "
        f"{about['env_steps']} environment steps; env steps and seconds at the top. "
        "Differences in points, McNemar's exact p, not corrected; level: p at least 0.05.",
        *lines,
    ]
    warnings = [f"{row['method']}: {row['note']}" for row in _tops(rows) if row["note"]]
    return Table(f"{about['title']}, {rows[0]['n']} tasks, prior: {about['prior']}", columns, cells, notes, warnings)


def group_table(about: About, rows: Sequence[Row]) -> Table | None:
    """Success by group at the largest budget; None where there is one group only."""
    groups = list(dict.fromkeys(group for row in rows for group in row["by_group"]))
    if len(groups) < 2:
        return None
    cells = [[row["method"], *(percent(row["by_group"][group]) for group in groups)] for row in _tops(rows)]
    title = f"{about['title']}, by {about['group']}, ≤ {about['completions'][-1]} completions"
    return Table(title, ["method", *groups], cells)


def _by_method(rows: Sequence[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["method"], []).append(row)
    return found


def _tops(rows: Sequence[Row]) -> list[Row]:
    return [found[-1] for found in _by_method(rows).values()]
