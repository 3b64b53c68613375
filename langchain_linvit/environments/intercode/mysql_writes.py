"""Sessions that write on a MySQL or MariaDB server, without anything being written for good.

Every statement runs in a transaction of its own: the writes of the session so far are repeated in it, the statement
runs, and all of it is rolled back. So nothing is ever committed, a reset and a fork cost nothing (a fork is a tuple of
statements), and no two forks see each other. An episode has few writes, which makes repeating them cheap.

The transactions are XA ones, under a name that nobody can guess: in these the server itself refuses COMMIT and
everything that would commit along the way (CREATE, DROP, ALTER, TRUNCATE, LOCK TABLES), however it is spelled. The user
may write rows and nothing else, and all tables must be InnoDB's; both are checked when the server is opened.

Repeated writes give what they gave before, with two limits: what they take from the clock or from chance (NOW, RAND,
UUID) may differ, and temporary tables are not offered.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from typing import TYPE_CHECKING, Any, Self

from langchain_linvit.environments.intercode.mysql_session import MysqlServer, MysqlSession, rows_of
from langchain_linvit.environments.intercode.sql_session import SqlResult

if TYPE_CHECKING:
    from mysql.connector.abstracts import MySQLConnectionAbstract

Write = tuple[str, str]
"""A statement that changed something, after the database that was current then."""

_BEGINNINGS = re.compile(
    r"[\s(]*(select|show|desc|describe|explain|with|table|values|use|insert|replace|update|delete)\b", re.IGNORECASE
)
_INSERT = re.compile(
    r"\s*(?:insert|replace)\s+(?:(?:low_priority|delayed|high_priority|ignore)\s+)*(?:into\s+)?"
    r"(?:`?(?P<database>\w+)`?\s*\.\s*)?`?(?P<table>\w+)`?",
    re.IGNORECASE,
)


class MysqlWritingSession(MysqlSession):
    """A session on one database, and the writes that it has made so far; see the module."""

    beginnings = _BEGINNINGS
    allowed = "rows may be read and written here: SELECT, WITH, SHOW, DESCRIBE, EXPLAIN, USE, INSERT, UPDATE, DELETE"

    def __init__(self, server: MysqlServer, database: str, writes: tuple[Write, ...] = ()) -> None:
        super().__init__(server, database)
        self._writes = writes

    def fork(self) -> Self:
        """An independent session after the same writes."""
        return type(self)(self._server, self.database, self._writes)

    def fingerprint(self) -> str:
        """A hash of the current database's name and of the writes: other writes to the same end count as another."""
        return hashlib.sha256(json.dumps([self.database, self._writes]).encode()).hexdigest()

    def dump(self) -> dict[str, Any]:
        """The current database's name, and the writes."""
        return {"database": self.database, "writes": [list(write) for write in self._writes]}

    def load(self, state: dict[str, Any]) -> None:
        """Go to a state that `dump` gave."""
        self.database = state["database"]
        self._writes = tuple((str(database), str(statement)) for database, statement in state["writes"])

    def _execute(self, statement: str) -> SqlResult:
        name = f"'{secrets.token_hex(16)}'"
        with self._server.turn, self._connected() as connection:
            rows_of(connection, f"XA START {name}")
            for database, write in self._writes:
                self._run_in(connection, database, write)
            result = self._run_in(connection, self.database, statement)
            rows_of(connection, f"XA END {name}")
            rows_of(connection, f"XA ROLLBACK {name}")
        if result.changed:
            self._writes = (*self._writes, (self.database, statement))
        return result

    def _run_in(self, connection: MySQLConnectionAbstract, database: str, statement: str) -> SqlResult:
        connection.cmd_init_db(database)
        if match := _INSERT.match(statement):
            _number_on(connection, match["database"] or database, match["table"])
        return self._fetch(connection, statement)

    def _recover(self, connection: MySQLConnectionAbstract, error: Any) -> None:
        """Drop the connection after any error: its transaction ends with it."""
        del error
        self._discard(connection)


def _number_on(connection: MySQLConnectionAbstract, database: str, table: str) -> None:
    """Let automatic numbers go on from the highest one there is: the server's own counters outlive a rollback."""
    columns = rows_of(
        connection,
        "SELECT column_name, table_schema, table_name FROM information_schema.columns "
        "WHERE table_schema = %s AND table_name = %s AND extra = 'auto_increment'",
        (database, table),
    )
    for column, schema, name in columns:
        highest = rows_of(connection, f"SELECT COALESCE(MAX(`{column}`), 0) FROM `{schema}`.`{name}`")[0][0]  # noqa: S608 - names that the server gave
        rows_of(connection, f"SET SESSION insert_id = {int(highest) + 1}")
