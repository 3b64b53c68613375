"""InterCode-SQL: answer a question about a database by queries. Source: InterCode (arXiv 2306.14898), section 3.

environment = SqlEnvironment()
environment.reset(sql_tasks()[3])
environment.step("SELECT * FROM student")
"""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, Field

from langchain_linvit.environments.base import (
    ActionTool,
    Environment,
    Outcome,
    ParsedAction,
    Snapshot,
    Task,
    Transition,
    shorten,
)
from langchain_linvit.environments.intercode.answers import extract_code
from langchain_linvit.environments.intercode.official import sql_outcome
from langchain_linvit.environments.intercode.sql_servers import PristineCursor, sql_server
from langchain_linvit.environments.intercode.sql_session import (
    Row,
    SqlLimits,
    SqlResult,
    SqlSession,
    StatementError,
    find_database,
)
from langchain_linvit.environments.intercode.table import decode_rows, encode_rows, rows_text
from langchain_linvit.errors import EnvironmentStateError, InvalidTaskError

SUBMIT = "submit"
"""The action that ends an episode; the rows of the last query are the answer."""

_HORIZON = 10
"""Turns that InterCode's scripts grant."""

_DESCRIPTION = """\
You answer a question about a {server} database by running SQL. Each action is one statement, or the
word `submit`, which ends the episode: the rows of the last query are then the answer. The answer is
compared row by row with the right one, so select exactly the columns that the question asks for,
and keep the order that it asks for. A statement that fails leaves everything as it was.
You can look at the database first: SHOW TABLES, DESCRIBE table, SELECT ... LIMIT 5.

Example, for the question "How many singers are there?":
Action: SHOW TABLES
Action: DESCRIBE singer
Action: SELECT COUNT(*) FROM singer
Action: submit"""


class Query(BaseModel):
    """Arguments of the tool `execute_sql`."""

    query: str = Field(description="One SQL statement.")


class NoArguments(BaseModel):
    """A tool without arguments."""


