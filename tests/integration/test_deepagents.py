"""The planner as a deep agent's subagent, and its tool in a deep agent."""

import pytest
from langchain_core.messages import HumanMessage
from worlds import Corridor, closeness, walker_model

from langchain_linvit.agents import create_slinvit_tool
from langchain_linvit.models import PolicyChatModel, ToolReply
from langchain_linvit.planner import create_slinvit_planner

pytestmark = pytest.mark.integration
deepagents = pytest.importorskip("deepagents", reason="needs deepagents")

FAST = {"value": closeness, "candidates": None, "retry_delay": 0.0}


def calling(name, **args):
    """An agent's model: makes one call, then repeats what came back."""

    def policy(messages, tools):
        assert name in {tool["function"]["name"] for tool in tools}
        return {messages[-1].text: 1} if messages[-1].type == "tool" else {ToolReply(name, args): 1}

    return PolicyChatModel(policy=policy)


async def test_a_compiled_subagent_plans_sync_and_async():
    subagent = deepagents.CompiledSubAgent(
        name="planner",
        description="Plans walks in the corridor.",
        runnable=create_slinvit_planner(walker_model(), Corridor(), **FAST),
    )
    model = calling("task", description="reach 2", subagent_type="planner")
    agent = deepagents.create_deep_agent(model=model, subagents=[subagent])
    question = {"messages": [HumanMessage("Walk to cell 2.")]}
    for state in (agent.invoke(question), await agent.ainvoke(question)):
        assert state["messages"][-1].text == "Outcome: solved (in 2 steps)\nPlan:\n1. go right\n2. go right"


def test_the_tool_plans_in_a_deep_agent_and_streams_its_progress():
    tool = create_slinvit_tool(walker_model(), Corridor(), **FAST)
    agent = deepagents.create_deep_agent(model=calling("make_plan", goal="reach 2"), tools=[tool])
    question = {"messages": [HumanMessage("Walk to cell 2.")]}
    parts = list(agent.stream(question, stream_mode=["custom", "values"], subgraphs=True))
    assert [chunk for _, mode, chunk in parts if mode == "custom"][-1]["event"] == "finished"
    assert "solved (in 2 steps)" in parts[-1][2]["messages"][-1].text
