"""Picture and Markdown table of `evals.blocksworld`, made again from committed results.

python -m evals.blocksworld_plot
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from evals.common import RESULTS
from langchain_linvit.errors import MissingDependencyError

LABELS = {
    ("slinvit", "rules"): "SLINVIT, hand-written rules",
    ("slinvit", "rollouts"): "SLINVIT, rollouts",
    ("slinvit", "critic"): "SLINVIT, critic",
    ("slinvit", "llm_rules"): "SLINVIT, model-written rules",
    ("best_of_n", "critic"): "best of n, completions of rollouts",
    ("greedy", None): "the model alone",
}
"""What the lines are called, by method and value."""


def plot(rows: list[dict[str, Any]], path: Path, title: str) -> None:
    """Draw success against the prior, one line per method.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise MissingDependencyError("pictures need matplotlib: pip install 'langchain-linvit[plots]'") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    priors = list(dict.fromkeys(row["prior"] for row in rows if (row["method"], row["value"]) == ("greedy", None)))
    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    for key, label in LABELS.items():
        success = {row["prior"]: row["success"] for row in rows if (row["method"], row["value"]) == key}
        axes.plot(priors, [success.get(prior) for prior in priors], marker="o", label=label)
    axes.set(
        ylim=(-0.03, 1.03), ylabel="problems solved", xlabel="embedded model that serves as the prior", title=title
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def markdown(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table, for a page."""
    lines = [
        "| method | prior | value | solved | completions | distinct states | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        name = f"{row['method']}; {row['note']}" if "fail" in row["method"] else row["method"]
        lines.append(
            f"| {name} | {row['prior']} | {row['value'] or ''} | {row['success']:.1%} | {row['llm_calls']:.1f} "
            f"| {row['unique_states']:.1f} | {row['seconds']:.2f} |"
        )
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    """Draw the committed results, and print them as a table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--results", type=Path, default=RESULTS / "blocksworld_step_6.json")
    options = arguments.parse_args(argv)
    content = json.loads(options.results.read_text(encoding="utf-8"))
    title = f"BlocksWorld, {content['settings']['n']} problems of {content['settings']['problems']}"
    print(markdown(content["rows"]))
    plot(content["rows"], options.results.with_suffix(".png"), title)


if __name__ == "__main__":
    main()
