"""SLINVIT inside of an agent: at each model call, several candidate messages are tried, and the best one is said.

    agent = create_agent(model, toolkit.get_tools(), middleware=[SLINVITMiddleware(toolkit=toolkit)])

Source: arXiv 2402.16181, algorithm 2, with an agent's messages as the subgoals.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain.agents.middleware.types import (
    AgentMiddleware,
    ExtendedModelResponse,
    ModelRequest,
    ModelResponse,
    ToolCallRequest,
)
from langchain_core.messages import ToolMessage
from langgraph.config import get_config
from langgraph.runtime import Runtime
from langgraph.types import Command, Overwrite
from pydantic import BaseModel

from langchain_linvit.agents.decision import Decision, Simulated, guess_scores
from langchain_linvit.agents.imagination import calibrated
from langchain_linvit.agents.settings import AgentSearchSettings
from langchain_linvit.agents.state import LinvitState
from langchain_linvit.agents.toolkit import EnvironmentToolkit
from langchain_linvit.calls import IO, AsyncIO, SyncIO, drive
from langchain_linvit.errors import EnvironmentStateError, InvalidSettingError
from langchain_linvit.planner.graph import make_value
from langchain_linvit.values import ValueEstimator

Called = ToolMessage | Command[Any]


class SLINVITMiddleware(AgentMiddleware[LinvitState, Any, Any]):
    """Looks ahead before each message of an agent, and says the best of several.

    At each model call it samples `candidates` messages, merges those that do the same, and, where they differ,
    tries each one: calls of the toolkit's tools in forks of the real environment, tools in `read_only` for real,
    all others as `simulation` says. It looks `depth` messages ahead and takes the branch that is best under
    `sum(r + kl_coef * log pi_LLM) + V`, the planner's own score. One message comes out; no candidate reaches a
    stream, and nothing but read-only tools and forks is touched before the message is said.

    What could follow an environment action is asked of the planner's prior over actions: one request for each state
    where the environment lists its admissible ones. With `candidates=None` that prior proposes at the real state too,
    as in `create_slinvit_planner`: each message takes one of the admissible actions, until the episode is over, or its
    horizon is reached, and the agent's model has the last word.

    Put it first in the list: retries, fallbacks and limits of other middleware then hold for each sampled message.

    Example:
        .. code-block:: python

            toolkit = EnvironmentToolkit(BlocksWorldEnvironment())
            middleware = SLINVITMiddleware(toolkit=toolkit, value=blocks_in_place, depth=4, beam=2)
            agent = create_agent(model, toolkit.get_tools(), middleware=[middleware])
            agent.invoke({"messages": [("user", toolkit.start(task))]})["linvit_trace"]

    Args:
        toolkit: The environment that the agent acts in; None where it has none. It holds one episode, so agents
            that run at once need a toolkit and a middleware each.
        goal: What values are estimated for; by default the environment's goal, else the first human message.
        value: V^: `critic`, `rules`, `agreement`, `rollouts`, `oracle`, a function `(state_text, goal) -> [0, 1]`,
            or an estimator.
        read_only: Names of tools that may be run at any time: they change nothing, and nobody minds.
        simulation: How all other tools are tried: `imagine` (the model predicts the answer) or `critic` (the
            estimator judges the intent alone); or a mapping from names to one of these, or to a pydantic model that
            imagined answers follow. Tools that a mapping doesn't name are imagined.
        needs_approval: Names of tools that wait for a person, or the `HumanInTheLoopMiddleware` that knows them. They
            are never run before the person has agreed.
        model: Who imagines, judges and weighs actions; by default the agent's own model.
        **settings: The fields of `AgentSearchSettings`: candidates, depth, breadth, beam, lookahead, kl_coef,
            selection, temperature, budget, on_budget, horizon, seed, and more. The budget is for one run of the agent.

    Raises:
        InvalidSettingError: A setting is out of range, or contradicts another; the message says which.
    """

    state_schema = LinvitState

    def __init__(
        self,
        *,
        toolkit: EnvironmentToolkit | None = None,
        goal: str | None = None,
        value: ValueEstimator | Callable[[str, str], float] | str = "critic",
        read_only: Collection[str] = (),
        simulation: Simulated | Mapping[str, Simulated | type[BaseModel]] = "imagine",
        needs_approval: Collection[str] | HumanInTheLoopMiddleware[Any, Any, Any] = (),
        model: Any = None,
        **settings: Any,
    ) -> None:
        super().__init__()
        self.toolkit = toolkit
        self.tools = []
        if toolkit is not None and not isinstance(toolkit, EnvironmentToolkit):
            raise InvalidSettingError(f"toolkit must be an EnvironmentToolkit, not {type(toolkit).__name__}")
        checked = AgentSearchSettings.checked(**settings)
        if checked.candidates is None and toolkit is None:
            raise InvalidSettingError(
                "candidates=None scores the admissible actions of an environment: pass its toolkit, or candidates=k to "
                "sample k messages"
            )
        self._decision = Decision(
            settings=checked,
            value=make_value(value),
            toolkit=toolkit,
            goal=goal,
            read_only=_names(read_only, "read_only"),
            simulation=simulation,
            model=model,
        )
        self._check_approval(needs_approval)

    def before_agent(self, state: LinvitState, runtime: Runtime[Any]) -> dict[str, Any]:
        """Begin a run: an empty trace, nothing spent, and the environment where the conversation left it."""
        del runtime
        return drive(self._begin(state, SyncIO()))

    async def abefore_agent(self, state: LinvitState, runtime: Runtime[Any]) -> dict[str, Any]:
        """As `before_agent`."""
        del runtime
        return await self._begin(state, AsyncIO())

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ExtendedModelResponse[Any]:
        """Search for the message to say."""
        return drive(self._decide(request, handler, SyncIO(self._decision.settings.max_concurrency)))

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ExtendedModelResponse[Any]:
        """As `wrap_model_call`."""
        return await self._decide(request, handler, AsyncIO(self._decision.settings.max_concurrency))

    def wrap_tool_call(self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Called]) -> Called:
        """Keep what a resumed run rebuilds the environment from."""
        return drive(self._call_tool(request, handler, SyncIO()))

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[Called]]
    ) -> Called:
        """As `wrap_tool_call`."""
        return await self._call_tool(request, handler, AsyncIO())

    def after_agent(self, state: LinvitState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Score the guesses that no further model call came to see the outcome of."""
        del runtime
        scores = guess_scores(state)
        if not scores:
            return None
        memory = {**(state.get("linvit_run") or {}), "guesses": {}}
        return {"linvit_calibration": calibrated(state.get("linvit_calibration") or {}, scores), "linvit_run": memory}

    async def aafter_agent(self, state: LinvitState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """As `after_agent`."""
        return self.after_agent(state, runtime)

    async def _decide(self, request: ModelRequest[Any], handler: Any, io: IO) -> ExtendedModelResponse[Any]:
        await self._synchronise(request.state, io)
        return await self._decision.take(request, handler, io)

    async def _begin(self, state: Any, io: IO) -> dict[str, Any]:
        update: dict[str, Any] = {"linvit_trace": Overwrite([]), "linvit_usage": {}, "linvit_run": {}}
        if self.toolkit is not None:
            await self._synchronise(state, io)
            update["linvit_environment"] = await self._snapshot(io)
        return update

    async def _call_tool(self, request: ToolCallRequest, handler: Any, io: IO) -> Called:
        if self.toolkit is None or request.tool_call["name"] not in self.toolkit.names:
            result: Called = await io.call(lambda: handler(request), None)
            return result
        if not self.toolkit.started:
            await self._synchronise(request.state, io)
        result = await io.call(lambda: handler(request), None)
        snapshot = await self._snapshot(io)
        if snapshot is None or not isinstance(result, ToolMessage):
            return result
        return Command(update={"messages": [result], "linvit_environment": snapshot})

    async def _synchronise(self, state: Mapping[str, Any], io: IO) -> None:
        """Bring the live environment to where the checkpoint says that this conversation's stands.

        They differ after a resume in another process, after a step back in time, or where another conversation used
        the toolkit since. An environment that was started on another task is left alone: that is a new episode.
        """
        if self.toolkit is None:
            return
        toolkit, kept = self.toolkit, state.get("linvit_environment")
        if kept is None:
            if not toolkit.started:
                raise EnvironmentStateError(
                    "the toolkit's environment has no task: call toolkit.start(task) before the agent is invoked (to "
                    "resume in another process, the agent needs a checkpointer, from its first run on)"
                )
            return
        environment = toolkit.environment
        if toolkit.started and (environment.task.id != kept["task"] or environment.state_key() == kept["key"]):
            return
        await io.run(environment, lambda: toolkit.restore(kept["snapshot"]))

    async def _snapshot(self, io: IO) -> dict[str, Any] | None:
        """What the environment is rebuilt from; None where nothing checkpoints it."""
        if self.toolkit is None or not get_config().get("configurable", {}).get("thread_id"):
            return None
        toolkit = self.toolkit
        environment = toolkit.environment

        def taken() -> dict[str, Any]:
            return {"task": environment.task.id, "key": environment.state_key(), "snapshot": toolkit.snapshot()}

        return await io.run(environment, taken)

    def _check_approval(self, needs_approval: Collection[str] | HumanInTheLoopMiddleware[Any, Any, Any]) -> None:
        if isinstance(needs_approval, HumanInTheLoopMiddleware):
            waiting = frozenset(needs_approval.interrupt_on)
        else:
            waiting = _names(needs_approval, "needs_approval")
        both = sorted(waiting & self._decision.read_only)
        if both:
            raise InvalidSettingError(
                f"{', '.join(both)}: a tool that waits for a person can't be run before; leave it out of read_only"
            )


def _names(names: Collection[str], setting: str) -> frozenset[str]:
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise InvalidSettingError(f"{setting} must be a collection of tool names, such as ['search'], not {names!r}")
    return frozenset(names)
