"""InterCode's databases on SQLite, in memory: no server, and a fork is a copy of an image.

The state of a session is the current database and the images of the databases that were changed. A
connection is made when a statement needs one, so that a fork costs nothing before its first step.
"""

from __future__ import annotations

import base64
import hashlib
import re
import sqlite3
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from langchain_linvit.environments.intercode.sql_session import (
    Row,
    SqlLimits,
    SqlResult,
    StatementError,
    collect,
    find_database,
)
from langchain_linvit.environments.intercode.sqlite_dialect import add_mysql_dialect, translate

_READING = {
    sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE,
}  # fmt: skip
_CHANGING_ROWS = {sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE}
_CHANGING_SCHEMA = {
    sqlite3.SQLITE_ALTER_TABLE,
    sqlite3.SQLITE_CREATE_TABLE, sqlite3.SQLITE_CREATE_INDEX, sqlite3.SQLITE_CREATE_VIEW,
    sqlite3.SQLITE_CREATE_TRIGGER, sqlite3.SQLITE_DROP_TABLE, sqlite3.SQLITE_DROP_INDEX,
    sqlite3.SQLITE_DROP_VIEW, sqlite3.SQLITE_DROP_TRIGGER, sqlite3.SQLITE_REINDEX,
}  # fmt: skip
_READING_PRAGMAS = {
    "table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list",
}  # fmt: skip
_FORBIDDEN_FUNCTIONS = {"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit", "randomblob", "zeroblob"}

_CHECK_EVERY = 5_000
"""SQLite operations between two looks at the clock: well below a millisecond."""

_MYSQL_KEYWORD = re.compile(r"\s*(use|show|desc|describe)\b", re.IGNORECASE)
_USE = re.compile(r"\s*use\s+`?(\w+)`?\s*", re.IGNORECASE)
_SHOW_TABLES = re.compile(r"\s*show\s+(?:full\s+)?tables(?:\s+(?:from|in)\s+`?(\w+)`?)?\s*", re.IGNORECASE)
_SHOW_DATABASES = re.compile(r"\s*show\s+(?:databases|schemas)\s*", re.IGNORECASE)
_DESCRIBE = re.compile(
    r"\s*(?:desc(?:ribe)?|show\s+(?:full\s+)?(?:columns|fields)\s+(?:from|in))\s+(?:`?\w+`?\.)?`?([^`;]+?)`?\s*",
    re.IGNORECASE,
)


