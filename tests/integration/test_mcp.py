"""The tools over MCP: lent to an agent in another process by a real client, and held to what a client may do."""

import json
import re
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from worlds import Corridor

from langchain_linvit import EnvironmentToolkit, Task, Transition
from langchain_linvit.agents.episodes import EpisodeLimits
from langchain_linvit.agents.mcp_server import create_mcp_server
from langchain_linvit.environments.blocksworld import generate_problems
from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.models import PolicyChatModel, ToolReply
from langchain_linvit.models.blocksworld import POLICIES
from langchain_linvit.prompts import last_block

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]
pytest.importorskip("mcp", reason="the extra `mcp` is not installed")
pytest.importorskip("langchain_mcp_adapters", reason="the extra `mcp` is not installed")


@asynccontextmanager
async def client_of(toolkit, **options):
    """A client session with a server in this process."""
    from mcp.shared.memory import create_connected_server_and_client_session

    async with create_connected_server_and_client_session(create_mcp_server(toolkit, **options)) as session:
        yield session


def started(environment=Corridor, **options):
    toolkit = EnvironmentToolkit(environment(), **options)
    toolkit.start("reach 3")
    return toolkit


async def call(session, tool, /, **arguments):
    """The result's text, its data, and whether it failed."""
    result = await session.call_tool(tool, arguments)
    return result.content[0].text, result.structuredContent, result.isError


def reader(messages, tools):
    """An agent's policy: read the task where none was read yet, else what the embedded model does."""
    if last_block(messages, "state") is None:
        return {ToolReply("read_task", {}): 1.0}
    acting = [tool for tool in tools if tool["function"]["name"] in {"pick_up", "put_down", "stack", "unstack"}]
    return POLICIES["novice-4"](messages, acting)


async def test_an_agent_solves_a_task_with_tools_of_another_process(tmp_path):
    from langchain.agents import create_agent
    from langchain_mcp_adapters.client import MultiServerMCPClient
    from langchain_mcp_adapters.tools import load_mcp_tools

    problem = tmp_path / "problem.pddl"
    problem.write_text(generate_problems(blocks=4, steps=4, count=1, seed=0)[0].text)
    connection = {
        "transport": "stdio",
        "command": sys.executable,
        "args": ["-m", "tools.blocksworld", "--problem", str(problem)],
        "cwd": str(ROOT),
    }
    client = MultiServerMCPClient({"blocks": connection})
    async with client.session("blocks") as session:
        agent = create_agent(PolicyChatModel(policy=reader), await load_mcp_tools(session))
        result = await agent.ainvoke({"messages": "Solve the task."}, {"recursion_limit": 200})
        text, _, _ = await call(session, "read_task")
    answers = [message for message in result["messages"] if message.type == "tool"]
    assert answers[-1].artifact["structured_content"]["solved"] is True
    goal, state = (text.split(f"<{mark}>\n")[1].split(f"\n</{mark}>")[0] for mark in ("goal", "state"))
    assert all(fact.strip() in state for fact in goal.replace(" and ", ", ").split(", "))


async def test_the_same_tools_with_a_handle_beside_them():
    async with client_of(started()) as session:
        listed = {tool.name: tool for tool in (await session.list_tools()).tools}
    assert set(listed) == {"read_task", "act", "reset", "fork", "undo", "release"}
    assert list(listed["act"].inputSchema["properties"]) == ["action", "handle"]
    assert listed["act"].inputSchema["required"] == ["action"]
    assert all(tool.description for tool in listed.values())


async def test_fork_act_and_undo_by_handle():
    async with client_of(started()) as session:
        _, made, _ = await call(session, "fork")
        text, data, failed = await call(session, "act", action="go right", handle=made["handle"])
        assert ("you are in cell 1" in text, data["solved"], failed) == (True, False, False)
        text, data, _ = await call(session, "undo", handle=made["handle"])
        assert text.startswith("Undone: go right")
        assert "you are in cell 0" in text
        await call(session, "release", handle=made["handle"])
        text, _, failed = await call(session, "read_task", handle=made["handle"])
        assert failed
        assert f"no episode '{made['handle']}'" in text


async def test_forks_over_the_cap_are_refused():
    async with client_of(started(), limits=EpisodeLimits(forks=1)) as session:
        assert not (await call(session, "fork"))[2]
        text, _, failed = await call(session, "fork")
    assert failed
    assert "1 forks are held already (fork-1): release one" in text


async def test_a_fork_that_is_not_used_expires():
    async with client_of(started(), limits=EpisodeLimits(idle_seconds=1e-9)) as session:
        _, made, _ = await call(session, "fork")
        text, _, failed = await call(session, "act", action="wait", handle=made["handle"])
        assert failed
        assert "expired" in text
        assert not (await call(session, "act", action="go right"))[2]


