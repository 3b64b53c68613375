"""What a simulated chat model may reply, and the arithmetic of distributions over replies."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

from langchain_core.messages import BaseMessage

from langchain_linvit.environments.base import shorten
from langchain_linvit.errors import InvalidSettingError


@dataclass(frozen=True, slots=True)
class ToolReply:
    """A reply that calls one tool. Replies with equal names, texts and arguments are equal.

    Attributes:
        name: Name of the tool.
        args: Its arguments, as plain JSON data; not to be changed afterwards.
        text: What the message says beside the call.
        arguments: `args` in canonical JSON, as the wire format carries them.

    Raises:
        InvalidSettingError: The arguments are not JSON data.
    """

    name: str
    args: Mapping[str, Any] = field(default_factory=dict, compare=False)
    text: str = ""
    arguments: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        try:
            arguments = json.dumps(self.args, sort_keys=True, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InvalidSettingError(f"the arguments of a call to {self.name!r} must be JSON data: {error}") from error
        object.__setattr__(self, "arguments", arguments)


Reply = str | ToolReply
"""What a policy can say: a text, or a call to a tool."""

ToolSchema = dict[str, Any]
"""A tool in OpenAI's format: `{"type": "function", "function": {"name", "description", "parameters"}}`."""

Policy = Callable[[Sequence[BaseMessage], Sequence[ToolSchema]], Mapping[Any, float]]
"""From the messages and the bound tools to the weight of every possible `Reply`; weights need not sum to 1."""

Distribution = dict[Reply, float]
"""Replies of positive probability in the policy's order; the probabilities sum to 1."""


def normalised(weights: Mapping[Any, Any]) -> Distribution:
    """The distribution that a policy's weights describe; replies of weight 0 are dropped.

    Raises:
        InvalidSettingError: No mapping, a key that is no reply, a weight that is negative or not
            finite, or no positive weight at all.
    """
    if not isinstance(weights, Mapping):
        raise InvalidSettingError(f"a policy must return a mapping from replies to weights, not {weights!r:.200}")
    for reply, weight in weights.items():
        if not isinstance(reply, (str, ToolReply)):  # a tuple is twice as fast as a union
            raise InvalidSettingError(f"a policy's reply must be a str or a ToolReply, not {reply!r:.200}")
        if not (isinstance(weight, (float, Real)) and 0 <= float(weight) < math.inf):
            raise InvalidSettingError(
                f"a policy's weight must be finite and not negative, not {weight!r} for {shorten(str(reply))!r}"
            )
    total = float(sum(weights.values()))
    if not 0 < total < math.inf:
        raise InvalidSettingError(f"the weights of a policy's {len(weights)} replies sum to {total}, which is no mass")
    return _divided(weights, total)


def _divided(weights: Mapping[Reply, Any], total: float) -> Distribution:
    return {reply: float(weight) / total for reply, weight in weights.items() if weight}


def tempered(distribution: Distribution, temperature: float, top_p: float) -> Distribution:
    """Scale log-probabilities by 1 / temperature, then keep the nucleus of mass `top_p`.

    Both act on whole replies, where a real model's act on tokens. Temperature 0 leaves the most
    probable reply; ties go to the first.
    """
    if temperature == 0:
        return {max(distribution, key=distribution.__getitem__): 1.0}
    if temperature != 1:
        peak = max(distribution.values())
        powers = {reply: math.exp(math.log(p / peak) / temperature) for reply, p in distribution.items()}
        distribution = _divided(powers, sum(powers.values()))
    return distribution if top_p >= 1 else _nucleus(distribution, top_p)


def _nucleus(distribution: Distribution, top_p: float) -> Distribution:
    """The fewest most probable replies whose mass reaches `top_p`, in the policy's order."""
    kept, mass = set(), 0.0
    for reply in sorted(distribution, key=lambda reply: -distribution[reply]):
        kept.add(reply)
        mass += distribution[reply]
        if mass >= top_p:
            break
    return _divided({reply: p for reply, p in distribution.items() if reply in kept}, mass)


def draw(distribution: Distribution, uniform: float) -> Reply:
    """The reply at `uniform` in [0, 1) of the cumulative distribution."""
    mass = 0.0
    for reply, probability in distribution.items():
        mass += probability
        if uniform < mass:
            return reply
    return reply  # rounding left the sum a little below 1


ToolChoice = str | bool | dict[str, Any] | None
"""None or `"auto"`: as the policy likes; `"none"`; `"any"`, `"required"` or True; a tool's name or OpenAI's dict."""


def constrained(distribution: Distribution, tools: Sequence[ToolSchema], tool_choice: ToolChoice) -> Distribution:
    """Condition on what `tool_choice` allows, as constrained decoding does.

    Raises:
        InvalidSettingError: The choice names no bound tool, or the policy gives it no mass.
    """
    if tool_choice in (None, False, "auto"):
        return distribution
    if tool_choice == "none":
        kept: Distribution = {reply: p for reply, p in distribution.items() if isinstance(reply, str)}
    else:
        allowed = _allowed_tools(tools, tool_choice)
        kept = {r: p for r, p in distribution.items() if isinstance(r, ToolReply) and r.name in allowed}
    if not kept:
        raise InvalidSettingError(
            f"tool_choice={tool_choice!r} leaves none of the policy's replies: it must give some weight to such a reply"
        )
    return _divided(kept, sum(kept.values()))


def tool_name(tool: ToolSchema) -> str:
    """The name of a tool in OpenAI's format."""
    return str(tool.get("function", tool).get("name"))


def tool_parameters(tool: ToolSchema) -> Mapping[str, Any]:
    """The parameters of a tool in OpenAI's format, by name, in its order."""
    parameters: Mapping[str, Any] = tool.get("function", tool).get("parameters", {}).get("properties", {})
    return parameters


def _allowed_tools(tools: Sequence[ToolSchema], tool_choice: ToolChoice) -> set[str]:
    bound = {tool_name(tool) for tool in tools}
    if tool_choice in (True, "any", "required"):
        return bound
    chosen = tool_name(tool_choice) if isinstance(tool_choice, dict) else str(tool_choice)
    if chosen not in bound:
        raise InvalidSettingError(f"tool_choice={chosen!r} is no bound tool; bound are {sorted(bound)}")
    return {chosen}
