"""Real parts that several integration tests share."""

import pytest

from langchain_linvit.environments.intercode.mysql_setup import local_mariadb
from langchain_linvit.errors import MissingDependencyError
from tests.unit.intercode_small import DUMP


@pytest.fixture(scope="session")
def mysql_dsn(tmp_path_factory):
    """A reading user's DSN of a private MariaDB server with a small database; skipped where there is none."""
    dump = tmp_path_factory.mktemp("mysql") / "dump.sql"
    dump.write_text(DUMP)
    try:
        with local_mariadb(dump) as dsn:
            yield dsn
    except MissingDependencyError as error:
        pytest.skip(str(error))
