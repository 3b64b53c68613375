import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evals import paper_tables
from evals.paper.benchmarks import BENCHMARKS, Scope, benchmark
from evals.paper.runs import collected
from evals.paper.verdicts import Verdict, sentences, verdicts
from langchain_linvit.evaluation.results import ITEMS_FILE

ROOT = Path(__file__).parents[2]
SMALL = ["--quick", "--limit", "2", "--benchmarks", "blocksworld-6", "--methods", "slinvit", "best_of_n"]


def rows_without_times(path):
    rows = json.loads(path.read_text())["rows"]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """A tiny run in one process: its folder and its results."""
    folder = tmp_path_factory.mktemp("paper")
    arguments = ["--processes", "1", "--out", str(folder / "runs"), "--json", str(folder / "tables.json")]
    paper_tables.main([*SMALL, *arguments])
    return folder


def test_every_method_gets_the_same_budgets_and_keeps_to_them(uninterrupted):
    rows = json.loads((uninterrupted / "tables.json").read_text())["rows"]
    assert [(row["method"], row["completions"]) for row in rows] == [
        ("slinvit", 8), ("slinvit", 32), ("best_of_n", 8), ("best_of_n", 32),
    ]  # fmt: skip
    assert {row["env_step_budget"] for row in rows} == {200}
    assert all(0 < row["llm_calls"] <= row["completions"] for row in rows)
    assert {(row["benchmark"], row["prior"], row["value"]) for row in rows} == {
        ("blocksworld-6", "novice (simulated)", "rules")
    }


def test_verdicts_say_what_the_records_say(uninterrupted):
    chosen = benchmark("blocksworld-6", Scope(quick=True, limit=2))
    ran = list(collected(chosen, uninterrupted / "runs", ["slinvit", "best_of_n"]))
    solved = {(c.label, b.completions): [r.success for r in found.records] for c, b, found in ran}
    for verdict in verdicts(chosen, ran):
        ours, theirs = solved["slinvit", verdict.completions], solved[verdict.against, verdict.completions]
        assert verdict.difference == (sum(ours) - sum(theirs)) / 2
        assert verdict.only_ours == sum(a > b for a, b in zip(ours, theirs, strict=True))


def verdict(against, only_ours, only_theirs, p_value):
    difference = (only_ours - only_theirs) / 20
    fields = {"only_ours": only_ours, "only_theirs": only_theirs, "p_value": p_value, "difference": difference}
    return Verdict(benchmark="b", completions=8, against=against, n=20, **fields)


def test_a_difference_counts_only_where_the_test_says_so_and_oracles_are_left_out():
    found = [verdict("a", 9, 0, 0.004), verdict("b", 2, 1, 1.0), verdict("c", 0, 8, 0.008), verdict("o", 0, 8, 0.008)]
    assert [each.standing for each in found] == ["ahead", "level", "behind", "behind"]
    assert sentences(found, {"o": True}) == [
        "≤ 8 completions: slinvit is ahead of a (+45.0, p 0.004); level with b (+5.0, p 1); behind c (-40.0, p 0.008)."
    ]


def test_tables_tell_allowance_use_and_what_was_not_there(uninterrupted, tmp_path, capsys):
    paper_tables.main([*SMALL, "--processes", "1", "--out", str(uninterrupted / "runs"), "--data", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "≤ 8" in printed
    assert "2 problems: generated, 4 blocks" in printed
    assert "simulated" in printed


@pytest.mark.parametrize("name", ["intercode-sql", "intercode-bash"])
def test_without_recordings_the_tables_call_the_proposals_hand_written(name):
    pytest.importorskip("intercode")
    chosen = benchmark(name, Scope(quick=True))
    assert chosen.prior == "hand-written"
    assert "no model's" in chosen.notes[0]
    assert [each.label for each in chosen.contenders if each.note] == ["slinvit, oracle"]


def test_a_benchmark_that_cant_be_run_here_is_left_out_with_its_reason(monkeypatch, capsys, tmp_path):
    from langchain_linvit.errors import MissingDependencyError

    def missing(scope):
        raise MissingDependencyError("ALFWorld needs alfworld: pip install ...")

    monkeypatch.setitem(BENCHMARKS, "alfworld", missing)
    benchmark.cache_clear()
    paper_tables.main(["--quick", "--benchmarks", "alfworld", "--processes", "1", "--out", str(tmp_path)])
    assert "alfworld is left out: ALFWorld needs alfworld" in capsys.readouterr().out


def test_a_killed_run_goes_on_to_the_same_table(uninterrupted, tmp_path):
    """Killed without warning somewhere after its second task; the second run does the rest, in one process."""
    arguments = [*SMALL, "--processes", "2", "--out", str(tmp_path / "runs"), "--json", str(tmp_path / "tables.json")]
    command = [sys.executable, "-m", "evals.paper_tables", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True) as run:
        while run.poll() is None and finished(tmp_path / "runs") < 2:  # of 8
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
    before = finished(tmp_path / "runs")
    assert not (tmp_path / "tables.json").exists(), "it had ended before it was killed"
    paper_tables.main([*arguments, "--processes", "1"])
    assert 2 <= before < finished(tmp_path / "runs") == 8
    assert rows_without_times(tmp_path / "tables.json") == rows_without_times(uninterrupted / "tables.json")


def finished(folder):
    return sum(path.read_bytes().count(b"\n") for path in folder.rglob(ITEMS_FILE))