class SqliteSession:
    """A session on SQLite images. Statements are guarded by an authorizer, a deadline and limits.

    Args:
        images: The pristine databases by name; never changed.
        database: The current database.
        limits: What one statement may cost.

    Raises:
        KeyError: There is no such database.
    """

    def __init__(self, images: Mapping[str, bytes], database: str, limits: SqlLimits) -> None:
        if database not in images:
            raise KeyError(database)
        self.database = database
        self._images = images
        self._changed: dict[str, bytes] = {}
        self._limits = limits
        self._connection: sqlite3.Connection | None = None
        self._writes = False
        self._changes_schema = False
        self._forbidden: str | None = None

    def run(self, statement: str) -> SqlResult:
        """Run one statement within the limits; `StatementError` where it fails."""
        if len(statement) > self._limits.statement_length:
            raise StatementError(f"the statement is longer than {self._limits.statement_length} characters")
        if _MYSQL_KEYWORD.match(statement):
            return self._run_mysql_only(statement)
        return self._execute(translate(statement, self.database))

    def pristine(self, database: str) -> Self:
        """A new session on the unchanged `database`."""
        return type(self)(self._images, database, self._limits)

    def fork(self) -> Self:
        """An independent session at the same state; its connection is made at its first statement."""
        clone = type(self)(self._images, self.database, self._limits)
        clone._changed = dict(self._changed)
        return clone

    def fingerprint(self) -> str:
        """A hash of the current database's name and of all changed contents."""
        digest = hashlib.sha256(self.database.encode())
        for name, image in sorted(self._changed.items()):
            digest.update(name.encode() + b"\0" + hashlib.sha256(image).digest())
        return digest.hexdigest()

    def dump(self) -> dict[str, Any]:
        """The current database's name, and the changed images as compressed base64."""
        changed = {name: base64.b64encode(zlib.compress(image)).decode() for name, image in self._changed.items()}
        return {"database": self.database, "changed": changed}

    def load(self, state: dict[str, Any]) -> None:
        """Go to a state that `dump` gave."""
        self.close()
        self.database = state["database"]
        self._changed = {name: zlib.decompress(base64.b64decode(image)) for name, image in state["changed"].items()}

    def close(self) -> None:
        """Close the connection; a later statement opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __del__(self) -> None:
        """Close a connection that nobody closed; the search makes and drops many forks."""
        connection = getattr(self, "_connection", None)
        if connection is not None:
            connection.close()

    def _run_mysql_only(self, statement: str) -> SqlResult:
        """What MySQL has beside SQL, answered from the schema: USE, SHOW and DESCRIBE."""
        statement = statement.strip().rstrip(";")
        if match := _USE.fullmatch(statement):
            return self._use(match[1])
        if _SHOW_DATABASES.fullmatch(statement):
            return SqlResult(("Database",), [(name,) for name in sorted(self._images)])
        if match := _SHOW_TABLES.fullmatch(statement):
            return self._show_tables(match[1] or self.database)
        if match := _DESCRIBE.fullmatch(statement):
            return self._describe(match[1])
        raise StatementError(
            "the sqlite backend knows SHOW TABLES, SHOW DATABASES, SHOW COLUMNS FROM and DESCRIBE only"
        )

    def _use(self, name: str) -> SqlResult:
        found = find_database(self._images, name)
        if found is None:
            raise StatementError(f"Unknown database '{name}'")
        self.close()
        self.database = found
        return SqlResult()

    def _show_tables(self, database: str) -> SqlResult:
        if database.lower() != self.database.lower():
            raise StatementError(f"'{database}' is not the current database; USE it first")
        query = (
            "SELECT name FROM main.sqlite_master WHERE type IN ('table', 'view') "
            "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
        )
        return SqlResult((f"Tables_in_{self.database}",), self._execute(query).rows)

    def _describe(self, table: str) -> SqlResult:
        """The six columns of MySQL's DESCRIBE, from the live schema."""
        info = self._execute(f'PRAGMA main.table_info("{_escaped(table)}")').rows
        if not info:
            raise StatementError(f"Table '{self.database}.{table}' doesn't exist")
        keys = self._indexed(table)
        rows: list[Row] = []
        for _, name, declared, required, default, primary in info:
            kind, _, extra = str(declared).partition(" auto_increment")
            key = "PRI" if primary else keys.get(name, "")
            increments = "auto_increment" if extra or declared.endswith(" auto_increment") else ""
            rows.append(
                (name, kind.lower(), "NO" if required or primary else "YES", key, _literal(default), increments)
            )
        return SqlResult(("Field", "Type", "Null", "Key", "Default", "Extra"), rows)

    def _indexed(self, table: str) -> dict[str, str]:
        """The columns that begin an index, with MySQL's name of its kind."""
        found: dict[str, str] = {}
        for _, name, unique, *_ in self._execute(f'PRAGMA main.index_list("{_escaped(table)}")').rows or []:
            columns = self._execute(f'PRAGMA main.index_info("{_escaped(name)}")').rows or []
            if columns:
                found[columns[0][2]] = "UNI" if unique and len(columns) == 1 else "MUL"
        return found

    def _execute(self, statement: str) -> SqlResult:
        connection = self._connect()
        self._forbidden, self._writes, self._changes_schema = None, False, False
        watch = _Watch(self._limits)
        connection.set_progress_handler(watch, _CHECK_EVERY)
        before = connection.total_changes
        try:
            cursor = connection.execute(statement)
            columns = tuple(str(column[0]) for column in cursor.description or ())
            rows = collect(cursor, self._limits) if cursor.description else None
        except StatementError:
            self._undo()
            raise
        except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError, MemoryError) as error:
            self._undo()
            raise StatementError(self._message(error, watch)) from error
        changed = connection.total_changes - before
        if changed or self._changes_schema:
            self._changed[self.database] = connection.serialize()
        return SqlResult(columns, rows, changed)

    def _undo(self) -> None:
        """Forget what a failed statement may have done: the next one starts from the last image."""
        if self._writes:
            self.close()

    def _message(self, error: Exception, watch: _Watch) -> str:
        if self._forbidden:
            return f"{self._forbidden} is not allowed here"
        if watch.broken:
            return watch.broken
        text = str(error)
        if "too big" in text or isinstance(error, MemoryError):
            return f"a value is larger than {self._limits.value_bytes} bytes"
        if "is full" in text:
            return f"the database would be larger than {self._limits.database_bytes} bytes"
        return text

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None:
            # No statement cache: the authorizer must see every statement, also to notice a write.
            connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False, cached_statements=0)
            image = self._changed.get(self.database) or self._images[self.database]
            connection.deserialize(image)
            add_mysql_dialect(connection)
            self._restrict(connection)
            self._connection = connection
        return self._connection

    def _restrict(self, connection: sqlite3.Connection) -> None:
        limits = self._limits
        page_size = connection.execute("PRAGMA page_size").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {max(1, limits.database_bytes // page_size)}")
        connection.execute("PRAGMA temp_store = memory")  # no statement may leave a byte on the disk
        connection.execute("PRAGMA foreign_keys = on")
        connection.execute("PRAGMA trusted_schema = off")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, limits.value_bytes)
        connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, 4 * limits.statement_length)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        connection.setlimit(sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1_000)
        connection.setlimit(sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 200)
        connection.set_authorizer(self._authorize)

    def _authorize(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        """Called by SQLite while it compiles a statement: anything that isn't known to be harmless is denied."""
        if action == sqlite3.SQLITE_FUNCTION and str(second).lower() in _FORBIDDEN_FUNCTIONS:
            return self._deny(f"the function {second}")
        if action in _READING:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_PRAGMA:
            allowed = str(first).lower() in _READING_PRAGMAS
            return sqlite3.SQLITE_OK if allowed else self._deny(f"PRAGMA {first}")
        if action in _CHANGING_ROWS or action in _CHANGING_SCHEMA:
            self._writes = True
            self._changes_schema |= action in _CHANGING_SCHEMA
            return sqlite3.SQLITE_OK
        return self._deny(_ACTION_NAMES.get(action, "this kind of statement"))

    def _deny(self, what: str) -> int:
        self._forbidden = what
        return sqlite3.SQLITE_DENY


class _Watch:
    """The progress handler of one statement: true (stop) once its time or its memory is used up."""

    def __init__(self, limits: SqlLimits) -> None:
        self._limits = limits
        self._deadline = time.monotonic() + limits.seconds
        self._memory = _resident_bytes()
        self._calls = 0
        self.broken: str | None = None

    def __call__(self) -> int:
        self._calls += 1
        if time.monotonic() > self._deadline:
            self.broken = f"stopped: the statement ran for more than {self._limits.seconds:g} s"
        elif self._calls % 64 == 0 and _resident_bytes() - self._memory > self._limits.memory_bytes:
            self.broken = f"stopped: the statement took more than {self._limits.memory_bytes} bytes of memory"
        return int(self.broken is not None)


_STATM = Path("/proc/self/statm")


def _resident_bytes() -> int:
    """Memory of this process; 0 where the system doesn't tell."""
    try:
        return int(_STATM.read_text().split()[1]) * 4096
    except OSError:
        return 0


def _escaped(name: str) -> str:
    return name.replace('"', '""')


def _literal(default: str | None) -> str | None:
    return default.strip("'") if isinstance(default, str) else default


_ACTION_NAMES = {
    sqlite3.SQLITE_ATTACH: "ATTACH (and VACUUM)",
    sqlite3.SQLITE_DETACH: "DETACH",
    sqlite3.SQLITE_TRANSACTION: "a transaction (each statement is its own)",
    sqlite3.SQLITE_SAVEPOINT: "a savepoint (each statement is its own transaction)",
    sqlite3.SQLITE_CREATE_VTABLE: "a virtual table",
    sqlite3.SQLITE_CREATE_TEMP_TABLE: "a temporary table",
    sqlite3.SQLITE_CREATE_TEMP_VIEW: "a temporary view",
    sqlite3.SQLITE_CREATE_TEMP_TRIGGER: "a temporary trigger",
    sqlite3.SQLITE_CREATE_TEMP_INDEX: "a temporary index",
}
