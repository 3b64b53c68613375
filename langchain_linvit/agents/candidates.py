"""Candidate messages of one model call: sampled, merged where they do the same, and weighed; or composed of actions."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain.agents.middleware.types import ModelResponse
from langchain_core.messages import AIMessage, AnyMessage, ToolCall, ToolMessage

from langchain_linvit.calls import Completion
from langchain_linvit.environments.base import shorten
from langchain_linvit.models.sampling import token_logprobs
from langchain_linvit.priors import Proposal, by_frequency, by_sequence

SHOWN_CANDIDATE = 500
"""Characters of a candidate that traces and prompts show."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the agent could do next: one message, standing for all samples that do the same.

    Attributes:
        response: What the model call would return: the message, and a structured response where it holds one.
        proposal: What it does, with log pi_LLM of it and where that number came from.
        count: How many samples do the same; 0 for a message that was composed of an action.
    """

    response: ModelResponse[Any]
    proposal: Proposal
    count: int

    @property
    def message(self) -> AIMessage:
        """The model's message."""
        return ai_message(self.response)

    @property
    def calls(self) -> list[ToolCall]:
        """The tool calls to be carried out; none for an answer, which ends the agent's run."""
        answered = {m.tool_call_id for m in self.response.result if isinstance(m, ToolMessage)}
        return [call for call in self.message.tool_calls if call["id"] not in answered]


def ai_message(response: ModelResponse[Any]) -> AIMessage:
    """The model's message in a response; an empty one where it holds none."""
    return next((message for message in response.result if isinstance(message, AIMessage)), AIMessage(""))


def from_model(response: ModelResponse[Any]) -> bool:
    """Whether a model wrote it: a message that a middleware puts in place of a failed call has no id."""
    return ai_message(response).id is not None


def call_text(call: Mapping[str, Any]) -> str:
    """A tool call on one line, the same for equal calls: `stack(block="red", target="blue")`."""
    arguments = ", ".join(
        f"{name}={json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)}"
        for name, value in sorted((call.get("args") or {}).items())
    )
    return f"{call['name']}({arguments})"


def message_text(message: AIMessage) -> str:
    """What a message does: its tool calls, else its answer; equal for messages that do the same."""
    if message.tool_calls:
        return " + ".join(call_text(call) for call in message.tool_calls)
    return f"answer: {' '.join(message.text.split())}"


def fault_of(response: ModelResponse[Any], tools: Collection[str]) -> str | None:
    """Why a message can't be carried out, as far as it can be seen from outside; None for a good one."""
    message = ai_message(response)
    if message.invalid_tool_calls:
        call = message.invalid_tool_calls[0]
        return f"the arguments of {call.get('name')!r} can't be read: {shorten(str(call.get('args')), 80)}"
    if response.structured_response is not None:
        return None
    refusals = [m.text for m in response.result if isinstance(m, ToolMessage)]
    if refusals:  # create_agent's own answer to a structured response that does not fit its schema
        return refusals[0]
    unknown = [call["name"] for call in message.tool_calls if call["name"] not in tools]
    if unknown:
        return f"there is no tool {shorten(unknown[0], 60)!r}"
    return None if message.tool_calls or message.text.strip() else "the answer is empty"


def merged(
    responses: Sequence[ModelResponse[Any]], *, tools: Collection[str], smoothing: float
) -> list[Candidate]:  # fmt: skip
    """One candidate for all responses that do the same, with its prior, in the order of their first sample.

    The prior is the share of the samples, smoothed; where every message carries token log-probabilities, it is
    theirs. Both are the rungs that `ChatPrior` has (`sampled` and `sequence`).
    """
    first: dict[str, ModelResponse[Any]] = {}
    counts: dict[str, int] = {}
    read = []
    for response in responses:
        message = ai_message(response)
        text = message_text(message)
        first.setdefault(text, response)
        counts[text] = counts.get(text, 0) + 1
        key = (text, fault_of(first[text], tools))
        read.append((key, Completion(message.text, message, token_logprobs(message))))
    with_logprobs = bool(read) and all(answer.tokens for _, answer in read)
    proposals = by_sequence(read) if with_logprobs else by_frequency(read, smoothing)
    return [Candidate(first[proposal.text], proposal, counts[proposal.text]) for proposal in proposals]


def composed(proposal: Proposal, call: Mapping[str, Any], message_id: str) -> Candidate:
    """The message that takes a proposed action.

    Args:
        proposal: The action, and its prior.
        call: The tool call that stands for it, as `name` and `args`.
        message_id: Id of the message, and part of its call's.
    """
    named = ToolCall(name=call["name"], args=call["args"], id=f"call_{message_id}", type="tool_call")
    message = AIMessage("", tool_calls=[named], id=message_id)
    return Candidate(ModelResponse([message]), replace(proposal, text=call_text(call)), 0)


def history_of(messages: Sequence[AnyMessage], spelled: Mapping[str, str]) -> list[tuple[str, str]]:
    """The (call, result) pairs of a conversation, in order.

    Args:
        messages: The conversation.
        spelled: How the call of an id is written, where another way than `call_text` fits better.
    """
    calls = {call["id"]: call for m in messages if isinstance(m, AIMessage) for call in m.tool_calls}
    return [
        (spelled.get(m.tool_call_id) or call_text(calls[m.tool_call_id]), m.text)
        for m in messages
        if isinstance(m, ToolMessage) and m.tool_call_id in calls
    ]
