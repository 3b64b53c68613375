"""Recorded and scripted InterCode models: shares, formats, and what they refuse."""

import json
import lzma
import math
from collections import Counter

import pytest
from langchain_core.messages import HumanMessage, ToolMessage

from langchain_linvit.environments.base import Task
from langchain_linvit.environments.intercode import SqlEnvironment
from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.models.intercode import BASH_SCRIPTS, SQL_SCRIPTS, intercode_model
from langchain_linvit.models.recorded import NOTHING_RECORDED, RecordedChatModel, Recording, answers_only
from langchain_linvit.planner import create_slinvit_planner
from langchain_linvit.prompts import block
from tests.unit.intercode_small import DUMP

QUESTION = "Which animals are heavy?"
ACTIONS = [
    "SHOW TABLES",
    "SELECT Name FROM animal WHERE Weight > 100",
    "```sql\nSELECT 1;\n```",
    "execute[SELECT 1]",
    "submit",
]


def log_of(actions, question=QUESTION):
    return {"task_id": 0, "query": question, "actions": actions, "observations": ["secret"] * 9, "rewards": [1.0] * 9}


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.json.xz"
    path.write_bytes(lzma.compress(json.dumps([log_of(ACTIONS)]).encode()))
    return path


def prompt(question=QUESTION, kind="next action", state="No query was run yet."):
    return [HumanMessage(f"{block('goal', question)}\n{block('state', state)}\n## Request: {kind}\nWhich?")]


def shares(model, *messages):
    return dict(model.policy(list(messages) or prompt(), []))


def test_actions_are_proposed_with_their_counts(log):
    assert shares(RecordedChatModel.from_logs(log)) == {
        "Action: SHOW TABLES": 1.0,
        "Action: SELECT Name FROM animal WHERE Weight > 100": 1.0,
        "Action: SELECT 1": 1.0,
        "Action: SELECT 1;": 1.0,
        "Action: submit": 1.0,
    }
    assert set(shares(RecordedChatModel.from_logs(log, keep=answers_only))) == {
        "Action: SELECT Name FROM animal WHERE Weight > 100", "Action: SELECT 1", "Action: SELECT 1;",
    }  # fmt: skip


def test_samples_follow_the_shares(tmp_path):
    path = tmp_path / "log.json"
    path.write_text(json.dumps([log_of(["a", "a", "a", "b"])]))
    model = RecordedChatModel.from_logs(path)
    texts = Counter(g.text for g in model.generate([prompt()], n=100, seed=1).generations[0])
    assert 60 < texts["Action: a"] < 90
    assert texts["Action: a"] + texts["Action: b"] == 100
    answer = model.invoke(prompt(), logprobs=True, temperature=1.0)
    total = sum(entry["logprob"] for entry in answer.response_metadata["logprobs"]["content"])
    assert math.isclose(total, math.log(0.75 if answer.text.endswith("a") else 0.25))


@pytest.mark.parametrize("shape", ["keyed", "under logs", "list"])
def test_every_format_of_intercode_is_read_and_files_add_up(shape, tmp_path):
    history = {"query": QUESTION, "turn_history": {"actions": ["a"], "rewards": [1]}}
    content = {"keyed": {"0": history}, "under logs": {"meta": {}, "logs": {"0": history}}, "list": [log_of(["a"])]}[
        shape
    ]
    path = tmp_path / "log.json"
    path.write_text(json.dumps(content))
    assert Recording.load([path, path]).of("  which animals ARE heavy? ") == Counter({"a": 2})


def test_it_knows_nothing_of_rewards_and_observations(log):
    assert "secret" not in repr(RecordedChatModel.from_logs(log))


@pytest.mark.parametrize("kind", ["plan", "reflect"])
def test_plans_and_reflections_were_not_recorded(kind, log):
    assert shares(RecordedChatModel.from_logs(log), *prompt(kind=kind)) == {NOTHING_RECORDED: 1.0}
    assert shares(intercode_model("sql"), *prompt(kind=kind)) == {NOTHING_RECORDED: 1.0}


