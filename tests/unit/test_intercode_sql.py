"""InterCode-SQL as an environment: episodes, forks, snapshots, parsing, tools."""

import gc
import importlib.util
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from langchain_linvit.cli import app
from langchain_linvit.environments.base import Task
from langchain_linvit.environments.intercode import BashEnvironment, SandboxUnavailable, SqlEnvironment, sql_tasks
from langchain_linvit.errors import EnvironmentStateError, InvalidSettingError, InvalidTaskError, MissingDependencyError
from langchain_linvit.testing import check_environment
from tests.unit.intercode_small import DUMP

needs_package = pytest.mark.skipif(
    importlib.util.find_spec("intercode") is None, reason="intercode-bench is not installed (extra `intercode`)"
)
TASK = Task(
    id="weights",
    text="What are the names of the animals that weigh more than 100?",
    data={"db": "zoo", "gold": "SELECT Name FROM animal WHERE Weight > 100"},
)


@pytest.fixture
def environment(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    dump = tmp_path / "dump.sql"
    dump.write_text(DUMP)
    environment = SqlEnvironment(dump=dump)
    environment.reset(TASK)
    yield environment
    environment.close()


def test_an_observation_is_a_table_with_a_note_of_what_is_cut(environment):
    transition = environment.step("SELECT ID, Name FROM animal")
    assert transition.observation.splitlines() == ["ID | Name", "1 | Lion", "2 | lion", "3 | Ant", "4 | NULL"]
    many = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 50) SELECT x FROM c"
    assert environment.step(many).observation.endswith("20\n(30 more rows, 50 in all)")


def test_a_failed_statement_is_an_error_and_leaves_the_state(environment):
    environment.step("SELECT 1")
    before = (environment.state_key(), environment.state_text())
    transition = environment.step("SELECT absent FROM animal")
    assert "no such column: absent" in transition.error
    assert transition.observation == transition.error
    assert (environment.state_key(), environment.state_text()) == before


def test_submit_ends_the_episode_and_tells_nothing(environment):
    environment.step(TASK.data["gold"])
    transition = environment.fork().step("submit")
    assert (transition.done, transition.solved, transition.reward) == (True, None, 0.0)
    environment.step("submit;")
    assert "over" in environment.step("SELECT 1").error


def test_every_episode_starts_from_the_pristine_database(environment):
    environment.step("DROP TABLE animal")
    environment.reset(TASK)
    assert environment.step("SELECT COUNT(*) FROM animal").observation == "COUNT(*)\n4"


def test_forks_are_isolated_in_both_directions(environment):
    fork = environment.fork()
    fork.step("DELETE FROM animal")
    assert environment.step("SELECT COUNT(*) FROM animal").observation.endswith("4")
    environment.step("DROP TABLE animal")
    assert fork.step("SELECT COUNT(*) FROM animal").observation.endswith("0")
    environment.close()
    assert fork.step("SELECT COUNT(*) FROM animal").error is None


def test_snapshots_are_plain_data_and_round_trip(environment):
    environment.step("DELETE FROM animal WHERE ID = 4")
    environment.step("SELECT Name, x'00ff' FROM animal")
    snapshot = json.loads(json.dumps(environment.snapshot()))
    other = environment.spawn()
    other.restore(snapshot)
    assert (other.state_key(), other.state_text()) == (environment.state_key(), environment.state_text())
    with pytest.raises(EnvironmentStateError, match="not a snapshot"):
        other.restore({"task": {}})


def test_equal_rows_have_equal_keys_whatever_the_query(environment):
    other = environment.fork()
    environment.step("SELECT Name FROM animal WHERE Weight > 100")
    other.step("SELECT a.Name AS n FROM animal a WHERE NOT a.Weight <= 100")
    assert environment.state_key() == other.state_key()
    other.step("SELECT Name FROM animal WHERE Weight > 100 ORDER BY ID DESC")
    assert environment.state_key() != other.state_key()


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("SELECT 1", "SELECT 1"),
        ("Action: SELECT 1;", "SELECT 1"),
        ("Action: SELECT `a` FROM `b`", "SELECT `a` FROM `b`"),
        ("Thought: hm\nAction: SELECT a\nFROM b", "SELECT a\nFROM b"),
        ("First:\n```sql\nSELECT 1;\n```\nthen better:\n```sql\nSELECT 2\n```", "SELECT 2"),
        ("Action: execute[SELECT a[1] FROM b]", "SELECT a[1] FROM b"),
        ("Action 3: `SHOW TABLES`", "SHOW TABLES"),
        ("action: Submit.", "submit"),
        ("Action: submit", "submit"),
    ],
)
def test_actions_are_read_from_what_models_write(environment, text, action):
    assert environment.parse_action(text).action == action


