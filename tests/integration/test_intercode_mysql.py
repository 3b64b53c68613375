"""The mysql backend of InterCode-SQL on a private MariaDB server: reading only, whatever is tried."""

import importlib.util
import re
import threading
import time
from urllib.parse import urlsplit

import pytest

from langchain_linvit.environments.base import Task
from langchain_linvit.environments.intercode import SqlEnvironment, SqlLimits
from langchain_linvit.environments.intercode.mysql_session import connect
from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.testing import check_environment

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(importlib.util.find_spec("mysql") is None, reason="the extra `intercode` is not installed"),
]
TASK = Task(
    id="t", text="Which animals are heavy?", data={"db": "zoo", "gold": "SELECT Name FROM animal WHERE Weight > 100"}
)
LIMITS = SqlLimits(seconds=1.0, rows=500, result_bytes=100_000)
ROWS = "animal a, animal b, animal c, animal d, animal e, animal f, animal g, animal h, animal i, animal j"

ATTACKS = {
    "delete": ("DELETE FROM animal", "may only be read"),
    "delete behind WITH": ("WITH a AS (SELECT 1) DELETE FROM animal", "syntax|denied"),
    "drop a table": ("DROP TABLE animal", "may only be read"),
    "create behind EXPLAIN": ("EXPLAIN DELETE FROM animal", "denied"),
    "analyze that executes": ("ANALYZE FORMAT=JSON DELETE FROM animal", "may only be read"),
    "write a file": ("SELECT Name FROM animal INTO OUTFILE '/tmp/linvit-stolen'", "denied"),
    "dump a file": ("SELECT 'x' INTO DUMPFILE '/tmp/linvit-stolen'", "denied"),
    "load a file": ("LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE animal", "may only be read"),
    "stacked statements": ("SELECT 1; DELETE FROM animal", "syntax"),
    "conditional comment": ("SELECT 1 /*! ; DELETE FROM animal */", "syntax"),
    "lift the time limit": ("SET STATEMENT max_statement_time = 0 FOR SELECT SLEEP(30)", "may only be read"),
    "make it writable": ("SET SESSION TRANSACTION READ WRITE", "may only be read"),
    "read the users": ("SELECT * FROM mysql.user", "denied"),
    "read the password hashes": ("SELECT authentication_string FROM mysql.global_priv", "denied|Unknown column"),
    "kill connections": ("KILL 1", "may only be read"),
    "call a procedure": ("CALL mysql.AddGeometryColumn('a', 'b', 'c', 'd', 1)", "may only be read"),
    "lock tables": ("LOCK TABLES animal WRITE", "may only be read"),
    "lock rows": ("SELECT * FROM animal FOR UPDATE", "denied|READ ONLY|read only"),
    "sleep": ("SELECT SLEEP(30)", "more than 1 s"),
    "cross join of everything": (f"SELECT SUM(a.Weight) FROM {ROWS}, animal k, animal l, animal m", "more than 1 s"),
    "a million rows": (f"SELECT a.ID FROM {ROWS}", "more than 500 rows"),
    "a million rows with a LIMIT": (f"SELECT a.ID FROM {ROWS} LIMIT 1000000", "more than 500 rows"),
    "a large result": (f"SELECT REPEAT('x', 90000) FROM {ROWS} LIMIT 400", "larger than"),
}  # fmt: skip


@pytest.fixture
def environment(mysql_dsn):
    environment = SqlEnvironment(backend="mysql", dsn=mysql_dsn, limits=LIMITS)
    environment.reset(TASK)
    yield environment
    environment.close()


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_are_stopped_and_change_nothing(attack, environment):
    statement, reason = ATTACKS[attack]
    began = time.monotonic()
    transition = environment.step(statement)
    assert transition.error is not None, transition.observation[:200]
    assert re.search(reason, transition.error), transition.error
    assert time.monotonic() - began < 15
    assert environment.step("SELECT COUNT(*) FROM animal").observation.endswith("\n4"), "the session goes on working"


SILENT = {
    "read a file": ("SELECT LOAD_FILE('/etc/passwd')", "NULL"),
    "a value of 100 MB": ("SELECT REPEAT('a', 100000000)", "NULL"),
    "burn time": ("SELECT BENCHMARK(1000000000, SHA2('a', 512))", "0"),
    "endless recursion": (
        "WITH RECURSIVE c AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM c) SELECT MAX(x) FROM c", "1001"),
}  # fmt: skip


@pytest.mark.parametrize("attack", SILENT)
def test_what_the_server_stops_silently_gives_nothing(attack, environment):
    statement, answer = SILENT[attack]
    began = time.monotonic()
    assert environment.step(statement).observation.splitlines()[-1] == answer
    assert time.monotonic() - began < 15


def test_nothing_that_a_statement_sets_reaches_the_next(environment):
    environment.step("SELECT @x := 5")
    assert environment.step("SELECT @x").observation.endswith("NULL")
    assert environment.fork().step("SELECT @x").observation.endswith("NULL")


def test_users_that_may_do_more_than_read_are_refused(mysql_dsn):
    """The grants decide, not the DSN's name: here those of an administrator are made up."""
    from langchain_linvit.environments.intercode.mysql_session import _require_privileges

    for grant in [
        "GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION",
        "GRANT SELECT, FILE ON *.* TO `a`@`%`",
        "GRANT SELECT ON `zoo`.* TO `a`@`%` WITH GRANT OPTION",
        "GRANT `admin` TO `a`@`%`",
    ]:
        with pytest.raises(InvalidSettingError, match="may do more than read"):
            _require_privileges(["GRANT USAGE ON *.* TO `a`@`%`", grant], writes=False)


def test_a_wrong_dsn_is_named(mysql_dsn):
    with pytest.raises(InvalidSettingError, match="must look like"):
        SqlEnvironment(backend="mysql", dsn="postgres://a@b")
    parts = urlsplit(mysql_dsn)
    with pytest.raises(InvalidSettingError, match="no connection to MySQL"):
        connect(f"mysql://{parts.username}:wrong@{parts.hostname}:{parts.port}")


def test_the_dump_s_own_administrator_was_not_made(mysql_dsn):
    parts = urlsplit(mysql_dsn)
    with pytest.raises(InvalidSettingError, match="no connection"):
        connect(f"mysql://admin:admin@{parts.hostname}:{parts.port}")


def test_environments_run_in_threads_at_once(environment):
    found = []

    def ask(number):
        fork = environment.fork()
        fork.step(f"SELECT {number}")
        found.append(fork.state_text().splitlines()[-1] == str(number))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 12


def test_the_environment_keeps_the_contract(mysql_dsn):
    check_environment(
        lambda: SqlEnvironment(backend="mysql", dsn=mysql_dsn),
        TASK.model_copy(update={"data": {"db": "zoo"}}),
        other_task=Task(id="trees", text="How many trees?", data={"db": "park"}),
        actions=["SELECT Name FROM animal", "SELECT Weight, Born FROM animal JOIN keeper USING (Keeper_ID)", "USE park",
                 "DESCRIBE zoo.animal", "DELETE FROM animal", "submit"],
        steps=4,
    )  # fmt: skip


@pytest.mark.skipif(importlib.util.find_spec("intercode") is None, reason="the extra `intercode` is not installed")
def test_the_verdict_is_intercodes_own(environment):
    environment.step(TASK.data["gold"])
    assert environment.evaluate().success
    environment.step("SELECT Name FROM animal WHERE Weight > 195")
    assert environment.evaluate().score == 0.5
