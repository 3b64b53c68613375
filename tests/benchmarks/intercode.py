"""InterCode: reset, step and fork of each backend, side by side in one run; what is missing is said so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

from langchain_linvit.environments.base import Environment
from langchain_linvit.environments.intercode import (
    BashEnvironment,
    SqlEnvironment,
    bash_tasks,
    sql_tasks,
)
from langchain_linvit.environments.intercode.mysql_setup import local_mariadb
from langchain_linvit.environments.intercode.sandbox.trees import MOST_LAYERS
from langchain_linvit.errors import LinvitError

REPEATS = 5


def run() -> list[dict[str, Any]]:
    """Rows of microseconds, and of each backend's cost against the sqlite one's."""
    rows: list[dict[str, Any]] = []
    with ExitStack() as stack:
        for name, make in _backends(stack).items():
            try:
                with closing(make()) as environment:
                    rows += _rows(name, environment)
            except LinvitError as error:
                rows.append(_row(f"{name}: skipped", None, "", str(error)[:150]))
    return rows + _ratios(rows)


def _backends(stack: ExitStack) -> dict[str, Callable[[], Environment]]:
    def mysql() -> Environment:
        return SqlEnvironment(backend="mysql", dsn=stack.enter_context(local_mariadb()))

    return {
        "sql sqlite": SqlEnvironment,
        "sql mysql (MariaDB)": mysql,
        "bash overlay": lambda: BashEnvironment(mode="overlay"),
        "bash copy": lambda: BashEnvironment(mode="copy"),
    }


def _rows(name: str, environment: Environment) -> Iterator[dict[str, Any]]:
    sql = isinstance(environment, SqlEnvironment)
    task = (sql_tasks() if sql else bash_tasks())[0]
    reading, writing = (
        ("SELECT COUNT(*) FROM student", "DELETE FROM has_pet") if sql else ("true", "echo x >> /testbed/x")
    )
    count = 200 if sql else 5
    environment.reset(task)
    yield _row(f"{name}: reset", _fastest(lambda: environment.reset(task), count), "us")
    yield _row(f"{name}: step that reads", _fastest(lambda: environment.step(reading), count), "us")
    yield _row(f"{name}: fork", _fastest(lambda: environment.fork().close(), 200), "us", "and close")
    environment.reset(task)
    if environment.step(writing).error is None:
        yield _row(f"{name}: step that writes", _fastest(lambda: environment.step(writing), count), "us")
        yield _row(f"{name}: fork after a write", _fastest(lambda: environment.fork().close(), 200), "us", "and close")
    if not sql:
        for _ in range(MOST_LAYERS):
            environment.step(writing)
        depth = f"after {MOST_LAYERS} commands more"
        yield _row(f"{name}: fork deep down", _fastest(lambda: environment.fork().close(), 200), "us", depth)


def _fastest(call: Callable[[], Any], count: int) -> float:
    """Microseconds of one call, the best mean of several rounds."""
    best = float("inf")
    for _ in range(REPEATS):
        started = time.perf_counter()
        for _ in range(count):
            call()
        best = min(best, (time.perf_counter() - started) / count)
    return best * 1e6


def _ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each backend against the first of its kind, measure by measure."""
    found = {row["measure"]: row["value"] for row in rows if row["value"]}
    pairs = [("sql mysql (MariaDB)", "sql sqlite"), ("bash copy", "bash overlay")]
    return [
        _row(f"{measure.replace(slow, f'{slow} / {fast}')}", value / found[measure.replace(slow, fast)], "x")
        for slow, fast in pairs
        for measure, value in found.items()
        if measure.startswith(f"{slow}:") and measure.replace(slow, fast) in found
    ]


def _row(measure: str, value: float | None, unit: str, note: str = "") -> dict[str, Any]:
    return {"benchmark": "intercode", "measure": measure, "value": value, "unit": unit, "note": note}
