"""A small experiment for tests: a walk in the corridor, and what is compared of its results."""

import os
import subprocess
import sys
from pathlib import Path

from worlds import Corridor, closeness, walker_model

from langchain_linvit.environments.base import Task
from langchain_linvit.evaluation import run_experiment

HERE = Path(__file__).parent
TASKS = [
    Task(id=f"to-{n}", text=f"reach {n}", metadata={"kind": "near" if n < 3 else "far"}) for n in range(1, 6)
]  # fmt: skip
CORRIDOR = {"environment": Corridor(), "model": walker_model(), "progress": False}


def slinvit(data=TASKS, **options):
    """An experiment of SLINVIT in the corridor."""
    return run_experiment("slinvit", data, **{**CORRIDOR, "value": closeness, "depth": 1, **options})


def table(results):
    """Everything but the seconds."""
    records = []
    for record in results.records:
        plain = record.model_dump(exclude={"seconds": True, "result": {"usage": {"seconds"}}})
        plain["scores"].pop("seconds", None)
        records.append(plain)
    return records


def recorded(tmp_path, what, *before):
    """The connections that a program with a key, and with tracing switched on, tries."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("LANGSMITH_", "LANGCHAIN_"))},
        "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])]),
        "LANGSMITH_API_KEY": "lsv2-not-a-key",
        "LANGSMITH_TRACING": "true",
        "LANGSMITH_ENDPOINT": "http://127.0.0.1:9",
    }
    command = [*before, sys.executable, str(HERE / "connections.py"), what, str(tmp_path / "connections.json")]
    subprocess.run(command, env=environment, check=True, timeout=120)
    return (tmp_path / "connections.json").read_text()
