"""What the tests of agents share: a wandering corridor agent, and how to watch every stream of a run."""

import asyncio

from langchain.agents import create_agent
from langchain_core.tools import tool
from worlds import Corridor, CountedCorridor, closeness

from langchain_linvit.agents import EnvironmentToolkit, SLINVITMiddleware
from langchain_linvit.models import PolicyChatModel, ToolReply
from langchain_linvit.prompts import last_block, request_kind

LEFT, RIGHT, WAIT = (ToolReply("act", {"action": f"{action}"}) for action in ("go left", "go right", "wait"))


OPENED: list[EnvironmentToolkit] = []
"""Toolkits that tests made; what is open once they are closed was leaked."""


def wanderer(messages, tools):
    """Calls `act` at random, left as often as right; says so once it is there, or gives up now and then."""
    kind = request_kind(messages)
    if kind == "judge progress":
        at, goal = position(messages), target(messages)
        return {f"Holds: {min(at, goal)} of {goal}": 1.0}
    if kind == "next action":
        return {"Action: go right": 0.5, "Action: go left": 0.5}
    if kind == "choose by number":
        return {line.split(".")[0]: 1.0 for line in (last_block(messages, "actions") or "").splitlines()}
    if position(messages) == target(messages):
        return {"I am there.": 1.0}
    return {RIGHT: 0.35, LEFT: 0.4, WAIT: 0.15, "I give up.": 0.1}


def position(messages):
    return int((last_block(messages, "state") or "cell 0").split()[-1])


def target(messages):
    return int((last_block(messages, "goal") or "reach 3").split()[-1])


def corridor_agent(policy=wanderer, *, task="reach 3", tools=(), others=(), model=None, environment=None, **options):
    """An agent in a corridor with the middleware, the toolkit, and the input of its run."""
    toolkit = EnvironmentToolkit(environment or CountedCorridor())
    OPENED.append(toolkit)
    creation = {name: options.pop(name) for name in ("checkpointer", "response_format", "store") if name in options}
    settings = {"value": closeness, "candidates": 8, "depth": 2, **options}
    agent = create_agent(
        model or PolicyChatModel(policy=policy),
        [*toolkit.get_tools(), *tools],
        middleware=[SLINVITMiddleware(toolkit=toolkit, **settings), *others],
        **creation,
    )
    return agent, toolkit, {"messages": [("user", toolkit.start(task))]}


def invoked(agent, given, config=None, *, run="sync"):
    if run == "sync":
        return agent.invoke(given, config)
    return asyncio.run(agent.ainvoke(given, config))


def streamed(agent, given, modes, config=None, *, run="sync"):
    """All (mode, chunk) pairs of a run."""
    if run == "sync":
        return list(agent.stream(given, config, stream_mode=modes))

    async def collect():
        return [chunk async for chunk in agent.astream(given, config, stream_mode=modes)]

    return asyncio.run(collect())


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"rain in {city}"


__all__ = ["LEFT", "RIGHT", "WAIT", "Corridor", "corridor_agent", "invoked", "streamed", "wanderer", "weather"]
