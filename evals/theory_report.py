"""Table and picture of `evals.theory`, from its rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evals.common import print_table
from langchain_linvit.errors import MissingDependencyError

Row = dict[str, Any]

COLUMNS = {
    "episodes": ("problem", "method", "prior", "kl", "eps_llm", "pi_bar", "empirical", "prior alone"),
    "sensitivity": ("problem", "method", "prior", "kl", "eps_llm", "pi_bar", "empirical", "prior alone"),
    "chat": ("problem", "method", "prior", "kl", "eps_llm", "pi_bar", "empirical", "prior alone"),
    "calibration": ("problem", "bonus_scale", "pi_bar", "empirical", "bounds_held"),
    "coverage": (
        "problem", "bonus", "bonus_scale", "n", "v_hi_lo", "u_hi", "v_hi_plus_bias", "w", "w_empirical", "all",
    ),
}  # fmt: skip
TITLES = {
    "episodes": "Episodes until V* - V^pi is and stays within 10% of V*: mean (10% to 90% quantile)",
    "sensitivity": "The same at another bonus scale",
    "chat": "The same with the embedded BlocksWorld models as priors over the admissible actions",
    "calibration": "UCBVI on river-swim, by bonus scale; share of runs in which every bound held",
    "coverage": "Share of runs in which each bound held in every episode",
}


def report(rows: list[Row]) -> None:
    """Print one table for each part that is there."""
    for part, columns in COLUMNS.items():
        found = [row for row in rows if row["part"] == part]
        if found:
            scale = f" (bonus scale {found[0]['bonus_scale']:g})" if part in ("episodes", "sensitivity", "chat") else ""
            print_table(TITLES[part] + scale, found if part == "coverage" else _paired(found), columns)


def _paired(rows: list[Row]) -> list[Row]:
    """One line for the two policies of a run."""
    return [
        first
        | {
            "pi_bar": _band(first),
            "empirical": _band(second),
            "eps_llm": _told(first),
            "prior alone": _alone(first.get("prior_alone_gap")),
        }
        for first, second in zip(rows[::2], rows[1::2], strict=True)
    ]


def _band(row: Row) -> str:
    if row["unfinished"] == row["n"]:
        return f"> {row['max_episodes']}"
    mark = f", {row['unfinished']} unfinished" if row["unfinished"] else ""
    return f"{row['mean']:.1f} ({row['low']:.0f} to {row['high']:.0f}{mark})"


def _told(row: Row) -> str:
    if row["method"] != "linvit":
        return ""
    return "not told" if row["kl_factor"] is None else "KL" if row["kl_factor"] == 1 else f"{row['kl_factor']:g} KL"


def _alone(gap: float | None) -> str:
    if gap is None:
        return ""
    return "within" if gap <= 0.1 else f"{100 * gap:.0f}% short"


def draw(rows: list[Row], path: Path) -> None:
    """Episodes against the divergence of the prior, one panel for each problem, one row for each bonus scale.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("the picture needs matplotlib: pip install 'langchain-linvit[plots]'") from error
    parts = ("episodes", "sensitivity", "chat")
    panels = [
        pair for part in parts for pair in dict.fromkeys((r["part"], r["problem"]) for r in rows) if pair[0] == part
    ]
    if not panels:
        return
    across = 3
    down = -(-len(panels) // across)
    figure = Figure(figsize=(4.6 * across, 3.6 * down), layout="constrained")
    for place, (part, name) in enumerate(panels, 1):
        chosen = [row for row in rows if row["part"] == part and row["problem"] == name]
        axes = figure.add_subplot(down, across, place)
        _panel(axes, chosen)
        kind = "chat models" if part == "chat" else f"bonus scale {chosen[0]['bonus_scale']:g}"
        axes.set_title(f"{name}, {kind}")
        if place == 1:
            axes.legend(fontsize=7)
    figure.savefig(path, dpi=110)


def _panel(axes: Any, rows: list[Row]) -> None:
    for policy, colour in (("empirical", "tab:blue"), ("pi_bar", "tab:orange")):
        found = [r for r in rows if r["policy"] == policy]
        told = sorted((r for r in found if r["method"] == "linvit" and r["kl_factor"] == 1), key=lambda r: r["kl"])
        kind = [r for r in told if not r["prior"].startswith("adversarial")]
        wrong = [r for r in told if r["prior"].startswith("adversarial")]
        kl = [r["kl"] for r in kind]
        axes.plot(kl, [r["mean"] for r in kind], "o-", color=colour, label=f"LINVIT, {policy}", markersize=4)
        axes.fill_between(kl, [r["low"] for r in kind], [r["high"] for r in kind], color=colour, alpha=0.2)
        if wrong:
            spread = [[r["mean"] - r["low"] for r in wrong], [r["high"] - r["mean"] for r in wrong]]
            axes.errorbar(
                [r["kl"] for r in wrong], [r["mean"] for r in wrong], [[max(x, 0) for x in side] for side in spread],
                fmt="x", color=colour, label=f"adversarial prior, {policy}",
            )  # fmt: skip
        for row in (r for r in found if r["method"] == "ucbvi" and r["prior"] == "none, pi_bar"):
            axes.axhline(row["mean"], color=colour, linestyle="--", label=f"UCBVI, {policy}")
            axes.axhspan(row["low"], row["high"], color=colour, alpha=0.08)
    axes.axhline(rows[0]["max_episodes"] + 1, color="grey", linestyle=":", linewidth=1)
    axes.set_xscale("log")
    axes.xaxis.set_minor_formatter("")
    axes.set_yscale("symlog", linthresh=1)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("KL(pi* || prior), nats")
    axes.set_ylabel("episodes until within eps")
