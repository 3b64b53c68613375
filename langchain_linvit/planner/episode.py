"""The nodes around the search: start, observe, act (at most once, even over a crash) and finish."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from langgraph.types import Overwrite, interrupt

from langchain_linvit.calls import Caller
from langchain_linvit.environments.base import Environment, Task, Transition
from langchain_linvit.errors import BudgetExhaustedError, InvalidTaskError, ModelCallError
from langchain_linvit.planner.parts import PlannerParts, Update, spent
from langchain_linvit.planner.records import (
    clipped,
    digest,
    emit,
    history_of,
    root_node,
    state_key,
    step_record,
)
from langchain_linvit.planner.report import plan_message, plan_result, tree_records
from langchain_linvit.planner.runs import Run
from langchain_linvit.planner.settings import DEFAULT_HORIZON
from langchain_linvit.planner.state import CLEARED, PlannerState, StepRecord
from langchain_linvit.planner.tree import Node
from langchain_linvit.prompts import Situation


@dataclass(frozen=True)
class EpisodeNodes:
    """From the task to the result: decision after decision in the real environment."""

    parts: PlannerParts

    async def start(self, state: PlannerState, run: Run, caller: Caller) -> Update:
        """Read the task, set up the real environment, and clear what an earlier run on this thread left."""
        task = read_task(state)
        run.close()
        real = run.real = self.parts.spawn()
        await caller.io.run(real, lambda: real.reset(task))
        root = root_node(digest("root", task.id, task.text), real)
        run.live[root["id"]] = self.parts.simulated(real, [])
        if self.parts.simulation == "imagine":
            root["snapshot"] = run.live[root["id"]].snapshot()
        return {
            **CLEARED,
            "task": task.model_dump(),
            "goal": real.goal,
            "horizon": self.parts.settings.horizon or real.horizon or DEFAULT_HORIZON,
            "real": {
                "stepwise": real.persistent,
                "snapshot": real.snapshot(),
                "key": root["key"],
                "steps": 0,
                "done": bool(real.solved),
                "solved": real.solved,
            },
            "root": root["id"],
            "visited": [root["key"]],
            "decision": 0,
            "nodes": Overwrite({root["id"]: root}),
        }

    async def observe(self, state: PlannerState, run: Run, caller: Caller) -> Update:
        """Look at where the real environment stands: stop, or begin a decision."""
        real = state["real"]
        if real["done"] or real["solved"] or real["steps"] >= state["horizon"] or state["exhausted"]:
            return {"phase": "end", "batch": []}
        view = self.parts.view(self.parts.tree(state))
        update = await self._prepare(state, run, caller) if state["decision"] == 0 and not view.solved else {}
        emit(
            "decision", decision=state["decision"], step=real["steps"], state=await self._state_text(state, run, caller)
        )
        return {**update, **self.parts.advance(state, view, run, update)}

    async def _state_text(self, state: PlannerState, run: Run, caller: Caller) -> str:
        environment = await self.parts.live(state["nodes"][state["root"]], state["root"], run, caller)
        return clipped(environment.state_text())

    async def _prepare(self, state: PlannerState, run: Run, caller: Caller) -> Update:
        """What the value estimator makes once per task, e.g. rules; failures become notes."""
        environment = await self.parts.live(state["nodes"][state["root"]], state["root"], run, caller)
        update: Update = {}
        try:
            update["prepared"] = await self.parts.value.prepare(Situation.of(environment, []), caller)
        except BudgetExhaustedError as error:
            update["exhausted"] = [error.what]
        except ModelCallError as failure:
            update["notes"] = [f"the value estimator could not prepare: {failure}"]
        return {**update, **spent(caller)}

    async def act(self, state: PlannerState, run: Run, caller: Caller) -> Update:
        """Carry the chosen branch out in the real environment, and keep the part of the tree below it."""
        real = await self._real(state, run, caller)
        happened = self._happened(state, run, real)
        records: list[StepRecord] = []
        node, last, foreseen = state["nodes"][state["root"]], Transition(""), True
        for index, node_id in enumerate(state["intent"]["branch"], 1):
            node, before = state["nodes"][node_id], len(records)
            last = await self._carry_out(node, real, index <= happened, state, caller, records)
            if index < happened:
                continue
            foreseen = _as_foreseen(node, real, records[before:])
            if not foreseen or last.done or len(records) >= state["horizon"] - state["real"]["steps"]:
                break
        caller.account.count({"seconds": run.lap()})
        return {**self._commit(state, run, real, node, last, records, foreseen), **spent(caller)}

    async def _real(self, state: PlannerState, run: Run, caller: Caller) -> Environment:
        """The live real environment; after a crash rebuilt, or found again where it outlives its program."""
        if run.real is None:
            real = run.real = self.parts.spawn()
            await caller.io.run(real, lambda: real.restore(state["real"]["snapshot"]))
        return run.real

    def _happened(self, state: PlannerState, run: Run, real: Environment) -> int:
        """After a crash, on an environment that outlives it: how many nodes of the branch were carried out before.

        The state tells, where it is one that the branch leads through; else a person is asked.
        """
        intent = state["intent"]
        if not real.persistent or intent["token"] == run.token:
            return 0
        key = real.state_key()
        foreseen = [state["real"]["key"], *(state["nodes"][node_id]["key"] for node_id in intent["branch"])]
        actions = [action for node_id in intent["branch"] for action, _ in state["nodes"][node_id]["steps"]]
        if key is not None and foreseen.count(digest(key)) == 1:
            return foreseen.index(digest(key))
        if key is not None and len(actions) == 1 and digest(key) != foreseen[0]:
            return 1
        answer = interrupt(
            {
                "question": "The program stopped while it acted. Was this carried out already? Resume with yes or no.",
                "actions": actions,
            }
        )
        return len(intent["branch"]) if str(answer).strip().lower() in {"yes", "true"} else 0

    async def _carry_out(
        self, node: Node, real: Environment, happened: bool, state: PlannerState, caller: Caller,
        records: list[StepRecord],
    ) -> Transition:  # fmt: skip
        """Take a node's actions for real, as long as they bring what its fork showed, and record each.

        Returns the last transition.
        """
        last = Transition("", error=node["error"])
        value = None if node["error"] else self.parts.tree(state).value(node)
        steps = node["steps"] or [(node["text"], "")]
        for number, (action, foreseen) in enumerate(steps, 1):
            if happened:  # the crash swallowed what came of it: it counts as foreseen
                reward = node["reward"] if number == len(steps) else 0.0
                seen = foreseen if self.parts.simulation == "fork" else real.state_text()
                last = Transition(seen, reward, done=bool(real.solved), solved=real.solved)
            elif node["error"] is None:
                last = await caller.step(real, action, real=True)
            observation = clipped(last.error or last.observation)
            records.append(step_record(node, action, last, observation, value, state["decision"]))
            emit("acted", action=action, observation=observation, error=last.error, solved=last.solved)
            over = last.error or (last.done and not happened)
            surprised = self.parts.simulation == "fork" and not happened and observation != foreseen
            if over or surprised or len(records) >= state["horizon"] - state["real"]["steps"]:
                break
        return last

    def _commit(
        self, state: PlannerState, run: Run, real: Environment, reached: Node, last: Transition,
        records: list[StepRecord], as_foreseen: bool,
    ) -> Update:  # fmt: skip
        """The update after acting: a new root, with what is known below it where it is the state foreseen."""
        tree = self.parts.tree(state)
        used = state["real"]["steps"] + len(records)
        foreseen = self.parts.simulation == "fork" and as_foreseen and reached["used"] == used
        root_id = reached["id"] if foreseen else digest(state["root"], "real", used)
        keep = tree.subtree(root_id) if foreseen else []
        history = [*history_of(state["committed"]), *history_of(records)]
        self._replace_live(run, root_id, self.parts.simulated(real, history), {root_id, *keep})
        key = state_key(real, root_id)
        root: Node = {
            **reached,
            "id": root_id,
            "parent": reached["parent"] if foreseen else reached["id"],
            "key": key,
            "used": used,
            "snapshot": run.live[root_id].snapshot(),
            "done": last.done,
            "solved": last.solved,
            "error": None,
        }
        dropped = [node_id for node_id in state["nodes"] if node_id not in keep]
        chosen = state["intent"]["branch"]
        explored = tree_records(tree, self.parts.view(tree), state["decision"], chosen=chosen, only=dropped)
        return {
            "phase": "observe",
            "real": {
                "stepwise": real.persistent, "snapshot": real.snapshot(), "key": key, "steps": used,
                "done": last.done, "solved": last.solved,
            },
            "root": root_id,
            "visited": [*state["visited"], key],
            "decision": state["decision"] + 1,
            "committed": records,
            "nodes": Overwrite({**{node_id: state["nodes"][node_id] for node_id in keep}, root_id: root}),
            "children": Overwrite({k: state["children"][k] for k in keep if k in state["children"]}),
            "explored": explored if self.parts.settings.record_tree else [],
            "intent": {},
        }  # fmt: skip

    def _replace_live(self, run: Run, root_id: str, environment: Environment, keep: set[str]) -> None:
        before = run.live.get(root_id)
        if before is not None and before is not environment:
            before.close()
        run.live[root_id] = environment
        run.keep_only(keep)

    async def finish(self, state: PlannerState, run: Run, caller: Caller) -> Update:
        """Compose the result."""
        tree = self.parts.tree(state)
        rest = tree_records(tree, self.parts.view(tree), state["decision"], chosen=[], only=None)
        del caller
        result = plan_result(state, rest if self.parts.settings.record_tree else [], run.lap(), self.parts.value.name)
        emit("finished", outcome=result.outcome, reason=result.reason, plan=result.plan)
        return {"result": result, "messages": [plan_message(result)]}


def _as_foreseen(node: Node, real: Environment, records: list[StepRecord]) -> bool:
    """Whether reality stands where the search foresaw it: by its state's key, else by what was observed on the way."""
    if real.state_key() is not None:
        return state_key(real, node["id"]) == node["key"]
    return [record["observation"] for record in records] == [observation for _, observation in node["steps"]]


def read_task(state: PlannerState) -> Task:
    """The task of an input.

    Raises:
        InvalidTaskError: There is neither a task nor a human message.
    """
    task: Any = state.get("task")
    if isinstance(task, Task):
        return task
    if isinstance(task, dict):
        return Task.model_validate(task)
    human = [message for message in state.get("messages") or [] if message.type == "human"]
    text = task if isinstance(task, str) else (human[-1].text if human else "")
    if not text.strip():
        raise InvalidTaskError('nothing to plan: invoke with {"task": ...} or {"messages": [a human message]}')
    return Task.from_text(text)