def test_what_was_not_recorded_is_an_error(log, tmp_path):
    model = RecordedChatModel.from_logs(log)
    with pytest.raises(InvalidSettingError, match="no action was recorded for the question 'Why"):
        model.invoke(prompt("Why?"))
    with pytest.raises(InvalidSettingError, match="can only propose actions"):
        model.invoke(prompt(kind="judge progress"))
    (tmp_path / "bad.json").write_text('{"0": {"answers": []}}')
    with pytest.raises(InvalidSettingError, match="no InterCode log"):
        RecordedChatModel.from_logs(tmp_path / "bad.json")
    with pytest.raises(InvalidSettingError, match="no InterCode log"):
        RecordedChatModel.from_logs(tmp_path / "absent.json")


def test_scripts_propose_and_then_mostly_submit():
    for kind, scripts in (("sql", SQL_SCRIPTS), ("bash", BASH_SCRIPTS)):
        model = intercode_model(kind)
        assert model.model_name == "intercode-scripted"
        for question, script in scripts.items():
            assert set(shares(model, *prompt(question))) == {f"Action: {action}" for action in script}
            answered = shares(model, *prompt(question, state="Rows of the last query:\n1\nLast output:\n1"))
            assert answered["Action: submit"] == 0.8
            assert math.isclose(sum(answered.values()), 1.0)
    with pytest.raises(InvalidSettingError, match=r"name a chat model.*Find the number"):
        intercode_model("sql").invoke(prompt("Why?"))
    with pytest.raises(InvalidSettingError, match="no scripted proposals for 'c'"):
        intercode_model("c")


def test_agreement_takes_the_rows_that_most_of_the_prior_leads_to(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "dump.sql").write_text(DUMP)
    right = ["SELECT Name FROM animal WHERE Weight > 100", "SELECT Name FROM animal WHERE NOT Weight <= 100"]
    (tmp_path / "log.json").write_text(json.dumps([log_of([*right * 3, *["SELECT Name FROM animal"] * 4, "SELECT x"])]))
    planner = create_slinvit_planner(
        RecordedChatModel.from_logs(tmp_path / "log.json"), SqlEnvironment(dump=tmp_path / "dump.sql"),
        prior="sampled", value="agreement", candidates=60, depth=1, horizon=1, retry_delay=0.0,
    )  # fmt: skip
    result = planner.invoke({"task": Task(id="t", text=QUESTION, data={"db": "zoo"})})["result"]
    assert result.plan[0] in right
    values = {node.text: node.value for node in result.tree if node.value is not None}
    assert values[result.plan[0]] == pytest.approx(0.6, abs=0.15)
    assert values["SELECT Name FROM animal"] == pytest.approx(0.4, abs=0.15)
    assert result.value == "agreement"


def test_a_recorded_model_takes_part_in_an_agents_conversation(log):
    model = RecordedChatModel.from_logs(log, keep=answers_only).bind_tools([execute_sql, submit])
    asked = [HumanMessage(QUESTION)]
    first = model.invoke(asked)
    assert first.tool_calls[0]["name"] == "execute_sql"
    answered = [*asked, first, ToolMessage("rows", name="execute_sql", tool_call_id="1")]
    assert model.invoke(answered).tool_calls[0]["name"] == "submit"
    refused = [*asked, first, ToolMessage("Error", name="execute_sql", tool_call_id="1", status="error")]
    assert model.invoke(refused).tool_calls[0]["name"] == "execute_sql"
    assert not model.invoke([*answered, ToolMessage("over", name="submit", tool_call_id="2")]).tool_calls
    with pytest.raises(InvalidSettingError, match="takes one of"):
        RecordedChatModel.from_logs(log).bind_tools([submit]).invoke(asked)


def execute_sql(query: str) -> str:
    """Run a statement."""


def submit() -> str:
    """End the episode."""
