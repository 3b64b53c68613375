"""Put the tables of committed results into the page on them, so that the page says what the data say.

    python -m evals.paper_page --results evals/results/paper_tables.json --page docs/paper.md

Everything between the page's two marks is replaced; the rest of it was written by hand.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from evals.common import RESULTS
from evals.paper.drawing import Row, read
from evals.paper.tables import budget_table, group_table
from evals.paper.verdicts import Verdict, sentences
from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.evaluation.tables import markdown_table, markdown_text

PAGE = Path(__file__).parents[1] / "docs" / "paper.md"
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"


def tables(settings: dict[str, Any], rows: dict[str, list[Row]]) -> str:
    """Every table, as Markdown."""
    found = [Verdict(**{k: v for k, v in each.items() if k != "standing"}) for each in settings["verdicts"]]
    parts = []
    for name, own in rows.items():
        about = settings["benchmarks"][name]
        lines = sentences([each for each in found if each.benchmark == name])
        parts.append(markdown_table(budget_table(about, own, lines)))
        by_group = group_table(about, own)
        if by_group is not None:
            parts.append(markdown_table(by_group))
    parts += [f"- {markdown_text(reason)}" for reason in settings["left_out"]]
    return "\n".join(parts)


def with_tables(page: str, content: str) -> str:
    """The page with `content` between its marks.

    Raises:
        InvalidSettingError: It lacks a mark.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InvalidSettingError(f"the page needs the lines {BEGIN} and {END}, in this order")
    return f"{before}{BEGIN}\n\n{content}\n{END}{after}"


def main(argv: list[str] | None = None) -> None:
    """Renew the page."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--results", type=Path, default=RESULTS / "paper_tables.json")
    arguments.add_argument("--page", type=Path, default=PAGE)
    options = arguments.parse_args(argv)
    content = tables(*read(options.results))
    options.page.write_text(with_tables(options.page.read_text(encoding="utf-8"), content), encoding="utf-8")


if __name__ == "__main__":
    main()
