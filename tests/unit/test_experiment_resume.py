"""Experiments on disk: results as they come, interrupted runs that go on, and folders of something else."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from experiment_worlds import HERE, TASKS, slinvit, table
from langsmith.evaluation import _runner as langsmith_runner
from worlds import Corridor

from langchain_linvit.accounting import Budget
from langchain_linvit.environments.base import Task
from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.evaluation import (
    ExperimentResults,
    run_experiment,
)
from langchain_linvit.evaluation.results import ITEMS_FILE


def test_results_are_on_disk_as_they_come(tmp_path):
    lines = []

    def target(inputs):
        path = tmp_path / "run" / ITEMS_FILE
        lines.append(len(path.read_text().splitlines()) if path.exists() else 0)
        return ["go right"]

    run_experiment(target, TASKS, environment=Corridor(), out=tmp_path / "run", progress=False)
    assert lines == [0, 1, 2, 3, 4]


def test_a_finished_experiment_is_read_again_and_not_run(tmp_path):
    first = slinvit(out=tmp_path / "run")
    size = (tmp_path / "run" / ITEMS_FILE).stat().st_size
    again = slinvit(out=tmp_path / "run")
    assert table(again) == table(first) == table(ExperimentResults.load(tmp_path / "run"))
    assert (tmp_path / "run" / ITEMS_FILE).stat().st_size == size


def test_an_interrupted_experiment_goes_on_without_repeating_items(tmp_path):
    ran = []

    def target(inputs):
        ran.append(inputs["task"]["id"])
        if len(ran) == 3:
            raise KeyboardInterrupt
        return ["go right"] * int(inputs["task"]["text"].split()[-1])

    def attempt():
        return run_experiment(target, TASKS, environment=Corridor(), out=tmp_path, progress=False)

    with pytest.raises(KeyboardInterrupt):
        attempt()
    with (tmp_path / ITEMS_FILE).open("a") as items:
        items.write('{"item": "to-3", "repet')  # what a kill in the middle of a write leaves
    results = attempt()
    assert ran == ["to-1", "to-2", "to-3", "to-3", "to-4", "to-5"]
    assert table(ExperimentResults.load(tmp_path)) == table(results)
    assert results.row().success == 1.0
    assert len((tmp_path / ITEMS_FILE).read_text().splitlines()) == 5


def test_an_interrupt_of_concurrent_items_waits_for_none_but_those_under_way(tmp_path, caplog, monkeypatch):
    started = []

    def target(inputs):
        started.append(inputs)
        return ["go right"]

    def interrupted(results):
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(langsmith_runner.ExperimentResults, "__iter__", interrupted)
    tasks = [Task(id=str(number), text="reach 1") for number in range(300)]
    with pytest.raises(KeyboardInterrupt):
        run_experiment(target, tasks, environment=Corridor(), concurrency=2, out=tmp_path, progress=False)
    assert len(started) < 300
    assert len(ExperimentResults.load(tmp_path).records) <= len(started)
    assert caplog.records == []


def test_failed_items_are_run_again_where_that_is_asked_for(tmp_path):
    broken = [True]

    def target(inputs):
        if broken and inputs["task"]["id"] == "to-1":
            raise ConnectionError("rate limit")
        return ["go right"]

    def attempt(**options):
        return run_experiment(target, TASKS[:2], environment=Corridor(), out=tmp_path, progress=False, **options)

    assert attempt().row().errors == 1
    broken.clear()
    assert attempt().row().errors == 1
    assert attempt(retry_errors=True).row().errors == 0
    assert ExperimentResults.load(tmp_path).row().errors == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "seed is 0, not 1"),
        ({"budget": Budget(completions=9)}, "budget is"),
        ({"data": TASKS[:2]}, "items is"),
        ({"depth": 2}, "settings is"),
    ],
)
def test_a_folder_of_another_experiment_is_refused(tmp_path, change, message):
    slinvit(out=tmp_path)
    with pytest.raises(InvalidSettingError, match=f"holds another experiment: {message}"):
        slinvit(out=tmp_path, **change)


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(InvalidSettingError, match="is not empty and holds no experiment"):
        slinvit(out=tmp_path)
    with pytest.raises(InvalidSettingError, match="can't be kept"):
        slinvit(out=tmp_path / "thesis.tex")


KILLED = """
import sys
from worlds import Corridor, walker_model, closeness
from test_experiments import slinvit
slinvit(out=sys.argv[1], repetitions=3, model=walker_model(latency=0.01), concurrency=int(sys.argv[2]))
"""


def test_a_killed_run_gives_the_same_table_once_it_is_resumed(tmp_path):
    finished = random.Random(os.getpid()).randrange(1, 9)  # whenever it is
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])])}
    child = subprocess.Popen([sys.executable, "-c", KILLED, tmp_path / "run", "3"], env=environment)
    items = tmp_path / "run" / ITEMS_FILE
    while child.poll() is None and (not items.exists() or items.read_bytes().count(b"\n") < finished):
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    interrupted = ExperimentResults.load(tmp_path / "run")
    assert finished <= len(interrupted.records) < 15
    resumed = slinvit(out=tmp_path / "run", repetitions=3)
    assert table(resumed) == table(slinvit(repetitions=3))
    assert len(items.read_text().splitlines()) == 15
