"""InterCode's databases on a MySQL or MariaDB server, for reading only unless a session with writes is asked for.

Three things keep a statement from writing, none of which looks at its text: a user that has nothing but
SELECT (checked when the server is opened), READ ONLY transactions, and a client that sends one statement
at a time and no file. The session is reset before each statement, so that nothing that one sets reaches
the next, and a fork is two fields: the name of the database and where the connections are.
`mysql_writes.py` has the sessions that write.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import unquote, urlsplit

from langchain_linvit.environments.intercode.sql_session import (
    Row,
    SqlLimits,
    SqlResult,
    SqlSession,
    StatementError,
    collect,
    find_database,
)
from langchain_linvit.errors import InvalidSettingError, MissingDependencyError

if TYPE_CHECKING:
    from mysql.connector.abstracts import MySQLConnectionAbstract

_SYSTEM = {"information_schema", "mysql", "performance_schema", "sys"}
_READING_PRIVILEGES = {"USAGE", "SELECT", "SHOW VIEW", "SHOW DATABASES"}
_WRITING_PRIVILEGES = {"INSERT", "UPDATE", "DELETE"}
_GRANT = re.compile(r"GRANT (.+?) ON .+ TO ", re.IGNORECASE)
_READING = re.compile(r"[\s(]*(select|show|desc|describe|explain|with|table|values|use)\b", re.IGNORECASE)
_USE = re.compile(r"\s*use\s+`?(\w+)`?\s*;?\s*", re.IGNORECASE)
_GRACE = 1.0
"""Seconds after the server's own limit at which the client gives up and has the statement killed."""


def connect(dsn: str, **options: Any) -> MySQLConnectionAbstract:
    """A connection for `mysql://user:password@host:port`, that sends single statements and never a file.

    Raises:
        InvalidSettingError: The DSN is malformed, or the server refuses it.
        MissingDependencyError: The driver is not installed.
    """
    try:
        import mysql.connector
        from mysql.connector.constants import ClientFlag
    except ImportError as error:
        raise MissingDependencyError(
            "the backend 'mysql' needs mysql-connector-python: pip install 'langchain-linvit[intercode]'"
        ) from error
    parts = urlsplit(dsn)
    if parts.scheme != "mysql" or not parts.hostname or not parts.username:
        raise InvalidSettingError("a DSN must look like mysql://user:password@host:port")
    try:
        connection = mysql.connector.connect(
            host=parts.hostname,
            port=parts.port or 3306,
            user=unquote(parts.username),
            password=unquote(parts.password or ""),
            autocommit=True,
            charset="utf8mb4",
            collation="utf8mb4_general_ci",
            allow_local_infile=False,
            client_flags=[-ClientFlag.MULTI_STATEMENTS, -ClientFlag.LOCAL_FILES],
            use_pure=True,
            **options,
        )
        return cast("MySQLConnectionAbstract", connection)
    except mysql.connector.Error as error:
        raise InvalidSettingError(
            f"no connection to MySQL at {parts.hostname}:{parts.port or 3306}: {error}"
        ) from error


