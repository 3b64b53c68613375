"""LangChain's standard tool suites on the tools of Bash and ALFWorld."""

from functools import partial

import pytest
from alfworld_engine import needs_alfworld
from tool_suite import InvocationSuite, UnitSuite, each_tool

from langchain_linvit import Task
from langchain_linvit.environments.alfworld import AlfworldEnvironment, own_game, own_games
from langchain_linvit.environments.alfworld.tools import action_tools
from langchain_linvit.environments.intercode import BashEnvironment, SandboxUnavailable
from langchain_linvit.errors import MissingDependencyError

pytestmark = pytest.mark.integration
REQUEST = Task(id="list", text="List the files.")


def bash(folder):
    (folder / "a.txt").write_text("alpha\n")
    try:
        return BashEnvironment(file_system=folder)
    except (SandboxUnavailable, MissingDependencyError) as error:
        pytest.skip(str(error))


def use_of(tool):
    """A game and commands, of which the last one uses the tool: the first found along the walkthroughs."""
    if tool.name == "slice":
        return use_of_slice()
    environment = AlfworldEnvironment()
    for task in own_games(6):
        environment.reset(task)
        taken = []
        for command in task.metadata["walkthrough"]:
            for possible in environment.admissible_actions():
                if tool.parse(possible) is not None:
                    return task, [*taken, possible]
            environment.step(command)
            taken.append(command)
    raise AssertionError(f"no use of {tool.name} along the walkthroughs")


def use_of_slice():
    """Official games have things to slice, own ones don't: here an apple is made sliceable."""
    task = own_game("heat", 0)
    problem = task.data["problem"].replace("(:init", "(:init\n(sliceable Apple_bar_01)\n(sliceable Apple_bar_02)")
    task = task.model_copy(update={"data": {"problem": problem}})
    environment = AlfworldEnvironment()
    environment.reset(task)
    return task, [*search_for("take knife", environment), *search_for("slice", environment)]


def search_for(beginning, environment):
    """Go from place to place until a command with that beginning is possible, and take it; all that was taken."""
    taken = []
    for going in [each for each in environment.admissible_actions() if each.startswith("go to ")]:
        for command in (going, going.replace("go to", "open")):
            if environment.step(command).error is None:
                taken.append(command)
            for possible in environment.admissible_actions():
                if possible.startswith(beginning):
                    environment.step(possible)
                    return [*taken, possible]
    raise AssertionError(f"no {beginning} anywhere")


class Bash:
    example = each_tool(bash, {"run_bash": (REQUEST, ["ls"]), "submit": (REQUEST, ["submit"])})


class Alfworld:
    example = each_tool(lambda _: AlfworldEnvironment(), {tool.name: partial(use_of, tool) for tool in action_tools()})


class TestBashUnit(Bash, UnitSuite):
    pass


class TestBashInvocation(Bash, InvocationSuite):
    pass


@needs_alfworld
class TestAlfworldUnit(Alfworld, UnitSuite):
    pass


@needs_alfworld
class TestAlfworldInvocation(Alfworld, InvocationSuite):
    pass
