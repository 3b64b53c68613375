"""Picture and Markdown tables of `evals.intercode_sql` and `evals.intercode_bash`, made again from committed results.

python -m evals.intercode_plot
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evals.common import RESULTS
from evals.intercode import TOLD
from langchain_linvit.errors import MissingDependencyError

FILES = {"InterCode-SQL, by hardness": "intercode_sql.json", "InterCode-Bash, by file system": "intercode_bash.json"}
"""The panels and their results; a file that isn't there has no panel."""
GROUPS = ("easy", "medium", "hard", "extra", "1", "2", "3", "4")
"""Groups of tasks, in the order of the tables."""

Rows = Sequence[dict[str, Any]]


def compared(rows: Rows) -> list[dict[str, Any]]:
    """The rows that compare decisions: those of the logs, and those of one model."""
    return [row for row in rows if "backend" not in row]


def label(row: dict[str, Any]) -> str:
    """What a row is called."""
    return f"{row['method'].replace('slinvit', 'SLINVIT')}{', ' + row['value'] if row['value'] else ''}"


def groups_of(rows: Rows) -> list[str]:
    """The groups that rows have successes of."""
    return [group for group in GROUPS if any(f"success_{group}" in row for row in rows)]


def markdown(rows: Rows) -> str:
    """The compared rows as a Markdown table, for a page."""
    groups = groups_of(rows)
    lines = ["| decision | all | " + " | ".join(groups) + " | completions |", "|---" * (len(groups) + 3) + "|"]
    for row in rows:
        shares = " | ".join(_share(row.get(f"success_{group}")) for group in groups)
        lines.append(f"| {label(row)} | {row['success']:.1%} | {shares} | {row['llm_calls']:.1f} |")
    return "\n".join(lines)


def _share(success: float | None) -> str:
    return "no log" if success is None else f"{success:.1%}"


def plot(panels: dict[str, Rows], path: Path) -> None:
    """Draw success by group of tasks, a panel for each benchmark; what was told the gold reward is hatched.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("pictures need matplotlib: pip install 'langchain-linvit[plots]'") from error
    figure = Figure(figsize=(9, 3.4 * len(panels)), layout="constrained")
    for axes, (title, rows) in zip(figure.subplots(len(panels), 1, squeeze=False)[:, 0], panels.items(), strict=True):
        groups = groups_of(rows)
        width = 0.85 / len(rows)
        for number, row in enumerate(rows):
            heights = [row["success"], *(row.get(f"success_{group}", 0.0) for group in groups)]
            hatch = "///" if label(row) in TOLD else None
            places = [place + number * width for place in range(len(heights))]
            axes.bar(places, heights, width * 0.92, label=label(row), hatch=hatch, edgecolor="white")
        middle = 0.85 / 2 - width / 2
        axes.set_xticks([place + middle for place in range(len(groups) + 1)], labels=["all", *groups])
        axes.set(title=title, ylabel="tasks solved", ylim=(0, 1))
        axes.grid(axis="y", alpha=0.3)
        axes.set_axisbelow(True)
        axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(path, dpi=110)


def main(argv: list[str] | None = None) -> None:
    """Draw the committed results, and print them as tables."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--results", type=Path, default=RESULTS, help="the folder of the results")
    options = arguments.parse_args(argv)
    panels: dict[str, Rows] = {}
    for title, name in FILES.items():
        if (options.results / name).is_file():
            content = json.loads((options.results / name).read_text(encoding="utf-8"))
            rows = compared(content["rows"])
            if rows:
                panels[title] = rows
                print(f"{title}\n\n{markdown(rows)}\n")
    plot(panels, options.results / "intercode.png")


if __name__ == "__main__":
    main()
