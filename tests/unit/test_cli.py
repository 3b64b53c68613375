"""The command line, run as a user runs it: what it prints, and how it fails."""

import json
import shlex
import sys

import pytest
from experiments import experiment, written

from langchain_linvit import cli
from langchain_linvit.environments.blocksworld import generate_problems
from langchain_linvit.planner import PlanResult

CONTRADICTORY = """(define (problem x) (:domain blocksworld-4ops) (:objects a b)
(:init (handempty) (ontable a) (on b a) (clear b)) (:goal (and (on a b) (on b a))))"""


def run(monkeypatch, capsys, *arguments):
    """Exit status, standard output and standard error of `linvit ARGUMENTS`."""
    monkeypatch.setattr(sys, "argv", ["linvit", *map(str, arguments)])
    status = 0
    try:
        cli.main()
    except SystemExit as stop:
        status = stop.code or 0
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
def linvit(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments: run(monkeypatch, capsys, *arguments)


def test_solves_out_of_the_box(linvit):
    status, out, _ = linvit("solve", "blocksworld")
    assert status == 0
    assert "solved" in out
    assert "accounting" in out
    assert "V 1.00" in out


def test_demo_plans_three_problems(linvit):
    status, out, _ = linvit("demo")
    assert status == 0
    assert out.count("The model alone:") == 3
    assert out.count("completions") == 3


def test_plans_a_pddl_file_and_writes_json(linvit, tmp_path):
    problem, result_file = tmp_path / "problem.pddl", tmp_path / "result.json"
    problem.write_text(generate_problems(blocks=4, steps=4, count=1, seed=5)[0].text)
    status, _, _ = linvit("solve", "blocksworld", "--problem", problem, "--json", result_file, "--no-tree")
    assert status == 0
    result = PlanResult.model_validate(json.loads(result_file.read_text()))
    assert result.solved
    assert len(result.plan) == 4


def test_the_same_seed_prints_the_same_plan(linvit, tmp_path):
    plans = []
    for name in ("a.json", "b.json"):
        linvit("solve", "blocksworld", "--value", "rollouts", "--candidates", 3, "--depth", 1, "--seed", 7,
               "--json", tmp_path / name)  # fmt: skip
        plans.append(json.loads((tmp_path / name).read_text())["plan"])
    assert plans[0] == plans[1]


def test_a_budget_is_reported_and_fails_honestly(linvit):
    status, out, _ = linvit("solve", "blocksworld", "--max-completions", 2, "--value", "critic")
    assert status == 1
    assert "budget exhausted" in out


def test_the_model_may_try_alone_first(linvit, tmp_path):
    status, _, _ = linvit("solve", "blocksworld", "--policy-rollouts", 30, "--json", tmp_path / "result.json")
    result = json.loads((tmp_path / "result.json").read_text())
    assert status == 0
    assert {step["provenance"] for step in result["trajectory"]} == {"rollout"}


def test_presets_take_the_hand_written_rules(linvit):
    status, out, _ = linvit("solve", "blocksworld", "--preset", "paper-blocksworld-6", "--no-tree")
    assert status == 0
    assert "│ rules" in out


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Folders `results/slinvit` and `results/greedy` below the current one."""
    monkeypatch.chdir(tmp_path)
    for method in ("slinvit", "greedy"):
        written(experiment(method), tmp_path / "results" / method)


def test_compares_folders_of_results(linvit, results, tmp_path):
    status, out, _ = linvit(
        *shlex.split("compare results/slinvit results/greedy --by optimal_steps --json difference.json")
    )
    assert status == 0
    assert "success of slinvit against greedy, by optimal_steps" in out
    (pair,) = json.loads((tmp_path / "difference.json").read_text())["against"]
    assert pair["mcnemar"]["only_first"] == 8


def test_reports_folders_of_results(linvit, results, tmp_path):
    status, out, _ = linvit(
        *shlex.split("report results/slinvit results/greedy --out report.html --markdown report.md")
    )
    assert status == 0
    assert "report.html" in out
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "slinvit against greedy" in (tmp_path / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["solve", "nowhere"], "no application 'nowhere'"),
        (["solve", "blocksworld", "--problem", "missing.pddl"], "missing.pddl"),
        (["solve", "blocksworld", "--problem", "BAD"], "bad.pddl"),
        (["solve", "blocksworld", "--problem", "IMPOSSIBLE"], "impossible.pddl"),
        (["solve", "blocksworld", "--model", "nobody:none"], "nobody"),
        (["solve", "blocksworld", "--model", "openai:gpt-4o-mini"], "OPENAI_API_KEY"),
        (["solve", "blocksworld", "--breadth", "0"], "breadth=0"),
        (["solve", "blocksworld", "--value", "magic"], "no value estimator 'magic'"),
        (["solve", "blocksworld", "--preset", "none"], "no preset 'none'"),
        (["solve", "blocksworld", "--task", "99"], "no task '99'"),
        (["solve", "blocksworld", "--max-tokens", "-1"], "--max-tokens must be at least 0"),
        (["solve", "blocksworld", "--json", "/nowhere/at/all.json"], "can't be written"),
        (["compare", "somewhere"], "two folders of results or more"),
        (["compare", "somewhere", "nowhere"], "no experiment in somewhere"),
        (["report", "somewhere"], "--out report.html"),
        (["report", "somewhere", "--out", "report.html"], "no experiment in somewhere"),
    ],
)
def test_bad_input_is_one_line_and_a_status(linvit, tmp_path, monkeypatch, arguments, message):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr("langchain_linvit.display.plain.__defaults__", (600,))
    bad, impossible = tmp_path / "bad.pddl", tmp_path / "impossible.pddl"
    bad.write_text("(define (problem x)")
    impossible.write_text(CONTRADICTORY)
    paths = {"BAD": bad, "IMPOSSIBLE": impossible}
    status, _, err = linvit(*(paths.get(argument, argument) for argument in arguments))
    assert status == 2
    assert message in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) <= 4


@pytest.mark.parametrize("arguments", [["solve"], ["fly"], ["solve", "blocksworld", "--depth", "two"]])
def test_wrong_usage_is_explained(linvit, arguments):
    status, _, err = linvit(*arguments)
    assert status == 2
    assert "Usage" in err


# experiments


def test_evaluates_methods_side_by_side_and_resumes(linvit, tmp_path):
    command = ["eval", "blocksworld", "--method", "slinvit", "--method", "greedy", "--limit", 3, "--out", tmp_path]
    status, out, _ = linvit(*command)
    assert status == 0
    assert "blocksworld, 3 tasks" in out
    assert [line.split("│")[1].strip() for line in out.splitlines() if "novice" in line] == ["slinvit", "greedy"]
    written = [(tmp_path / name / "items.jsonl").read_text() for name in ("slinvit", "greedy")]
    assert linvit(*command)[1] == out
    assert [(tmp_path / name / "items.jsonl").read_text() for name in ("slinvit", "greedy")] == written


def test_evaluation_writes_a_report(linvit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = "--method slinvit --method greedy --limit 6 --budget 40 --out runs --report report.html"
    status, _, _ = linvit("eval", "blocksworld", *options.split())
    assert status == 0
    assert "Content-Security-Policy" in (tmp_path / "report.html").read_text()


def test_evaluation_takes_a_split_a_budget_a_value_and_repetitions(linvit, tmp_path):
    status, _, _ = linvit("eval", "blocksworld", "--split", "step_4", "--limit", 2, "--budget", 6, "--value", "critic",
                          "--repetitions", 2, "--seed", 3, "--concurrency", 2, "--out", tmp_path)  # fmt: skip
    info = json.loads((tmp_path / "slinvit" / "experiment.json").read_text())
    assert status == 0
    assert (info["budget"]["completions"], info["value"], info["repetitions"], info["seed"]) == (6, "critic", 2, 3)
    assert len(info["items"]) == 2


def test_evaluation_says_why_nothing_could_be_run(linvit):
    status, out, _ = linvit("eval", "blocksworld", "--limit", 2, "--method", "best_of_n")
    assert status == 1
    assert "2 failed: InvalidSettingError: best-of-n needs n=" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["eval", "chess"], "no application 'chess'"),
        (["eval", "blocksworld", "--method", "magic", "--limit", "1"], "no method 'magic'"),
        (["eval", "blocksworld", "--split", "step_5"], "step_2, step_4, step_6"),
        (["eval", "blocksworld", "--limit", "0"], "limit is 0"),
        (["eval", "blocksworld", "--limit", "1", "--value", "magic"], "no value estimator 'magic'"),
        (["eval", "blocksworld", "--limit", "1", "--repetitions", "0"], "must be at least 1"),
        (["eval", "blocksworld", "--data", "nowhere.json"], "nowhere.json"),
    ],
)
def test_bad_input_of_an_evaluation_is_one_line_and_a_status(linvit, arguments, message):
    status, _, err = linvit(*arguments)
    assert status == 2
    assert message in " ".join(err.split())
    assert "Traceback" not in err
