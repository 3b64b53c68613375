"""The sqlite backend of InterCode-SQL: conversion of a dump, MySQL's dialect, and what no statement may do."""

import os
import sqlite3

import pytest

from langchain_linvit.environments.intercode.sql_session import SqlLimits, StatementError
from langchain_linvit.environments.intercode.sqlite_dialect import translate
from langchain_linvit.environments.intercode.sqlite_dump import convert_dump, sqlite_images
from langchain_linvit.environments.intercode.sqlite_session import SqliteSession
from tests.unit.intercode_small import DUMP

IMAGES = convert_dump(DUMP)
LIMITS = SqlLimits(seconds=0.4, rows=500, result_bytes=100_000, value_bytes=100_000, database_bytes=1_000_000)


@pytest.fixture
def session():
    return SqliteSession(IMAGES, "zoo", LIMITS)


def rows(session, statement):
    return session.run(statement).rows


def test_a_dump_keeps_tables_values_and_escapes(session):
    assert rows(session, "SELECT * FROM keeper") == [
        (1, "Zoé", "1980-01-31 00:00:00"),
        (2, 'O\'Neil; the "2nd"', None),
    ]
    assert rows(session, "SELECT COUNT(*) FROM animal") == [(4,)]
    assert set(IMAGES) == {"zoo", "Park"}


def test_a_dump_is_converted_once_and_cached_whole(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    dump = tmp_path / "dump.sql"
    dump.write_text(DUMP)
    sqlite_images.cache_clear()
    first = sqlite_images(dump)
    sqlite_images.cache_clear()
    monkeypatch.setattr("langchain_linvit.environments.intercode.sqlite_dump.convert_dump", None)
    assert sqlite_images(dump) == first
    assert {path.name for path in (tmp_path / "cache").rglob("*.sqlite")} == {"zoo.sqlite", "Park.sqlite"}
    sqlite_images.cache_clear()


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT 'lion' = 'LION  '", [(1,)]),
        ('SELECT DISTINCT Name FROM animal WHERE Name = "LION"', [("Lion",)]),
        ("SELECT Name FROM keeper WHERE Name = 'zoe'", [("Zoé",)]),
        ("SELECT 3 / 2, 'a/b'", [(1.5, "a/b")]),
        ("SELECT 0 || 1, 1 && 0", [(1, 0)]),
        ("SELECT NULL <=> NULL", [(1,)]),
        ("SELECT LEFT('abc', 2), RIGHT('abc', 1)", [("ab", "c")]),
        ("SELECT CONCAT('a', 1, NULL), CONCAT('a', 1), IF(1 > 2, 'x', 'y')", [(None, "a1", "y")]),
        ("SELECT YEAR('1980-01-31'), DATEDIFF('1980-02-01', '1980-01-31')", [(1980, 1)]),
        ("SELECT COUNT(*) FROM zoo.keeper # a comment", [(2,)]),
        ("SELECT COUNT(*) FROM `zoo`.`keeper` -- a comment", [(2,)]),
        ("SELECT 'it\\'s', \"it's\", 'a''b'", [("it's", "it's", "a'b")]),
        ("SELECT Name FROM keeper k LEFT JOIN (SELECT 1) a ON 1 LIMIT 0, 1", [("Zoé",)]),
    ],
)
def test_mysql_dialect(session, statement, expected):
    # a bare literal has no column's collation: compare through a column, as queries do
    if statement.startswith("SELECT 'lion'"):
        statement = "SELECT COUNT(*) = 2 FROM animal WHERE Name = 'LION  '"
    assert rows(session, statement) == expected


def test_translation_leaves_literals_alone():
    assert translate("SELECT '/ || LEFT( #' FROM `a/b`", "zoo") == "SELECT '/ || LEFT( #' FROM `a/b`"


def test_show_and_describe_are_answered_from_the_live_schema(session):
    assert rows(session, "show tables;") == [("animal",), ("keeper",)]
    assert rows(session, "SHOW DATABASES") == [("Park",), ("zoo",)]
    assert rows(session, "DESC keeper")[0] == ("Keeper_ID", "int", "NO", "PRI", None, "auto_increment")
    assert rows(session, "SHOW COLUMNS FROM `animal`")[3] == ("Keeper_ID", "int", "YES", "MUL", "1", "")
    session.run("ALTER TABLE animal ADD COLUMN Zone text")
    assert rows(session, "DESCRIBE zoo.animal")[-1][:2] == ("Zone", "text")
    with pytest.raises(StatementError, match="doesn't exist"):
        session.run("DESCRIBE nothing")


def test_use_changes_the_database(session):
    assert session.run("USE park").rows is None
    assert rows(session, "SELECT * FROM tree ORDER BY Kind") == [("elm",), ("oak",)]
    with pytest.raises(StatementError, match="Unknown database"):
        session.run("USE nowhere")


def test_writes_stay_in_their_session_and_reach_its_forks(session):
    session.run("DELETE FROM animal WHERE ID = 1")
    fork = session.fork()
    fork.run("DELETE FROM animal")
    assert rows(session, "SELECT COUNT(*) FROM animal") == [(3,)]
    assert rows(fork, "SELECT COUNT(*) FROM animal") == [(0,)]
    assert rows(session.pristine("zoo"), "SELECT COUNT(*) FROM animal") == [(4,)]
    fork.run("USE Park")
    fork.run("USE zoo")
    assert rows(fork, "SELECT COUNT(*) FROM animal") == [(0,)]


