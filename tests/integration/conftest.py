"""Fixtures for the real parts that integration tests run against."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import pytest

from langchain_linvit.models import Policy
from tests.integration.openai_server import Fault, OpenAIServer

ServeOpenAI = Callable[..., OpenAIServer]


@pytest.fixture
def openai_server() -> Iterator[ServeOpenAI]:
    """Start servers that speak OpenAI's interface: `openai_server(policy, faults=[...])`."""
    with ExitStack() as servers:

        def serve(policy: Policy, faults: Sequence[Fault | None] = ()) -> OpenAIServer:
            return servers.enter_context(OpenAIServer(policy, faults))

        yield serve
