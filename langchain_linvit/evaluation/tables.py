"""Tables as plain data, and the three ways to show one: in a terminal, in Markdown and in HTML.

Cells are plain text that others may have written (names of methods, groups, items): each way escapes them.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from langchain_linvit.environments.base import printable
from langchain_linvit.evaluation.statistics import Interval

_MARKDOWN = re.compile(r"([\\`*_\[\]|~#!])")


@dataclass(frozen=True)
class Table:
    """A table: the first column names its rows.

    Attributes:
        title: One line above it.
        columns: Their heads.
        rows: Cells, as many as columns.
        notes: Lines below it.
        warnings: Lines below it that a reader must not miss.
        words: How many columns, from the left, hold words; the others hold numbers and stand to the right.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    warnings: Sequence[str] = ()
    words: int = 1


def rich_table(table: Table) -> RenderableType:
    """For a terminal."""
    view = RichTable(title=Text(printable(table.title), style="bold"), title_justify="left")
    for number, column in enumerate(table.columns):
        view.add_column(Text(printable(column)), justify="right" if number >= table.words else "left")
    for row in table.rows:
        view.add_row(*(Text(printable(cell)) for cell in row))
    notes = [Text(printable(note), style="dim") for note in table.notes]
    warnings = [Text(f"! {printable(warning)}", style="yellow") for warning in table.warnings]
    return Group(view, *notes, *warnings, Text(""))


def markdown_table(table: Table) -> str:
    """For a README."""
    lines = [f"**{markdown_text(table.title)}**", ""]
    lines.append("| " + " | ".join(map(markdown_text, table.columns)) + " |")
    lines.append("|" + " --- |" * table.words + " ---: |" * (len(table.columns) - table.words))
    lines += ["| " + " | ".join(map(markdown_text, row)) + " |" for row in table.rows]
    below = [*table.notes, *(f"Warning: {warning}" for warning in table.warnings)]
    lines += ["", *(f"- {markdown_text(line)}" for line in below)] if below else []
    return "\n".join(lines) + "\n"


def markdown_text(text: str) -> str:
    """Plain text for Markdown: nothing in it is markup any more."""
    return _MARKDOWN.sub(r"\\\1", html.escape(printable(" ".join(text.split())), quote=False))


def html_table(table: Table) -> str:
    """For a page; its looks are the page's own."""
    looks = [' class="words"' if number < table.words else "" for number in range(len(table.columns))]
    head = "".join(
        f'<th scope="col"{look}>{html.escape(column)}</th>' for column, look in zip(table.columns, looks, strict=True)
    )
    body = "\n".join(
        f'<tr><th scope="row" class="words">{html.escape(row[0])}</th>'
        + "".join(f"<td{look}>{html.escape(cell)}</td>" for cell, look in zip(row[1:], looks[1:], strict=True))
        + "</tr>"
        for row in table.rows
    )
    notes = "".join(f'<p class="note">{html.escape(note)}</p>' for note in table.notes)
    warnings = "".join(f'<p class="warning">{html.escape(warning)}</p>' for warning in table.warnings)
    return (
        f'<figure class="table"><div class="scroll"><table><caption>{html.escape(table.title)}</caption>'
        f"<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>{notes}{warnings}</figure>"
    )


def percent(share: float) -> str:
    """A share as people read it."""
    return f"{100 * share:.0f}%" if share in (0, 1) else f"{100 * share:.1f}%"


def points(difference: float) -> str:
    """A difference of shares, in percentage points."""
    return f"{100 * difference:+.1f}"


def number(value: float, sign: str = "") -> str:
    """A number to three digits, whole from a hundred on."""
    return f"{value:{sign},.0f}" if abs(value) >= 100 else f"{value:{sign}.3g}"


def signed(value: float) -> str:
    """A difference to three digits."""
    return number(value, "+")


def bounds(interval: Interval, shown: Callable[[float], str]) -> str:
    """An interval's bounds; `none` where the data give none."""
    if interval.low is None or interval.high is None:
        return "none"
    return f"[{shown(interval.low)}, {shown(interval.high)}]"
