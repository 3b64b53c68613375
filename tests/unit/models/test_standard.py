"""LangChain's standard tests of a chat model, on both of ours."""

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_linvit.models import PolicyChatModel, Reply, ScriptedChatModel, ToolReply

SAMPLES = {"integer": 3, "number": 0.5, "boolean": True, "array": [], "object": {}}


def example(schema: Mapping[str, Any], text: str) -> Any:
    """A plain value that a property's JSON schema allows; strings repeat `text`."""
    if "enum" in schema:
        return schema["enum"][0]
    options = schema.get("anyOf", [schema])
    return SAMPLES.get(options[0].get("type", "string"), text)


def obliging(messages: Sequence[BaseMessage], tools: Sequence[dict[str, Any]]) -> dict[Reply, float]:
    """Calls the first tool, with arguments out of the message, where there is one, else says a sentence."""
    if not tools or messages[-1].type == "tool":
        return {"Hello, this is a reply.": 1.0}
    function = tools[0]["function"]
    properties = function["parameters"].get("properties", {})
    args = {name: example(schema, messages[-1].text) for name, schema in properties.items()}
    return {ToolReply(function["name"], args): 1.0}


class TestPolicyUnit(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return PolicyChatModel

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"policy": obliging}


class TestScriptedUnit(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ScriptedChatModel

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"replies": ["one", "two"]}


class TestPolicyBehaviour(ChatModelIntegrationTests):
    """What LangChain asks of a live model: all of it, but for images, files and JSON mode."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return PolicyChatModel

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"policy": obliging}

    @property
    def model_override_value(self) -> str:
        return "another-name"
