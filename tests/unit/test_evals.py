"""The evaluation scripts run as they are documented, on a few problems."""

import importlib.util
import json

import pytest

from evals import agents, blocksworld, blocksworld_plot, intercode_sql
from evals.common import RESULTS
from langchain_linvit.environments.intercode import sql_tasks
from langchain_linvit.evaluation import Row


def test_blocksworld_writes_a_row_for_every_method(tmp_path, capsys):
    file = tmp_path / "rows.json"
    blocksworld.main(["--limit", "2", "--priors", "novice-0", "--json", str(file)])
    content = json.loads(file.read_text())
    assert content["benchmark"] == "blocksworld"
    rows = [Row.model_validate(row) for row in content["rows"]]
    assert {(row.method, row.value) for row in rows if row.prior == "novice-0"} == {
        ("greedy", None),
        ("slinvit", "rules"),
        ("slinvit", "llm_rules"),
        ("slinvit", "critic"),
        ("slinvit", "rollouts"),
        ("best_of_n", "critic"),
    }
    assert {row.method for row in rows if row.prior == "none"} == {"breadth_first", "beam_search"}
    assert all(row.n == 2 and row.errors == 0 for row in rows)
    assert "novice-0" in capsys.readouterr().out
    blocksworld_plot.main(["--results", str(file)])
    assert "| slinvit | novice-0 | rollouts |" in capsys.readouterr().out
    assert file.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_best_of_n_spends_no_more_than_slinvit(tmp_path):
    file = tmp_path / "rows.json"
    blocksworld.main(["--limit", "3", "--priors", "novice-2", "--json", str(file)])
    rows = {(row["method"], row["value"]): row for row in json.loads(file.read_text())["rows"]}
    assert rows["best_of_n", "critic"]["llm_calls"] <= rows["slinvit", "rollouts"]["llm_calls"]


def test_step_6_is_solved_by_the_rule_value(benchmark_data, tmp_path):
    problems = benchmark_data / "blocksworld" / "rap" / "step_6.json"
    file = tmp_path / "rows.json"
    blocksworld.main(["--problems", str(problems), "--limit", "12", "--priors", "--json", str(file)])
    rows = {row["method"]: row for row in json.loads(file.read_text())["rows"]}
    assert rows["slinvit"]["success"] == 1.0
    assert rows["slinvit"]["unique_states"] < rows["slinvit (paper's k=2)"]["unique_states"]


@pytest.mark.parametrize("file", sorted(RESULTS.glob("blocksworld*.json")), ids=lambda file: file.name)
def test_committed_results_are_rows(file):
    content = json.loads(file.read_text())
    assert [Row.model_validate(row) for row in content["rows"]]


@pytest.mark.skipif(importlib.util.find_spec("intercode") is None, reason="intercode-bench is not installed")
def test_intercode_sql_scores_golds_replays_logs_and_compares_decisions(tmp_path, capsys):
    tasks = sql_tasks()[:3]
    log = [
        {"task_id": int(task.id), "query": task.text, "actions": ["SELECT 'wrong'", task.data["gold"]],
         "observations": ["", ""], "rewards": [0.0, 1.0]}
        for task in tasks
    ]  # fmt: skip
    (tmp_path / "sql_react.json").write_text(json.dumps(log))
    file = tmp_path / "rows.json"
    intercode_sql.main(["--limit", "3", "--recorded", str(tmp_path / "sql_react.json"), "--json", str(file)])
    rows = {(row["method"], row.get("value")): row for row in json.loads(file.read_text())["rows"]}
    assert rows["gold", None]["solved"] == 3
    assert rows["gold", None]["golds_below_1"] == rows["gold", None]["wrong_answers_at_1"] == []
    assert (rows["replay", None]["solved"], rows["replay", None]["n"]) == (6, 6)
    assert rows["ReAct (log)", None]["solved"] == 3
    assert rows["slinvit", "oracle"]["solved"] == 3
    assert rows["slinvit", "oracle"]["llm_calls"] == 10
    assert "wrong answers at 1: []" in capsys.readouterr().out


def test_agents_are_compared_with_and_without_the_middleware(tmp_path, capsys):
    file = tmp_path / "rows.json"
    agents.main(["--limit", "2", "--json", str(file)])
    rows = json.loads(file.read_text())["rows"]
    searches = ["agent + SLINVIT, candidates=None", "agent + SLINVIT"]
    assert [row["method"] for row in rows] == ["agent", "agent, temperature 0", *searches] * 2
    assert all(row["errors"] == 0 and row["n"] == 2 for row in rows)
    assert (
        sum(row["solved"] for row in rows if row["value"]) > sum(row["solved"] for row in rows if not row["value"]) / 2
    )
    assert "agent + SLINVIT" in capsys.readouterr().out


@pytest.mark.skipif(importlib.util.find_spec("intercode") is None, reason="intercode-bench is not installed")
def test_sql_agents_answer_from_a_recording(tmp_path):
    tasks = sql_tasks()[:2]
    log = [
        {"task_id": int(task.id), "query": task.text, "actions": [task.data["gold"]] * 3 + ["SELECT 'wrong'"]}
        for task in tasks
    ]
    (tmp_path / "sql.json").write_text(json.dumps(log))
    file = tmp_path / "rows.json"
    agents.main(["--limit", "2", "--recorded", str(tmp_path / "sql.json"), "--json", str(file)])
    rows = {row["method"]: row for row in json.loads(file.read_text())["rows"] if row["problems"] == "intercode-sql"}
    assert rows["agent + SLINVIT"]["solved"] == 2
    assert rows["agent"]["llm_calls"] == 3  # an answer, its submission, and a word
