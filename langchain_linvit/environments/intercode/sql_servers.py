"""Where SQL sessions come from: one class for each backend, chosen by name."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Protocol, Self

from langchain_linvit.environments.intercode.official import dataset
from langchain_linvit.environments.intercode.sql_session import SqlLimits, SqlSession, StatementError
from langchain_linvit.environments.intercode.sqlite_dump import sqlite_images
from langchain_linvit.environments.intercode.sqlite_session import SqliteSession
from langchain_linvit.errors import InvalidSettingError


class SqlServer(Protocol):
    """A set of pristine databases."""

    dialect: str
    databases: Collection[str]

    def open(self, database: str) -> SqlSession:
        """A session on the pristine `database`."""
        ...


class SqliteServer:
    """The databases of a dump, in memory."""

    dialect = "SQLite (with MySQL's SHOW and DESCRIBE)"

    def __init__(self, dump: Path, limits: SqlLimits) -> None:
        self._images = sqlite_images(dump)
        self._limits = limits
        self.databases: Collection[str] = self._images.keys()

    def open(self, database: str) -> SqlSession:
        """A session on the pristine `database`."""
        return SqliteSession(self._images, database, self._limits)


def sql_server(
    backend: str, dsn: str | None, dump: str | Path | None, limits: SqlLimits, *, writes: bool
) -> SqlServer:  # fmt: skip
    """The server of a backend's name; `writes` counts for MySQL only, see `SqlEnvironment`.

    Raises:
        InvalidSettingError: Settings that contradict each other, or a server that can't be used.
        MissingDependencyError: The package `intercode-bench` is not installed.
    """
    if backend == "sqlite":
        if dsn is not None:
            raise InvalidSettingError("the backend 'sqlite' takes no dsn; pass backend='mysql' with it")
        return SqliteServer(Path(dump) if dump is not None else dataset("spider_dev.sql"), limits)
    if backend == "mysql":
        if dsn is None or dump is not None:
            raise InvalidSettingError(
                "the backend 'mysql' needs dsn='mysql://user:password@host:port' and takes no dump "
                "(load one with prepare_mysql)"
            )
        from langchain_linvit.environments.intercode.mysql_session import MysqlServer

        return MysqlServer(dsn, limits, writes=writes)
    if backend == "docker":
        from langchain_linvit.environments.intercode.mysql_session import MysqlServer
        from langchain_linvit.environments.intercode.mysql_setup import docker_mysql

        return MysqlServer(docker_mysql(writes=writes), limits, writes=writes)
    raise InvalidSettingError(f"the backend must be 'sqlite', 'mysql' or 'docker', not {backend!r}")


class PristineCursor:
    """A cursor for InterCode's reward code: each statement runs on the pristine database."""

    def __init__(self, server: SqlServer, database: str) -> None:
        self._session = server.open(database)
        self._rows: list[tuple[Any, ...]] = []
        self.description: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def execute(self, statement: str) -> None:
        """Run a statement; `mysql.connector.errors.ProgrammingError` where it fails, as InterCode expects."""
        self.description, self._rows = None, []
        try:
            result = self._session.run(statement)
        except StatementError as error:
            from mysql.connector.errors import ProgrammingError

            raise ProgrammingError(msg=str(error)) from error
        if result.rows is not None:
            self.description, self._rows = result.columns, result.rows

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows of the last statement."""
        return self._rows