class MysqlServer:
    """The databases of a server, and its idle connections.

    Args:
        dsn: `mysql://user:password@host:port`.
        limits: What one statement may cost.
        writes: Whether statements may write, each undone before the next (see `mysql_writes.py`).

    Raises:
        InvalidSettingError: The server refuses the DSN, its user may do more or less than is asked for, or
            writes to one of its tables could not be undone.
    """

    dialect = "MySQL"

    def __init__(self, dsn: str, limits: SqlLimits, *, writes: bool = False) -> None:
        self._dsn = dsn
        self.limits = limits
        self.writes = writes
        self.turn = threading.Lock()
        """Held by the statement of a session that writes: two of them would wait for each other's rows."""
        self._idle: list[MySQLConnectionAbstract] = []
        self._lock = threading.Lock()
        connection = self.take()
        self._is_mariadb = "mariadb" in str(rows_of(connection, "SELECT VERSION()")[0][0]).lower()
        _require_privileges([str(row[0]) for row in rows_of(connection, "SHOW GRANTS")], writes=writes)
        names = [str(row[0]) for row in rows_of(connection, "SHOW DATABASES")]
        self.databases: Collection[str] = {name for name in names if name.lower() not in _SYSTEM}
        if writes:
            require_transactions(connection)
        self.give_back(connection)

    def open(self, database: str) -> SqlSession:
        """A session on `database`; nothing is ever written to it for good, so that it is always pristine."""
        if self.writes:
            from langchain_linvit.environments.intercode.mysql_writes import MysqlWritingSession

            return MysqlWritingSession(self, database)
        return MysqlSession(self, database)

    def take(self) -> MySQLConnectionAbstract:
        """An idle connection, or a new one."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return connect(self._dsn, read_timeout=int(self.limits.seconds + _GRACE + 1))

    def give_back(self, connection: MySQLConnectionAbstract) -> None:
        """Keep a connection for the next statement."""
        with self._lock:
            self._idle.append(connection)

    def kill(self, connection: MySQLConnectionAbstract) -> None:
        """End a connection and what it runs, from outside."""
        other = self.take()
        with contextlib.suppress(Exception):  # it has ended by itself
            rows_of(other, f"KILL {int(connection.connection_id or 0)}")
        self.give_back(other)

    def settings(self) -> list[str]:
        """What is set before every statement."""
        seconds = self.limits.seconds
        timeout = (
            f"max_statement_time = {seconds}" if self._is_mariadb else f"max_execution_time = {int(seconds * 1e3)}"
        )
        access = "READ WRITE" if self.writes else "READ ONLY"
        return [
            f"SET SESSION {timeout}, SESSION sql_select_limit = {self.limits.rows + 1}",
            f"SET SESSION TRANSACTION {access}",
        ]

    def close(self) -> None:
        """Close the idle connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def __del__(self) -> None:
        """Close the idle connections."""
        self.close()


class MysqlSession:
    """A session on one database; see the module for what guards it."""

    beginnings = _READING
    """How a statement may begin; others get a plain answer before the server's own refusal."""
    allowed = "this database may only be read: SELECT, WITH, SHOW, DESCRIBE, EXPLAIN, USE"

    def __init__(self, server: MysqlServer, database: str) -> None:
        self._server = server
        self.database = database

    def run(self, statement: str) -> SqlResult:
        """Run one statement within the limits; `StatementError` where it fails."""
        limits = self._server.limits
        if len(statement) > limits.statement_length:
            raise StatementError(f"the statement is longer than {limits.statement_length} characters")
        if not self.beginnings.match(statement):
            raise StatementError(self.allowed)
        if match := _USE.fullmatch(statement):
            return self._use(match[1])
        return self._execute(statement)

    def pristine(self, database: str) -> Self:
        """A new session on `database`."""
        return type(self)(self._server, database)

    def fork(self) -> Self:
        """An independent session on the same database."""
        return type(self)(self._server, self.database)

    def fingerprint(self) -> str:
        """A hash of the current database's name: nothing else can change."""
        return hashlib.sha256(self.database.encode()).hexdigest()

    def dump(self) -> dict[str, Any]:
        """The current database's name."""
        return {"database": self.database}

    def load(self, state: dict[str, Any]) -> None:
        """Go to a state that `dump` gave."""
        self.database = state["database"]

    def close(self) -> None:
        """Nothing to give back: connections belong to the server."""

    def _use(self, name: str) -> SqlResult:
        found = find_database(self._server.databases, name)
        if found is None:
            raise StatementError(f"Unknown database '{name}'")
        self.database = found
        return SqlResult()

    def _execute(self, statement: str) -> SqlResult:
        with self._connected() as connection:
            return self._fetch(connection, statement)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[MySQLConnectionAbstract]:
        """A connection as new, with all settings; what fails in the block becomes a `StatementError`."""
        from mysql.connector import Error

        connection = self._server.take()
        try:
            connection.cmd_reset_connection()
            connection.cmd_init_db(self.database)
            for setting in self._server.settings():
                rows_of(connection, setting)
            yield connection
        except StatementError:
            self._discard(connection)  # rows that weren't read are still under way
            raise
        except Error as error:
            self._recover(connection, error)
            raise StatementError(_message(error, self._server.limits)) from error
        except (ValueError, TypeError, OverflowError, UnicodeError) as error:
            self._discard(connection)
            raise StatementError(f"the result can't be read: {error}") from error
        self._server.give_back(connection)

    def _fetch(self, connection: MySQLConnectionAbstract, statement: str) -> SqlResult:
        cursor = connection.cursor(buffered=False)
        cursor.execute(statement)
        if cursor.description is None:
            changed = max(cursor.rowcount, 0)
            cursor.close()
            return SqlResult(changed=changed)
        columns = tuple(str(column[0]) for column in cursor.description)
        rows = collect(_each(cursor), self._server.limits)
        cursor.close()
        return SqlResult(columns, rows)

    def _recover(self, connection: MySQLConnectionAbstract, error: Any) -> None:
        """Keep the connection after an error of the statement; drop it after one of its own."""
        if error.sqlstate is not None and connection.is_connected():
            self._server.give_back(connection)
        else:
            self._discard(connection)

    def _discard(self, connection: MySQLConnectionAbstract) -> None:
        self._server.kill(connection)
        connection.disconnect()


