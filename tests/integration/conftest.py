"""Fixtures for the real parts that integration tests run against."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

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
