"""One model call of an agent, with a search in its place: what to say, what it cost, what was considered."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from langchain.agents.middleware.types import ExtendedModelResponse, ModelRequest
from langchain_core.messages import AIMessage, AnyMessage, ToolMessage
from langchain_core.tools import BaseTool
from langgraph.constants import TAG_NOSTREAM
from langgraph.types import Command
from pydantic import BaseModel

from langchain_linvit.accounting import Account, add_counts
from langchain_linvit.agents.candidates import Candidate, call_text, history_of, message_text
from langchain_linvit.agents.imagination import calibrated, score_guess
from langchain_linvit.agents.lookahead import Lookahead, used_tokens
from langchain_linvit.agents.quiet import quiet
from langchain_linvit.agents.settings import AgentSearchSettings
from langchain_linvit.agents.simulation import Point, Simulation, Way
from langchain_linvit.agents.state import RunMemory, trace_record
from langchain_linvit.agents.toolkit import EnvironmentToolkit
from langchain_linvit.calls import IO, Caller, Retry
from langchain_linvit.errors import BudgetExhaustedError, ModelCallError
from langchain_linvit.models.sampling import SamplingModel
from langchain_linvit.planner.records import blank_node, digest, emit, shown
from langchain_linvit.planner.settings import DEFAULT_HORIZON
from langchain_linvit.priors import ChatPrior
from langchain_linvit.values import ValueEstimator

Simulated = Literal["imagine", "critic"]


@dataclass(frozen=True)
class Decision:
    """What `SLINVITMiddleware` is set to; it keeps nothing of any run."""

    settings: AgentSearchSettings
    value: ValueEstimator
    toolkit: EnvironmentToolkit | None
    goal: str | None
    read_only: frozenset[str]
    simulation: Simulated | Mapping[str, Simulated | type[BaseModel]]
    model: Any

    async def take(self, request: ModelRequest[Any], handler: Any, io: IO) -> ExtendedModelResponse[Any]:
        """The message to say, with the update of the agent's state.

        Raises:
            BudgetExhaustedError: The budget is spent, and `on_budget` is `error`.
            Exception: Whatever the model raised, where every candidate failed.
        """
        started = time.monotonic()
        state: Mapping[str, Any] = request.state
        memory: RunMemory = {**(state.get("linvit_run") or {})}  # type: ignore[typeddict-item]
        caller = self._caller(io, state.get("linvit_usage") or {}, started)
        lookahead = self._lookahead(request, quiet(handler, io.suspends), caller, memory)
        emit("decision", decision=memory.get("steps", 0), step=memory.get("steps", 0), state=lookahead.simulation.goal)
        try:
            found = await self._search(lookahead, memory) if not memory.get("exhausted") else _Found()
        finally:
            lookahead.close()
        memory["exhausted"] = memory.get("exhausted") or lookahead.exhausted
        if memory["exhausted"] and self.settings.on_budget == "error":
            raise BudgetExhaustedError(memory["exhausted"])
        if found.chosen is None or (memory["exhausted"] and self.settings.on_budget == "pass_through"):
            found = _Found()
            response = await io.call(lambda: handler(request), None)
            caller.account.count({"llm_calls": 1, "requests": 1, **used_tokens(response)})
        else:
            response = found.chosen.response
        emit("selected", decision=memory.get("steps", 0), branch=[shown(lookahead.nodes[n]) for n in found.branch])
        record = trace_record(
            lookahead, found.branch, found.chosen, decision=found.decision, memory=memory,
            record_tree=self.settings.record_tree,
        )  # fmt: skip
        update = self._update(state, memory, lookahead, found, record, started)
        return ExtendedModelResponse(response, Command(update=update))

    async def _search(self, lookahead: Lookahead, memory: RunMemory) -> _Found:
        """Sample, and search where the samples differ."""
        candidates = await lookahead.propose()
        if not candidates:
            # Without candidates of its own making, the model still has its say: failing there is the handler's matter.
            if lookahead.exhausted is None and lookahead.failures and self.settings.candidates is not None:
                raise lookahead.failures[0]
            return _Found()
        if len(candidates) == 1:
            return _Found([], candidates[0], "followed" if lookahead.root["key"] in self._way_on(memory) else "agreed")
        memory["prepared"] = lookahead.prepared = await self._prepared(lookahead, memory)
        branch = await lookahead.search(candidates)
        return _Found(branch, lookahead.candidates[branch[0]], "searched")

    def _way_on(self, memory: RunMemory) -> dict[str, Any]:
        """The proposals that an earlier search has found to lead to the end; none where messages are sampled first."""
        return memory.get("known", {}).get("way", {}) if self.settings.candidates is None else {}

    async def _prepared(self, lookahead: Lookahead, memory: RunMemory) -> dict[str, Any]:
        """What the value estimator makes once per run, e.g. rules; failures become notes."""
        if "prepared" in memory:
            return memory["prepared"]
        situation = lookahead.simulation.situation(lookahead.points[lookahead.root["id"]])
        try:
            return await lookahead.value.prepare(situation, lookahead.caller)
        except BudgetExhaustedError as error:
            lookahead.exhausted = error.what
        except ModelCallError as failure:
            lookahead.notes.append(f"the value estimator could not prepare: {failure}")
        return {}

    def _caller(self, io: IO, usage: Mapping[str, Any], started: float) -> Caller:
        """What is left of the run's budget."""
        budget = self.settings.budget

        def left(limit: int | None, *names: str) -> int | None:
            return None if limit is None else limit - sum(usage.get(name, 0) for name in names)

        account = Account(
            left(budget.completions, "llm_calls"),
            left(budget.tokens, "prompt_tokens", "completion_tokens"),
            left(budget.env_steps, "env_steps_simulated"),
            None if budget.seconds is None else started + budget.seconds - usage.get("seconds", 0.0),
        )
        return Caller(io, account, self.settings.seed, Retry(self.settings.retries + 1, self.settings.retry_delay))

    def _lookahead(self, request: ModelRequest[Any], handler: Any, caller: Caller, memory: RunMemory) -> Lookahead:
        sampler = SamplingModel.of(request.model, temperature=self.settings.temperature)
        tags = [*(sampler.model.tags or []), TAG_NOSTREAM]
        sampler = replace(sampler, model=sampler.model.model_copy(update={"tags": tags}))
        simulation = self._simulation(request)
        start = self._start(request.messages, simulation)
        node_id = digest("conversation", *(_said(message) for message in request.messages))
        used = sum(message.name in self._environment_tools for message in request.messages)
        root = {**blank_node(node_id, None, "", used=used), "key": start.key(node_id)}
        judge = self.model or request.model
        prior, known = ChatPrior(judge), memory.get("known", {})
        way = {key: [only] for key, only in self._way_on(memory).items()}
        return Lookahead(
            settings=self.settings,
            request=request,
            handler=handler,
            sampler=sampler,
            simulation=simulation,
            prior=prior,
            value=self.value.bound_to(prior, judge),
            caller=caller,
            root=root,  # type: ignore[arg-type]
            start=start,
            visited=frozenset(memory.get("visited", [])),
            horizon=self._horizon(used),
            values=dict(known.get("values", {})),
            proposals={**known.get("proposals", {}), **way},
            prior_failed=memory.get("prior_failed", False),
        )

    @property
    def _environment_tools(self) -> frozenset[str]:
        return self.toolkit.names if self.toolkit is not None else frozenset()

    def _horizon(self, used: int) -> int:
        """Environment steps of the run; at least one more than were taken, since the agent does go on."""
        own = self.toolkit.environment.horizon if self.toolkit is not None else None
        return max(self.settings.horizon or own or DEFAULT_HORIZON, used + 1)

    def _over(self) -> str | None:
        """Why no environment action is possible any more; a search that leaves the model no say ends at its horizon."""
        toolkit = self.toolkit
        if toolkit is None:
            return None
        used_up = self.settings.candidates is None and len(toolkit.history) >= self._horizon(0)
        return "the episode is over" if toolkit.ended else "the horizon is reached" if used_up else None

    def _simulation(self, request: ModelRequest[Any]) -> Simulation:
        toolkit = self.toolkit
        tools = {tool.name: tool for tool in request.tools if isinstance(tool, BaseTool)}
        others = {name: tool for name, tool in tools.items() if name not in self._environment_tools}
        names = [*tools, *(_tool_name(tool) for tool in request.tools if isinstance(tool, dict))]
        environment = toolkit.environment if toolkit is not None else None
        goal = self.goal or (environment.goal if environment is not None else _first_request(request.messages))
        told = [environment.description] if environment is not None else []
        told += [f"Tool {name}: {tool.description}" for name, tool in others.items()]
        return Simulation(
            goal=goal,
            description="\n".join(told) or "A conversation with a person.",
            toolkit=toolkit,
            tools=others,
            ways={name: self._way(name, name in others) for name in names},
            schemas=self._schemas(),
            imaginer=SamplingModel.of(self.model or request.model),
            state=request.state,
            over=self._over(),
        )

    def _way(self, name: str, can_run: bool) -> Way:
        """How calls of a tool are tried."""
        if name in self._environment_tools:
            return "fork"
        if name in self.read_only and can_run:
            return "run"
        way = self.simulation if isinstance(self.simulation, str) else self.simulation.get(name, "imagine")
        return way if isinstance(way, str) else "imagine"

    def _schemas(self) -> dict[str, type[BaseModel]]:
        if isinstance(self.simulation, str):
            return {}
        return {name: way for name, way in self.simulation.items() if not isinstance(way, str)}

    def _start(self, messages: list[AnyMessage], simulation: Simulation) -> Point:
        """The real state of the conversation."""
        own = self._environment_tools
        calls = {call["id"]: call for m in messages if isinstance(m, AIMessage) for call in m.tool_calls}
        spelled = {str(key): simulation.spelled(call) for key, call in calls.items() if call["name"] in own}
        learnt = {
            digest(call_text(calls[m.tool_call_id]), m.text)
            for m in messages
            if isinstance(m, ToolMessage) and m.tool_call_id in calls and m.name not in own
        }
        environment = self.toolkit.environment if self.toolkit is not None else None
        return Point(list(messages), history_of(messages, spelled), environment, frozenset(learnt))

    def _update(
        self, state: Mapping[str, Any], memory: RunMemory, lookahead: Lookahead, found: _Found,
        record: dict[str, Any], started: float,
    ) -> dict[str, Any]:  # fmt: skip
        """The update of the agent's state."""
        scores = guess_scores(state)
        spent = add_counts(lookahead.caller.account.spent, {"seconds": time.monotonic() - started})
        point = lookahead.points.get(found.branch[0]) if found.branch else None
        memory["visited"] = [*memory.get("visited", []), lookahead.root["key"]]
        memory["guesses"] = dict(point.guesses) if point is not None else {}
        memory["steps"] = memory.get("steps", 0) + 1
        memory["prior_failed"] = lookahead.prior_failed
        if found.branch:
            memory["known"] = lookahead.below(found.branch)
        usage = add_counts(state.get("linvit_usage") or {}, spent)
        if self.toolkit is not None:
            usage["env_steps_real"] = len(self.toolkit.history)
        update = {"linvit_trace": [{**record, "scored": scores, "usage": spent}], "linvit_usage": usage}
        if scores:
            update["linvit_calibration"] = calibrated(state.get("linvit_calibration") or {}, scores)
        return {**update, "linvit_run": memory}


@dataclass(frozen=True, slots=True)
class _Found:
    """What a search came to; without a candidate the model's own message is taken."""

    branch: list[str] = field(default_factory=list)
    chosen: Candidate | None = None
    decision: Literal["searched", "agreed", "followed", "passed_through"] = "passed_through"


def guess_scores(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    """How the guesses of the last message compare with the results that have come since."""
    guesses = (state.get("linvit_run") or {}).get("guesses") or {}
    if not guesses:
        return []
    results = {m.tool_call_id: m for m in state["messages"] if isinstance(m, ToolMessage)}
    return [score_guess(guess, results[call_id]) for call_id, guess in guesses.items() if call_id in results]


def _said(message: AnyMessage) -> str:
    return message_text(message) if isinstance(message, AIMessage) else f"{message.type}: {message.text}"


def _first_request(messages: list[AnyMessage]) -> str:
    return next((message.text for message in messages if message.type == "human"), "")


def _tool_name(tool: Mapping[str, Any]) -> str:
    return str(tool.get("function", tool).get("name") or tool.get("type"))
