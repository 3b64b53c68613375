"""The search behind one model call: layer by layer, on the planner's own tree, until a branch can be selected.

The tree, its scores (`sum(r + kl_coef * log p) + V`) and the selection are the planner's; what differs is how a
node is tried (`simulation`) and expanded: by the agent's own model call, through every inner middleware, or, after an
environment action, by the planner's prior over actions.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from langchain.agents.middleware.types import ModelRequest, ModelResponse
from langgraph.errors import GraphBubbleUp

from langchain_linvit.agents.candidates import Candidate, ai_message, call_text, composed, from_model, merged
from langchain_linvit.agents.settings import AgentSearchSettings
from langchain_linvit.agents.simulation import Point, Simulation
from langchain_linvit.calls import Caller, derive_seed
from langchain_linvit.environments.base import Environment, Task
from langchain_linvit.environments.imagined import ImaginedEnvironment
from langchain_linvit.errors import BudgetExhaustedError, ModelCallError
from langchain_linvit.models.sampling import SamplingModel
from langchain_linvit.planner.records import dead_node, digest, emit, pending_nodes, proposal_data, shown, value_data
from langchain_linvit.planner.selection import select_branch
from langchain_linvit.planner.tree import Node, Tree, Value, View, agreement, analyse, value_key
from langchain_linvit.priors import PolicyPrior, Proposal
from langchain_linvit.values import Leaf, ValueEstimate, ValueEstimator

Handler = Callable[[ModelRequest[Any]], Any]
"""The agent's model call below this middleware: sync, or (in an event loop) awaitable."""
Answer = ModelResponse[Any] | list[Proposal] | Exception
"""What one request for candidates comes to: a sampled message, or proposed actions."""


