"""SLINVIT as a LangGraph state machine, ready for `invoke`, `ainvoke`, `stream` and `astream`.

    start -> (try_policy ->) observe -> propose_subgoals (a unit per frontier node) -> simulate
          -> estimate_values (a unit per leaf) -> select_branch -> (deeper? propose_subgoals : act)
          -> observe ... -> finish

Source: arXiv 2402.16181, algorithm 2.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Checkpointer, Send

from langchain_linvit.accounting import Account, divide
from langchain_linvit.calls import IO, Caller, drive
from langchain_linvit.environments.base import Environment
from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.planner.episode import EpisodeNodes
from langchain_linvit.planner.parts import PlannerParts, Simulation, Update, share_account
from langchain_linvit.planner.policy import PolicyNodes
from langchain_linvit.planner.records import history_of
from langchain_linvit.planner.runs import Run, RunScope
from langchain_linvit.planner.search import SearchNodes, uncarried
from langchain_linvit.planner.settings import PRESETS, PlannerSettings
from langchain_linvit.planner.state import PlannerInput, PlannerOutput, PlannerState, UnitInput
from langchain_linvit.planner.tree import Node, agreement
from langchain_linvit.priors import ChatPrior, Level, PolicyPrior, PriorMethod, UniformPrior
from langchain_linvit.rollouts import RolloutValue
from langchain_linvit.rules import RuleValue
from langchain_linvit.values import (
    AgreementValue,
    CriticValue,
    FunctionValue,
    OracleValue,
    ValueEstimator,
)

Planner = CompiledStateGraph[PlannerState, None, PlannerInput, PlannerOutput]
MAX_SUPER_STEPS = 10_000
"""The horizon ends a run long before; a tool's call would else pass on LangChain's limit of 25."""
SHOWN_STEPS = 40
"""Steps of the history that a unit carries; prompts show no more."""

ESTIMATORS: dict[str, Callable[[], ValueEstimator]] = {
    "rollouts": RolloutValue,
    "critic": CriticValue,
    "rules": RuleValue,
    "agreement": AgreementValue,
    "oracle": OracleValue,
    "oracle_rollouts": lambda: RolloutValue(oracle=True),
}
"""Value estimators by name, with their defaults."""


def create_slinvit_planner(
    model: BaseChatModel | Runnable[Any, Any] | str | None,
    environment: Environment | Callable[[], Environment],
    *,
    prior: PolicyPrior | PriorMethod = "auto",
    value: ValueEstimator | Callable[[str, str], float] | str = "rollouts",
    level: Level = "action",
    simulation: Simulation = "fork",
    checkpointer: Checkpointer = None,
    preset: str | None = None,
    name: str = "slinvit",
    **settings: Any,
) -> Planner:
    """A planner that searches with a chat model as its prior and acts in an environment.

    Args:
        model: The chat model, or a name for `init_chat_model`; None where prior and value need none.
        environment: A prototype or a factory; every run makes and resets an instance of its own.
        prior: pi_LLM: a rung of the ladder by name, or a prior of your own; without a model, uniform.
        value: V^: `rollouts`, `critic`, `rules`, `oracle`, `oracle_rollouts`, a function
            `(state_text, goal) -> [0, 1]`, or an estimator.
        level: Whether the model proposes actions, or text subgoals that it then carries out.
        simulation: Candidates are tried in forks of the environment, or in the model's imagination of it.
        checkpointer: Any LangGraph saver; leave it out where the planner is a node of another graph.
        preset: Settings by name (`PRESETS`), which the other arguments override.
        name: The graph's name.
        **settings: The fields of `PlannerSettings`: candidates, breadth, beam, depth, kl_coef, horizon, commit,
            selection, budget, seed, and more.

    Returns:
        A compiled graph: `{"task": ...}` or `{"messages": [...]}` in, `{"result": PlanResult, "messages": [...]}` out.

    Raises:
        InvalidSettingError: A setting is out of range or contradicts another; the message says which.
    """
    if preset is not None:
        if preset not in PRESETS:
            raise InvalidSettingError(f"no preset {preset!r}; there are {', '.join(sorted(PRESETS))}")
        chosen = dict(PRESETS[preset])
        value = chosen.pop("value", value) if value == "rollouts" else value
        chosen.pop("value", None)
        settings = {**chosen, **settings}
    checked = PlannerSettings.checked(**settings)
    made_prior = make_prior(prior, model, level)
    if made_prior.level == "subgoal" and checked.candidates is None:
        raise InvalidSettingError("candidates=None scores admissible actions; pass candidates=m to propose subgoals")
    parts = PlannerParts(
        checked, made_prior, make_value(value).bound_to(made_prior, model), _spawner(environment), simulation, model
    )
    if simulation == "imagine" and model is None:
        raise InvalidSettingError("simulation='imagine' needs a model that imagines")
    if simulation == "imagine" and checked.policy_rollouts:
        raise InvalidSettingError("policy_rollouts carry out what worked in a fork; with simulation='imagine' pass 0")
    scope = RunScope(checked.max_concurrency)
    graph = _Wiring(parts, scope).graph().compile(checkpointer=checkpointer, name=name)
    return graph.with_config(
        callbacks=[scope], max_concurrency=checked.max_concurrency, recursion_limit=MAX_SUPER_STEPS
    )


def make_prior(prior: PolicyPrior | PriorMethod, model: Any, level: Level = "action") -> PolicyPrior:
    """A prior from a name of the ladder's rungs, or the given one.

    Raises:
        InvalidSettingError: A rung was named, but there is no model.
    """
    if isinstance(prior, PolicyPrior):
        return prior
    if model is not None:
        return ChatPrior(model, method=prior, level=level)
    if prior == "auto" and level == "action":
        return UniformPrior()
    raise InvalidSettingError(f"prior {prior!r} over {level}s needs a model")


def make_value(value: ValueEstimator | Callable[[str, str], float] | str) -> ValueEstimator:
    """An estimator from a name, a function, or the given one.

    Raises:
        InvalidSettingError: No estimator has that name.
    """
    if isinstance(value, ValueEstimator):
        return value
    if isinstance(value, str):
        if value not in ESTIMATORS:
            raise InvalidSettingError(f"no value estimator {value!r}; there are {', '.join(sorted(ESTIMATORS))}")
        return ESTIMATORS[value]()
    return FunctionValue(value)


def _spawner(environment: Environment | Callable[[], Environment]) -> Callable[[], Environment]:
    if isinstance(environment, Environment):
        return environment.spawn
    if callable(environment):
        return environment
    raise InvalidSettingError(
        f"environment must be an Environment or a factory of one, not {type(environment).__name__}"
    )


class _Step(Runnable[Any, Any]):
    """A body as a node or a route: sync or async as it is called, without a run or a thread of its own."""

    def __init__(
        self, name: str, scope: RunScope, body: Callable[[Any, Run, IO], Coroutine[Any, Any, Any]]
    ) -> None:  # fmt: skip
        self.name = name
        self._scope = scope
        self._body = body

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        del kwargs
        run = self._scope.current(config)
        return drive(self._body(input, run, run.sync_io()))

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        del kwargs
        run = self._scope.current(config)
        return await self._body(input, run, run.async_io())


class _Wiring:
    """Nodes, edges and routes of one planner."""

    def __init__(self, parts: PlannerParts, scope: RunScope) -> None:
        self._parts = parts
        self._scope = scope
        self._episode = EpisodeNodes(parts)
        self._search = SearchNodes(parts)

    def graph(self) -> StateGraph[PlannerState, None, PlannerInput, PlannerOutput]:
        graph = StateGraph(PlannerState, input_schema=PlannerInput, output_schema=PlannerOutput)
        episode, search = self._episode, self._search
        joins = {
            "start": episode.start,
            "observe": episode.observe,
            "simulate": search.simulate,
            "select_branch": search.select_branch,
            "act": episode.act,
            "finish": episode.finish,
        }
        units = {
            "propose_subgoals": search.propose_subgoals,
            "carry_out": search.carry_out,
            "estimate_values": search.estimate_values,
        }
        for name, body in joins.items():
            graph.add_node(name, self._runnable(name, body, self._parts.account))
        for name, unit in units.items():
            graph.add_node(name, self._runnable(name, unit, _unit_account), input_schema=UnitInput)
        graph.add_edge(START, "start")
        if self._parts.settings.policy_rollouts:
            tries = PolicyNodes(self._parts).try_policy
            graph.add_node("try_policy", self._runnable("try_policy", tries, self._parts.account))
            graph.add_edge("start", "try_policy")
            graph.add_edge("try_policy", "observe")
        else:
            graph.add_edge("start", "observe")
        graph.add_edge("propose_subgoals", "simulate")
        graph.add_edge("carry_out", "simulate")
        graph.add_edge("estimate_values", "select_branch")
        graph.add_edge("act", "observe")
        graph.add_edge("finish", END)
        searching = ["propose_subgoals", "estimate_values", "select_branch"]
        route = self._router()
        graph.add_conditional_edges("observe", route, [*searching, "finish"])
        graph.add_conditional_edges("simulate", route, [*searching, "carry_out"])
        graph.add_conditional_edges("select_branch", route, [*searching, "act", "finish"])
        return graph

    def _runnable(
        self, name: str, body: Callable[[Any, Run, Caller], Coroutine[Any, Any, Update]],
        account: Callable[[Any, Run], Account],
    ) -> _Step:  # fmt: skip
        def bound(state: Any, run: Run, io: IO) -> Coroutine[Any, Any, Update]:
            return body(state, run, self._parts.caller(io, account(state, run), run))

        return _Step(name, self._scope, bound)

    def _router(self) -> _Step:
        async def route(state: Any, run: Run, io: IO) -> list[Send] | str:
            del io
            return self._route(state, run)

        return _Step("route", self._scope, route)

    def _route(self, state: PlannerState, run: Run) -> list[Send] | str:
        """From a join: fan out over the batch, or on to the next node."""
        phase, batch, nodes = state["phase"], state["batch"], state["nodes"]
        if phase == "propose":
            return self._fan_out("propose_subgoals", [[nodes[node_id]] for node_id in batch], state, run)
        if phase == "carry_out":
            return self._fan_out("carry_out", uncarried(state, batch), state, run)
        if phase == "estimate":
            groups = [[node_id] for node_id in batch] if self._parts.value.per_leaf else [batch]
            return self._fan_out("estimate_values", [[nodes[node_id] for node_id in g] for g in groups], state, run)
        return {"select": "select_branch", "act": "act", "end": "finish"}[phase]

    def _fan_out(self, node: str, groups: Sequence[list[Node]], state: PlannerState, run: Run) -> list[Send]:
        """One unit per group, each with an equal share of what is left of the budget."""
        account = self._parts.account(state, run)
        limits = (account.completions, account.tokens, account.env_steps)
        shares = zip(*(divide(limit, len(groups)) for limit in limits), strict=True)
        seconds = account.seconds_left()
        tree = self._parts.tree(state) if node == "estimate_values" else None
        committed = history_of(state["committed"][-SHOWN_STEPS:])
        return [
            Send(
                node,
                UnitInput(
                    nodes=group,
                    root=state["root"],
                    history={item["id"]: _history(state, item, committed) for item in group},
                    agreement={item["id"]: agreement(tree, item["id"]) for item in group} if tree else {},
                    share={"completions": calls, "tokens": tokens, "env_steps": steps, "seconds": seconds},
                    stepwise=state["real"]["stepwise"],
                    prepared=state["prepared"] if node == "estimate_values" else {},
                    horizon=state["horizon"],
                ),
            )
            for group, (calls, tokens, steps) in zip(groups, shares, strict=True)
        ]


def _history(state: PlannerState, node: Node, committed: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """What led to a node: the real steps, then those of its branch below the root."""
    steps: list[tuple[str, str]] = []
    at: Node | None = state["nodes"].get(node["id"])
    while at is not None and at["id"] != state["root"]:
        steps = [*at["steps"], *steps]
        at = state["nodes"].get(at["parent"] or "")
    return [*committed, *steps][-SHOWN_STEPS:]


def _unit_account(unit: UnitInput, run: Run) -> Account:
    del run
    return share_account(unit["share"])
