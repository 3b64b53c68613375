"""The mysql backend with writes: every fork has its own, and nothing is ever committed, whatever is tried."""

import importlib.util
import re
import threading

import pytest

from langchain_linvit.environments.base import Task
from langchain_linvit.environments.intercode import SqlEnvironment, SqlLimits
from langchain_linvit.environments.intercode.mysql_session import _require_privileges, require_transactions
from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.testing import check_environment

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(importlib.util.find_spec("mysql") is None, reason="the extra `intercode` is not installed"),
]
TASK = Task(id="t", text="Rename the lion.", data={"db": "zoo", "gold": "SELECT Name FROM animal WHERE Weight > 100"})
COUNT = "SELECT COUNT(*) FROM animal"


@pytest.fixture
def environment(mysql_writer_dsn):
    environment = SqlEnvironment(backend="mysql", dsn=mysql_writer_dsn, writes=True, limits=SqlLimits(seconds=2.0))
    environment.reset(TASK)
    yield environment
    environment.close()


def answer(environment, query=COUNT):
    return environment.step(query).observation.splitlines()[-1]


def test_writes_stay_in_their_fork_and_end_with_a_reset(environment):
    assert environment.step("DELETE FROM animal WHERE ID > 2").observation == "OK, 2 rows changed"
    fork = environment.fork()
    fork.step("DELETE FROM animal")
    environment.step("INSERT INTO animal (ID, Name) VALUES (9, 'Yak')")
    assert (answer(fork), answer(environment), answer(environment.fork())) == ("0", "3", "3")
    other = environment.spawn()
    other.reset(TASK)
    assert answer(other) == "4"
    environment.reset(TASK)
    assert answer(environment) == "4"


def test_automatic_numbers_are_those_of_the_episode(environment):
    for _ in range(2):
        environment.reset(TASK)
        environment.step("INSERT INTO keeper (Name) VALUES ('Ann'), ('Bob')")
        environment.step("insert ignore into zoo.keeper (Name) values ('Cleo')")
        assert answer(environment, "SELECT GROUP_CONCAT(Keeper_ID ORDER BY 1) FROM keeper") == "1,2,3,4,5"
        assert answer(environment.fork(), "SELECT MAX(Keeper_ID) FROM keeper") == "5"


def test_snapshots_carry_the_writes(environment):
    environment.step("USE park")
    environment.step("INSERT INTO tree VALUES ('ash')")
    environment.step("USE zoo")
    again = environment.spawn()
    again.restore(environment.snapshot())
    assert again.state_key() == environment.state_key()
    assert answer(again, "SELECT COUNT(*) FROM park.tree") == "3"


def test_a_statement_that_fails_leaves_the_writes_as_they_were(environment):
    environment.step("DELETE FROM animal WHERE ID = 1")
    assert "Duplicate entry" in environment.step("INSERT INTO animal (ID) VALUES (7), (2)").error
    assert "more than 2 s" in environment.step("UPDATE animal SET Weight = SLEEP(9)").error
    assert answer(environment) == "3"


def test_the_verdict_compares_with_the_pristine_database(environment):
    pytest.importorskip("intercode")
    environment.step("DELETE FROM animal WHERE ID = 2")
    environment.step(TASK.data["gold"])
    assert environment.evaluate().score == 0.5


COMMITTING = {
    "commit": "COMMIT",
    "begin": "BEGIN",
    "create": "CREATE TABLE t (a INT)",
    "truncate": "TRUNCATE animal",
    "lock": "LOCK TABLES animal WRITE",
    "execute immediate": "EXECUTE IMMEDIATE 'COMMIT'",
    "end the XA transaction": "XA END 'x'",
    "compound": "BEGIN NOT ATOMIC COMMIT; END",
    "autocommit": "SET autocommit = 1",
    "set for a statement": "SET STATEMENT max_statement_time = 0 FOR COMMIT",
    "analyze that executes": "ANALYZE DELETE FROM animal",
    "a comment that executes": "/*!COMMIT*/",
    "stacked": "DELETE FROM animal; COMMIT",
    "write a file": "SELECT 1 INTO OUTFILE '/tmp/linvit-stolen'",
    "another's rows": "DELETE FROM mysql.user",
}


@pytest.mark.parametrize("guarded", [True, False], ids=["with the first look", "by the server alone"])
@pytest.mark.parametrize("attack", COMMITTING)
def test_nothing_is_ever_committed(attack, guarded, environment, monkeypatch):
    """The look at the first word is a courtesy: without it the server's own rules hold."""
    environment.step("DELETE FROM animal WHERE ID = 1")
    with monkeypatch.context() as patch:
        if not guarded:
            patch.setattr(type(environment._session), "beginnings", re.compile(""))
        environment.step(COMMITTING[attack])
    assert answer(environment) == "3", "the episode goes on"
    environment.reset(TASK)
    assert answer(environment) == "4"


def test_forks_write_in_threads_at_once(environment):
    environment.step("DELETE FROM animal WHERE ID = 1")
    found = []

    def write(number):
        fork = environment.fork()
        fork.step(f"UPDATE animal SET Weight = {number}")
        found.append(answer(fork, "SELECT MAX(Weight) FROM animal") == f"{number}.0000")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 8


def test_the_environment_keeps_the_contract(mysql_writer_dsn):
    check_environment(
        lambda: SqlEnvironment(backend="mysql", dsn=mysql_writer_dsn, writes=True),
        TASK.model_copy(update={"data": {"db": "zoo"}}),
        other_task=Task(id="trees", text="How many trees?", data={"db": "park"}),
        actions=["SELECT Name FROM animal", "UPDATE animal SET Weight = Weight + 1", "DELETE FROM animal WHERE ID = 1",
                 "INSERT INTO keeper (Name) VALUES (NULL)", "USE park", "DROP TABLE animal", "submit"],
        steps=4,
    )  # fmt: skip


def test_users_and_tables_that_do_not_fit_are_refused(mysql_writer_dsn, monkeypatch):
    with pytest.raises(InvalidSettingError, match="may do more than read \\(DELETE, INSERT, UPDATE\\)"):
        SqlEnvironment(backend="mysql", dsn=mysql_writer_dsn)
    with pytest.raises(InvalidSettingError, match="needs a MySQL user with INSERT"):
        _require_privileges(["GRANT SELECT ON `zoo`.* TO `a`@`%`"], writes=True)
    with pytest.raises(InvalidSettingError, match="more than read and write rows \\(CREATE\\)"):
        _require_privileges(["GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON `zoo`.* TO `a`@`%`"], writes=True)
    monkeypatch.setattr(
        "langchain_linvit.environments.intercode.mysql_session.rows_of",
        lambda *_: [("zoo", "log", "MyISAM"), ("mysql", "db", "Aria")],
    )
    with pytest.raises(InvalidSettingError, match=r"can't be undone.*zoo.log \(MyISAM\); use ENGINE=InnoDB"):
        require_transactions(None)
