"""What the offline chat models have in common beside their replies: tools in OpenAI's format, and how tokens count."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from typing_extensions import override

from langchain_linvit.models.replies import ToolChoice
from langchain_linvit.models.responses import combined_llm_output
from langchain_linvit.models.tokens import count_tokens


class OfflineChatModel(BaseChatModel):
    """The base of chat models that reach no network; a subclass says what they reply."""

    model_name: str = "offline"
    """The name that responses and traces carry."""

    @override
    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: ToolChoice = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """A model that knows `tools`; see `replies.ToolChoice` for `tool_choice`."""
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], tool_choice=tool_choice, **kwargs)

    @override
    def get_num_tokens(self, text: str) -> int:
        """How many tokens `text` has, as usage counts them."""
        return count_tokens(text)

    @override
    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None]) -> dict[str, Any]:
        return combined_llm_output(llm_outputs, self.model_name)
