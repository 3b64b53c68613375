"""A chat model defined by a function: from the messages to a distribution over replies."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import Field, PrivateAttr
from typing_extensions import override

from langchain_linvit.errors import InvalidSettingError
from langchain_linvit.models.offline import OfflineChatModel
from langchain_linvit.models.options import OPTION_NAMES, SamplingOptions, call_options
from langchain_linvit.models.replies import Policy, ToolChoice, ToolSchema, constrained, draw, normalised, tempered
from langchain_linvit.models.responses import (
    Completion,
    Response,
    completion_logprobs,
    prompt_tokens,
)

REMEMBERED_PROMPTS = 100_000
"""Prompts whose calls are counted; the count of the one called longest ago is forgotten first."""


class SimulatedFailure(ConnectionError):  # noqa: N818 - it simulates a provider's failure, and is none of ours
    """A call that failed by `failure_rate`. Not a `LinvitError`, since no provider's failure is one."""


class PolicyChatModel(SamplingOptions, OfflineChatModel):
    """A real chat model defined by a function, for tests, demonstrations and experiments offline.

    Example:
        .. code-block:: python

            model = PolicyChatModel(policy=lambda messages, tools: {"yes": 0.7, "no": 0.3}, seed=1)
            model.invoke("Will it rain?").text
            model.generate([[HumanMessage("Will it rain?")]], n=5, logprobs=True)

    With `n=k` a request gives k generations. As with `ChatOpenAI`, each of them carries the usage of the
    whole request: count it once. `get_num_tokens` and usage count with `langchain_linvit.models.tokens`,
    roles and message boundaries for nothing.

    Log-probabilities are those of the adjusted distribution (`tool_choice`, temperature, `top_p`, `stop`).
    A text that ended on its own has a last entry for its end, with the empty token, so that the sum of the
    log-probabilities is that of the text; without it (`max_tokens`), it is that of the text as a beginning.
    The entries of a tool call are those of the text beside it; None without such a text.

    The policy is called in the caller's thread or event loop, with the messages and the bound tools in
    OpenAI's format; `tool_choice` restricts its distribution afterwards. Whatever it raises passes through.
    """

    policy: Policy
    """From the messages and the bound tools to the weight of every possible reply."""

    random_state: int = 0
    """Seed of the replies to calls that give no `seed`: the i-th call with the same messages gets the
    i-th draw, in whatever order the calls of other prompts come."""

    latency: Annotated[float, Field(ge=0)] = 0.0
    """Seconds that a request takes before anything arrives, whatever its `n`."""

    failure_rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Chance of a request to raise `SimulatedFailure`, drawn anew for every attempt."""

    failure_seed: int = 0
    """Seed of the failures: whether an attempt fails depends on it, the messages, the call's seed, and how
    often that call was made before."""

    _calls: _CallCounts = PrivateAttr(default_factory=lambda: _CallCounts())

    @property
    def _llm_type(self) -> str:
        return "linvit-policy"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        own = {"policy": repr(self.policy), "random_state": self.random_state}
        return own | {name: getattr(self, name) for name in OPTION_NAMES}

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = _Request.of(self, messages, stop, kwargs)
        if self.latency:
            time.sleep(self.latency)
        return self._answer(request).result()

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = _Request.of(self, messages, stop, kwargs)
        if self.latency:
            await asyncio.sleep(self.latency)
        return self._answer(request).result()

    @override
    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        request = _Request.of(self, messages, stop, kwargs, streamed=True)
        if self.latency:
            time.sleep(self.latency)
        yield from self._answer(request).chunks()

    @override
    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        request = _Request.of(self, messages, stop, kwargs, streamed=True)
        if self.latency:
            await asyncio.sleep(self.latency)
        for chunk in self._answer(request).chunks():
            yield chunk

    def _answer(self, request: _Request) -> Response:
        """Fail, or draw the replies; the same whether the call is sync, async or streamed."""
        self._fail_at_random(request)
        options = request.options
        weights = normalised(self.policy(request.messages, request.tools))
        allowed = constrained(weights, request.tools, request.tool_choice)
        distribution = tempered(allowed, options.temperature, options.top_p)
        stream = self._random_stream(request)
        draws = [_hash(stream, index) for index in range(options.n)]
        replies = [draw(distribution, _uniform(key)) for key in draws]
        completions = [Completion.of(reply, options.stop, options.max_tokens) for reply in replies]
        return Response(
            model_name=options.model_name,
            prompt_tokens=prompt_tokens(request.messages),
            completions=completions,
            call_ids=[f"call_{key.hex()[:24]}" for key in draws],
            logprobs=completion_logprobs(distribution, completions, options)
            if options.logprobs
            else [None] * options.n,
        )

    def _fail_at_random(self, request: _Request) -> None:
        if self.failure_rate == 0:
            return
        call = _hash(b"failure", self.failure_seed, request.prompt_key, request.options.seed)
        attempt = self._calls.add(call)
        if _uniform(_hash(call, attempt)) < self.failure_rate:
            raise SimulatedFailure(f"simulated failure of attempt {attempt + 1} (failure_rate={self.failure_rate})")

    def _random_stream(self, request: _Request) -> bytes:
        if request.options.seed is not None:
            return _hash(b"seed", request.options.seed, request.prompt_key)
        prompt = _hash(b"random_state", self.random_state, request.prompt_key)
        return _hash(prompt, self._calls.add(prompt))


@dataclass(frozen=True, slots=True)
class _Request:
    """One call: its messages, and the model's options with the call's own put over them."""

    messages: Sequence[BaseMessage]
    options: SamplingOptions
    tools: Sequence[ToolSchema]
    tool_choice: ToolChoice
    prompt_key: bytes

    @classmethod
    def of(
        cls,
        model: SamplingOptions,
        messages: Sequence[BaseMessage],
        stop: list[str] | None,
        kwargs: dict[str, Any],
        streamed: bool = False,
    ) -> _Request:
        given = dict(kwargs)
        tools, tool_choice = given.pop("tools", None) or [], given.pop("tool_choice", None)
        if stop is not None:
            given["stop"] = stop
        options = call_options(model, given)
        if streamed and options.n > 1:
            raise InvalidSettingError(f"n must be 1 when streaming, not {options.n}; set disable_streaming=True")
        return cls(messages, options, tools, tool_choice, _prompt_key(messages))


class _CallCounts:
    """How often each call was made; shared by a model's copies, safe in threads, bounded, picklable."""

    def __init__(self) -> None:
        self._counts: OrderedDict[bytes, int] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, key: bytes) -> int:
        """Count one more call of `key`, and return how many there were before."""
        with self._lock:
            before = self._counts.pop(key, 0)
            self._counts[key] = before + 1
            if len(self._counts) > REMEMBERED_PROMPTS:
                self._counts.popitem(last=False)
        return before

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            return {"counts": self._counts.copy()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._counts, self._lock = state["counts"], threading.Lock()


def _hash(*parts: bytes | int | None) -> bytes:
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).digest()


def _uniform(key: bytes) -> float:
    """A number in [0, 1) with 53 random bits."""
    return (int.from_bytes(key[:8], "big") >> 11) * 2.0**-53


def _prompt_key(messages: Sequence[BaseMessage]) -> bytes:
    """What messages say, hashed; ids and metadata differ between equal runs and stay out."""
    key = hashlib.blake2b(digest_size=16)
    for message in messages:
        content = message.content if isinstance(message.content, str) else repr(message.content)
        calls = [(call["name"], call["args"]) for call in message.tool_calls] if isinstance(message, AIMessage) else ""
        key.update(f"{message.type}\0{len(content)}\0{content}\0{calls}\0".encode("utf-8", "surrogatepass"))
    return key.digest()
