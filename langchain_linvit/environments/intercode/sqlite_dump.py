"""The databases of a MySQL dump (`mysqldump`, as InterCode ships it) as SQLite images.

An image is the content of a database file (`sqlite3.Connection.serialize`). A dump is converted once
(0.2 s for InterCode's 20 databases) and kept in the user's cache folder, under a hash of its content.
"""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from langchain_linvit.environments.intercode.sqlite_dialect import add_mysql_dialect, unescape_strings
from langchain_linvit.errors import InvalidSettingError

_CONVERTER = 1
"""Part of the cache's key: to be raised when the conversion changes."""

_TEXT_TYPE = re.compile(r"(var)?char|text|enum|set", re.IGNORECASE)
_COLUMN = re.compile(r"`(?P<name>[^`]+)`\s+(?P<type>\w+(?:\([^)]*\))?(?:\s+unsigned)?)(?P<rest>.*)", re.IGNORECASE)
_PREFIX_LENGTH = re.compile(r"(`[^`]+`)\(\d+\)")  # of an indexed text: KEY (`name`(20))
_INDEX = re.compile(r"(?P<unique>UNIQUE )?KEY `(?P<name>[^`]+)` (?P<columns>\(.*\))")


@lru_cache(maxsize=8)
def sqlite_images(dump: Path) -> Mapping[str, bytes]:
    """The databases of a dump by name, from the cache where it has them.

    Raises:
        InvalidSettingError: The file can't be read or converted.
    """
    try:
        content = dump.read_bytes()
    except OSError as error:
        raise InvalidSettingError(f"can't read the dump {dump}: {error}") from error
    key = hashlib.sha256(content).hexdigest()[:20]
    folder = _cache_folder() / f"{key}-{_CONVERTER}"
    if folder.is_dir():
        return {path.stem: path.read_bytes() for path in sorted(folder.glob("*.sqlite"))}
    try:
        images = convert_dump(content.decode("utf-8"))
    except (sqlite3.Error, ValueError) as error:
        raise InvalidSettingError(f"can't convert the dump {dump.name} to SQLite: {error}") from error
    _store(images, folder)
    return images


def convert_dump(dump: str) -> dict[str, bytes]:
    """The databases of the text of a dump, as SQLite images by name."""
    images: dict[str, bytes] = {}
    for name, statements in _by_database(dump):
        connection = sqlite3.connect(":memory:", isolation_level=None)
        add_mysql_dialect(connection)
        for statement in statements:
            for translated in _translate(statement):
                connection.execute(translated)
        images[name] = connection.serialize()
        connection.close()
    if not images:
        raise ValueError("it has no `USE` of a database")
    return images


def _by_database(dump: str) -> Iterator[tuple[str, list[str]]]:
    current: str | None = None
    statements: list[str] = []
    for statement in dump_statements(dump):
        use = re.fullmatch(r"USE `([^`]+)`", statement)
        if use:
            if current is not None:
                yield current, statements
            current, statements = use[1], []
        elif statement.startswith(("CREATE TABLE", "INSERT INTO")):
            statements.append(statement)
    if current is not None:
        yield current, statements


def dump_statements(dump: str) -> Iterator[str]:
    """A dump ends each statement with a semicolon at the end of a line, and escapes newlines in values."""
    lines: list[str] = []
    for line in dump.splitlines():
        if not lines and (not line.strip() or line.startswith("--")):
            continue
        lines.append(line)
        if line.rstrip().endswith(";"):
            yield "\n".join(lines).strip().rstrip(";")
            lines = []


def _translate(statement: str) -> list[str]:
    if statement.startswith("INSERT"):
        return [unescape_strings(statement)]
    first, *inner, _engine = statement.splitlines()
    table = first.split("`")[1]
    parts, indexes = [], []
    for line in (_PREFIX_LENGTH.sub(r"\1", line.strip().rstrip(",")) for line in inner):
        index = _INDEX.fullmatch(line)
        if index:
            unique = index["unique"] or ""
            indexes.append(f'CREATE {unique}INDEX "{table}_{index["name"]}" ON `{table}` {index["columns"]}')
        else:
            column = _COLUMN.fullmatch(line)
            parts.append(_column(column) if column else line)
    return [f"CREATE TABLE `{table}` ({', '.join(parts)})", *indexes]


def _column(column: re.Match[str]) -> str:
    """The MySQL type is kept for DESCRIBE, `auto_increment` as a part of it; text compares as in MySQL."""
    rest = re.sub(r"\s*(CHARACTER SET|COLLATE) \w+", "", column["rest"])
    rest, increments = re.subn(r"\s*AUTO_INCREMENT", "", rest)
    declared = column["type"] + (" auto_increment" if increments else "")
    collation = " COLLATE mysql" if _TEXT_TYPE.match(column["type"]) else ""
    return f"`{column['name']}` {declared}{collation}{rest}"


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "langchain-linvit" / "intercode-sql"


def _store(images: Mapping[str, bytes], folder: Path) -> None:
    """Put the images into the cache, whole or not at all; a cache that can't be written is no error."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as unfinished:
            content = Path(unfinished) / "images"
            content.mkdir()
            for name, image in images.items():
                (content / f"{name}.sqlite").write_bytes(image)
            content.rename(folder)
    except OSError:
        return
