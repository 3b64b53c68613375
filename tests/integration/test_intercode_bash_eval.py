"""The evaluation of InterCode-Bash runs as it is documented, on two tasks of the package and two of a small clone."""

import json

import pytest

from evals import intercode_bash
from langchain_linvit.environments.intercode import BashEnvironment, SandboxUnavailable
from langchain_linvit.errors import MissingDependencyError

pytestmark = pytest.mark.integration
TASKS = [
    {"query": "List the files of /files.", "gold": "ls /files"},
    {"query": "Copy a.txt to b.txt in /files.", "gold": "cp /files/a.txt /files/b.txt"},
]


@pytest.fixture
def clone(tmp_path):
    """A folder in the shape of InterCode's repository."""
    try:
        BashEnvironment()
    except (SandboxUnavailable, MissingDependencyError) as error:
        pytest.skip(str(error))
    queries, scripts = tmp_path / "clone" / "data" / "nl2bash", tmp_path / "clone" / "docker" / "bash_scripts"
    queries.mkdir(parents=True)
    scripts.mkdir(parents=True)
    for number in (1, 2, 3, 4):
        (queries / f"nl2bash_fs_{number}.json").write_text(json.dumps(TASKS))
        (scripts / f"setup_nl2b_fs_{number}.sh").write_text("mkdir -p /files && echo alpha > /files/a.txt\n")
    return tmp_path / "clone"


@pytest.fixture
def log(tmp_path):
    """A log of both tasks: one was solved at the second try, the other never."""
    episodes = [
        {"task_id": 0, "query": TASKS[0]["query"], "actions": ["ls /", "ls /files"], "rewards": [0.67, 1.0]},
        {"task_id": 1, "query": TASKS[1]["query"], "actions": ["ls /files", "ls /files"], "rewards": [0.5, 0.5]},
    ]
    file = tmp_path / "bash_gpt_react_10_turns_fs_1.json"
    file.write_text(json.dumps([{**episode, "observations": ["", ""]} for episode in episodes]))
    return file


def test_golds_logs_decisions_and_replays(clone, log, tmp_path, capsys):
    file = tmp_path / "rows.json"
    arguments = ["--limit", "2", "--intercode-dir", str(clone), "--recorded", str(log), "--json", str(file)]
    intercode_bash.main(arguments)
    content = json.loads(file.read_text())
    assert content["settings"]["n"] == 2
    package, repository, *rows = content["rows"]
    for gold in (package, repository):
        assert (gold["method"], gold["solved"], gold["n"]) == ("gold", 2, 2)
        assert gold["golds_below_1"] == gold["golds_at_1_later"] == gold["wrong_answers_at_1"] == []
    by_method = {(row["method"], row.get("value")): row for row in rows}
    from_log = by_method["ReAct (log)", None]
    assert (from_log["solved"], from_log["success_1"], from_log["note"]) == (1, 0.5, "")
    oracle = by_method["slinvit", "oracle"]
    assert (oracle["solved"], oracle["llm_calls"], oracle["errors"]) == (1, 10, 0)
    assert by_method["slinvit", "agreement"]["n"] == 2
    replay = by_method["replay", None]
    assert replay["n"] == 4
    assert [row["task"] for row in replay["different"]] == ["fs1-1", "fs1-1"], "the log's rewards there are made up"
    assert "golds below 1: []" in capsys.readouterr().out
