"""What the embedded BlocksWorld policies answer to each kind of request, from the prompt's text alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from langchain_linvit import prompts
from langchain_linvit.environments.blocksworld.state import (
    Fact,
    Goal,
    Move,
    State,
    apply,
    check_goal,
    goal_holds,
    holds,
    obstacle,
)
from langchain_linvit.environments.blocksworld.text import (
    action_text,
    fact_text,
    parse_action,
    parse_goal,
    parse_state,
    state_text,
)
from langchain_linvit.errors import InvalidTaskError
from langchain_linvit.models.blocksworld.preferences import Style, move_weights, subgoal_weights
from langchain_linvit.models.replies import Reply, ToolReply, ToolSchema, tool_name, tool_parameters

CRITIC_ERROR: Final = 0.15
"""Chance that a judgement of progress is off by one subgoal."""

IMAGINE_ERROR: Final = 0.05
"""Chance that an imagined action brings about something else than it would."""

PLANNED_STEPS: Final = 8
"""Steps that a plan has at most."""

BAFFLED: Final = "I can't tell from what I see."
"""The answer to a prompt without a readable state or goal."""

_LAST_ACTION = re.compile(r"^\d+\. (.+)$", re.MULTILINE)
_ITEM = re.compile(r"^(\d+)\. (.+)$", re.MULTILINE)
_NEVER: Final = 1e-9
"""Weight of a listed action that the policy would not think of."""


@dataclass(frozen=True, slots=True)
class BlocksWorldPolicy:
    """A policy for `PolicyChatModel`: it reads the marked blocks of the prompt, and nothing else.

    Attributes:
        style: What it likes to do.
        noise: Share of its mass that is spread evenly over all that it considers, in [0, 1].
    """

    style: Style = "novice"
    noise: float = 0.0

    def __call__(self, messages: Sequence[BaseMessage], tools: Sequence[ToolSchema]) -> Mapping[Reply, float]:
        """The distribution over replies."""
        try:
            view = _View.of(messages, self)
            answer = _ANSWERS.get(prompts.request_kind(messages) or "")
            if answer is not None:
                return answer(view)
            return _tool_calls(view, tools) if tools else _next_action(view)
        except InvalidTaskError:
            return {BAFFLED: 1.0}


@dataclass(frozen=True, slots=True)
class _View:
    """What a prompt shows."""

    messages: Sequence[BaseMessage]
    policy: BlocksWorldPolicy
    state: State
    goal: Goal
    last: Move | None

    @classmethod
    def of(cls, messages: Sequence[BaseMessage], policy: BlocksWorldPolicy) -> _View:
        state = parse_state(prompts.last_block(messages, "state") or "")
        goal = check_goal(parse_goal(prompts.last_block(messages, "goal") or ""), state.blocks)
        taken = _LAST_ACTION.findall(prompts.last_block(messages, "history") or "")
        last = parse_action(taken[-1]) if taken else _last_call(messages)
        return cls(messages, policy, state, goal, last)

    def block(self, name: str) -> str:
        return prompts.last_block(self.messages, name) or ""

    def moves(self, goal: Goal | None = None) -> dict[Move, float]:
        return move_weights(self.policy.style, self.policy.noise, self.state, goal or self.goal, self.last)

    def items(self) -> Mapping[Reply, float]:
        """The numbers of the listed actions, with the policy's probabilities of them."""
        moves = self.moves()
        listed = {number: parse_action(action) for number, action in _ITEM.findall(self.block("actions"))}
        weights: dict[Reply, float] = {
            number: moves.get(move, _NEVER) if move else _NEVER for number, move in listed.items()
        }
        total = sum(weights.values())
        if not total:
            raise InvalidTaskError("no actions are listed")
        return {number: weight / total for number, weight in weights.items()}


def _last_call(messages: Sequence[BaseMessage]) -> Move | None:
    """The move of the last tool call that worked, in an agent's conversation."""
    worked = {m.tool_call_id for m in messages if isinstance(m, ToolMessage) and m.status != "error"}
    for message in reversed(messages):
        for call in reversed(message.tool_calls if isinstance(message, AIMessage) else []):
            if call["id"] in worked:
                spelled = [call["name"].replace("_", "-"), *map(str, call["args"].values())]
                return parse_action(str(call["args"]["action"]) if "action" in call["args"] else " ".join(spelled))
    return None


def _next_action(view: _View) -> Mapping[Reply, float]:
    return {f"Action: {action_text(move)}": weight for move, weight in view.moves().items()}


def _next_subgoal(view: _View) -> Mapping[Reply, float]:
    weights = subgoal_weights(view.policy.style, view.policy.noise, view.state, view.goal)
    return {f"Subgoal: {fact_text(fact)}": weight for fact, weight in weights.items()}


def _carry_out(view: _View) -> Mapping[Reply, float]:
    """Moves towards the subgoal, as if it were the goal; "Done" once it holds."""
    text = view.block("subgoal")
    move = parse_action(text)
    if move is not None:
        return {"Done" if move == view.last else f"Action: {action_text(move)}": 1.0}
    try:
        subgoal = check_goal(parse_goal(text), view.state.blocks)
    except InvalidTaskError:
        return _next_action(view)
    if goal_holds(view.state, subgoal):
        return {"Done": 1.0}
    return {f"Action: {action_text(move)}": weight for move, weight in view.moves(subgoal).items()}


