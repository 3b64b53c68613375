"""An environment's actions as typed LangChain tools, for any agent."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn, Self

from langchain_core.messages import ToolCall, ToolMessage
from langchain_core.tools import BaseTool, InjectedToolArg, StructuredTool, ToolException
from langchain_core.tools.base import BaseToolkit
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, create_model
from pydantic.json_schema import SkipJsonSchema

from langchain_linvit.agents.answers import (
    call_before,
    end_text,
    error_text,
    outcome_artifact,
    outcome_text,
    task_text,
    validation_message,
)
from langchain_linvit.calls import IO, AsyncIO, Caller, ModelEnvironment, SyncIO, drive
from langchain_linvit.environments.base import (
    Act,
    ActionTool,
    Environment,
    ParsedAction,
    Task,
    Transition,
    printable,
    shorten,
)
from langchain_linvit.errors import EnvironmentStateError, InvalidSettingError, LinvitError

# ToolNode fills a parameter of this name, whatever its type; annotated so, it stays out of what the model sees.
# (`ToolRuntime` itself would import langgraph.prebuilt, and with it its agents.)
Runtime = Annotated[Any, InjectedToolArg, SkipJsonSchema()]


class NoArguments(BaseModel):
    """A tool without arguments."""


class EnvironmentToolkit(BaseToolkit):
    """The actions of one live environment as tools: what an agent calls is what is done.

    Example:
        .. code-block:: python

            toolkit = EnvironmentToolkit(BlocksWorldEnvironment())
            agent = create_agent(model, toolkit.get_tools())
            agent.invoke({"messages": toolkit.start(task)})

    Each action tool of the environment becomes one LangChain tool with the same name and arguments. A result
    carries the observation, the state after it, and an artifact (`action`, `reward`, `done`, `solved`, `info`).
    What can't be done is answered by a tool message with `status="error"`, and changes nothing: an impossible
    action, bad arguments, a second environment call in one AI message (the first one stands), an action while
    another one is being taken, an action after the episode's end.

    A toolkit holds one episode. Agents that run at once need a toolkit each.

    Args:
        environment: The live environment; `start` resets it.
        prefix: Put before the name of each tool, so that two environments fit into one agent.
        show_state: Whether results show the state beside the observation.

    Raises:
        InvalidSettingError: `environment` is none, or two of its action tools share a name.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    environment: Environment = Field(exclude=True, repr=False)
    prefix: str = ""
    show_state: bool = True

    _actions: dict[str, ActionTool] = PrivateAttr(default_factory=dict)
    _tools: list[BaseTool] = PrivateAttr(default_factory=list)
    _lock: threading.Lock = PrivateAttr(default_factory=threading.Lock)
    _history: list[tuple[str, str]] = PrivateAttr(default_factory=list)
    _end: str | None = PrivateAttr(default=None)

    def __init__(self, environment: Environment, *, prefix: str = "", show_state: bool = True) -> None:
        if not isinstance(environment, Environment):
            raise InvalidSettingError(
                f"EnvironmentToolkit needs an instance of Environment, not {shorten(repr(environment), 80)}"
            )
        super().__init__(environment=environment, prefix=prefix, show_state=show_state)  # type: ignore[call-arg]
        for action in environment.action_tools():
            if prefix + action.name in self._actions:
                raise InvalidSettingError(f"two action tools of {type(environment).__name__} are named {action.name!r}")
            self._actions[prefix + action.name] = action
        self._tools = [self._tool(name, action) for name, action in self._actions.items()]

    def get_tools(self) -> list[BaseTool]:
        """One tool for each action tool of the environment; the same ones at each call."""
        return list(self._tools)

    @property
    def names(self) -> frozenset[str]:
        """The names of the tools, with the prefix."""
        return frozenset(self._actions)

    @property
    def history(self) -> Sequence[tuple[str, str]]:
        """The (action, observation) pairs taken through the tools since `start`."""
        return tuple(self._history)

    @property
    def ended(self) -> bool:
        """Whether an action taken through the tools ended the episode."""
        return self._end is not None

    def start(self, task: Task | str) -> str:
        """Reset the environment to `task`; what an agent should read first.

        Returns:
            The environment's rules, the first observation, and the goal and the state in marked blocks.

        Raises:
            InvalidTaskError: The task can't be set up.
            EnvironmentStateError: An action is being taken at this moment.
        """
        with self._alone():
            observation = self.environment.reset(task)
            self._history, self._end = [], None
            return task_text(self.environment, observation)

    async def astart(self, task: Task | str) -> str:
        """As `start`, off the event loop where the environment blocks."""
        return await AsyncIO().run(self.environment, lambda: self.start(task))

    def describe(self) -> str:
        """The rules, the goal and the current state, as an agent should read them at any time.

        Raises:
            EnvironmentStateError: `start` was not called yet, or an action is being taken at this moment.
        """
        with self._alone():
            _ = self.environment.task
            return task_text(self.environment, "")

    def task_tool(self) -> BaseTool:
        """The tool `read_task`, for agents that were not told what `start` returns: it reads, and takes no action."""

        def read() -> str:
            try:
                return self.describe()
            except LinvitError as error:
                _refuse(str(error))

        async def aread() -> str:
            return await AsyncIO().run(self.environment, read)

        return StructuredTool(
            name=f"{self.prefix}read_task",
            description="Read the rules, the goal and the current state. Takes no action.",
            args_schema=NoArguments,
            func=read,
            coroutine=aread,
            handle_tool_error=True,
        )

    def args_schema(self, name: str) -> type[BaseModel]:
        """The arguments of the tool of that name."""
        return self._actions[name].args_schema

    def action_of(self, call: Mapping[str, Any], environment: Environment | None = None) -> ParsedAction:
        """The action that a tool call stands for, or what is wrong with it.

        Args:
            call: A tool call, of which `name` and `args` are read.
            environment: The state in which the action is meant (a fork, say); the live one by default.
        """
        tool = self._actions.get(str(call.get("name")))
        if tool is None:
            name = shorten(printable(str(call.get("name"))), 60)
            return ParsedAction(None, f"no environment tool {name!r}; there are {', '.join(sorted(self.names))}")
        try:
            arguments = tool.args_schema.model_validate(call.get("args") or {})
        except ValidationError as error:
            return ParsedAction(None, validation_message(error))
        action = tool.render(arguments)
        if tool.args_schema is Act:  # free text: what a model writes there varies in case and spaces
            return (environment or self.environment).parse_action(action)
        return ParsedAction(action)

    def tool_call_of(self, action: str) -> dict[str, Any] | None:
        """The call, as `{"name": ..., "args": ...}`, that stands for `action`; None where no tool can say it."""
        for name, tool in self._actions.items():
            arguments = tool.parse(action)
            if arguments is not None:
                return {"name": name, "args": arguments}
        return None

    def answer(self, call: ToolCall, transition: Transition, environment: Environment | None = None) -> ToolMessage:
        """The tool message that a real call with this outcome gets; also for outcomes in a fork.

        Args:
            call: The tool call.
            transition: What it brought about.
            environment: The environment after it; the live one by default.
        """
        if transition.error is not None:
            content, artifact, status = error_text(transition), None, "error"
        else:
            content = self._content(transition, environment or self.environment)
            artifact, status = outcome_artifact(self.action_of(call, environment).action or "", transition), "success"
        return ToolMessage(content, name=call["name"], tool_call_id=call["id"], artifact=artifact, status=status)

    def fork(self) -> EnvironmentToolkit:
        """A toolkit over a fork of the environment: the same state and history, independent from here on.

        Raises:
            EnvironmentStateError: An action is being taken at this moment, or `start` was not called yet.
        """
        with self._alone():
            clone = EnvironmentToolkit(self.environment.fork(), prefix=self.prefix, show_state=self.show_state)
            clone._history, clone._end = list(self._history), self._end
        return clone

    @property
    def started(self) -> bool:
        """Whether the environment has a task."""
        return self.environment._task is not None

    def snapshot(self) -> dict[str, Any]:
        """Plain data that `restore` rebuilds the episode from, in any process."""
        with self._alone():
            return {"environment": self.environment.snapshot(), "history": list(self._history), "end": self._end}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on with the episode of a snapshot.

        Raises:
            EnvironmentStateError: The snapshot is not one of this environment's, or an action is being taken.
        """
        try:
            history = [(str(action), str(observation)) for action, observation in snapshot["history"]]
            inner, end = snapshot["environment"], snapshot["end"]
        except (KeyError, TypeError, ValueError) as error:
            raise EnvironmentStateError("not a toolkit's snapshot: it needs environment, history and end") from error
        with self._alone():
            self.environment.restore(inner)
            self._history, self._end = history, end

    def close(self) -> None:
        """Close the environment; forks are not affected. May be called twice."""
        self.environment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _tool(self, name: str, action: ActionTool) -> BaseTool:
        def take(runtime: Runtime = None, **arguments: Any) -> tuple[str, dict[str, Any]]:
            return drive(self._take(name, arguments, runtime, SyncIO()))

        async def atake(runtime: Runtime = None, **arguments: Any) -> tuple[str, dict[str, Any]]:
            return await self._take(name, arguments, runtime, AsyncIO())

        return StructuredTool(
            name=name,
            description=action.description,
            args_schema=_with_runtime(action.args_schema),
            func=take,
            coroutine=atake,
            response_format="content_and_artifact",
            handle_tool_error=True,
            handle_validation_error=_bad_arguments,
        )

    async def _take(self, name: str, arguments: dict[str, Any], runtime: Any, io: IO) -> tuple[str, dict[str, Any]]:
        """Carry out one call; `ToolException` says why it can't be done."""
        self._refuse_second(runtime)
        try:
            return await self._carry_out({"name": name, "args": arguments}, io)
        except LinvitError as error:
            _refuse(str(error))

    async def _carry_out(self, call: dict[str, Any], io: IO) -> tuple[str, dict[str, Any]]:
        environment = self.environment
        if isinstance(environment, ModelEnvironment):
            with self._alone():
                action = self._action_now(call)
                return self._settle(action, await Caller(io).step(environment, action, real=True))

        def locked() -> tuple[str, dict[str, Any]]:  # locked where it runs: a cancelled call's thread goes on
            with self._alone():
                action = self._action_now(call)
                return self._settle(action, environment.step(action))

        return await io.run(environment, locked)

    def _action_now(self, call: dict[str, Any]) -> str:
        if self._end is not None:
            _refuse(f"{self._end} Nothing was done; no further action is possible.")
        _ = self.environment.task  # before `reset`: one clear error, whatever the environment would stumble over
        parsed = self.action_of(call)
        if parsed.action is None:
            _refuse(parsed.error or "not an action")
        return parsed.action

    def _settle(self, action: str, transition: Transition) -> tuple[str, dict[str, Any]]:
        """Take note of a real step; its content and artifact."""
        if transition.error is not None:
            raise ToolException(error_text(transition))
        self._history.append((action, transition.observation))
        if transition.done:
            self._end = end_text(transition)
        return self._content(transition, self.environment), outcome_artifact(action, transition)

    def _content(self, transition: Transition, environment: Environment) -> str:
        return outcome_text(transition, environment.state_text() if self.show_state else None)

    def _refuse_second(self, runtime: Any) -> None:
        """Refuse all but the first environment call of one AI message."""
        first = call_before(getattr(runtime, "state", None), getattr(runtime, "tool_call_id", None), self.names)
        if first is not None:
            _refuse(
                f"one environment action per message: `{first}` of the same message was taken instead, and this call "
                "was not carried out. Read its result, then call again if it is still needed."
            )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        # Never waits: an async step of a model-driven environment holds it across awaits.
        if not self._lock.acquire(blocking=False):
            raise EnvironmentStateError(
                "another action is being taken in this environment; take one at a time, or fork() for a second episode"
            )
        try:
            yield
        finally:
            self._lock.release()


def _bad_arguments(error: Any) -> str:
    return f"Error: {validation_message(error)}"


def _refuse(reason: str) -> NoReturn:
    raise ToolException(f"Error: {reason}")


def _with_runtime(schema: type[BaseModel]) -> type[BaseModel]:
    """`schema`; where it has no field, with an injected one: langchain-core drops injected arguments otherwise."""
    if schema.model_fields:
        return schema
    field: Any = (Runtime, Field(default=None, exclude=True))
    return create_model(schema.__name__, __base__=schema, __doc__=schema.__doc__, runtime=field)
