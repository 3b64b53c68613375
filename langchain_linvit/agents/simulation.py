"""What a candidate message would bring about: each of its tool calls tried in the way that its tool allows.

- `fork`: a tool of the environment is carried out in a fork of it;
- `run`: a tool that the user calls read-only is run for real;
- `imagine`: a model predicts the answer;
- `critic`: nothing is tried; the value estimator judges the intent alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any, Literal

from langchain_core.messages import AIMessage, AnyMessage, ToolCall, ToolMessage
from langchain_core.tools import BaseTool
from langgraph.errors import GraphBubbleUp
from langgraph.prebuilt import ToolNode
from pydantic import BaseModel

from langchain_linvit.agents.candidates import Candidate, call_text
from langchain_linvit.agents.imagination import Guess, imagine
from langchain_linvit.agents.quiet import muted_config
from langchain_linvit.agents.toolkit import EnvironmentToolkit
from langchain_linvit.calls import Caller
from langchain_linvit.environments.base import Environment, Transition, shorten
from langchain_linvit.errors import ModelCallError
from langchain_linvit.models.sampling import SamplingModel
from langchain_linvit.planner.records import clipped, digest
from langchain_linvit.prompts import Situation, without_state_marks

Way = Literal["fork", "run", "imagine", "critic"]
NOT_TRIED = "(not tried)"


@dataclass(slots=True)
class Point:
    """A point of the conversation, real or simulated: the live side of a search node.

    Attributes:
        messages: The conversation up to here.
        history: What was called and what came back, as prompts show it.
        environment: At the state reached; forked, never stepped. None without a toolkit.
        knowledge: Digests of what calls outside of the environment brought to light.
        answer: The answer that ended the run here.
        guesses: What was imagined on the last step, by tool call.
        ways: How the last step's calls were tried.
        owned: Whether the environment is a fork that this point has to close.
    """

    messages: list[AnyMessage]
    history: list[tuple[str, str]]
    environment: Environment | None = None
    knowledge: frozenset[str] = frozenset()
    answer: str | None = None
    guesses: dict[str | None, Guess] = field(default_factory=dict)
    ways: list[str] = field(default_factory=list)
    owned: bool = False

    def key(self, otherwise: str) -> str:
        """Shared by points with the same environment state, knowledge and answer; `otherwise` where unknown."""
        state = "" if self.environment is None else self.environment.state_key()
        return digest(otherwise if state is None else state, *sorted(self.knowledge), self.answer or "")

    @property
    def acted(self) -> bool:
        """Whether the last step was taken in the environment."""
        return self.owned

    def close(self) -> None:
        """Close the fork; may be called twice."""
        if self.owned and self.environment is not None:
            self.environment.close()


@dataclass(frozen=True)
class Simulation:
    """How the candidates of one model call are tried.

    Attributes:
        goal: What is to be reached.
        description: What prompts say of the world and the tools.
        toolkit: The environment's tools; None without an environment.
        tools: The agent's other tools, by name.
        ways: How each tool is tried.
        schemas: Schemas of imagined answers, by tool.
        imaginer: Who imagines.
        state: The agent's state, for tools that read it.
        over: Why no environment action is possible any more; None while one is.
    """

    goal: str
    description: str
    toolkit: EnvironmentToolkit | None
    tools: Mapping[str, BaseTool]
    ways: Mapping[str, Way]
    schemas: Mapping[str, type[BaseModel]]
    imaginer: SamplingModel
    state: Mapping[str, Any]
    over: str | None = None

    def situation(self, point: Point) -> Situation:
        """What a model may know at `point`."""
        environment, history = point.environment, list(point.history)
        if point.answer is not None:
            history.append(("(answer)", point.answer))
        if environment is not None:
            situation = Situation.of(environment, history)
            return Situation(
                self.description, self.goal, situation.state, history, situation.admissible, situation.parse
            )  # fmt: skip
        return Situation(self.description, self.goal, _last_results(point), history)

    async def try_out(
        self, candidate: Candidate, parent: Point, caller: Caller, path: list[object]
    ) -> tuple[Point, Transition]:  # fmt: skip
        """Carry a candidate out as far as its tools allow.

        Returns:
            The point reached, whose fork belongs to the caller, and what can be observed of the step.

        Raises:
            BudgetExhaustedError: A step or a call is not granted.
        """
        if not candidate.calls:
            return self._answered(candidate, parent)
        with ExitStack() as unless_kept:
            environment, taken, transition = await self._act(candidate, parent, caller, unless_kept)
            others = {place: call for place, call in enumerate(candidate.calls) if place not in taken}
            results = await caller.gather(
                [lambda part, call=call: self._other(call, parent, part, path) for call in others.values()]  # type: ignore[misc]
            )
            unless_kept.pop_all()
        messages = taken | {place: message for place, (message, _) in zip(others, results, strict=True)}
        guesses = {call["id"]: guess for call, (_, guess) in zip(others.values(), results, strict=True) if guess}
        ordered = [messages[place] for place in range(len(candidate.calls))]
        pairs = [(self.spelled(call), message.text) for call, message in zip(candidate.calls, ordered, strict=True)]
        learnt = {digest(call_text(call), messages[place].text) for place, call in others.items()}
        point = Point(
            messages=[*parent.messages, candidate.message, *ordered],
            history=[*parent.history, *pairs],
            environment=environment,
            knowledge=parent.knowledge | learnt,
            guesses=guesses,
            ways=[self.ways.get(call["name"], "critic") for call in candidate.calls],
            owned=environment is not parent.environment,
        )
        return point, _observed(transition, ordered)

    def call_of(self, action: str) -> dict[str, Any] | None:
        """The tool call that stands for an environment action; None where no tool that the agent has can say it."""
        call = self.toolkit.tool_call_of(action) if self.toolkit is not None else None
        return call if call is not None and call["name"] in self.ways else None

    def spelled(self, call: Mapping[str, Any]) -> str:
        """How prompts write a call: the environment's action where it stands for one."""
        if self.toolkit is not None and call["name"] in self.toolkit.names:
            return self.toolkit.action_of(call).action or call_text(call)
        return call_text(call)

    def _answered(self, candidate: Candidate, parent: Point) -> tuple[Point, Transition]:
        """The end of the run: nothing changes any more.

        Where the environment is plainly unsolved and could go on, that is an error: it ranks below all that goes on.
        """
        text = candidate.message.text or candidate.proposal.text
        point = Point(
            messages=[*parent.messages, candidate.message],
            history=parent.history,
            environment=parent.environment,
            knowledge=parent.knowledge,
            answer=text,
        )
        solved = None if parent.environment is None else parent.environment.solved
        error = "the run would end with the task unsolved" if solved is False and self.over is None else None
        return point, Transition(f"The run ends with: {shorten(text)}", done=True, solved=solved, error=error)

    async def _act(
        self, candidate: Candidate, parent: Point, caller: Caller, opened: ExitStack
    ) -> tuple[Environment | None, dict[int, ToolMessage], Transition | None]:
        """The environment's part: its first call in a fork, and what a toolkit answers to further ones, by place."""
        toolkit = self.toolkit
        own = toolkit.names if toolkit is not None else frozenset()
        calls = [(place, call) for place, call in enumerate(candidate.calls) if call["name"] in own]
        if not calls or toolkit is None or parent.environment is None:
            return parent.environment, {}, None
        first, call = calls[0]
        fork, parsed = parent.environment, toolkit.action_of(call, parent.environment)
        if self.over is not None or parsed.action is None:
            transition = Transition("", error=self.over or parsed.error or "no action")
        else:
            fork = opened.enter_context(closing(await caller.fork(parent.environment)))
            try:
                transition = await caller.step(fork, parsed.action)
            except ModelCallError as failure:  # an imagined world whose model failed
                transition = Transition("", error=str(failure))
        messages = {first: toolkit.answer(call, transition, fork)}
        for place, call in calls[1:]:
            second = Transition("", error="one environment action per message: this one is not carried out")
            messages[place] = toolkit.answer(call, second, fork)
        return fork, messages, transition

    async def _other(
        self, call: ToolCall, parent: Point, caller: Caller, path: list[object]
    ) -> tuple[ToolMessage, Guess | None]:
        """A call of any other tool: run, imagined, or left to the critic."""
        way, name = self.ways.get(call["name"], "critic"), call["name"]
        if way == "run":
            message = await self._run(call, parent, caller)
            if message is not None:
                return message, None
        if way == "imagine":
            try:
                guess = await imagine(
                    call, call_text(call), self.tools.get(name), self.situation(parent), self.imaginer, caller,
                    answer=self.schemas.get(name), path=[*path, call_text(call)],
                )  # fmt: skip
            except ModelCallError as failure:
                return _told(call, f"{NOT_TRIED[:-1]}: {shorten(str(failure))})"), None
            return _told(call, guess["answer"]), guess
        return _told(call, NOT_TRIED), None

    async def _run(self, call: ToolCall, parent: Point, caller: Caller) -> ToolMessage | None:
        """The real answer of a read-only tool; None where it waits for a person."""
        node = ToolNode([self.tools[call["name"]]], handle_tool_errors=True)
        asking = AIMessage("", tool_calls=[call])
        conversation: list[AnyMessage] = [*parent.messages, asking]
        given = {**self.state, "messages": conversation}
        config = muted_config()

        def invoke() -> Any:
            return node.invoke(given, config)

        async def ainvoke() -> Any:
            return await node.ainvoke(given, config)

        try:
            found = await caller.io.call(ainvoke if caller.io.suspends else invoke, caller.account.seconds_left())
        except GraphBubbleUp:
            return None
        except Exception as error:
            return ToolMessage(f"Error: {error}", name=call["name"], tool_call_id=call["id"], status="error")
        messages = found.get("messages", []) if isinstance(found, dict) else []
        return next((m for m in messages if isinstance(m, ToolMessage)), _told(call, "Done."))


def _observed(transition: Transition | None, messages: Sequence[ToolMessage]) -> Transition:
    """What a whole message brings about, as one transition; an error where every call ended in one."""
    text = clipped("\n".join(message.text for message in messages))
    if all(message.status == "error" for message in messages):
        error = transition.error if transition is not None and transition.error else messages[0].text
        return Transition(text, error=error)
    if transition is None or transition.error is not None:
        return Transition(text)
    return Transition(text, transition.reward, transition.done, transition.solved)


def _told(call: ToolCall, text: str) -> ToolMessage:
    return ToolMessage(text, name=call["name"], tool_call_id=call["id"])


def _last_results(point: Point) -> str:
    """The state where there is no environment: what the last message of the model brought back, and any answer."""
    results: list[str] = []
    for message in reversed(point.messages):
        if not isinstance(message, ToolMessage):
            break
        results.insert(0, f"{message.name or 'tool'}: {clipped(without_state_marks(message.text))}")
    if point.answer is not None:
        results.append(f"The run has ended with the answer: {clipped(without_state_marks(point.answer))}")
    return "\n".join(results) or "Nothing was done yet."
