"""A chat model that replies by a script, and remembers what it was asked: for tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field, PrivateAttr, SkipValidation
from typing_extensions import override

from langchain_linvit.environments.base import shorten
from langchain_linvit.errors import LinvitError
from langchain_linvit.models.offline import OfflineChatModel
from langchain_linvit.models.replies import ToolReply
from langchain_linvit.models.responses import PROVIDER, llm_output, prompt_tokens
from langchain_linvit.models.tokens import count_tokens

ScriptedReply = (
    str | ToolReply | AIMessage | BaseException | type[BaseException] | Callable[[Sequence[BaseMessage]], Any]
)
"""What to say, or to raise; or a function from the messages to that."""


class ScriptEndedError(LinvitError, LookupError):
    """A scripted model was asked for more replies than its script has."""


@dataclass(frozen=True, slots=True)
class ScriptedRequest:
    """One request that a scripted model got: its messages, and its options such as `n`, `seed` and `tools`."""

    messages: list[BaseMessage]
    options: dict[str, Any]


@dataclass(slots=True)
class _Progress:
    """How far a script has been played; shared by a model's copies."""

    requests: list[ScriptedRequest] = field(default_factory=list)
    taken: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class ScriptedChatModel(OfflineChatModel):
    """A chat model that gives the replies of a script in order, for tests.

    Example:
        .. code-block:: python

            model = ScriptedChatModel(replies=["Action: look", ToolReply("act", {"action": "go"}), TimeoutError()])
            model.invoke("What next?").text
            assert "What next?" in model.prompts[0][-1].text

    A request with `n=k` takes the next k replies. A reply that is an exception fails its whole request.
    Sync and async calls get their replies in the order in which they were made. An `AIMessage` is given
    as it is; where it has no usage, the request's usage is counted as `PolicyChatModel` counts it.
    """

    replies: list[SkipValidation[ScriptedReply]]
    """The script: texts, tool calls, messages, exceptions, or functions of the messages to one of these."""

    model_name: str = "scripted"
    """The name that responses and traces carry."""

    n: Annotated[int, Field(ge=1)] = 1
    """Replies per request; also taken by every call."""

    _progress: _Progress = PrivateAttr(default_factory=_Progress)

    @property
    def requests(self) -> list[ScriptedRequest]:
        """Every request so far, failed ones too."""
        return self._progress.requests

    @property
    def prompts(self) -> list[list[BaseMessage]]:
        """The messages of every request so far."""
        return [request.messages for request in self.requests]

    @property
    def remaining(self) -> int:
        """How many replies of the script were not given yet."""
        return len(self.replies) - self._progress.taken

    @property
    def _llm_type(self) -> str:
        return "linvit-scripted"

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        options = kwargs if stop is None else {**kwargs, "stop": stop}
        answers = [_message(self.replies[index], messages, index) for index in self._take(messages, options)]
        read, written = prompt_tokens(messages), sum(map(_written_tokens, answers))
        usage = UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)
        for message in answers:
            message.usage_metadata = message.usage_metadata or usage.copy()
            reason = "tool_calls" if message.tool_calls else "stop"
            metadata = {"model_name": self.model_name, "model_provider": PROVIDER, "finish_reason": reason}
            message.response_metadata = metadata | message.response_metadata
        generations = [ChatGeneration(message=message) for message in answers]
        return ChatResult(generations=generations, llm_output=llm_output(usage, self.model_name))

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._generate(messages, stop, **kwargs)

    def _take(self, messages: Sequence[BaseMessage], options: dict[str, Any]) -> range:
        """The places in the script of this request's replies, one for each generation."""
        count = int(options.get("n") or self.n)
        progress = self._progress
        with progress.lock:
            progress.requests.append(ScriptedRequest(list(messages), options))
            first = progress.taken
            if first + count > len(self.replies):
                raise ScriptEndedError(
                    f"the script has {len(self.replies)} replies, but request {len(progress.requests)} needs number "
                    f"{first + count}; add replies for: {shorten(str(messages[-1].text) if messages else '')!r}"
                )
            progress.taken += count
        return range(first, first + count)


def _message(reply: Any, messages: Sequence[BaseMessage], index: int) -> AIMessage:
    if isinstance(reply, BaseException) or (isinstance(reply, type) and issubclass(reply, BaseException)):
        raise reply
    if isinstance(reply, AIMessage):
        return reply.model_copy()
    if isinstance(reply, ToolReply):
        call = tool_call(name=reply.name, args=dict(reply.args), id=f"call_{index}")
        return AIMessage(content=reply.text, tool_calls=[call])
    if isinstance(reply, str):
        return AIMessage(content=reply)
    if callable(reply):
        return _message(reply(messages), messages, index)
    raise TypeError(f"a scripted reply must be a str, ToolReply, AIMessage, exception or function, not {reply!r:.200}")


def _written_tokens(message: AIMessage) -> int:
    calls = sum(count_tokens(call["name"]) + count_tokens(str(call["args"])) for call in message.tool_calls)
    return count_tokens(str(message.text)) + calls
