"""The tools of an application for other agents: as a list in this process, or served over MCP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from langchain_core.tools import BaseTool
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rich.console import Console
from rich.text import Text

from langchain_linvit.agents.answers import validation_message
from langchain_linvit.agents.episodes import EpisodeLimits
from langchain_linvit.agents.mcp_server import create_mcp_server, require_mcp, serve_stdio
from langchain_linvit.agents.toolkit import EnvironmentToolkit
from langchain_linvit.applications import TaskChoice, application, chosen
from langchain_linvit.display import plain
from langchain_linvit.errors import InvalidSettingError, LinvitError


class ToolsConfig(BaseModel):
    """Which task the tools act in."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    problem: Path | None = Field(default=None, description="A problem file.")
    data: Path | None = Field(default=None, description="A folder of benchmark data.")
    task: str | None = Field(default=None, description="Number (from 1) or id of one of several tasks.")
    seed: int = Field(default=0, description="Seed of generated problems.")

    @classmethod
    def of(cls, config: ToolsConfig | Mapping[str, Any] | None) -> ToolsConfig:
        """`config`, validated.

        Raises:
            InvalidSettingError: It has a wrong value or an unknown name.
        """
        try:
            return cls.model_validate(config or {})
        except ValidationError as error:
            known = ", ".join(cls.model_fields)
            raise InvalidSettingError(f"the tools' config has {validation_message(error)}; it takes {known}") from error

    @property
    def choice(self) -> TaskChoice:
        """The same for `applications`."""
        return TaskChoice(self.problem, self.data, self.task, self.seed)


def application_toolkit(name: str, config: ToolsConfig | Mapping[str, Any] | None = None) -> EnvironmentToolkit:
    """A toolkit of an application, started on the task that `config` names (by default its first one).

    Raises:
        InvalidSettingError: There is no such application or task.
        MissingDependencyError: The application's extra is not installed.
    """
    choice = ToolsConfig.of(config).choice
    found = application(name)
    task = chosen(found.tasks(choice), choice)
    toolkit = EnvironmentToolkit(found.environment(choice))
    toolkit.start(task)
    return toolkit


def application_tools(name: str, config: ToolsConfig | Mapping[str, Any] | None = None) -> list[BaseTool]:
    """`read_task` and the actions of an application, ready for any agent; raises as `application_toolkit` does."""
    toolkit = application_toolkit(name, config)
    return [toolkit.task_tool(), *toolkit.get_tools()]


def serve_application(name: str, config: ToolsConfig, limits: EpisodeLimits | None = None) -> None:
    """Serve an application's tools over MCP on standard input and output, until the input ends.

    Raises:
        MissingDependencyError: The extra `mcp`, or the application's own, is not installed.
        InvalidSettingError: There is no such application or task.
    """
    require_mcp()  # before an environment is set up
    found, choice = application(name), config.choice
    tasks = found.tasks(choice)
    toolkit = EnvironmentToolkit(found.environment(choice))
    toolkit.start(chosen(tasks, choice))
    serve_stdio(
        create_mcp_server(
            toolkit, task=lambda asked: chosen(tasks, replace(choice, task=asked)), limits=limits, name=f"linvit-{name}"
        )
    )


def serving_command(name: str) -> None:
    """The command line of `python -m tools.NAME`; a library error is one line on stderr and exit status 2."""
    command = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

    @command.command()
    def serve(
        problem: Annotated[Path | None, typer.Option(help="A problem file.")] = None,
        data: Annotated[Path | None, typer.Option(help="A folder of benchmark data.")] = None,
        task: Annotated[str | None, typer.Option(help="Number (from 1) or id of one of several tasks.")] = None,
        seed: Annotated[int, typer.Option(help="Seed of generated problems.")] = 0,
        forks: Annotated[int, typer.Option(min=0, help="Forks that are held at once.")] = 16,
        idle_seconds: Annotated[float, typer.Option(min=1, help="A fork expires after so long without use.")] = 600,
    ) -> None:
        """Serve the tools over MCP on standard input and output."""
        config = ToolsConfig(problem=problem, data=data, task=task, seed=seed)
        serve_application(name, config, EpisodeLimits(forks=forks, idle_seconds=idle_seconds))

    try:
        command()
    except LinvitError as error:
        Console(stderr=True).print(Text(f"tools: {plain(str(error), 600)}", style="red"))
        raise SystemExit(2) from None
