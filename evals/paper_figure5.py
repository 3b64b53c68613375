"""The paper's bars (figure 5, and its tables by type): success by type of task, at the largest budget.

    python -m evals.paper_figure5 --results evals/results/paper_tables.json

Types are ALFWorld's kinds of tasks, InterCode-SQL's hardness and InterCode-Bash's file systems.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evals.paper.drawing import LOOKS, Row, draw_from_options, legend, methods, new_figure


def draw(settings: dict[str, Any], rows: dict[str, list[Row]], path: Path) -> None:
    """A panel for each benchmark whose tasks have types."""
    typed = {name: found for name, found in rows.items() if any(len(row["by_group"]) > 1 for row in found)}
    figure = new_figure(9.5, 2.6 * len(typed) + 0.8)
    panels = figure.subplots(max(len(typed), 1), 1, squeeze=False).flat
    for (name, found), axes in zip(typed.items(), panels, strict=False):
        bars(axes, found)
        benchmark = settings["benchmarks"][name]
        most = max(row["completions"] or 0 for row in found)
        axes.set_title(
            f"{benchmark['title']}, {found[0]['n']} tasks, ≤ {most} completions, {benchmark['prior']}", fontsize=9
        )
    legend(figure, list(panels))
    figure.savefig(path, dpi=90)


def bars(axes: Any, rows: list[Row]) -> None:
    """A group of bars for each type, a bar for each method."""
    tops = {method: found[-1] for method, found in methods(rows).items()}
    groups = list(dict.fromkeys(group for row in rows for group in row["by_group"]))
    width = 0.86 / len(tops)
    for number, (method, row) in enumerate(tops.items()):
        places = [place - 0.43 + (number + 0.5) * width for place in range(len(groups))]
        heights = [row["by_group"].get(group, 0.0) for group in groups]
        hatch = None if LOOKS[method].get("linestyle", "-") == "-" else "////"
        axes.bar(
            places, heights, width * 0.9, color=LOOKS[method]["color"], hatch=hatch, edgecolor="white", label=method
        )
    axes.set_xticks(range(len(groups)), labels=groups)
    axes.set(ylim=(0, 1.03), ylabel="tasks solved")
    axes.grid(alpha=0.3, axis="y")


def main(argv: list[str] | None = None) -> None:
    """Draw the picture beside the results."""
    draw_from_options(__doc__, draw, "paper_figure5.png", argv)


if __name__ == "__main__":
    main()
