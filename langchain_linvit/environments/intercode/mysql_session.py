"""InterCode's databases on a MySQL or MariaDB server, for reading only.

Three things keep a statement from writing, none of which looks at its text: a user that has nothing but
SELECT (checked when the server is opened), READ ONLY transactions, and a client that sends one statement
at a time and no file. The session is reset before each statement, so that nothing that one sets reaches
the next, and a fork is two fields: the name of the database and where the connections are.
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

    Raises:
        InvalidSettingError: The server refuses the DSN, or its user may do more than read.
    """

    dialect = "MySQL"

    def __init__(self, dsn: str, limits: SqlLimits) -> None:
        self._dsn = dsn
        self.limits = limits
        self._idle: list[MySQLConnectionAbstract] = []
        self._lock = threading.Lock()
        connection = self.take()
        self._is_mariadb = "mariadb" in str(_rows(connection, "SELECT VERSION()")[0][0]).lower()
        _require_reader([str(row[0]) for row in _rows(connection, "SHOW GRANTS")])
        names = [str(row[0]) for row in _rows(connection, "SHOW DATABASES")]
        self.databases: Collection[str] = {name for name in names if name.lower() not in _SYSTEM}
        self.give_back(connection)

    def open(self, database: str) -> SqlSession:
        """A session on `database`; nothing can change it, so that it is always pristine."""
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
            _rows(other, f"KILL {int(connection.connection_id or 0)}")
        self.give_back(other)

    def settings(self) -> list[str]:
        """What is set before every statement."""
        seconds = self.limits.seconds
        timeout = (
            f"max_statement_time = {seconds}" if self._is_mariadb else f"max_execution_time = {int(seconds * 1e3)}"
        )
        return [
            f"SET SESSION {timeout}, SESSION sql_select_limit = {self.limits.rows + 1}",
            "SET SESSION TRANSACTION READ ONLY",
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

    def __init__(self, server: MysqlServer, database: str) -> None:
        self._server = server
        self.database = database

    def run(self, statement: str) -> SqlResult:
        """Run one statement within the limits; `StatementError` where it fails."""
        limits = self._server.limits
        if len(statement) > limits.statement_length:
            raise StatementError(f"the statement is longer than {limits.statement_length} characters")
        if not _READING.match(statement):
            raise StatementError("this database may only be read: SELECT, WITH, SHOW, DESCRIBE, EXPLAIN, USE")
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
        from mysql.connector import Error

        connection = self._server.take()
        try:
            connection.cmd_reset_connection()
            connection.cmd_init_db(self.database)
            for setting in self._server.settings():
                _rows(connection, setting)
            result = self._fetch(connection, statement)
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
        return result

    def _fetch(self, connection: MySQLConnectionAbstract, statement: str) -> SqlResult:
        cursor = connection.cursor(buffered=False)
        cursor.execute(statement)
        if cursor.description is None:
            cursor.close()
            return SqlResult()
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


def _rows(connection: MySQLConnectionAbstract, statement: str) -> list[Row]:
    cursor = connection.cursor(buffered=True)
    cursor.execute(statement)
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


def _require_reader(grants: list[str]) -> None:
    """Refuse a user that may do more than read."""
    for grant in grants:
        match = _GRANT.match(grant)
        privileges = set(match[1].upper().replace("`", "").split(", ")) if match else {grant.split(" TO ")[0]}
        excess = {name for name in privileges if name.split(" (")[0] not in _READING_PRIVILEGES}
        if excess or "WITH GRANT OPTION" in grant.upper():
            named = ", ".join(sorted(excess)) or "GRANT OPTION"
            raise InvalidSettingError(
                f"the MySQL user of the dsn may do more than read ({named}): what a model writes would run with "
                "that; use a user with SELECT only, as prepare_mysql(admin_dsn) makes one"
            )
