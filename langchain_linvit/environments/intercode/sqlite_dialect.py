"""MySQL's dialect on SQLite, as far as the tasks of InterCode need it.

Statements are rewritten token by token, never inside of a literal: double-quoted text is text, `/`
divides without rounding, `||` is OR, `LEFT(` and `RIGHT(` are functions. Functions that SQLite lacks are added,
and so is a collation that compares text as `utf8mb4_general_ci` does: whatever the case, the accents
and the spaces at the end.
"""

from __future__ import annotations

import random
import re
import sqlite3
import unicodedata
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

_TOKEN = re.compile(
    r"""(?P<text>'(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*")
      | (?P<name>`[^`]*`)
      | (?P<comment>\#[^\n]* | --(?:\s[^\n]*)?(?=\n|$) | /\*.*?\*/)
      | (?P<word>[^\W\d]\w*)
      | (?P<operator>\|\| | && | <=> | /)
      | (?P<other>\d+(?:\.\d*)?(?:[eE][+-]?\d+)? | \s+ | .)""",
    re.VERBOSE | re.DOTALL,
)
_OPERATORS = {"||": " OR ", "&&": " AND ", "<=>": " IS ", "/": " * 1.0 / "}
_NAMES_A_TABLE = {"from", "join", "into", "update", "table", "exists"}
_FUNCTIONS = {"left": "mysql_left", "right": "mysql_right"}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "Z": "\x1a", "%": "\\%", "_": "\\_"}
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def translate(statement: str, current: str) -> str:
    """A MySQL statement as SQLite takes it; what isn't known is left as it is.

    Args:
        statement: One statement.
        current: Name of the current database; `current.table` names a table of it.
    """
    tokens = [(match.lastgroup or "other", match[0]) for match in _TOKEN.finditer(statement)]
    written: list[str] = []
    before = ""
    for index, (kind, token) in enumerate(tokens):
        following = tokens[index + 1][1] if index + 1 < len(tokens) else ""
        written.append(_rewritten(kind, token, before, following, current))
        before = token.lower() if token.strip() else before
    return "".join(written)


def _rewritten(kind: str, token: str, before: str, following: str, current: str) -> str:
    if kind == "text":
        return quoted(unescaped(token))
    if kind == "comment":
        return " "
    if kind == "operator":
        return _OPERATORS[token]
    # A table may have its database's name: only where a table is named is a prefix surely the database.
    if following == "." and before in _NAMES_A_TABLE and token.strip("`").lower() == current.lower():
        return "main"
    if kind == "word" and following == "(":
        return _FUNCTIONS.get(token.lower(), token)
    return token


def unescape_strings(statement: str) -> str:
    """A statement whose text literals are written as SQLite reads them (no backslash escapes)."""
    return re.sub(r"'(?:[^'\\]|\\.|'')*'", lambda match: quoted(unescaped(match[0])), statement, flags=re.DOTALL)


def unescaped(literal: str) -> str:
    """The text that a MySQL literal stands for."""
    quote = literal[0]
    inner = literal[1:-1].replace(quote * 2, quote)
    return _ESCAPE.sub(lambda match: _ESCAPES.get(match[1], match[1]), inner)


def quoted(text: str) -> str:
    """`text` as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def add_mysql_dialect(connection: sqlite3.Connection) -> None:
    """Add the collation and the functions that rewritten statements use."""
    connection.create_collation("mysql", _compare)
    for name, count, function in _ADDED:
        connection.create_function(name, count, function, deterministic=name != "rand")


def _compare(first: str, second: str) -> int:
    a, b = _folded(first), _folded(second)
    return (a > b) - (a < b)


def _folded(text: str) -> str:
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    return text.rstrip(" ").upper()


def _null_safe(function: Callable[..., Any]) -> Callable[..., Any]:
    """NULL in, NULL out; and NULL for what the function can't take."""

    def wrapper(*args: Any) -> Any:
        if any(arg is None for arg in args):
            return None
        try:
            return function(*args)
        except (ValueError, TypeError, ZeroDivisionError, OverflowError):
            return None

    return wrapper


def _moment(value: Any) -> datetime:
    return datetime.fromisoformat(str(value).strip())


def _concat_ws(separator: Any, *parts: Any) -> str | None:
    return None if separator is None else str(separator).join(str(part) for part in parts if part is not None)


def _from_day_zero(value: Any) -> int:
    return date.toordinal(_moment(value).date()) + 365


_ADDED: list[tuple[str, int, Callable[..., Any]]] = [
    ("concat", -1, _null_safe(lambda *parts: "".join(str(part) for part in parts))),
    ("concat_ws", -1, _concat_ws),
    ("if", 3, lambda condition, yes, no: yes if condition else no),
    ("mysql_left", 2, _null_safe(lambda text, count: str(text)[: max(0, int(count))])),
    ("mysql_right", 2, _null_safe(lambda text, count: str(text)[-int(count) :] if int(count) > 0 else "")),
    ("year", 1, _null_safe(lambda value: _moment(value).year)),
    ("month", 1, _null_safe(lambda value: _moment(value).month)),
    ("day", 1, _null_safe(lambda value: _moment(value).day)),
    ("dayofmonth", 1, _null_safe(lambda value: _moment(value).day)),
    ("to_days", 1, _null_safe(_from_day_zero)),
    ("datediff", 2, _null_safe(lambda a, b: (_moment(a).date() - _moment(b).date()).days)),
    ("now", 0, lambda: datetime.now().isoformat(sep=" ", timespec="seconds")),
    ("curdate", 0, lambda: date.today().isoformat()),
    ("mod", 2, _null_safe(lambda a, b: a % b)),
    ("char_length", 1, _null_safe(lambda text: len(str(text)))),
    ("lcase", 1, _null_safe(lambda text: str(text).lower())),
    ("ucase", 1, _null_safe(lambda text: str(text).upper())),
    ("isnull", 1, lambda value: int(value is None)),
    ("rand", 0, random.random),
]
"""(name, arguments or -1 for any number, function)."""
