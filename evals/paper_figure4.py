"""The paper's figure 4 on the benchmarks as they are run here: success against completions, and environment steps.

    python -m evals.paper_figure4 --results evals/results/paper_tables.json

Above, each point is a run of its own at that budget of completions. Below, one run at the largest budget: the share of
tasks that were solved for at most so many environment steps, simulated and real ones together.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evals.paper.drawing import LOOKS, Row, draw_from_options, legend, methods, new_figure


def draw(settings: dict[str, Any], rows: dict[str, list[Row]], path: Path) -> None:
    """Two panels for each benchmark, in one picture."""
    figure = new_figure(3.1 * len(rows) + 0.6, 6.4)
    panels = figure.subplots(2, len(rows), squeeze=False, sharey=True)
    for (name, found), (above, below) in zip(rows.items(), panels.T, strict=True):
        against_completions(above, found)
        against_steps(below, found)
        benchmark = settings["benchmarks"][name]
        above.set_title(f"{benchmark['title']}, {found[0]['n']} tasks\n{benchmark['prior']}", fontsize=9)
    for line in panels:
        line[0].set(ylabel="tasks solved", ylim=(-0.03, 1.03))
    legend(figure, list(panels.flat))
    figure.savefig(path, dpi=90)


def against_completions(axes: Any, rows: Sequence[Row]) -> None:
    """Success at each budget; a method without a model is a line across."""
    for method, found in methods(rows).items():
        look = LOOKS[method]
        if found[0]["completions"] is None:
            axes.axhline(found[0]["success"], label=method, **{k: v for k, v in look.items() if k != "marker"})
        else:
            budgets = [row["completions"] for row in found]
            axes.plot(budgets, [row["success"] for row in found], markersize=4, label=method, **look)
    ticks = sorted({row["completions"] for row in rows if row["completions"]})
    axes.set_xscale("log")
    axes.set_xticks(ticks, labels=[str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("at most so many completions", fontsize=8)
    axes.grid(alpha=0.3)


def against_steps(axes: Any, rows: Sequence[Row]) -> None:
    """The share solved for at most so many environment steps, at the largest budget of completions."""
    most = max((int(steps) for row in rows for steps in row["solved_after_env_steps"]), default=1)
    for method, found in methods(rows).items():
        top = found[-1]
        steps, solved = [0], [0.0]
        for number, tasks in top["solved_after_env_steps"].items():
            steps.append(int(number))
            solved.append(solved[-1] + tasks / top["n"])
        steps, solved = [*steps, most], [*solved, solved[-1]]
        look = {key: value for key, value in LOOKS[method].items() if key != "marker"}
        axes.step(steps, solved, where="post", label=method, **look)
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(left=0.8)
    axes.set_xlabel("environment steps used", fontsize=8)
    axes.grid(alpha=0.3)


def main(argv: list[str] | None = None) -> None:
    """Draw the picture beside the results."""
    draw_from_options(__doc__, draw, "paper_figure4.png", argv)


if __name__ == "__main__":
    main()
