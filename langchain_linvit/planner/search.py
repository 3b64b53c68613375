"""The nodes that search: propose_subgoals, simulate, carry_out, estimate_values, select_branch.

Each body is written once, for sync and async alike: it reads the state, awaits nothing but its `Caller`,
and returns an update. What comes next stands in the channels `phase` and `batch`.
"""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass

from langchain_linvit.calls import Caller, ModelEnvironment, derive_seed
from langchain_linvit.environments.base import Environment, Transition
from langchain_linvit.errors import BudgetExhaustedError, ModelCallError
from langchain_linvit.planner.parts import PlannerParts, Update, refused, spent
from langchain_linvit.planner.records import (
    clipped,
    dead_node,
    emit,
    pending_nodes,
    proposal_data,
    reached_node,
    shown,
    solution_node,
    value_data,
    with_solutions,
)
from langchain_linvit.planner.runs import Run
from langchain_linvit.planner.selection import select_branch
from langchain_linvit.planner.state import PlannerState, UnitInput
from langchain_linvit.planner.tree import Node
from langchain_linvit.prompts import Situation
from langchain_linvit.values import Leaf, ValueEstimate


@dataclass(frozen=True)
class SearchNodes:
    """One decision: layer by layer until a branch can be selected."""

    parts: PlannerParts

    async def propose_subgoals(self, unit: UnitInput, run: Run, caller: Caller) -> Update:
        """Ask the prior for candidates at one frontier node."""
        node = unit["nodes"][0]
        environment = await self.parts.live(node, unit["root"], run, caller)
        situation = Situation.of(environment, unit["history"][node["id"]])
        candidates = self.parts.settings.candidates
        notes: list[str] = []
        try:
            proposals = await self.parts.prior.propose(situation, candidates, caller, path=[node["id"]])
        except BudgetExhaustedError as error:
            return refused(caller, error)
        except ModelCallError as failure:
            proposals, notes = [], [f"no proposals at step {node['used']}: {failure}"]
        if proposals and all(proposal.error for proposal in proposals):
            notes = [f"no usable proposal at step {node['used']}: {proposals[0].error}"]
        data = [proposal_data(proposal) for proposal in proposals]
        emit("proposed", node=node["id"], candidates=data)
        provenance: dict[str, int] = {}
        for proposal in proposals:
            provenance[proposal.provenance] = provenance.get(proposal.provenance, 0) + 1
        return {"proposals": {node["id"]: data}, "provenance": provenance, "notes": notes, **spent(caller)}

    async def simulate(self, state: PlannerState, run: Run, caller: Caller) -> Update:
        """Carry every candidate out in a fork of its parent's environment; the join of the proposals."""
        waiting = [node_id for node_id in state["batch"] if node_id in state["proposals"]]
        subgoals = uncarried(state, waiting) if self.parts.prior.level == "subgoal" else []
        gone = self.parts.gone(state, run, len(subgoals))
        if subgoals and not gone:
            return {"phase": "carry_out", "batch": waiting, "refused": None}
        nodes: dict[str, Node] = {}
        children: dict[str, list[str]] = {}
        for parent_id in waiting:
            made = await self._children(state, parent_id, run, caller)
            if made is None:  # the budget ran out within this parent's candidates
                gone.append(caller.account.refused or "completions")
                break
            nodes.update({node["id"]: node for node in made})
            children[parent_id] = [node["id"] for node in made]
        update: Update = {"nodes": nodes, "children": children, "proposals": None, "carried": None, **spent(caller)}
        update["exhausted"] = gone
        update["seen"] = {node["key"]: True for node in nodes.values() if node["error"] is None}
        view = self.parts.view(self.parts.tree(state, update))
        linked = sum(view.status.get(node_id) == "linked" for node_id in nodes)
        if linked:
            update["usage"] = {**update["usage"], "value_cache_hits": linked}
        emit("simulated", nodes=[shown(node) for node in nodes.values()])
        return {**update, **self.parts.advance(state, view, run, update)}

    async def _children(self, state: PlannerState, parent_id: str, run: Run, caller: Caller) -> list[Node] | None:
        """The children that a node's proposals lead to; None where the budget doesn't reach for all of them."""
        parent = state["nodes"][parent_id]
        pending = pending_nodes(parent, state["proposals"][parent_id])
        good = [node for node in pending if node["error"] is None]
        if self.parts.prior.level == "subgoal":
            outcomes: list[Node | None] = [state["carried"].get(node["id"]) for node in good]
        else:
            environment = await self.parts.live(parent, state["root"], run, caller)
            if environment.concurrency == "inline" and not isinstance(environment, ModelEnvironment):
                outcomes = [await self._try(node, environment, run, caller) for node in good]
            else:
                outcomes = await caller.gather(
                    [lambda part, node=node: self._try(node, environment, run, part) for node in good]  # type: ignore[misc]
                )
        if any(node is None for node in outcomes):
            return None
        reached = {node["id"]: node for node in outcomes if node}
        return [reached.get(node["id"], node) for node in pending]

    async def _try(self, pending: Node, environment: Environment, run: Run, caller: Caller) -> Node | None:
        """One action in a fork: the child it leads to; dead where it is illegal, None where no step is granted."""
        action = pending["text"]
        with ExitStack() as unless_kept:
            fork = unless_kept.enter_context(closing(await caller.fork(environment)))
            try:
                transition = await caller.step(fork, action)
            except BudgetExhaustedError:
                return None
            except ModelCallError as failure:  # an imagined step whose model failed
                transition = Transition("", error=str(failure))
            if transition.error is not None:
                return dead_node(pending, transition.error)
            steps = [(action, clipped(transition.observation))]
            node = reached_node(pending, fork, transition, steps, transition.reward)
            run.live[node["id"]] = fork
            unless_kept.pop_all()
        return node

    async def carry_out(self, unit: UnitInput, run: Run, caller: Caller) -> Update:
        """Let the low-level policy carry one text subgoal out, in a fork of its parent's environment."""
        parent, pending = unit["nodes"]
        environment = await self.parts.live(parent, unit["root"], run, caller)
        most = min(self.parts.settings.actions_per_subgoal, unit["horizon"] - parent["used"])
        with ExitStack() as unless_kept:
            fork = unless_kept.enter_context(closing(await caller.fork(environment)))
            try:
                node = await self._pursue(pending, fork, unit["history"][parent["id"]], most, caller)
            except BudgetExhaustedError as error:
                return refused(caller, error)
            if node["error"] is None:
                run.live[node["id"]] = fork
                unless_kept.pop_all()
        return {"carried": {node["id"]: node}, **spent(caller)}

    async def _pursue(
        self, pending: Node, fork: Environment, before: list[tuple[str, str]], most: int, caller: Caller
    ) -> Node:
        """Up to `most` actions towards a subgoal; a dead node where not one could be taken."""
        history, steps = list(before), []
        last, reward, error = Transition(""), 0.0, "no action carried it out"
        for index in range(most):
            situation = Situation.of(fork, history)
            try:
                parsed = await self.parts.prior.act(situation, pending["text"], caller, path=[pending["id"], index])
            except ModelCallError as failure:
                error = str(failure)
                break
            if parsed is None:
                break
            attempt = Transition("", error=parsed.error or "no action")
            if parsed.action is not None:
                attempt = await caller.step(fork, parsed.action)
            history.append((parsed.action or "(no action)", clipped(attempt.error or attempt.observation)))
            if attempt.error is not None:
                error = attempt.error
                continue
            last, reward = attempt, reward + attempt.reward
            steps.append(history[-1])
            if attempt.done or attempt.solved:
                break
        return reached_node(pending, fork, last, steps, reward) if steps else dead_node(pending, error)

    async def estimate_values(self, unit: UnitInput, run: Run, caller: Caller) -> Update:
        """Estimate V for one leaf, or for all leaves of a layer together."""
        nodes, value = unit["nodes"], self.parts.value
        leaves = [await self._leaf(node, unit, run, caller) for node in nodes]
        try:
            estimates = await value.estimate(leaves, caller, unit["prepared"])
        except BudgetExhaustedError as error:
            return refused(caller, error)
        except ModelCallError as failure:
            failed = value_data(ValueEstimate(0.0, value.name, error=str(failure)))
            values = {self.parts.value_key(node, unit["horizon"]): failed for node in nodes}
            return {"values": values, "notes": [f"a value could not be estimated: {failure}"], **spent(caller)}
        values, notes, found = {}, [], []
        for node, estimate in zip(nodes, estimates, strict=True):
            values[self.parts.value_key(node, unit["horizon"])] = value_data(estimate)
            notes += [estimate.error] if estimate.error else []
            emit("valued", node=node["id"], value=estimate.value, source=estimate.source, detail=estimate.detail)
            if estimate.solution is not None and self.parts.simulation == "fork" and not unit["stepwise"]:
                found.append(solution_node(node, estimate.solution))
        return {"values": values, "notes": list(dict.fromkeys(notes)), **with_solutions(found), **spent(caller)}

    async def _leaf(self, node: Node, unit: UnitInput, run: Run, caller: Caller) -> Leaf:
        environment = await self.parts.live(node, unit["root"], run, caller)
        return Leaf(
            id=node["id"],
            situation=Situation.of(environment, unit["history"][node["id"]]),
            environment=environment,
            remaining=max(unit["horizon"] - node["used"], 0),
            parent=node["parent"] or "",
            log_prob=node["log_prob"],
            observation=node["steps"][-1][1] if node["steps"] else "",
            agreement=unit["agreement"].get(node["id"], 1.0),
        )

    async def select_branch(self, state: PlannerState, run: Run, caller: Caller) -> Update:
        """Prune the layer, or take the best branch where the search is deep enough; the join of the values."""
        del caller
        settings, tree = self.parts.settings, self.parts.tree(state)
        view = self.parts.view(tree)
        update = self.parts.advance(state, view, run)
        if update["phase"] != "select":
            return update
        seed = derive_seed(settings.seed, state["root"], "select")
        branch = select_branch(tree, view, selection=settings.selection, kl_coef=settings.kl_coef, seed=seed)
        if not branch:
            return {**update, "phase": "end", "batch": []}
        certain = tree.nodes[branch[-1]]["solved"] and self.parts.simulation == "fork" and not state["real"]["stepwise"]
        if settings.commit == "first" and not (certain or state["exhausted"] or update["exhausted"]):
            branch = branch[:1]
        emit("selected", decision=state["decision"], branch=[shown(tree.nodes[node_id]) for node_id in branch])
        return {**update, "phase": "act", "batch": branch, "intent": {"branch": branch, "token": run.token}}


def uncarried(state: PlannerState, parents: list[str]) -> list[list[Node]]:
    """(parent, pending) pairs of the subgoals that no unit has carried out yet."""
    return [
        [state["nodes"][parent_id], pending]
        for parent_id in parents
        for pending in pending_nodes(state["nodes"][parent_id], state["proposals"][parent_id])
        if pending["error"] is None and pending["id"] not in state["carried"]
    ]
