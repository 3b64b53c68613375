"""What every evaluation script shares: its arguments, its results file, its table."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

RESULTS = Path(__file__).parent / "results"
"""Where committed results lie."""


def parser(description: str) -> argparse.ArgumentParser:
    """A parser with the options that every script has."""
    arguments = argparse.ArgumentParser(description=description)
    arguments.add_argument("--json", type=Path, help="write settings and rows to this file")
    arguments.add_argument("--limit", type=int, help="only the first N tasks")
    arguments.add_argument("--seed", type=int, default=0, help="seed of all random choices")
    arguments.add_argument("--model", help="a chat model, e.g. openai:gpt-4o-mini; default: the embedded ones")
    return arguments


def write_results(
    path: Path | None, benchmark: str, settings: dict[str, Any], rows: Sequence[dict[str, Any]]
) -> None:  # fmt: skip
    """Write `{"benchmark", "settings", "rows"}`, where a file was asked for."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {"benchmark": benchmark, "settings": settings, "rows": list(rows)}
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def print_table(title: str, rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """Rows as a table in the terminal; numbers to three digits."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="left" if isinstance(rows[0].get(column), str) else "right")
    for row in rows:
        table.add_row(*(Text(_cell(row.get(column))) for column in columns))
    Console(width=160).print(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) and value < 1000 else str(value)
