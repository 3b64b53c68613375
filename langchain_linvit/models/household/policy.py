"""The household policy: a chat model for ALFWorld's prompts that needs no network."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from langchain_core.messages import BaseMessage

from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.models.household.critic import judgement
from langchain_linvit.models.household.decisions import Decision
from langchain_linvit.models.household.intentions import read_intention
from langchain_linvit.models.household.mind import MINDS, Mind, NoiseLevel
from langchain_linvit.models.household.reading import HouseholdGoal, read_goal, read_state
from langchain_linvit.models.policy import PolicyChatModel
from langchain_linvit.models.replies import ToolSchema
from langchain_linvit.prompts import last_block, numbered, request_kind

_UNKNOWN = {"I don't know what to do here.": 1.0}
_STEP = re.compile(r"^\d+\. (.+?)(?: \(thought: .*\))?$", re.MULTILINE)
_FLOOR = 0.002
"""Weight of a numbered action that the policy would not think of."""


@dataclass(frozen=True)
class HouseholdPolicy:
    """From the messages of a request to weights over replies, for `PolicyChatModel`.

    It reads the goal, the state, the history and the request in the prompt's text, and nothing else: it is
    tied to no environment. It looks into plausible places first; it takes similar things for the one that is asked
    for, forgets to open and to clean, goes to places again, and names what is not there. It writes plans and
    reflections where it is asked for them, and doesn't look at them when it acts: they change nothing.

    Args:
        mind: Its noise.
    """

    mind: Mind = field(default=MINDS["novice"])

    def __call__(self, messages: Sequence[BaseMessage], tools: Sequence[ToolSchema]) -> dict[str, float]:
        """Weights over replies."""
        del tools
        goal = read_goal(last_block(messages, "goal") or "")
        state = last_block(messages, "state") or ""
        kind = request_kind(messages)
        if goal is None or not state:
            return _UNKNOWN
        household = read_state(state)
        if kind == "judge progress":
            return judgement(goal, household, self.mind, state)
        if kind == "write rules":
            return {_rules(goal): 1.0}
        decision = Decision(goal, household, self.mind, _last_command(messages))
        if kind == "next action" and "Thought:" in messages[-1].text:
            return _thoughts(decision)
        if kind == "next action":
            return {f"Action: {command}": weight for command, weight in _commands(decision).items()}
        if kind == "next subgoal":
            return {f"Subgoal: {intention.text()}": weight for intention, weight in decision.weights().items()}
        if kind == "carry out subgoal":
            return _carried_out(decision, last_block(messages, "subgoal") or "")
        if kind == "plan":
            return {_plan(decision): 1.0}
        if kind == "reflect":
            return {_reflection(decision): 1.0}
        if kind in {"weigh actions", "choose by number"}:
            return _chosen(decision, last_block(messages, "actions") or "", as_json=kind == "weigh actions")
        return _UNKNOWN


def household_model(
    level: NoiseLevel = "novice", *, seed: int = 0, latency: float = 0.0, temperature: float = 1.0
) -> PolicyChatModel:
    """The household policy as a chat model.

    Args:
        level: How noisy it is: `careful`, `novice` or `careless`.
        seed: Other seeds hold other mistaken beliefs, and draw other replies.
        latency: Seconds that a request takes.
        temperature: Sampling temperature.

    Raises:
        InvalidSettingError: There is no such level.
    """
    if level not in MINDS:
        raise InvalidSettingError(f"there is no noise level {level!r}; choose one of {', '.join(MINDS)}")
    policy = HouseholdPolicy(replace(MINDS[level], seed=seed))
    return PolicyChatModel(
        policy=policy, random_state=seed, latency=latency, temperature=temperature, model_name=f"household-{level}"
    )


def _commands(decision: Decision) -> dict[str, float]:
    """Weights over the commands that begin the intentions."""
    commands: dict[str, float] = {}
    for intention, weight in decision.weights().items():
        command = intention.command(decision.household) or "look"
        commands[command] = commands.get(command, 0.0) + weight
    return commands


def _thoughts(decision: Decision) -> dict[str, float]:
    """The commands with the intention behind each, for prompts that ask for a thought first."""
    replies: dict[str, float] = {}
    for command, weight in _commands(decision).items():
        behind = [each for each in decision.weights() if (each.command(decision.household) or "look") == command]
        replies[f"Thought: I should {behind[0].text()}.\nAction: {command}"] = weight
    return replies


def _carried_out(decision: Decision, subgoal: str) -> dict[str, float]:
    """The next command towards a subgoal, or that it is reached; slips are rarer than in free choice."""
    intention = read_intention(subgoal)
    if intention is None:
        return {f"Action: {command}": weight for command, weight in _commands(decision).items()}
    command = intention.command(decision.household)
    if command is None or (intention.aim == "say" and command == decision.last):
        return {"Done": 1.0}
    slip = decision.mind.slip / 4
    return {f"Action: {command}": 1 - slip, "Done": slip / 2, "Action: look": slip / 2}


def _chosen(decision: Decision, listed: str, *, as_json: bool) -> dict[str, float]:
    """The numbers of the listed actions, weighted as they would be named."""
    commands = _commands(decision)
    actions = _STEP.findall(listed)
    weights = {str(number): commands.get(action, 0.0) + _FLOOR for number, action in enumerate(actions, 1)}
    if not weights:
        return _UNKNOWN
    if not as_json:
        return weights
    total = sum(weights.values())
    stated = {number: round(weight / total, 3) for number, weight in weights.items() if weight / total >= _FLOOR}
    return {json.dumps(stated or {"1": 1.0}): 1.0}


def _plan(decision: Decision) -> str:
    """What it means to do now, and what it takes the task to need then."""
    weights, goal = decision.weights(), decision.goal
    first = max(weights, key=weights.__getitem__).text()
    change = [f"{goal.verb} the {goal.thing}"] if goal.verb and not decision.neglects else []
    last = f"use the {goal.place}" if goal.kind == "look" else f"put the {goal.thing} in the {goal.place}"
    return numbered([first, f"take a {goal.thing}", *change, last])


def _reflection(decision: Decision) -> str:
    """A standard sentence on the last command; it finds out nothing."""
    return f"Reflection: I ended with {decision.last or 'nothing'!r}, and the task was not done."


def _rules(goal: HouseholdGoal) -> str:
    """Conditions on the state's text for this task."""
    carried = {"contains": f"You carry {goal.thing}"}
    rules: list[dict[str, object]] = [{"weight": 1, "when": carried}]
    if goal.verb:
        states = [{"contains": f"{goal.thing} {number} is {goal.state}"} for number in range(1, 6)]
        rules.append({"weight": 1, "when": {"any": states}})
        rules.append({"weight": 1, "when": {"all": [carried, {"any": states}, _at(goal.place)]}})
    else:
        rules.append({"weight": 1, "when": {"all": [carried, _at(goal.place)]}})
    return json.dumps({"rules": rules})


def _at(place: str) -> dict[str, str]:
    return {"contains": f"You are at {place}"}


def _last_command(messages: Sequence[BaseMessage]) -> str:
    commands = _STEP.findall(last_block(messages, "history") or "")
    return str(commands[-1]) if commands else ""
