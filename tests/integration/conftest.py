"""Fixtures for the real parts that integration tests run against."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from langchain_linvit.environments.intercode.mysql_setup import local_mariadb
from langchain_linvit.errors import MissingDependencyError
from langchain_linvit.models import Policy
from tests.integration.openai_server import Fault, OpenAIServer
from tests.unit.intercode_small import DUMP

ServeOpenAI = Callable[..., OpenAIServer]


@pytest.fixture
def openai_server() -> Iterator[ServeOpenAI]:
    """Start servers that speak OpenAI's interface: `openai_server(policy, faults=[...])`."""
    with ExitStack() as servers:

        def serve(policy: Policy, faults: Sequence[Fault | None] = ()) -> OpenAIServer:
            return servers.enter_context(OpenAIServer(policy, faults))

        yield serve


@contextmanager
def small_mariadb(folder: Path, *, writes: bool) -> Iterator[str]:
    """A private MariaDB server with a small database; the test is skipped where there is none."""
    dump = folder / "dump.sql"
    dump.write_text(DUMP)
    with ExitStack() as stack:
        try:
            dsn = stack.enter_context(local_mariadb(dump, writes=writes))
        except MissingDependencyError as error:
            pytest.skip(str(error))
        yield dsn


@pytest.fixture(scope="session")
def mysql_dsn(tmp_path_factory):
    """A reading user's DSN."""
    with small_mariadb(tmp_path_factory.mktemp("mysql"), writes=False) as dsn:
        yield dsn


@pytest.fixture(scope="session")
def mysql_writer_dsn(tmp_path_factory):
    """The DSN of a user that may write rows."""
    with small_mariadb(tmp_path_factory.mktemp("mysql-writes"), writes=True) as dsn:
        yield dsn