def _judge(view: _View) -> Mapping[Reply, float]:
    """The goal's facts that hold, off by one with `CRITIC_ERROR`."""
    of = len(view.goal)
    count = sum(holds(view.state, fact) for fact in view.goal)
    wrong = [near for near in (count - 1, count + 1) if 0 <= near <= of]
    weights = {count: 1 - CRITIC_ERROR} | dict.fromkeys(wrong, CRITIC_ERROR / len(wrong))
    return {f"Holds: {number} of {of}": weight for number, weight in weights.items()}


def _rules(view: _View) -> Mapping[Reply, float]:
    """Two rule sets that come to mind: one counts facts of the goal only, the other sees them coming."""
    full = [rule for fact in view.goal for rule in (_fact_rule(fact, 2.0), *_coming_rules(fact))]
    plain = [_fact_rule(fact, 1.0) for fact in view.goal]
    return {json.dumps({"rules": full}): 0.8, json.dumps({"rules": plain}): 0.2}


def _fact_rule(fact: Fact, weight: float) -> dict[str, Any]:
    return {"weight": weight, "when": {"contains": fact_text(fact)}}


def _coming_rules(fact: Fact) -> list[dict[str, Any]]:
    """The fact holds, or what it needs is clear."""
    return [
        {"weight": 1.0, "when": {"any": [{"contains": fact_text(fact)}, {"contains": fact_text(("clear", name))}]}}
        for name in fact[1:]
    ]


def _weigh(view: _View) -> Mapping[Reply, float]:
    stated = {number: round(weight, 3) for number, weight in view.items().items()}
    return {json.dumps({number: weight for number, weight in stated.items() if weight}): 1.0}


def _choose(view: _View) -> Mapping[Reply, float]:
    return view.items()


def _imagine(view: _View) -> Mapping[Reply, float]:
    """What the action brings about; with `IMAGINE_ERROR`, what it would not."""
    move = parse_action(view.block("action"))
    if move is None or obstacle(view.state, move) is not None:
        wrong = _imagined(view, view.state, possible=True)
        return {_imagined(view, view.state, possible=False): 1 - IMAGINE_ERROR, wrong: IMAGINE_ERROR}
    slip = apply(view.state, Move("put-down", move.block)) if move.operator == "stack" else view.state
    right = _imagined(view, apply(view.state, move), possible=True)
    return {right: 1 - IMAGINE_ERROR, _imagined(view, slip, possible=True): IMAGINE_ERROR}


def _imagined(view: _View, state: State, *, possible: bool) -> str:
    solved = "yes" if goal_holds(state, view.goal) else "no"
    text = state_text(state)
    observed = text if possible else "Not possible."
    return f"Possible: {'yes' if possible else 'no'}\nSolved: {solved}\nObservation: {observed}\nState: {text}"


def _plan(view: _View) -> Mapping[Reply, float]:
    """Its likeliest moves one after the other, as far as it can see them through: no better than acting them out.

    The policy doesn't look at plans and reflections when it acts: they cost it calls, and change nothing.
    """
    moves: list[str] = []
    while len(moves) < PLANNED_STEPS and not goal_holds(view.state, view.goal):
        weights = view.moves()
        move = max(weights, key=weights.__getitem__)
        moves.append(action_text(move))
        if obstacle(view.state, move) is not None:
            break
        view = replace(view, state=apply(view.state, move), last=move)
    return {prompts.numbered(moves) or "The goal holds.": 1.0}


def _reflect(view: _View) -> Mapping[Reply, float]:
    """A standard sentence on the last action; it finds out nothing."""
    last = action_text(view.last) if view.last else "nothing"
    return {f"Reflection: my last action was to {last}, and the goal did not hold after it.": 1.0}


def _tool_calls(view: _View, tools: Sequence[ToolSchema]) -> Mapping[Reply, float]:
    """A call to the tool of each move; a closing word once the goal holds, or where no tool fits."""
    if goal_holds(view.state, view.goal):
        return {"The goal holds.": 1.0}
    known = {tool_name(tool): tool for tool in tools}
    calls = {_tool_call(move, known): weight for move, weight in view.moves().items()}
    calls.pop(None, None)
    return {call: weight for call, weight in calls.items() if call} or _next_action(view)


def _tool_call(move: Move, tools: Mapping[str, ToolSchema]) -> ToolReply | None:
    name = move.operator.replace("-", "_")
    if name in tools:
        fields = list(tool_parameters(tools[name]))
        values = [value for value in move[1:] if value is not None]
        return ToolReply(name, dict(zip(fields, values, strict=False)))
    if "action" in tool_parameters(tools.get("act", {})):
        return ToolReply("act", {"action": action_text(move)})
    return None


_ANSWERS: Final[dict[str, Callable[[_View], Mapping[Reply, float]]]] = {
    "next action": _next_action,
    "next subgoal": _next_subgoal,
    "carry out subgoal": _carry_out,
    "judge progress": _judge,
    "write rules": _rules,
    "weigh actions": _weigh,
    "choose by number": _choose,
    "imagine": _imagine,
    "plan": _plan,
    "reflect": _reflect,
}