class SqlEnvironment(Environment):
    """A question about a database, and the statements that were run so far.

    The state is the content of the database, the current one's name, and the rows of the last query. Writes
    are undone by `reset`, which always starts from the pristine database, and stay inside of a fork.

    A fork costs microseconds after queries that only read, and the copy of the database (about 0.1 ms)
    after a write. With `backend="mysql"` statements may only read, unless `writes=True`; forks share the server's
    connections, and nothing is ever committed.

    InterCode leaves a failed statement's error as the last observation; here, by the environment
    contract, a failed statement leaves the last answer in place.

    Args:
        backend: `sqlite` (in memory, needs no server), `mysql` (a MySQL or MariaDB server), or `docker`
            (InterCode's own container; not tested by this project). Never one for another: rewards differ slightly.
        dsn: For `mysql`: `mysql://user:password@host:port`, a user that may only read, or with `writes` only read
            and write rows (see `prepare_mysql`).
        dump: The databases, as a MySQL dump; by default InterCode's (sqlite only).
        database: The database of tasks that name none.
        limits: What one statement may cost.
        shown_rows: Rows of a result that an observation shows.
        writes: For `mysql` and `docker`: let statements write rows. Each one runs after the episode's earlier writes in
            a transaction that is rolled back. On `sqlite` statements may always write.

    Raises:
        InvalidSettingError: Settings that contradict each other, a user that may do more than is asked for, or
            tables whose writes could not be undone.
        MissingDependencyError: The package `intercode-bench` is not installed.
    """

    concurrency: ClassVar[Literal["inline", "thread"]] = "thread"
    records_history: ClassVar[bool] = False

    def __init__(
        self,
        *,
        backend: Literal["sqlite", "mysql", "docker"] = "sqlite",
        dsn: str | None = None,
        dump: str | Path | None = None,
        database: str | None = None,
        limits: SqlLimits | None = None,
        shown_rows: int = 20,
        writes: bool = False,
    ) -> None:
        self.limits = limits or SqlLimits()
        self._server = sql_server(backend, dsn, dump, self.limits, writes=writes)
        self._default_database = database
        self._shown_rows = shown_rows
        self.description = _DESCRIPTION.format(server=self._server.dialect)
        self._session: SqlSession | None = None
        self._rows: list[Row] | None = None
        self._answered = False
        self._done = False

    @property
    def horizon(self) -> int:
        """Turns that InterCode's scripts grant."""
        return _HORIZON

    def reset(self, task: Task) -> str:  # type: ignore[override]
        """Start on the pristine database of `task`."""
        session = self._server.open(self._database_of(task))
        self._replace(session)
        self._rows, self._answered, self._done = None, False, False
        return f"You are connected to the database `{session.database}`."

    def step(self, action: str) -> Transition:
        """Run one statement, or submit the rows of the last one."""
        session = self._require_session()
        if self._done:
            return self._refusal("the episode is over: the answer was submitted")
        if action.strip().rstrip(";").lower() == SUBMIT:
            self._done = True
            return Transition("submitted", done=True)
        try:
            result = session.run(action)
        except StatementError as error:
            return self._refusal(f"Error executing query: {error}")
        self._rows, self._answered = result.rows, True
        return Transition(self._observation(result), info={"rows": None if result.rows is None else len(result.rows)})

    def state_text(self) -> str:
        """The current database and the rows of the last query, without their heading."""
        session = self._require_session()
        lines = [f"Database: {session.database}"]
        if not self._answered:
            lines.append("No query was run yet.")
        elif self._rows is None:
            lines.append("The last statement gave no rows.")
        else:
            lines += ["Rows of the last query:", rows_text(self._rows, limit=self._shown_rows)]
        return "\n".join([*lines, "The answer was submitted."] if self._done else lines)

    def fork(self) -> Self:
        """An independent copy; see the class for its cost."""
        clone = self.spawn()
        clone._task = self.task
        clone._session = self._require_session().fork()
        clone._rows, clone._answered, clone._done = self._rows, self._answered, self._done
        return clone

    def spawn(self) -> Self:
        """A new instance on the same databases, not reset yet."""
        clone = copy.copy(self)
        clone._task, clone._history = None, []
        clone._session, clone._rows, clone._answered, clone._done = None, None, False, False
        return clone

    def snapshot(self) -> Snapshot:
        """The task, the rows of the last query, and the changed databases as compressed base64."""
        return {
            "task": self.task.model_dump(),
            "session": self._require_session().dump(),
            "rows": encode_rows(self._rows),
            "answered": self._answered,
            "done": self._done,
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Go to the state of `snapshot`."""
        if not {"task", "session", "rows", "answered", "done"} <= set(snapshot):
            raise EnvironmentStateError(
                "not a snapshot of SqlEnvironment: it needs task, session, rows, answered, done"
            )
        self.reset(Task.model_validate(snapshot["task"]))
        self._require_session().load(snapshot["session"])
        self._rows = decode_rows(snapshot["rows"])
        self._answered, self._done = snapshot["answered"], snapshot["done"]

    def state_key(self) -> str:
        """Equal for equal databases and equal rows of the last query, in the same order."""
        digest = hashlib.sha256(self._require_session().fingerprint().encode())
        digest.update(f"{self.task.id}\0{self.task.text}\0{self._answered}{self._done}".encode())
        digest.update("\n".join(map(str, self._rows)).encode() if self._rows is not None else b"\0none")
        return digest.hexdigest()

    def parse_action(self, text: str) -> ParsedAction:
        """The statement in an answer: in a code block, after `Action:`, or the whole answer."""
        parsed = extract_code(text, limit=self.limits.statement_length, submit=SUBMIT)
        return parsed if parsed.action is None else ParsedAction(parsed.action.rstrip("; \n\t") or parsed.action)

    def action_tools(self) -> list[ActionTool]:
        """`execute_sql(query)` and `submit()`."""
        return [
            ActionTool(
                name="execute_sql",
                description="Run one SQL statement and see its rows.",
                args_schema=Query,
                render=lambda args: str(getattr(args, "query", "")),
                parse=lambda action: None if action == SUBMIT else {"query": action},
            ),
            ActionTool(
                name="submit",
                description="End the episode: the rows of the last query are the answer.",
                args_schema=NoArguments,
                render=lambda _: SUBMIT,
                parse=lambda action: {} if action == SUBMIT else None,
            ),
        ]

    def evaluate(self) -> Outcome:
        """InterCode's reward of the rows of the last query; the gold query runs on the pristine database."""
        gold = self.task.data.get("gold")
        if gold is None:
            return Outcome(success=False, score=0.0, info={"reason": "the task has no gold query"})
        with PristineCursor(self._server, self._database_of(self.task)) as cursor:
            return sql_outcome(self._rows, gold, cursor)

    def close(self) -> None:
        """Close the session; forks are not affected."""
        self._replace(None)

    def _database_of(self, task: Task) -> str:
        name = task.data.get("db") or self._default_database
        found = find_database(self._server.databases, str(name)) if name else None
        if found is None:
            known = ", ".join(sorted(self._server.databases)[:30])
            asked = f"has no database {name!r}" if name else "names no database (pass SqlEnvironment(database=...))"
            raise InvalidTaskError(f"the task {shorten(task.id, 60)!r} {asked}; there are: {known}")
        return found

    def _require_session(self) -> SqlSession:
        if self._session is None:
            raise EnvironmentStateError("SqlEnvironment has no task, or was closed: call reset(task) first")
        return self._session

    def _replace(self, session: SqlSession | None) -> None:
        if self._session is not None:
            self._session.close()
        self._session = session

    def _observation(self, result: SqlResult) -> str:
        if result.rows is not None:
            return rows_text(result.rows, result.columns, limit=self._shown_rows)
        return f"OK, {result.changed} rows changed" if result.changed else "OK"

    def _refusal(self, message: str) -> Transition:
        return Transition(message, error=message)
