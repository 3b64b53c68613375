"""Every module of `tools/` with its real environment: as a list for an agent, and over MCP with forks and undo."""

import importlib

import pytest

from langchain_linvit.agents.episodes import Episodes
from langchain_linvit.agents.lending import application_toolkit
from langchain_linvit.applications import APPLICATIONS
from langchain_linvit.environments.intercode import SandboxUnavailable
from langchain_linvit.errors import MissingDependencyError

pytestmark = pytest.mark.integration
ACTIONS = {"intercode-sql": "SHOW TABLES", "intercode-bash": "touch /new && echo done"}
"""Where an environment doesn't list what can be done."""


@pytest.fixture(params=sorted(APPLICATIONS))
def name(request):
    return request.param


@pytest.fixture
def toolkit(name):
    try:
        with application_toolkit(name) as toolkit:
            yield toolkit
    except (MissingDependencyError, SandboxUnavailable) as error:
        pytest.skip(str(error))


def action_of(toolkit, name):
    return ACTIONS.get(name) or toolkit.environment.admissible_actions()[0]


def test_the_list_reads_and_acts(name, toolkit):
    tools = {tool.name: tool for tool in importlib.import_module(f"tools.{name.replace('-', '_')}").get_tools()}
    assert set(tools) == {"read_task", *toolkit.names}
    assert toolkit.environment.goal in tools["read_task"].invoke({})
    call = toolkit.tool_call_of(action_of(toolkit, name))
    message = tools[call["name"]].invoke({**call, "type": "tool_call", "id": "1"})
    assert (message.status, message.artifact["done"]) == ("success", False)
    assert message.text.endswith("</state>")


async def test_forks_and_undo(name, toolkit):
    episodes = Episodes(toolkit)
    before = await episodes.describe()
    fork = await episodes.fork()
    action = action_of(toolkit, name)
    assert (await episodes.take(toolkit.tool_call_of(action), fork)).status == "success"
    assert await episodes.describe() == before
    assert await episodes.describe(fork) != before
    assert await episodes.undo(fork) == action
    assert await episodes.describe(fork) == before
    episodes.close()
