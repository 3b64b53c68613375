"""How the paper's figures are drawn: one look per method, told apart by colour, dash and marker alike."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from evals.common import RESULTS
from langchain_linvit.errors import InvalidSettingError, MissingDependencyError

Row = dict[str, Any]

LOOKS: dict[str, dict[str, Any]] = {
    "slinvit": {"color": "#000000", "marker": "o", "linewidth": 2.4, "zorder": 5},
    "slinvit, paper's k and N": {"color": "#000000", "marker": "s", "linestyle": ":"},
    "slinvit, beam 3": {"color": "#000000", "marker": "+", "linestyle": "--"},
    "slinvit, search alone": {"color": "#000000", "marker": "x", "linestyle": "--"},
    "slinvit, oracle": {"color": "#777777", "marker": "*", "linestyle": ":"},
    "greedy": {"color": "#E69F00", "marker": "v"},
    "react": {"color": "#E69F00", "marker": "^", "linestyle": "--"},
    "try_again": {"color": "#D55E00", "marker": "<"},
    "plan_and_solve": {"color": "#D55E00", "marker": ">", "linestyle": "--"},
    "best_of_n": {"color": "#009E73", "marker": "P"},
    "reflexion": {"color": "#009E73", "marker": "X", "linestyle": "--"},
    "tot": {"color": "#0072B2", "marker": "D"},
    "rap": {"color": "#56B4E9", "marker": "d", "linestyle": "--"},
    "lats": {"color": "#CC79A7", "marker": "h", "linestyle": "-."},
    "breadth-first, no model": {"color": "#999999", "marker": "", "linestyle": "-."},
    "beam search, no model": {"color": "#999999", "marker": "", "linestyle": ":"},
}
"""By method: colours of Okabe and Ito (2008), which colour-blind readers tell apart."""


def draw_from_options(
    doc: str | None, draw: Callable[[dict[str, Any], dict[str, list[Row]], Path], None], name: str,
    argv: list[str] | None,
) -> None:  # fmt: skip
    """A figure's command: draw the results that the options name, into `name` beside them."""
    arguments = argparse.ArgumentParser(description=doc.splitlines()[0] if doc else "")
    arguments.add_argument("--results", type=Path, default=RESULTS / "paper_tables.json")
    arguments.add_argument("--picture", type=Path, help=f"default: {name} beside the results")
    options = arguments.parse_args(argv)
    draw(*read(options.results), options.picture or options.results.with_name(name))


def read(path: Path) -> tuple[dict[str, Any], dict[str, list[Row]]]:
    """The settings of `evals.paper_tables`' results, and their rows by benchmark.

    Raises:
        InvalidSettingError: The file holds no such results.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows: dict[str, list[Row]] = {name: [] for name in content["settings"]["benchmarks"]}
        for row in content["rows"]:
            rows[row["benchmark"]].append(row)
        return content["settings"], rows
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidSettingError(
            f"{path} holds no results of evals.paper_tables: {error!r}; write them with its option --json"
        ) from error


def methods(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of each method, from the smallest budget to the largest."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["method"], []).append(row)
    return found


def new_figure(width: float, height: float) -> Any:
    """An empty figure.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("pictures need matplotlib: pip install 'langchain-linvit[plots]'") from error
    return Figure(figsize=(width, height), layout="constrained")


def legend(figure: Any, panels: Sequence[Any]) -> None:
    """One legend for all panels, below them."""
    lines = {label: line for axes in panels for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    order = [label for label in LOOKS if label in lines]
    figure.legend(
        [lines[label] for label in order], order, loc="outside lower center", ncols=min(len(order), 7), fontsize=8
    )
