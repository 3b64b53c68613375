"""Crash safety: a planner is killed (`kill -9`) at random moments of its search, and resumed in a new process.

python -m evals.crash
python -m evals.crash --limit 3

The search checkpoints to SQLite, makes model calls in parallel, and acts on a table whose state is a file outside
of any process. After every resume the result has to be that of an uninterrupted run, the file has to hold exactly
its actions, and only the calls of units of work that were under way may have been made twice.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.common import parser, print_table, write_results
from evals.crash_worker import LATENCY, lines

KILLS = 20
PATIENCE = 300.0
"""Seconds that one process may take; more is a failure, never an endless wait."""
COLUMNS = ("moment", "code", "calls_before", "actions_before", "calls", "in_flight", "same_result", "same_actions")


@dataclass(frozen=True, slots=True)
class Uninterrupted:
    """What a run without a crash comes to.

    Attributes:
        result: All of its result but the usage.
        actions: The real actions.
        calls: Completions.
        events: Lines of its journal and real actions.
    """

    result: dict[str, Any]
    actions: list[str]
    calls: int
    events: int


def start(folder: Path, asynchronous: bool) -> subprocess.Popen[bytes]:
    """A process that plans in `folder`."""
    command = [sys.executable, "-m", "evals.crash_worker", str(folder), *(["--async"] if asynchronous else [])]
    return subprocess.Popen(command)


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process that has to end well."""
    try:
        if process.wait(PATIENCE) != 0:
            raise RuntimeError(f"the planner's process ended with status {process.returncode}")
    finally:
        process.kill()


def calls_by_unit(events: list[str]) -> dict[str, int]:
    """Completions of each unit of work."""
    calls: dict[str, int] = {}
    for event in events:
        kind, unit, *count = event.split(" ")
        if kind == "call":
            calls[unit] = calls.get(unit, 0) + int(count[0])
    return calls


def unsaved_calls(events: list[str]) -> int:
    """Completions of the units whose outcome is not on disk."""
    saved = {event.split(" ")[1] for event in events if event.startswith("saved")}
    return sum(count for unit, count in calls_by_unit(events).items() if unit not in saved)


def read_result(folder: Path) -> dict[str, Any]:
    """The result that a process left, without its usage, which counts what was lost too."""
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    del result["usage"]
    return result


def uninterrupted(folder: Path) -> Uninterrupted:
    """Plan once without a crash."""
    folder.mkdir()
    finish(start(folder, asynchronous=False))
    events, actions = lines(folder / "events.log"), lines(folder / "actions.log")
    return Uninterrupted(read_result(folder), actions, sum(calls_by_unit(events).values()), len(events) + len(actions))


def kill_when(process: subprocess.Popen[bytes], reached: Callable[[], bool], delay: float) -> bool:
    """Kill a process some time after `reached`; whether it was still running."""
    deadline = time.monotonic() + PATIENCE
    while not reached() and process.poll() is None:
        if time.monotonic() > deadline:
            process.kill()
            raise RuntimeError("the planner's process came to no end")
        time.sleep(0.0005)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def crash(
    folder: Path, clean: Uninterrupted, moment: str, reached: Callable[[Path], bool], delay: float, asynchronous: bool
) -> dict[str, Any]:
    """Kill one run, resume it in a new process, and compare."""
    folder.mkdir()
    process = start(folder, asynchronous)
    killed = kill_when(process, lambda: reached(folder), delay)
    events, actions = lines(folder / "events.log"), lines(folder / "actions.log")
    finish(start(folder, asynchronous))
    total = sum(calls_by_unit(lines(folder / "events.log")).values())
    return {
        "moment": moment,
        "code": "async" if asynchronous else "sync",
        "killed": killed,
        "calls_before": sum(calls_by_unit(events).values()),
        "actions_before": len(actions),
        "calls": total,
        "calls_uninterrupted": clean.calls,
        "in_flight": unsaved_calls(events),
        "same_result": read_result(folder) == clean.result,
        "same_actions": lines(folder / "actions.log") == clean.actions,
    }


def is_safe(row: dict[str, Any]) -> bool:
    """Whether a crash cost no more than the calls of the units in flight, and changed nothing."""
    paid = row["calls"] <= row["calls_uninterrupted"] + row["in_flight"]
    return bool(paid and row["same_result"] and row["same_actions"])


def crash_rows(folder: Path, kills: int, last_actions: int, seed: int) -> list[dict[str, Any]]:
    """Kills at `kills` random moments, in sync and async code by turns, and right after the last real actions."""
    rng = random.Random(seed)
    clean = uninterrupted(folder / "uninterrupted")
    rows = []
    for index in range(kills):
        target, delay = rng.randrange(clean.events), rng.uniform(0, 2 * LATENCY)

        def reached(at: Path, target: int = target) -> bool:
            return len(lines(at / "events.log")) + len(lines(at / "actions.log")) >= target

        rows.append(crash(folder / f"random-{index}", clean, f"event {target}", reached, delay, index % 2 == 1))
    taken = len(clean.actions)
    for number in range(max(taken - last_actions, 0) + 1, taken + 1):

        def acted(at: Path, number: int = number) -> bool:
            return len(lines(at / "actions.log")) >= number

        rows.append(crash(folder / f"action-{number}", clean, f"action {number}", acted, 0.0, number % 2 == 1))
    return rows


def main(argv: list[str] | None = None) -> None:
    arguments = parser(__doc__ or "").parse_args(argv)
    kills = KILLS if arguments.limit is None else arguments.limit
    with tempfile.TemporaryDirectory() as folder:
        rows = crash_rows(Path(folder), kills, kills, arguments.seed)
    print_table("Killed and resumed", rows, COLUMNS)
    safe = sum(map(is_safe, rows))
    killed = sum(row["killed"] for row in rows)
    print(f"{safe} of {len(rows)} safe; {killed} killed before they ended")
    settings = {"kills": kills, "seed": arguments.seed, "latency": LATENCY, "safe": safe, "killed": killed}
    write_results(arguments.json, "crash", settings, rows)
    if safe < len(rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