def _each(cursor: Any) -> Iterator[Row]:
    while (row := cursor.fetchone()) is not None:
        yield tuple(row)


def rows_of(connection: MySQLConnectionAbstract, statement: str, parameters: tuple[str, ...] = ()) -> list[Row]:
    """All rows of a statement of ours."""
    cursor = connection.cursor(buffered=True)
    cursor.execute(statement, parameters)
    rows = [tuple(row) for row in cursor.fetchall()] if cursor.description else []
    cursor.close()
    return rows


def _message(error: Any, limits: SqlLimits) -> str:
    """The server's own words, as InterCode shows them; limits are named."""
    if (
        error.errno in (1969, 3024) or error.sqlstate is None
    ):  # MariaDB's and MySQL's statement timeout; a lost connection
        return f"stopped: the statement ran for more than {limits.seconds:g} s"
    return str(error.msg or error)


def _require_privileges(grants: list[str], *, writes: bool) -> None:
    """Refuse a user that may do more than read, or than read and write rows; or that may not write where it should."""
    allowed = _READING_PRIVILEGES | (_WRITING_PRIVILEGES if writes else set())
    granted: set[str] = set()
    for grant in grants:
        match = _GRANT.match(grant)
        privileges = set(match[1].upper().replace("`", "").split(", ")) if match else {grant.split(" TO ")[0]}
        names = {name.split(" (")[0] for name in privileges}
        excess = names - allowed
        granted |= names
        if excess or "WITH GRANT OPTION" in grant.upper():
            named = ", ".join(sorted(excess)) or "GRANT OPTION"
            may, words = ("read and write rows", "SELECT, INSERT, UPDATE and DELETE") if writes else ("read", "SELECT")
            raise InvalidSettingError(
                f"the MySQL user of the dsn may do more than {may} ({named}): what a model writes would run with "
                f"that; use a user with {words} only, as prepare_mysql(admin_dsn{', writes=True' * writes}) makes one"
            )
    if writes and not granted >= _WRITING_PRIVILEGES:
        raise InvalidSettingError(
            "writes=True needs a MySQL user with INSERT, UPDATE and DELETE beside SELECT, as "
            "prepare_mysql(admin_dsn, writes=True) makes one"
        )


def require_transactions(connection: MySQLConnectionAbstract) -> None:
    """Refuse databases with a table whose writes could not be undone.

    Raises:
        InvalidSettingError: A table's engine has no transactions.
    """
    tables = rows_of(
        connection,
        "SELECT table_schema, table_name, engine FROM information_schema.tables "
        "WHERE table_type = 'BASE TABLE' AND engine <> 'InnoDB'",
    )
    lasting = [f"{schema}.{table} ({engine})" for schema, table, engine in tables if str(schema).lower() not in _SYSTEM]
    if lasting:
        raise InvalidSettingError(
            f"writes to these tables can't be undone, so that forks would not be isolated: {', '.join(lasting[:5])}; "
            "use ENGINE=InnoDB, or the backend 'sqlite'"
        )
