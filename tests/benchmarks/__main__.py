"""Run benchmark modules and print their rows: all of them, or those named."""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from langchain_linvit.errors import MissingDependencyError
from tests import benchmarks


def main() -> None:
    """Print a table of rows, and write them where asked to."""
    names = sorted(module.name for module in pkgutil.iter_modules(benchmarks.__path__) if module.name != "__main__")
    arguments = argparse.ArgumentParser(description=benchmarks.__doc__)
    arguments.add_argument("names", nargs="*", default=names, help=f"any of: {', '.join(names)}")
    arguments.add_argument("--json", type=Path)
    options = arguments.parse_args()
    rows: list[dict[str, Any]] = []
    for name in options.names:
        try:
            rows += importlib.import_module(f"tests.benchmarks.{name}").run()
        except MissingDependencyError as error:
            rows.append({"benchmark": name, "measure": "skipped", "value": None, "unit": "", "note": str(error)})
    table = Table("benchmark", "measure", "value", "unit", "note")
    for row in rows:
        value = row["value"]
        text = f"{value:.3g}" if isinstance(value, float) else str(value)
        table.add_row(row["benchmark"], row["measure"], text, row["unit"], row["note"])
    Console(width=170).print(table)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