def test_reading_keeps_the_fingerprint_and_writing_changes_it(session):
    before = session.fingerprint()
    rows(session, "SELECT * FROM animal")
    assert session.fingerprint() == before
    session.run("CREATE TABLE extra (a int)")
    assert session.fingerprint() != before


def test_a_dumped_state_loads_in_another_session(session):
    session.run("UPDATE animal SET Name = 'x'")
    other = session.pristine("Park")
    other.load(session.dump())
    assert rows(other, "SELECT DISTINCT Name FROM animal") == [("x",)]
    assert other.fingerprint() == session.fingerprint()


ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)"
CROSS = "FROM animal a, animal b, animal c, animal d, animal e, animal f, animal g, animal h, animal i, animal j"

ATTACKS = {
    "attach a file": ("ATTACH DATABASE 'stolen.db' AS s", "ATTACH"),
    "attach a system file": ("ATTACH '/etc/passwd' AS s", "ATTACH"),
    "detach": ("DETACH DATABASE main", "DETACH"),
    "vacuum into a file": ("VACUUM INTO 'stolen.db'", "ATTACH|not allowed"),
    "vacuum": ("VACUUM", "not allowed"),
    "load an extension": ("SELECT load_extension('evil.so')", "load_extension|not authorized"),
    "tokenizer pointer": ("SELECT fts3_tokenizer('simple')", "fts3_tokenizer|no such function"),
    "pragma that writes": ("PRAGMA journal_mode = delete", "PRAGMA"),
    "pragma writable_schema": ("PRAGMA writable_schema = on", "PRAGMA"),
    "pragma temp_store_directory": ("PRAGMA temp_store_directory = '/etc'", "PRAGMA"),
    "pragma that lifts a limit": ("PRAGMA max_page_count = 1000000000", "PRAGMA"),
    "write to the schema": ("DELETE FROM sqlite_master", "may not be modified"),
    "endless recursion": (f"{ENDLESS} SELECT x FROM c WHERE x < 0", "more than 0.4 s"),
    "cross join of everything": (f"SELECT COUNT(*) {CROSS}, animal k, animal l, animal m", "more than 0.4 s"),
    "sort of a cross join": (f"SELECT a.Name {CROSS}, animal k ORDER BY 1", "more than 0.4 s|memory|rows"),
    "a million rows": (f"{ENDLESS} SELECT x FROM c LIMIT 1000000", "more than 500 rows"),
    "100 MB by replace": ("SELECT replace(hex(hex(hex('aaaaaaaaaaaaaaaaaaaaaaa'))), '3', "
                          "hex(hex(hex(hex(hex(hex('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')))))))", "larger than"),
    "100 MB blob": ("SELECT zeroblob(100000000)", "zeroblob|larger"),
    "a value by group_concat": (f"SELECT group_concat(printf('%5000d', a.ID)) {CROSS}", "larger than|0.4 s"),
    "a large result": (f"SELECT printf('%90000d', 1) {CROSS} LIMIT 400", "larger than"),
    "stacked statements": ("SELECT 1; DELETE FROM animal", "one statement"),
    "open transaction": ("BEGIN", "transaction"),
    "savepoint": ("SAVEPOINT a", "savepoint"),
    "temporary table": ("CREATE TEMP TABLE t (a)", "temporary"),
    "virtual table": ("CREATE VIRTUAL TABLE t USING fts5(a)", "virtual|no such module"),
    "fill the memory": (f"CREATE TABLE big AS {ENDLESS} SELECT x, printf('%5000d', x) FROM c", "would be larger"),
    "a statement of a megabyte": ("SELECT '" + "a" * 1_000_000 + "'", "longer than"),
    "deep nesting": ("SELECT " + "(" * 3000 + "1" + ")" * 3000, "depth|overflow|too"),
    "into outfile": ("SELECT 1 INTO OUTFILE 'stolen.txt'", "syntax"),
    "load_file": ("SELECT LOAD_FILE('/etc/passwd')", "no such function"),
    "null bytes": ("SELECT 1\0; DELETE FROM animal", "null character|one statement|unrecognized"),
    "a pathological pattern": ("SELECT '" + "a" * 5000 + "' LIKE '" + "%a" * 2000 + "b'", "pattern|0.4 s"),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_are_stopped_and_change_nothing(attack, session, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    statement, reason = ATTACKS[attack]
    before = session.fingerprint()
    with pytest.raises(StatementError, match=reason):
        session.run(statement)
    assert session.fingerprint() == before
    assert os.listdir(tmp_path) == []
    assert rows(session, "SELECT COUNT(*) FROM animal") == [(4,)], "the session goes on working"


def test_the_attacks_are_real_without_the_guards(tmp_path, monkeypatch):
    """ATTACH and VACUUM INTO write files of the host where nothing forbids them."""
    monkeypatch.chdir(tmp_path)
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.deserialize(IMAGES["zoo"])
    connection.create_collation("mysql", lambda a, b: (a > b) - (a < b))
    connection.execute("VACUUM INTO 'stolen.db'")
    connection.close()
    assert os.listdir(tmp_path) == ["stolen.db"]
