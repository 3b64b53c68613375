"""InterCode-SQL: gold scores by backend, recorded steps replayed, and one recorded model under different decisions.

python -m evals.intercode_sql
python -m evals.intercode_sql --tasks ic_spider_dev.json --recorded sql_*.json.xz --mysql local --json results.json

The script "try again" was told the gold reward, so that the shares of the recorded actions carry some of the gold
with them; see `evals.intercode_bash`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from evals.common import parser, print_table, write_results
from evals.intercode import CANDIDATES, decision_rows, gold_row, log_row, print_golds
from evals.intercode_replay import replay_row, replays
from langchain_linvit.environments.base import Task
from langchain_linvit.environments.intercode import SqlEnvironment, sql_tasks
from langchain_linvit.environments.intercode.mysql_setup import local_mariadb
from langchain_linvit.models.recorded import RecordedChatModel, answers_only
from langchain_linvit.models.sampling import named_model

WRONG = "SELECT 'no such answer'"
STRATEGIES = {
    "tryagain": "try again (log)",
    "multiturn": "try again (log)",
    "react": "ReAct (log)",
    "plan_solve": "Plan & Solve (log)",
}
COLUMNS = ("method", "prior", "value", "n", "solved", "success", "success_easy", "success_medium", "success_hard",
           "success_extra", "llm_calls", "env_steps", "seconds", "errors")  # fmt: skip


def backend_rows(backends: dict[str, SqlEnvironment], tasks: list[Task], logs: list[Path]) -> Iterator[dict[str, Any]]:
    """Gold scores and replays of each backend."""
    for name, environment in backends.items():
        yield gold_row(environment, tasks, WRONG, name)
        if logs:
            yield replay_row(replays(environment, logs, recorded_task(tasks)), name)


def recorded_task(tasks: list[Task]) -> Callable[[Path, dict[str, Any]], Task | None]:
    """Which task an episode of a log was about."""
    by_id = {task.id: task for task in tasks}
    return lambda _, episode: by_id.get(str(episode["task_id"]))


def compared_rows(tasks: list[Task], logs: list[Path], model: str | None, seed: int) -> list[dict[str, Any]]:
    """The logs' own results, and every decision on one model."""
    named = [(name, path) for path in logs for key, name in STRATEGIES.items() if key in path.name]
    rows = [log_row(name, [path], recorded_task(tasks), "hardness") for name, path in named]
    chat = named_model(model) if model else RecordedChatModel.from_logs(*logs, keep=answers_only)
    prior = model or "recorded gpt-3.5"
    return rows + list(
        decision_rows(SqlEnvironment, tasks, chat, prior=prior, recorded=not model, seed=seed, group="hardness")
    )


def main(argv: list[str] | None = None) -> None:
    """Run the evaluation and print its tables."""
    arguments = parser(__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--tasks", type=Path, help="InterCode's ic_spider_dev.json; default: the package's 23 tasks")
    arguments.add_argument("--recorded", type=Path, nargs="*", default=[], help="InterCode logs to replay")
    arguments.add_argument("--mysql", help="a reading user's DSN, or `local`: a private MariaDB; default: sqlite only")
    options = arguments.parse_args(argv)
    tasks = sql_tasks(options.tasks)[: options.limit]
    with ExitStack() as stack:
        backends = {"sqlite": SqlEnvironment()}
        if options.mysql:
            dsn = stack.enter_context(local_mariadb()) if options.mysql == "local" else options.mysql
            backends["mysql"] = SqlEnvironment(backend="mysql", dsn=dsn)
        rows = list(backend_rows(backends, tasks, options.recorded))
    print_table("InterCode-SQL, backends", rows, ("method", "backend", "n", "solved", "success"))
    print_golds(rows)
    if options.recorded or options.model:
        compared = compared_rows(tasks, options.recorded, options.model, options.seed)
        print_table("InterCode-SQL, the same proposals, different decisions", compared, COLUMNS)
        rows += compared
    settings = {
        "tasks": options.tasks.name if options.tasks else "intercode-bench",
        "n": len(tasks),
        "seed": options.seed,
        "candidates": CANDIDATES,
        "recorded": [path.name for path in options.recorded],
    }
    write_results(options.json, "intercode_sql", settings, rows)


if __name__ == "__main__":
    main()
