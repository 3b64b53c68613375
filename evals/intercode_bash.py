"""InterCode-Bash: gold scores, recorded steps replayed, and one recorded model under different decisions.

python -m evals.intercode_bash
python -m evals.intercode_bash --intercode-dir ~/intercode --recorded bash_*.json.xz --json results.json
python -m evals.intercode_bash --only replay --intercode-dir ~/intercode --recorded bash_*.json.xz --json results.json

The script "try again" was told the gold reward after every action and stopped at 1. So a right action is the last one
of its log, and what it repeats is more often wrong: the shares that the recorded model takes from the logs carry some
of the gold with them. Rows of a recorded model compare decisions on equal terms; they are no estimate of the model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from evals.common import parser, print_table, write_results
from evals.intercode import CANDIDATES, decision_rows, gold_row, log_row, print_golds
from evals.intercode_bash_replay import ScriptedBash, cause, replayed_task
from evals.intercode_replay import replay_row, replays
from langchain_linvit.environments.base import Task
from langchain_linvit.environments.intercode import BashEnvironment, bash_tasks, nl2bash_tasks
from langchain_linvit.models.recorded import RecordedChatModel
from langchain_linvit.models.sampling import named_model

GOLD_COLUMNS = ("method", "backend", "n", "solved", "success")
WRONG = "echo no such answer > /no_such_answer"
STRATEGIES = {"multiturn": "try again (log)", "react": "ReAct (log)", "plan_solve": "Plan & Solve (log)"}
COLUMNS = ("method", "prior", "value", "n", "solved", "success", "success_1", "success_2", "success_3", "success_4",
           "llm_calls", "env_steps", "seconds", "errors")  # fmt: skip


def environment(mode: str = "auto") -> BashEnvironment:
    """Commands are split as InterCode splits them, so that scores compare."""
    return BashEnvironment(quoting="intercode", mode=mode)  # type: ignore[arg-type]


def recorded_task(tasks: list[Task]) -> Callable[[Path, dict[str, Any]], Task | None]:
    """Which task an episode of a log was about: the file's name says which file system."""
    by_id = {task.id: task for task in tasks}

    def task_of(path: Path, episode: dict[str, Any]) -> Task | None:
        number = re.search(r"fs_(\d)", path.name)
        return by_id.get(f"fs{number[1]}-{episode['task_id']}") if number else None

    return task_of


def compared_rows(
    tasks: list[Task], logs: list[Path], mode: str, model: str | None, seed: int
) -> list[dict[str, Any]]:  # fmt: skip
    """The logs' own results, and every decision on one model."""
    rows = []
    for key, name in STRATEGIES.items():
        found = [path for path in logs if key in path.name]
        rows += [log_row(name, found, recorded_task(tasks), "file_system")] if found else []
    chat = named_model(model) if model else RecordedChatModel.from_logs(*logs, keep=lambda action: action != "submit")
    prior = model or "recorded gpt-3.5"
    make = partial(environment, mode)
    return rows + list(
        decision_rows(make, tasks, chat, prior=prior, recorded=not model, seed=seed, group="file_system")
    )


def replay(tasks: list[Task], logs: list[Path], mode: str) -> dict[str, Any]:
    """The row of the recorded steps, as their scripts ran them."""
    steps = replays(ScriptedBash(mode=mode), logs, replayed_task(tasks, recorded_task(tasks)))
    return replay_row(steps, "repository's 200", cause)


def renew(file: Path | None, row: dict[str, Any]) -> None:
    """Put a row in the place of its method's row in a file of results."""
    if file is not None and file.exists():
        content = json.loads(file.read_text(encoding="utf-8"))
        rows = [one for one in content["rows"] if one["method"] != row["method"]]
        write_results(file, content["benchmark"], content["settings"], [*rows, row])


def main(argv: list[str] | None = None) -> None:
    """Run the evaluation and print its tables."""
    arguments = parser(__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--intercode-dir", type=Path, help="a clone of InterCode's repository, for its 200 tasks")
    arguments.add_argument("--recorded", type=Path, nargs="*", default=[], help="InterCode logs to replay")
    arguments.add_argument("--mode", default="auto", help="overlay, copy or auto")
    arguments.add_argument("--only", choices=["replay"], help="only this part; its row in --json is renewed")
    options = arguments.parse_args(argv)
    if options.only:
        if not (options.intercode_dir and options.recorded):
            arguments.error("--only replay needs --intercode-dir and --recorded")
        row = replay(nl2bash_tasks(options.intercode_dir)[: options.limit], options.recorded, options.mode)
        renew(options.json, row)
        print_table("InterCode-Bash, recorded steps", [row], GOLD_COLUMNS)
        return
    sandboxed = environment(options.mode)
    shipped = bash_tasks()[: options.limit]
    rows = [gold_row(sandboxed, shipped, WRONG, "package's 24")]
    tasks = nl2bash_tasks(options.intercode_dir)[: options.limit] if options.intercode_dir else []
    if tasks:
        rows.append(gold_row(sandboxed, tasks, WRONG, "repository's 200"))
    settings = {
        "tasks": "InterCode's repository" if tasks else "intercode-bench",
        "n": len(tasks or shipped),
        "seed": options.seed,
        "mode": options.mode,
        "candidates": CANDIDATES,
        "recorded": [path.name for path in options.recorded],
    }
    write_results(options.json, "intercode_bash", settings, rows)
    if (tasks and options.recorded) or options.model:
        rows += compared_rows(tasks or shipped, options.recorded, options.mode, options.model, options.seed)
        print_table("InterCode-Bash, the same proposals, different decisions", rows, COLUMNS)
        write_results(options.json, "intercode_bash", settings, rows)
    if tasks and options.recorded:  # last: it takes the longest
        rows.append(replay(tasks, options.recorded, options.mode))
        write_results(options.json, "intercode_bash", settings, rows)
    print_table("InterCode-Bash, the sandbox", [row for row in rows if "backend" in row], GOLD_COLUMNS)
    print_golds(rows)


if __name__ == "__main__":
    main()
