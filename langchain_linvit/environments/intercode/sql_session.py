"""What the SQL backends have in common: a session on one database, its limits, results and errors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field

Row = tuple[Any, ...]


class SqlLimits(BaseModel):
    """What one statement may cost. Exceeding a limit is an error that names it; nothing is cut silently."""

    model_config = ConfigDict(frozen=True)

    seconds: float = Field(default=5.0, gt=0, description="Running time of one statement.")
    rows: int = Field(default=20_000, gt=0, description="Rows of one result.")
    result_bytes: int = Field(default=8_000_000, gt=0, description="Text and bytes of one result.")
    value_bytes: int = Field(default=1_000_000, gt=0, description="One value, or one row, in the database.")
    statement_length: int = Field(default=20_000, gt=0, description="Characters of one statement.")
    database_bytes: int = Field(default=64_000_000, gt=0, description="One database, after writes (sqlite).")
    memory_bytes: int = Field(
        default=512_000_000, gt=0, description="Growth of this process while one statement runs (sqlite)."
    )


@dataclass(frozen=True, slots=True)
class SqlResult:
    """What a statement gave.

    Attributes:
        columns: Names of the columns; empty where the statement gives no rows at all.
        rows: The rows; None where the statement gives none at all (an UPDATE, a USE).
        changed: Rows that were changed.
    """

    columns: tuple[str, ...] = ()
    rows: list[Row] | None = None
    changed: int = 0


class StatementError(Exception):
    """A statement that failed or was stopped; the message is for the agent."""


class SqlSession(Protocol):
    """A session on one database at a time: statements, forks and plain-data states."""

    database: str

    def run(self, statement: str) -> SqlResult:
        """Run one statement within the limits.

        Raises:
            StatementError: It failed, or broke a limit; nothing was changed.
        """
        ...

    def pristine(self, database: str) -> Self:
        """A new session on the unchanged `database`.

        Raises:
            KeyError: There is no such database.
        """
        ...

    def fork(self) -> Self:
        """An independent session at the same state."""
        ...

    def fingerprint(self) -> str:
        """Equal for equal contents of the databases, and the same current one."""
        ...

    def dump(self) -> dict[str, Any]:
        """The state as plain data."""
        ...

    def load(self, state: dict[str, Any]) -> None:
        """Go to a state that `dump` gave."""
        ...

    def close(self) -> None:
        """Give back connections; may be called twice."""
        ...


def find_database(databases: Iterable[str], name: str) -> str | None:
    """The database of that name, whatever its case; None where there is none."""
    return next((known for known in databases if known.lower() == name.lower()), None)


def collect(results: Iterable[Row], limits: SqlLimits) -> list[Row]:
    """All rows of a result, or an error that names the limit it breaks; reads no more than the limits allow."""
    rows: list[Row] = []
    size = 0
    for row in results:
        rows.append(row)
        if len(rows) > limits.rows:
            raise StatementError(f"the result has more than {limits.rows} rows; add a LIMIT")
        for value in row:
            if isinstance(value, (str, bytes, bytearray)):
                size += len(value)
        if size > limits.result_bytes:
            raise StatementError(f"the result is larger than {limits.result_bytes} bytes; select less")
    return rows