@dataclass
class Lookahead:
    """One search.

    Attributes:
        settings: How it searches.
        request: The agent's model call.
        handler: What carries a model call out.
        sampler: The request's model, prepared for sampling: it never streams.
        simulation: How candidates are tried.
        prior: pi_LLM over actions.
        value: V^.
        caller: What everything is called through and paid by.
        root, start: The real state: as a node, and its live side.
        visited: Keys of the states that the run has been in.
        horizon: Steps of the whole run.
        prepared: What the value estimator made for this task.
        values, proposals: What is known of states already, by their keys; `below` says what of it to keep.
        prior_failed: Whether the prior could not be asked, so that messages are sampled instead.
    """

    settings: AgentSearchSettings
    request: ModelRequest[Any]
    handler: Handler
    sampler: SamplingModel
    simulation: Simulation
    prior: PolicyPrior
    value: ValueEstimator
    caller: Caller
    root: Node
    start: Point
    visited: frozenset[str]
    horizon: int
    prepared: Mapping[str, Any] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    children: dict[str, list[str]] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)
    proposals: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    points: dict[str, Point] = field(default_factory=dict)
    candidates: dict[str, Candidate] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    prior_failed: bool = False
    exhausted: str | None = None

    @property
    def tree(self) -> Tree:
        """The search as it stands."""
        return Tree(
            self.nodes, self.children, self.values, self.root["id"], self.visited, self.horizon, self.value.uses_horizon
        )

    @property
    def view(self) -> View:
        """The analysis of the search, under the settings."""
        settings = self.settings
        return analyse(
            self.tree,
            depth=settings.depth,
            breadth=settings.breadth,
            beam=settings.beam,
            kl_coef=settings.kl_coef,
            layerwise=settings.layerwise,
        )

    async def propose(self) -> list[Candidate]:
        """The candidates of the real state, merged; `failures` says why some or all are missing."""
        self.nodes[self.root["id"]], self.points[self.root["id"]] = self.root, self.start
        if self.settings.candidates is None and self._is_over:
            return []
        return (await self._propose([self.root["id"]]))[0]

    async def search(self, candidates: Sequence[Candidate]) -> list[str]:
        """Node ids of the best branch; its first node is what to do now."""
        try:
            await self._try_all([(self.root["id"], candidates)])
            while (view := self.view).phase != "select" and self.exhausted is None:
                if view.phase == "propose":
                    found = await self._propose(view.batch)
                    await self._try_all(list(zip(view.batch, found, strict=True)))
                else:
                    await self._estimate(view.batch)
        except BudgetExhaustedError as error:
            self.exhausted = error.what
        seed = derive_seed(self.settings.seed, self.root["id"], "select")
        return select_branch(
            self.tree, self.view, selection=self.settings.selection, kl_coef=self.settings.kl_coef, seed=seed
        )

    def below(self, branch: Sequence[str]) -> dict[str, Any]:
        """What the next search can use of this one: values and proposals of the states from the branch's first on.

        Where the branch solves the task, `way` has the one proposal that leads on from each of its states.
        """
        nodes = [self.nodes[each] for each in self.tree.subtree(branch[0])]
        keys = {self._value_key(node) for node in nodes} if not self.value.compares else set()
        states = {node["key"] for node in nodes}
        return {
            "values": {key: value for key, value in self.values.items() if key in keys and not value["error"]},
            "proposals": {key: found for key, found in self.proposals.items() if key in states},
            "way": self._way(branch) if self.nodes[branch[-1]]["solved"] else {},
        }

    def _way(self, branch: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The proposals that lead along a branch, each by the key of the state that it was made for."""
        steps = [(self.nodes[at]["key"], self.nodes[to]["text"]) for at, to in pairwise(branch)]
        return {
            key: proposal
            for key, text in steps
            for proposal in self.proposals.get(key, [])
            if (call := self.simulation.call_of(proposal["text"])) is not None and call_text(call) == text
        }

    def close(self) -> None:
        """Close every fork."""
        for point in self.points.values():
            point.close()

    async def _propose(self, node_ids: Sequence[str]) -> list[list[Candidate]]:
        """Candidates for each node; where the prior fails, messages are sampled, there and from then on."""
        found = await self._answers(node_ids)
        layer = {node_id: self._read(node_id, answers) for node_id, answers in found.items()}
        failed = [node_id for node_id, answers in found.items() if self._prior_failed(node_id, answers)]
        if failed:
            self.prior_failed = True
            again = await self._answers(failed)
            layer.update({node_id: self._read(node_id, answers) for node_id, answers in again.items()})
        return [layer[node_id] for node_id in node_ids]

    def _prior_failed(self, node_id: str, answers: Sequence[Answer]) -> bool:
        acting = self.settings.candidates is not None and self._takes_actions(node_id)
        return acting and any(isinstance(answer, ModelCallError) for answer in answers)

    async def _answers(self, node_ids: Sequence[str]) -> dict[str, list[Answer]]:
        """What comes back for each node: all requests of a layer at once."""
        requests = [(node_id, request) for node_id in node_ids for request in self._requests(node_id)]
        answers = await self.caller.gather([request for _, request in requests])
        found: dict[str, list[Answer]] = {node_id: [] for node_id in node_ids}
        for (node_id, _), answer in zip(requests, answers, strict=True):
            found[node_id].append(answer)
        return found

    def _requests(self, node_id: str) -> list[Callable[[Caller], Awaitable[Answer]]]:
        """What a node's candidates are asked for by: one request over its actions, or one for each message."""
        if self._takes_actions(node_id):
            known = self.nodes[node_id]["key"] in self.proposals
            return [] if known else [lambda part: self._ask_prior(node_id, part)]
        # Requests are made here, not where they are sent: making one isn't safe in threads (it sets warning filters).
        samples = [self._request(node_id, index) for index in range(self.settings.candidates or 0)]
        return [lambda part, request=request: self._ask(request, part) for request in samples]  # type: ignore[misc]

    def _takes_actions(self, node_id: str) -> bool:
        """Whether a node's candidates are actions: those of the real state if the user says so."""
        if self.settings.candidates is None:
            return True
        return self.settings.lookahead == "actions" and not self.prior_failed and self.points[node_id].acted

    @property
    def _is_over(self) -> bool:
        """Whether no action is left to take for real."""
        environment = self.start.environment
        return self.simulation.over is not None or environment is None or bool(environment.solved)

    async def _ask_prior(self, node_id: str, caller: Caller) -> list[Proposal] | Exception:
        """The likeliest actions at a node; where the environment lists them, all are scored at once."""
        situation, k = self.simulation.situation(self.points[node_id]), self.settings.candidates
        asked = k if situation.admissible is None else None
        try:
            proposals = await self.prior.propose(situation, asked, caller, path=[node_id])
        except (BudgetExhaustedError, ModelCallError) as error:
            return error
        return sorted(proposals, key=lambda proposal: -proposal.log_prob)[:k]

    async def _ask(self, request: ModelRequest[Any], caller: Caller) -> ModelResponse[Any] | Exception:
        """One sample of the agent's model call; a failure costs this sample alone."""
        try:
            caller.account.grant_completions(1)
        except BudgetExhaustedError as error:
            return error
        try:
            response = await caller.io.call(lambda: self.handler(request), caller.account.seconds_left())
        except GraphBubbleUp:
            raise
        except Exception as error:
            caller.account.count({"llm_calls": 1, "requests": 1, "failed_requests": 1})
            return caller.account.refuse("seconds") if caller.account.seconds_left() == 0 else error
        caller.account.count({"llm_calls": 1, "requests": 1, **used_tokens(response)})
        return response  # type: ignore[no-any-return]

    def _request(self, node_id: str, index: int) -> ModelRequest[Any]:
        """The agent's request at a node, with a seed of its own where the model takes one."""
        seed = derive_seed(self.settings.seed, node_id, "propose", index)
        own = self.sampler.call_arguments(n=1, seed=seed, options={})
        messages = self.points[node_id].messages
        return self.request.override(
            model=self.sampler.model,
            messages=messages,
            state={**self.request.state, "messages": messages},
            model_settings={**self.request.model_settings, **own},
        )

    def _read(self, node_id: str, found: Sequence[Answer]) -> list[Candidate]:
        for item in found:
            if isinstance(item, BudgetExhaustedError):
                self.exhausted = self.exhausted or item.what
            elif isinstance(item, Exception):
                self.failures.append(item)
                self.notes.append(f"a candidate failed: {type(item).__name__}: {str(item)[:200]}")
        candidates = (self._composed if self._takes_actions(node_id) else self._sampled)(node_id, found)
        emit("proposed", node=node_id, candidates=[proposal_data(c.proposal) for c in candidates])
        return candidates

    def _sampled(self, node_id: str, found: Sequence[Answer]) -> list[Candidate]:
        """The messages that were sampled, merged."""
        del node_id
        responses = [item for item in found if isinstance(item, ModelResponse)]
        good = [item for item in responses if from_model(item)] or responses
        if len(good) < len(responses):
            self.notes.append(f"{len(responses) - len(good)} candidates were no model's")
        known = {*self.simulation.ways, *self.simulation.tools}
        return merged(good, tools=known, smoothing=self.settings.smoothing)

    def _composed(self, node_id: str, found: Sequence[Answer]) -> list[Candidate]:
        """The messages that take the proposed actions; proposals are remembered by the state they were made for."""
        key = self.nodes[node_id]["key"]
        for proposals in found:
            if isinstance(proposals, list):
                self.proposals[key] = [proposal_data(proposal) for proposal in proposals]
        proposals = [Proposal(**data) for data in self.proposals.get(key, [])]
        calls = [None if proposal.error else self.simulation.call_of(proposal.text) for proposal in proposals]
        if proposals and not any(calls):
            self.notes.append(f"no tool call stands for a proposal: {proposals[0].error or proposals[0].text}")
        return [
            composed(proposal, call, digest(node_id, proposal.text))
            for proposal, call in zip(proposals, calls, strict=True)
            if call is not None
        ]

    async def _try_all(self, layer: Sequence[tuple[str, Sequence[Candidate]]]) -> None:
        """Try the candidates of several nodes, each in its own fork."""
        jobs: list[tuple[Node, Candidate]] = []
        for parent_id, candidates in layer:
            pending = pending_nodes(self.nodes[parent_id], [proposal_data(c.proposal) for c in candidates])
            by_text = {candidate.proposal.text: candidate for candidate in candidates}
            self.children[parent_id] = [node["id"] for node in pending]
            for node in pending:
                self.nodes[node["id"]] = node
                self.candidates[node["id"]] = by_text[node["text"]]
                if node["error"] is None:
                    jobs.append((node, by_text[node["text"]]))
        results = await self._tried(jobs)
        self.nodes.update({node["id"]: node for node in results})
        emit("simulated", nodes=[shown(self.nodes[n]) for parent_id, _ in layer for n in self.children[parent_id]])

    async def _tried(self, jobs: Sequence[tuple[Node, Candidate]]) -> list[Node]:
        if all(self._is_instant(node, candidate) for node, candidate in jobs):
            return [await self._try(node, candidate, self.caller) for node, candidate in jobs]
        return await self.caller.gather(
            [lambda part, node=node, candidate=candidate: self._try(node, candidate, part) for node, candidate in jobs]  # type: ignore[misc]
        )

    def _is_instant(self, node: Node, candidate: Candidate) -> bool:
        """Whether trying it takes microseconds: a thread for it would cost more."""
        environment = self.points[node["parent"] or ""].environment
        inline = environment is None or environment.concurrency == "inline"
        return inline and all(
            self.simulation.ways.get(call["name"], "critic") in {"fork", "critic"} for call in candidate.calls
        )

    async def _try(self, pending: Node, candidate: Candidate, caller: Caller) -> Node:
        try:
            parent = self.points[pending["parent"] or ""]
            point, transition = await self.simulation.try_out(candidate, parent, caller, [pending["id"]])
        except BudgetExhaustedError as error:
            self.exhausted = self.exhausted or error.what
            return pending
        except GraphBubbleUp:
            raise
        except Exception as failure:  # an environment or a tool that broke: it costs this candidate alone
            self.notes.append(f"a candidate could not be tried: {type(failure).__name__}: {str(failure)[:200]}")
            return dead_node(pending, f"it could not be tried: {failure}")
        self.points[pending["id"]] = point
        if transition.error is not None:
            return dead_node(pending, transition.error)
        steps = [(pending["text"], transition.observation)]
        return {
            **pending,
            "steps": steps,
            "reward": transition.reward,
            "done": transition.done,
            "solved": transition.solved,
            "key": point.key(pending["id"]),
            "used": pending["used"] + 1,
        }

    async def _estimate(self, node_ids: Sequence[str]) -> None:
        """Estimate V of distinct states; a failing estimate counts as 0 and says so."""
        groups = [[node_id] for node_id in node_ids] if self.value.per_leaf else [list(node_ids)]
        results = await self.caller.gather(
            [lambda part, group=group: self._values(group, part) for group in groups]  # type: ignore[misc]
        )
        for group, result in zip(groups, results, strict=True):
            if isinstance(result, BudgetExhaustedError):
                self.exhausted = self.exhausted or result.what
                continue
            for node_id, value in zip(group, result, strict=True):
                self.values[self._value_key(self.nodes[node_id])] = value
                self.notes += [value["error"]] if value["error"] else []
                emit("valued", node=node_id, value=value["value"], source=value["source"], detail=value["detail"])

    async def _values(self, node_ids: list[str], caller: Caller) -> list[Value] | BudgetExhaustedError:
        leaves = [self._leaf(node_id) for node_id in node_ids]
        try:
            return [value_data(estimate) for estimate in await self.value.estimate(leaves, caller, self.prepared)]
        except BudgetExhaustedError as error:
            return error
        except ModelCallError as failure:
            return [value_data(ValueEstimate(0.0, self.value.name, error=str(failure)))] * len(node_ids)

    def _leaf(self, node_id: str) -> Leaf:
        node, point = self.nodes[node_id], self.points[node_id]
        situation = self.simulation.situation(point)
        environment: Environment | None = point.environment
        if environment is None:
            environment = ImaginedEnvironment(self.simulation.imaginer, situation.description)
            environment.reset(Task(id=node_id, text=situation.goal, data={"state": situation.state}))
        return Leaf(
            id=node_id,
            situation=situation,
            environment=environment,
            remaining=max(self.horizon - node["used"], 0),
            parent=node["parent"] or "",
            log_prob=node["log_prob"],
            observation=node["steps"][-1][1] if node["steps"] else "",
            agreement=agreement(self.tree, node_id),
        )

    def _value_key(self, node: Node) -> str:
        return value_key(node, self.horizon if self.value.uses_horizon else None)


def used_tokens(response: ModelResponse[Any]) -> dict[str, int]:
    """The tokens of one model call, as its message reports them."""
    usage = ai_message(response).usage_metadata
    if not usage:
        return {}
    return {"prompt_tokens": usage["input_tokens"], "completion_tokens": usage["output_tokens"]}