async def test_reset_starts_the_task_or_a_named_one():
    named = {"2": Task(id="far", text="reach 2")}
    async with client_of(started(), task=named.__getitem__) as session:
        await call(session, "act", action="go right")
        text, data, _ = await call(session, "reset")
        assert "reach 3" in text
        assert "you are in cell 0" in text
        text, data, _ = await call(session, "reset", task="2")
        assert "reach 2" in text
        assert data == {"handle": "main", "task": "far"}
        text, _, failed = await call(session, "reset", task="9")  # what goes wrong inside is not shown
        assert (text, failed) == ("Error: the tool failed (KeyError); the server's log has more", True)
    async with client_of(started()) as session:
        assert "one task" in (await call(session, "reset", task="2"))[0]


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("rm", {}, "no tool 'rm'; there are read_task"),
        ("x" * 5_000, {}, "no tool"),
        ("act", {}, "action: Field required"),
        ("act", {"action": 3}, "action: Input should be a valid string"),
        ("act", {"action": "fly"}, "'fly' is not possible here"),
        ("act", {"action": "x" * 30_000}, "the arguments have 30014 characters; at most 20000"),
        ("act", {"action": "wait", "handle": "x" * 100}, "handle: String should have at most 64"),
        ("reset", {"task": "x" * 300}, "task: String should have at most 200"),
        ("fork", {"path": "/etc/passwd"}, "path: Extra inputs are not permitted"),
        ("undo", {}, "nothing to undo in 'main'"),
        ("release", {"handle": "main"}, "reset it instead"),
    ],
)
async def test_what_a_client_may_not_do_is_said(tool, arguments, said):
    async with client_of(started()) as session:
        text, _, failed = await call(session, tool, **arguments)
        assert failed
        assert said in text
        assert len(text) < 500
        assert not (await call(session, "act", action="go right"))[2]  # and the server goes on


async def test_what_can_not_be_sent_does_not_end_the_server():
    class Odd(Corridor):
        def step(self, action):
            super().step(action)
            return Transition("\ud800", info={"object": object(), "half": "\udc00"})

    async with client_of(started(Odd)) as session:
        _, data, failed = await call(session, "act", action="go right")
    assert not failed
    assert data["info"]["half"] == "?"


def test_a_tool_that_the_server_has_itself_is_refused():
    class Forking(Corridor):
        def action_tools(self):
            from dataclasses import replace

            return [replace(super().action_tools()[0], name="fork")]

    with pytest.raises(InvalidSettingError, match="the server has a tool 'fork' itself"):
        create_mcp_server(started(Forking))
    assert create_mcp_server(started(Forking, prefix="corridor_"))


def test_standard_output_belongs_to_the_protocol():
    program = (
        "import os, sys\n"
        "from tests.unit.worlds import Corridor\n"
        "from langchain_linvit import EnvironmentToolkit\n"
        "from langchain_linvit.agents.mcp_server import create_mcp_server, serve_stdio\n"
        "class Loud(Corridor):\n"
        "    def step(self, action):\n"
        "        print('printed'); os.write(1, b'written'); os.system('echo echoed')\n"
        "        return super().step(action)\n"
        "toolkit = EnvironmentToolkit(Loud())\n"
        "toolkit.start('reach 2')\n"
        "serve_stdio(create_mcp_server(toolkit))\n"
    )
    hello = {"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    lines = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "act", "arguments": {"action": "wait"}}},
    ]
    server = subprocess.Popen(
        [sys.executable, "-u", "-c", program],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=ROOT,
    )  # fmt: skip
    for line in lines:
        server.stdin.write(json.dumps(line) + "\n")
    server.stdin.flush()
    replies = [json.loads(server.stdout.readline()) for _ in range(2)]
    rest, errors = server.communicate(timeout=60)
    assert [reply["id"] for reply in replies] == [1, 2]
    assert rest == ""
    assert all(word in errors for word in ("printed", "written", "echoed"))
    assert server.returncode == 0


def test_the_page_about_tools_shows_what_is_true(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    page = (ROOT / "docs" / "tools.md").read_text(encoding="utf-8")
    namespace = {}
    for snippet in re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        exec(compile(snippet, "tools.md", "exec"), namespace)
    printed = capsys.readouterr().out
    assert ") True\n" in printed
    assert "<goal>" in printed
    assert "handle='fork-1'" in printed
    for name, field in EpisodeLimits.model_fields.items():
        assert f"| `{name}` | {field.default} |" in page
