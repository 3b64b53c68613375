import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evals import paper_figure4, paper_figure5, paper_page, paper_tables
from evals.common import RESULTS
from evals.paper.benchmarks import BENCHMARKS, CHOSEN, Scope, benchmark
from evals.paper.runs import collected
from evals.paper.verdicts import Verdict, sentences, verdicts
from evals.paper_settings import GRIDS, with_choice
from langchain_linvit.errors import InvalidSettingError
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
    paper_tables.main([*SMALL, *arguments, "--report", str(folder / "report.html")])
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


def test_the_report_opens_every_run_and_puts_slinvit_first(uninterrupted):
    page = (uninterrupted / "report.html").read_text()
    assert "slinvit" in page
    assert page.index("slinvit") < page.index("best_of_n")


def test_the_searches_have_the_settings_that_were_chosen_on_generated_problems():
    rows = json.loads((RESULTS / "paper_settings.json").read_text())["rows"]
    assert list(with_choice(rows)) == rows
    assert len(rows) == sum(len(grid) for methods in GRIDS.values() for grid in methods.values())
    for row in rows:
        if row["chosen"]:
            assert CHOSEN[row["benchmark"].split("-")[0]][row["method"]].items() >= row["settings"].items()


def test_figures_are_drawn_from_results_alone(uninterrupted, tmp_path):
    pytest.importorskip("matplotlib")
    results = tmp_path / "tables.json"
    results.write_bytes((uninterrupted / "tables.json").read_bytes())
    paper_figure4.main(["--results", str(results)])
    paper_figure5.main(["--results", str(results)])
    for name in ("paper_figure4.png", "paper_figure5.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_figures_refuse_other_results(tmp_path):
    (tmp_path / "other.json").write_text('{"rows": []}')
    with pytest.raises(InvalidSettingError, match="holds no results of"):
        paper_figure4.main(["--results", str(tmp_path / "other.json")])


def test_the_page_holds_the_tables_of_its_results(uninterrupted, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{paper_page.BEGIN}\nold\n{paper_page.END}\nafter\n")
    paper_page.main(["--results", str(uninterrupted / "tables.json"), "--page", str(page)])
    text = page.read_text()
    assert text.startswith("before")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| slinvit | rules |" in text
    assert "≤ 8 completions: slinvit is" in text


def test_a_page_without_marks_is_left_alone(uninterrupted, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("nothing")
    with pytest.raises(InvalidSettingError, match="needs the lines"):
        paper_page.main(["--results", str(uninterrupted / "tables.json"), "--page", str(page)])
    assert page.read_text() == "nothing"


@pytest.mark.skipif(not (RESULTS / "paper_tables.json").exists(), reason="no results of the whole run are committed")
def test_the_committed_page_says_what_the_committed_results_say():
    content = paper_page.tables(*paper_page.read(RESULTS / "paper_tables.json"))
    assert paper_page.with_tables(paper_page.PAGE.read_text(), content) == paper_page.PAGE.read_text()


def verdict(against, only_ours, only_theirs, p_value):
    difference = (only_ours - only_theirs) / 20
    fields = {"only_ours": only_ours, "only_theirs": only_theirs, "p_value": p_value, "difference": difference}
    return Verdict(benchmark="b", completions=8, against=against, n=20, **fields)


def test_a_difference_counts_only_where_the_test_says_so():
    found = [verdict("a", 9, 0, 0.004), verdict("b", 2, 1, 1.0), verdict("c", 0, 8, 0.008)]
    assert [each.standing for each in found] == ["ahead", "level", "behind"]
    assert sentences(found) == [
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
