"""The graphs as `langgraph dev` serves them, driven over HTTP by the LangGraph client."""

import importlib.util
import json
import subprocess

import pytest
from langgraph_sdk import get_client, get_sync_client

from langchain_linvit.environments.blocksworld import generate_problems, validate_plan
from langchain_linvit.environments.intercode.sandbox import SandboxUnavailable
from langchain_linvit.environments.intercode.sandbox.launch import require_tools
from langchain_linvit.planner import PlanResult
from tests.integration.langgraph_server import COMMAND, ROOT, WITHOUT_NETWORK, LangGraphServer

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        importlib.util.find_spec("langgraph_api") is None or not COMMAND.exists(),
        reason="needs the extra `serve` (langgraph-cli[inmem])",
    ),
]
GRAPHS = sorted(json.loads((ROOT / "langgraph.json").read_text())["graphs"])


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with LangGraphServer(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def client(server):
    with get_sync_client(url=server.url) as made:
        yield made


def run(client, graph, **options):
    """The values that a run ends with."""
    thread = client.threads.create()
    return client.runs.wait(thread["thread_id"], graph, **options)


def test_the_configuration_is_valid():
    done = subprocess.run([COMMAND, "validate"], cwd=ROOT, env=WITHOUT_NETWORK, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"({len(GRAPHS)} graphs found)" in done.stdout


def test_every_graph_has_a_form_for_its_input_and_its_settings(client):
    assistants = {found["graph_id"]: found["assistant_id"] for found in client.assistants.search()}
    assert sorted(assistants) == GRAPHS
    for graph, assistant in assistants.items():
        schemas = client.assistants.get_schemas(assistant)
        settings = schemas["context_schema"]["properties"]
        assert {"model", "preset", "seed", "max_completions"} <= settings.keys()
        assert all("description" in setting for setting in settings.values())
        shown = schemas["input_schema"]["properties"]
        assert "messages" in shown
        if graph != "agent":
            assert shown["task"]["type"] == "string"


def test_a_plan_is_streamed_and_kept_on_its_thread(client):
    thread = client.threads.create()["thread_id"]
    parts = list(
        client.runs.stream(
            thread,
            "blocksworld",
            input={"task": "2"},
            context={"seed": 5},
            stream_mode=["custom", "values"],
            stream_subgraphs=True,
        )
    )
    events = [part.data["event"] for part in parts if part.event.startswith("custom")]
    assert (events[0], events[-1]) == ("decision", "finished")
    assert {"proposed", "simulated", "valued", "selected", "acted"} <= set(events)
    final = [part.data for part in parts if part.event == "values"][-1]
    result = PlanResult.model_validate(final["result"])
    task = generate_problems(blocks=4, steps=6, count=10, seed=5)[1]
    assert (result.task_id, result.outcome) == (task.id, "solved")
    assert validate_plan(task.text, result.plan).solved
    assert final["messages"][-1]["name"] == "slinvit"
    assert client.threads.get_state(thread)["values"]["result"] == final["result"]


def test_a_budget_of_the_client_holds(client):
    final = run(client, "blocksworld", input={"task": "1"}, context={"max_completions": 2})
    assert final["result"]["outcome"] == "budget_exhausted"
    assert final["result"]["usage"]["llm_calls"] <= 2


def test_a_conversation_is_planned_turn_by_turn(client):
    thread = client.threads.create()["thread_id"]
    for words in ("3", "1"):
        given = {"messages": [{"role": "user", "content": words}]}
        final = client.runs.wait(thread, "blocksworld", input=given)
        assert final["result"]["task_id"].endswith(f"-{int(words) - 1}")
    assert len(final["messages"]) == 4


def test_sql_is_served(client):
    final = run(client, "intercode_sql", input={"task": "3"})
    assert final["result"]["outcome"] == "done"
    assert final["result"]["plan"][-1] == "submit"


def test_bash_is_served(client, server):
    try:
        require_tools()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    final = run(client, "intercode_bash", input={"task": "1"})
    assert final["result"]["outcome"] == "done"
    assert "BlockingError" not in server.log.read_text()


def test_alfworld_is_served(client):
    pytest.importorskip("alfworld", reason="needs the extra `alfworld`")
    final = run(client, "alfworld", input={"task": "1"}, context={"max_completions": 60})
    assert final["result"]["trajectory"]


async def test_the_agent_plans_beside_another_tool(server):
    async with get_client(url=server.url) as client:
        thread = (await client.threads.create())["thread_id"]
        for words, answer in (("2", "solved (in 6 steps)"), ("From 2024-01-01 to 2024-02-01?", "31")):
            given = {"messages": [{"role": "user", "content": words}]}
            final = await client.runs.wait(thread, "agent", input=given)
            assert answer in final["messages"][-1]["content"]


def test_a_wrong_task_fails_the_run_and_not_the_server(client):
    with pytest.raises(Exception, match="InvalidSettingError"):
        run(client, "blocksworld", input={"task": "99"})
    assert run(client, "blocksworld", input={"task": "1"})["result"]["outcome"] == "solved"
