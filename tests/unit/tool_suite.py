"""LangChain's standard tests of tools, on every tool of an environment, in a state where it can be used."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.tools import BaseTool
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests

from langchain_linvit import Environment, EnvironmentToolkit, Task


class EnvironmentTools:
    """What both standard suites ask of a test class; it says with `each_tool` which tools, and how to use each."""

    toolkit: EnvironmentToolkit
    name: str

    @property
    def tool_constructor(self) -> BaseTool:
        return next(tool for tool in self.toolkit.get_tools() if tool.name == self.name)

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return self.example


class UnitSuite(EnvironmentTools, ToolsUnitTests):
    """The standard unit tests, and that arguments and actions map to each other."""

    def test_the_example_is_the_action(self, tool: BaseTool) -> None:
        assert self.toolkit.action_of({"name": tool.name, "args": self.example}).action == self.action

    def test_every_argument_is_described(self, tool: BaseTool) -> None:
        assert tool.description
        assert all(schema.get("description") for schema in tool.args.values())
        assert set(tool.args) == set(self.example)


class InvocationSuite(EnvironmentTools, ToolsIntegrationTests):
    """The standard tests that use the tool."""


Use = tuple[Task | str, list[str]]
"""A task and actions, of which the last one uses the tool in question."""


def each_tool(make: Callable[[Path], Environment], uses: dict[str, Use | Callable[[], Use]]):
    """A fixture that runs a suite's tests for every tool, by its name, in a state where it can be used.

    `make` gets an empty folder to put files into; a use may be looked for when it is needed.
    """

    @pytest.fixture(autouse=True, params=list(uses))
    def example(self, request, tmp_path):
        use = uses[request.param]
        with EnvironmentToolkit(make(tmp_path)) as toolkit:
            task, actions = use() if callable(use) else use
            toolkit.start(task)
            for action in actions[:-1]:
                assert toolkit.environment.step(action).error is None, action
            call = toolkit.tool_call_of(actions[-1])
            assert call is not None
            assert call["name"] == request.param
            self.toolkit, self.name, self.action, self.example = toolkit, call["name"], actions[-1], call["args"]
            yield

    return example
