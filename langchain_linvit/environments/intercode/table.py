"""Rows as a person reads them, and as plain data."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from langchain_linvit.environments.intercode.sql_session import Row

_TAGGED: dict[str, tuple[Any, Callable[[Any], Any], Callable[[Any], Any]]] = {
    "decimal": (Decimal, str, Decimal),
    "datetime": (datetime.datetime, datetime.datetime.isoformat, datetime.datetime.fromisoformat),
    "date": (datetime.date, datetime.date.isoformat, datetime.date.fromisoformat),
    "seconds": (datetime.timedelta, datetime.timedelta.total_seconds, lambda s: datetime.timedelta(seconds=s)),
    "base64": (
        (bytes, bytearray),
        lambda value: base64.b64encode(value).decode(),
        base64.b64decode,
    ),
    "set": ((set, frozenset), sorted, set),
}


def rows_text(rows: Sequence[Row], columns: Sequence[str] = (), *, limit: int = 20, width: int = 60) -> str:
    """A table of at most `limit` rows, with a note of how many more there are.

    Args:
        rows: The rows.
        columns: Names of the columns; none, and the table has no heading.
        limit: Rows that are shown.
        width: Characters of a value that are shown.
    """
    if not rows:
        return f"{' | '.join(columns)}\n(no rows)" if columns else "(no rows)"
    lines = [" | ".join(columns)] if columns else []
    lines += [" | ".join(_cell(value, width) for value in row) for row in rows[:limit]]
    if len(rows) > limit:
        lines.append(f"({len(rows) - limit} more rows, {len(rows)} in all)")
    return "\n".join(lines)


def encode_rows(rows: list[Row] | None) -> list[list[Any]] | None:
    """Rows as JSON takes them; `decode_rows` gives them back."""
    return None if rows is None else [[_encoded(value) for value in row] for row in rows]


def decode_rows(data: list[list[Any]] | None) -> list[Row] | None:
    """Rows from what `encode_rows` gave."""
    return None if data is None else [tuple(_decoded(value) for value in row) for row in data]


def _cell(value: Any, width: int) -> str:
    text = "NULL" if value is None else " ".join(str(value).split())
    return text if len(text) <= width else f"{text[:width]}…"


def _encoded(value: Any) -> Any:
    if value is None or isinstance(value, (int, float, str)):
        return value
    for tag, (kind, encode, _) in _TAGGED.items():
        if isinstance(value, kind):
            return {tag: encode(value)}
    return str(value)


def _decoded(value: Any) -> Any:
    if isinstance(value, dict):
        ((tag, content),) = value.items()
        return _TAGGED[tag][2](content)
    return value
