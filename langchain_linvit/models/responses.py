"""What a simulated model answers: completions as LangChain's results, and as the chunks of a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from langchain_linvit.models.options import SamplingOptions
from langchain_linvit.models.replies import Distribution, Reply, ToolReply
from langchain_linvit.models.tokens import END, TokenSequence, count_tokens, logprobs_content, tokenize

PROVIDER = "linvit"


@dataclass(frozen=True, slots=True)
class Completion:
    """One reply as it arrives: after `stop` and `max_tokens`."""

    tokens: TokenSequence
    call: ToolReply | None
    finish_reason: str

    @classmethod
    def of(cls, reply: Reply, stop: Sequence[str] | None = None, max_tokens: int | None = None) -> Completion:
        """What is left of `reply`; a text that is cut loses the call that would have followed it."""
        text, call = (reply, None) if isinstance(reply, str) else (reply.text, reply)
        stops = [place for word in stop or () if word and (place := text.find(word)) >= 0]
        if stops:
            text, call = text[: min(stops)], None
        tokens = tuple(tokenize(text))
        if max_tokens is not None and len(tokens) > max_tokens:
            return cls(tokens[:max_tokens], None, "length")
        return cls(tokens, call, "tool_calls" if call else "stop")

    @property
    def sequence(self) -> TokenSequence:
        """The tokens with their end; without one where `max_tokens` cut them off."""
        if self.finish_reason == "length":
            return self.tokens
        return (*self.tokens, END if self.call is None else f"{self.call.name}({self.call.arguments})")

    @property
    def usage(self) -> int:
        """Tokens that this completion is counted for."""
        call = count_tokens(self.call.name) + count_tokens(self.call.arguments) if self.call else 0
        return len(self.tokens) + call


def completion_logprobs(
    distribution: Distribution, completions: Sequence[Completion], options: SamplingOptions
) -> list[dict[str, Any] | None]:
    """`logprobs` of each completion in OpenAI's format; None for a tool call without a text beside it.

    Tokens are conditioned on the whole texts: that `max_tokens` will cut some is no part of their probability.
    """
    masses: dict[TokenSequence, float] = {}
    for reply, mass in distribution.items():
        sequence = Completion.of(reply, options.stop).sequence
        masses[sequence] = masses.get(sequence, 0.0) + mass
    top = options.top_logprobs or 0
    read = [each.tokens if each.call else each.sequence for each in completions]
    return [{"content": logprobs_content(masses, tokens, top), "refusal": None} if tokens else None for tokens in read]


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to one request.

    Attributes:
        model_name: The name that every message carries.
        prompt_tokens: Tokens of the messages.
        completions: One for each generation.
        call_ids: An id for the tool call of each completion, used where it has one.
        logprobs: `logprobs` of each completion; None where the request didn't ask.
    """

    model_name: str
    prompt_tokens: int
    completions: Sequence[Completion]
    call_ids: Sequence[str]
    logprobs: Sequence[dict[str, Any] | None]

    @property
    def usage(self) -> UsageMetadata:
        """Usage of the whole request."""
        written = sum(completion.usage for completion in self.completions)
        return UsageMetadata(
            input_tokens=self.prompt_tokens, output_tokens=written, total_tokens=self.prompt_tokens + written
        )

    def result(self) -> ChatResult:
        """One generation for each completion, each with the usage of the whole request."""
        usage = self.usage
        generations = [
            self._generation(*parts, usage)
            for parts in zip(self.completions, self.call_ids, self.logprobs, strict=True)
        ]
        return ChatResult(generations=generations, llm_output=llm_output(usage, self.model_name))

    def _generation(
        self, completion: Completion, call_id: str, logprobs: dict[str, Any] | None, usage: UsageMetadata
    ) -> ChatGeneration:
        info = {"finish_reason": completion.finish_reason, "logprobs": logprobs}
        call = completion.call
        calls = [tool_call(name=call.name, args=json.loads(call.arguments), id=call_id)] if call else []
        message = AIMessage(
            content="".join(completion.tokens),
            tool_calls=calls,
            usage_metadata=usage.copy(),
            response_metadata=self._metadata | info,
        )
        return ChatGeneration(message=message, generation_info=info)

    def chunks(self) -> Iterator[ChatGenerationChunk]:
        """The first completion token by token, then its call, then the finish reason and the usage."""
        completion = self.completions[0]
        entries = (self.logprobs[0] or {}).get("content", [])
        for index, token in enumerate(completion.tokens):
            yield _chunk(AIMessageChunk(content=token), entries[index : index + 1])
        if completion.call:
            yield from _call_chunks(completion.call, self.call_ids[0])
        last = AIMessageChunk(
            content="", usage_metadata=self.usage, response_metadata=self._metadata, chunk_position="last"
        )
        yield _chunk(last, entries[len(completion.tokens) :], finish_reason=completion.finish_reason)

    @property
    def _metadata(self) -> dict[str, Any]:
        return {"model_name": self.model_name, "model_provider": PROVIDER}


def llm_output(usage: UsageMetadata, model_name: str) -> dict[str, Any]:
    """A request's usage under the names that OpenAI's results have."""
    counts = {
        "prompt_tokens": usage["input_tokens"],
        "completion_tokens": usage["output_tokens"],
        "total_tokens": usage["total_tokens"],
    }
    return {"token_usage": counts, "model_name": model_name}


def combined_llm_output(outputs: Sequence[Mapping[str, Any] | None], model_name: str) -> dict[str, Any]:
    """The usage of several requests; streamed ones have no output."""
    totals: dict[str, int] = {}
    for output in outputs:
        for name, count in (output or {}).get("token_usage", {}).items():
            totals[name] = totals.get(name, 0) + count
    return {"token_usage": totals, "model_name": model_name}


def prompt_tokens(messages: Sequence[BaseMessage]) -> int:
    """Tokens of the messages' texts; roles and boundaries count for nothing."""
    return sum((_system_tokens if m.type == "system" else count_tokens)(_text(m)) for m in messages)


_system_tokens = lru_cache(maxsize=32)(count_tokens)
"""Counting is most of what an instant call costs, and one system message comes with every prompt of a run."""


def _text(message: BaseMessage) -> str:
    return message.content if isinstance(message.content, str) else str(message.text)


def _call_chunks(call: ToolReply, call_id: str) -> Iterator[ChatGenerationChunk]:
    first = tool_call_chunk(name=call.name, args="", id=call_id, index=0)
    rest = [tool_call_chunk(name=None, args=token, id=None, index=0) for token in tokenize(call.arguments)]
    for piece in (first, *rest):
        yield _chunk(AIMessageChunk(content="", tool_call_chunks=[piece]))


def _chunk(
    message: AIMessageChunk, entries: Sequence[dict[str, Any]] = (), finish_reason: str | None = None
) -> ChatGenerationChunk:
    info: dict[str, Any] = {"finish_reason": finish_reason} if finish_reason else {}
    if entries:
        info["logprobs"] = {"content": list(entries)}
    return ChatGenerationChunk(message=message, generation_info=info or None)