def test_an_answer_without_an_action_is_an_error(environment):
    assert "empty" in environment.parse_action("  ").error
    assert "longer" in environment.parse_action("SELECT " + "1" * 30_000).error


def test_tools_render_to_actions_and_back(environment):
    execute, submit = environment.action_tools()
    action = execute.render(execute.args_schema(query="SELECT 1"))
    assert (action, execute.parse(action), submit.parse(action)) == ("SELECT 1", {"query": "SELECT 1"}, None)
    assert submit.parse(submit.render(submit.args_schema())) == {}
    assert execute.parse("submit") is None


def test_tasks_that_cannot_be_set_up_say_why(environment):
    with pytest.raises(InvalidTaskError, match=r"names no database.*Park, zoo"):
        environment.reset("How many?")
    with pytest.raises(InvalidTaskError, match="no database 'x'"):
        environment.reset(Task(id="1", text="?", data={"db": "x"}))
    environment.step("SELECT 1")
    assert environment.task == TASK, "the episode before goes on"


def test_settings_that_contradict_each_other_are_refused(tmp_path):
    with pytest.raises(InvalidSettingError, match="takes no dsn"):
        SqlEnvironment(dsn="mysql://a@b")
    with pytest.raises(InvalidSettingError, match="needs dsn"):
        SqlEnvironment(backend="mysql")
    with pytest.raises(InvalidSettingError, match="'sqlite', 'mysql' or 'docker'"):
        SqlEnvironment(backend="oracle")
    with pytest.raises(InvalidSettingError, match="can't read the dump"):
        SqlEnvironment(dump=tmp_path / "absent.sql")


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"langchain-linvit\[intercode\]"):
        SqlEnvironment()


def test_task_files_are_checked(tmp_path):
    path = tmp_path / "tasks.json"
    path.write_text('[{"query": "How many?", "gold": "SELECT 1", "db": "zoo", "hardness": "easy"}]')
    (task,) = sql_tasks(path)
    assert (task.id, task.data["db"], task.metadata) == ("0", "zoo", {"hardness": "easy"})
    path.write_text('[{"query": "How many?"}]')
    with pytest.raises(InvalidTaskError, match="record 0"):
        sql_tasks(path)


@needs_package
def test_the_verdict_is_intercodes_own(environment):
    def score(*statements):
        environment.reset(TASK)
        for statement in statements:
            environment.step(statement)
        return environment.evaluate().score

    assert score(TASK.data["gold"]) == 1.0
    assert score() == 0.0
    assert score("SELECT Name FROM animal WHERE Weight > 195") == 0.5
    assert score("SELECT Name FROM animal WHERE Weight > 100 ORDER BY ID DESC") == 0.0
    assert score("DELETE FROM animal", "SELECT Name FROM animal") == 0.0, "the gold runs on the pristine database"


@needs_package
def test_every_gold_of_the_package_scores_one_and_a_wrong_answer_less():
    environment = SqlEnvironment()
    tasks = sql_tasks()
    assert len(tasks) == 23
    for task in tasks:
        environment.reset(task)
        assert environment.step(task.data["gold"]).error is None
        assert environment.evaluate().success, task.id
        environment.step("SELECT 'no such answer'")
        assert not environment.evaluate().success, task.id


def test_the_environment_keeps_the_contract(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "dump.sql").write_text(DUMP)
    check_environment(
        lambda: SqlEnvironment(dump=tmp_path / "dump.sql"),
        TASK.model_copy(update={"data": {"db": "zoo"}}),
        other_task=Task(id="trees", text="How many trees?", data={"db": "Park"}),
        actions=[
            "SELECT Name FROM animal",
            "SELECT Name AS n FROM animal -- the same rows",
            "DELETE FROM animal WHERE ID = (SELECT MIN(ID) FROM animal)",
            "INSERT INTO animal VALUES (9, 'Owl', 1.5, NULL)",
            "USE Park",
            "USE zoo",
            "SHOW TABLES",
            "SELECT absent",
            "submit",
        ],
        steps=6,
    )


@needs_package
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # docker-py leaves a socket open
@pytest.mark.skipif(Path("/var/run/docker.sock").exists(), reason="there is a Docker engine")
def test_docker_backends_say_that_there_is_no_engine():
    with pytest.raises(InvalidSettingError, match="container could not be started"):
        SqlEnvironment(backend="docker")
    with pytest.raises(SandboxUnavailable, match="no Docker engine with the image"):
        BashEnvironment(mode="docker")
    gc.collect()


@needs_package
def test_the_command_line_shows_query_rows_and_tree():
    result = CliRunner().invoke(app, ["solve", "intercode-sql", "--task", "3", "--seed", "1"])
    assert result.exit_code == 0
    assert "Goal: Find the major and age of students who do not have a cat pet." in result.output
    assert "600 | 18" in result.output, "the rows of the query that was carried out"
    assert "submit" in result.output
    assert "agreement" in result.output
