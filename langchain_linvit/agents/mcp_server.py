"""An environment's tools over the Model Context Protocol, for clients in other processes (extra `mcp`)."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from langchain_linvit.agents.answers import validation_message
from langchain_linvit.agents.episodes import MAIN, EpisodeLimits, Episodes
from langchain_linvit.agents.toolkit import EnvironmentToolkit
from langchain_linvit.environments.base import Task, printable, shorten
from langchain_linvit.errors import InvalidSettingError, LinvitError, MissingDependencyError

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

_LOG = logging.getLogger(__name__)
_HANDLE: Any = (str, Field(default=MAIN, max_length=64, description="Which episode: `main`, or the handle of a fork."))


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid")

    handle: str = _HANDLE[1]


class ResetArguments(_Arguments):
    """Arguments of `reset`."""

    task: str | None = Field(
        default=None, max_length=200, description="Number (from 1) or id of a task; the same task again by default."
    )


class ForkArguments(_Arguments):
    """Arguments of `fork`."""


class UndoArguments(_Arguments):
    """Arguments of `undo`."""


class ReadTaskArguments(_Arguments):
    """Arguments of `read_task`."""


class ReleaseArguments(BaseModel):
    """Arguments of `release`."""

    model_config = ConfigDict(extra="forbid")

    handle: str = Field(max_length=64, description="The handle of the fork that is not needed any more.")


@dataclass(frozen=True, slots=True)
class _Offer:
    """One tool as a client sees it, and what answers it: text, structured content, and whether it failed."""

    description: str
    schema: type[BaseModel]
    answer: Callable[[Any], Awaitable[tuple[str, dict[str, Any], bool]]]


def create_mcp_server(
    toolkit: EnvironmentToolkit,
    *,
    task: Callable[[str], Task] | None = None,
    limits: EpisodeLimits | None = None,
    name: str = "linvit",
) -> Server[Any, Any]:
    """An MCP server over an episode that was started; run it over any of the protocol's transports.

    It offers the toolkit's tools and `read_task`, and `reset`, `fork`, `undo` and `release`. Each takes the handle of
    an episode, which is `main` by default. Calls about one episode are carried out one after another.

    Args:
        toolkit: The episode `main`. The server owns it from here on.
        task: The task that a client names by `reset(task=...)`; raises a `LinvitError` where there is none.
        limits: What a client may hold and send.
        name: Name of the server.

    Raises:
        MissingDependencyError: The extra `mcp` is not installed.
        InvalidSettingError: A tool of the environment has a name or an argument that the server uses itself.
    """
    types = require_mcp()
    from mcp.server.lowlevel import Server

    limits = limits or EpisodeLimits()
    offers = _offers(Episodes(toolkit, limits), toolkit, task)
    listed = [
        types.Tool(name=each, description=offer.description, inputSchema=offer.schema.model_json_schema())
        for each, offer in offers.items()
    ]

    async def list_tools(_: Any) -> Any:
        return types.ServerResult(types.ListToolsResult(tools=listed))

    async def call_tool(request: Any) -> Any:
        arguments = request.params.arguments or {}
        return types.ServerResult(await _answer(offers, request.params.name, arguments, limits))

    server: Server[Any, Any] = Server(
        name, instructions="Call read_task first. fork gives an episode to try actions in; undo takes one back."
    )
    server.request_handlers[types.ListToolsRequest] = list_tools
    server.request_handlers[types.CallToolRequest] = call_tool
    return server


def serve_stdio(server: Server[Any, Any]) -> None:
    """Serve one client over this process's standard input and output, until the input ends.

    The protocol gets the two for itself: whatever else prints goes to standard error.
    """
    import anyio
    from mcp.server.stdio import stdio_server

    async def serve(stdin: TextIO, stdout: TextIO) -> None:
        async with stdio_server(anyio.wrap_file(stdin), anyio.wrap_file(stdout)) as (reading, writing):
            await server.run(reading, writing, server.create_initialization_options())

    with _private_stdio() as (stdin, stdout):
        anyio.run(serve, stdin, stdout)


@contextmanager
def _private_stdio() -> Iterator[tuple[TextIO, TextIO]]:
    """Standard input and output under new descriptors; the old ones lead nowhere, and to standard error."""
    stdin, stdout, nothing = os.dup(0), os.dup(1), os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    try:
        with (
            os.fdopen(stdin, encoding="utf-8", errors="replace", closefd=False) as reading,
            os.fdopen(stdout, "w", encoding="utf-8", closefd=False) as writing,
        ):
            yield reading, writing
    finally:
        os.dup2(stdin, 0)
        os.dup2(stdout, 1)
        os.close(stdin)
        os.close(stdout)


def _offers(
    episodes: Episodes, toolkit: EnvironmentToolkit, named_task: Callable[[str], Task] | None
) -> dict[str, _Offer]:
    async def read(given: ReadTaskArguments) -> tuple[str, dict[str, Any], bool]:
        return await episodes.describe(given.handle), {"handle": given.handle}, False

    async def reset(given: ResetArguments) -> tuple[str, dict[str, Any], bool]:
        task = toolkit.environment.task if given.task is None else _named(named_task, given.task)
        return await episodes.reset(task, given.handle), {"handle": given.handle, "task": task.id}, False

    async def fork(given: ForkArguments) -> tuple[str, dict[str, Any], bool]:
        handle = await episodes.fork(given.handle)
        return f"Forked: pass handle={handle!r} to act in the copy.", {"handle": handle}, False

    async def undo(given: UndoArguments) -> tuple[str, dict[str, Any], bool]:
        undone = await episodes.undo(given.handle)
        told = await episodes.describe(given.handle)
        return f"Undone: {undone}\n\n{told}", {"handle": given.handle, "undone": undone}, False

    async def release(given: ReleaseArguments) -> tuple[str, dict[str, Any], bool]:
        await episodes.release(given.handle)
        return f"Released {given.handle}.", {"handle": given.handle}, False

    reading = toolkit.task_tool()
    offers = {
        reading.name: _Offer(reading.description, ReadTaskArguments, read),
        "reset": _Offer("Start a task afresh, and read it.", ResetArguments, reset),
        "fork": _Offer("Make an independent copy of an episode, to try actions in.", ForkArguments, fork),
        "undo": _Offer("Take back the last action of an episode.", UndoArguments, undo),
        "release": _Offer("Let a fork go.", ReleaseArguments, release),
    }
    for action in toolkit.get_tools():
        if action.name in offers:
            raise InvalidSettingError(f"the server has a tool {action.name!r} itself; pass EnvironmentToolkit(prefix=)")
        offers[action.name] = _Offer(
            action.description, _with_handle(action.name, toolkit), _taking(episodes, action.name)
        )
    return offers


def _taking(episodes: Episodes, name: str) -> Callable[[Any], Awaitable[tuple[str, dict[str, Any], bool]]]:
    async def take(given: BaseModel) -> tuple[str, dict[str, Any], bool]:
        arguments = given.model_dump()
        handle = arguments.pop("handle")
        message = await episodes.take({"name": name, "args": arguments}, handle)
        return str(message.text), {"handle": handle, **(message.artifact or {})}, message.status == "error"

    return take


def _with_handle(name: str, toolkit: EnvironmentToolkit) -> type[BaseModel]:
    """The schema of an environment's tool, with the episode's handle as its last argument."""
    schema = toolkit.args_schema(name)
    if "handle" in schema.model_fields:
        raise InvalidSettingError(f"the tool {name!r} has an argument `handle`, which the server needs; rename it")
    return create_model(schema.__name__, __base__=schema, handle=_HANDLE)


def _named(named_task: Callable[[str], Task] | None, name: str) -> Task:
    if named_task is None:
        raise InvalidSettingError("this server has one task; call reset without `task`")
    return named_task(name)


async def _answer(offers: Mapping[str, _Offer], name: str, arguments: dict[str, Any], limits: EpisodeLimits) -> Any:
    """The `CallToolResult` of one call: what a client sends is untrusted, and what fails inside is not shown to it."""
    types = require_mcp()

    def result(text: str, structured: dict[str, Any] | None, failed: bool) -> Any:
        return types.CallToolResult(
            content=[types.TextContent(type="text", text=_plain(text))],
            structuredContent=_plain(structured),
            isError=failed,
        )

    offer = offers.get(name)
    if offer is None:
        return result(f"Error: no tool {shorten(printable(name), 60)!r}; there are {', '.join(offers)}", None, True)
    length = len(json.dumps(arguments, ensure_ascii=False))
    if length > limits.request_length:
        return result(f"Error: the arguments have {length} characters; at most {limits.request_length}", None, True)
    try:
        return result(*await offer.answer(offer.schema.model_validate(arguments)))
    except ValidationError as error:
        return result(f"Error: {validation_message(error)}", None, True)
    except LinvitError as error:
        return result(f"Error: {printable(str(error))}", None, True)
    except Exception as error:
        _LOG.exception("the tool %s failed", name)
        return result(f"Error: the tool failed ({type(error).__name__}); the server's log has more", None, True)


def _plain(data: Any) -> Any:
    """`data` as JSON that can be sent: what is no plain data as text, lone surrogates replaced."""
    return json.loads(json.dumps(data, default=str, ensure_ascii=False).encode("utf-8", "replace"))


def require_mcp() -> Any:
    """The module `mcp.types`.

    Raises:
        MissingDependencyError: The extra `mcp` is not installed.
    """
    try:
        from mcp import types
    except ImportError as error:
        raise MissingDependencyError(
            "serving tools over MCP needs the package mcp; install it with: pip install 'langchain-linvit[mcp]'"
        ) from error
    return types
